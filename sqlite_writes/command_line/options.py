"""What the measuring commands can be told, and what is wrong with it; found before anything is measured.

Knows no writer and no burst.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .around import commands_around
from .errors import INSTALL, CouldNotMeasure, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_writes.fresh_burst import Around

Command = TypeVar("Command", bound=Callable[..., Any])

PICTURES = (".svg", ".png", ".html")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Common:
    """What the options of every measuring command say; the names are theirs."""

    writer: tuple[str, ...]
    rows: str | None
    directory: str
    seed: int | None
    prepare: str | None
    cleanup: str | None
    max_failed: int | None
    p99: float | None
    export_json: Path | None

    @property
    def around(self) -> Around:
        """What runs the caller's own commands before and after a burst or a run."""
        return partial(commands_around, self.prepare, self.cleanup)


@dataclass(frozen=True)
class Options(Common):
    """The same of a command that measures bursts."""

    bursts: int
    deadline: float | None
    export_markdown: Path | None
    plot: Path | None


class WholeNumber(click.IntRange):
    """An integer within limits, called so where it is none."""

    name = "integer"


class WriterNames(click.ParamType[tuple[str, ...]]):
    """One name or several, with commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names, each once."""
        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in str(value).split(",")]
        if not all(names):
            self.fail(f"{value!r} has an empty name: give names with a comma between them", param, ctx)
        return tuple(dict.fromkeys(names))


class Duration(click.ParamType[float]):
    """A time with its unit."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m)", str(value).strip())
        seconds = float(match[1]) * _UNITS[match[2]] if match else math.nan
        if not 0 < seconds <= 86_400:
            self.fail(f"{value!r} is no time such as 100ms, 2s or 1m", param, ctx)
        return seconds


class Folder(click.ParamType[str]):
    """A folder that is there."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return its path."""
        path = Path(os.fspath(value))
        if not os.path.isdir(path):
            what = "is no folder" if os.path.exists(path) else "does not exist"
            self.fail(f"{str(path)!r} {what}: give a folder, or make it first", param, ctx)
        return str(path)


class OutputFile(click.ParamType[Path]):
    """A file to be written at the end: now is the time to say that it cannot be."""

    name = "file"

    def __init__(self, suffixes: Sequence[str] = ()) -> None:
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return its path."""
        path = Path(os.fspath(value))
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            self.fail(f"{str(path)!r} does not end with one of {', '.join(self.suffixes)}", param, ctx)
        try:
            is_writable = not path.is_dir() and os.access(path if path.exists() else path.absolute().parent, os.W_OK)
        except OSError:  # no name that a file can have
            is_writable = False
        if not is_writable:
            self.fail(f"{str(path)!r} cannot be written: give a file in a folder that is there", param, ctx)
        return path


# What every measuring command takes, in the same words.
writer_option = click.option(
    "--writer",
    "-w",
    type=WriterNames(),
    default="default,wal,grouped",
    show_default=True,
    help="Settings, libraries, or package.module:name of your own writer.",
)
rows_option = click.option(
    "--rows",
    metavar="NAME",
    help="package.module:name of the function that reads all rows back. "
    "What --writer names is then a function that inserts one row.",
)
directory_option = click.option(
    "--directory",
    type=Folder(),
    default=".",
    help="Where the databases are made and removed, so that this disk is measured. Default: this folder.",
)
prepare_option = click.option(
    "--prepare", metavar="COMMAND", help="A shell command to run before each burst, or each run of rate."
)
cleanup_option = click.option(
    "--cleanup", metavar="COMMAND", help="A shell command to run after each burst, or each run of rate."
)
json_option = click.option(
    "--export-json", type=OutputFile(), help="Write all numbers as JSON; its schema has a version."
)


def measuring_options(bursts: int) -> Callable[[Command], Command]:
    """Add the options of ``Options`` to a command; ``bursts``: how many, unless told."""
    options = [
        writer_option,
        rows_option,
        directory_option,
        click.option(
            "--bursts",
            type=WholeNumber(1, 1000),
            default=bursts,
            show_default=True,
            help="How often the same is tried.",
        ),
        click.option("--seed", type=int, help="Of the order of the bursts. Default: another one each time."),
        click.option("--deadline", type=Duration(), help="What a burst may take, such as 60s, before it is ended."),
        prepare_option,
        cleanup_option,
        click.option(
            "--max-failed",
            type=WholeNumber(0),
            help="End with status 3 if a burst has more rows that failed, were lost, altered or duplicated.",
        ),
        click.option("--p99", type=Duration(), help="End with status 3 if 1% of the inserts took longer: 100ms."),
        json_option,
        click.option("--export-markdown", type=OutputFile(), help="Write the tables as Markdown."),
        click.option("--plot", type=OutputFile(PICTURES), help="Draw a picture: .svg, .png or .html."),
    ]

    return lambda command: with_options(command, *options)


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Return the command with the options, which its help shows in that order."""
    for option in reversed(options):
        command = option(command)
    return command


def checked(found: dict[str, Any]) -> Options:
    """Return the options as one thing; raise ``WrongUsage`` or ``CouldNotMeasure`` for what click cannot see."""
    options = Options(**found)
    if options.plot is not None and find_spec("matplotlib") is None:
        raise WrongUsage(f"--plot needs matplotlib: {INSTALL}")
    check_directory(options.directory)
    return options


def check_directory(directory: str) -> None:
    """Raise ``CouldNotMeasure`` if nothing can be written there."""
    from sqlite_writes.fresh_burst import fresh_database

    try:
        with fresh_database(directory) as database, open(database, "wb") as file:
            file.write(bytes(4096))
    except OSError as error:
        raise CouldNotMeasure(
            f"nothing can be written in the folder {directory!r} ({error.strerror}): "
            "choose another one with --directory"
        ) from None
