"""The command and its subcommands, and every way out: one line that says what to do, and a status.

Knows nothing of what the subcommands do.
"""

from __future__ import annotations

import os
import sys
import traceback

import click

from sqlite_writes.driver import sqlite3
from sqlite_writes.settings import SETTINGS
from sqlite_writes.writers.libraries import LIBRARIES
from sqlite_writes.writers.writer import WriterError

from .burst_command import burst
from .ending import complain
from .errors import (
    ANSWERED,
    COULD_NOT_MEASURE,
    INTERRUPTED,
    WRONG_USAGE,
    CouldNotMeasure,
    WrongUsage,
    in_words,
)
from .limit_command import limit
from .output import package_version
from .rate_command import rate

NAME = "sqlite-writes"

_EPILOG = (
    f"Settings: {', '.join(SETTINGS)}.\n\nLibraries: {', '.join(LIBRARIES)}.\n\n"
    "Status: 0 answered, 1 could not measure, 2 wrong usage, 3 a threshold was passed, 130 Ctrl-C."
)


@click.group(NAME, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_version(), prog_name=NAME, message="%(prog)s %(version)s")
def command() -> None:
    """Will SQLite hold for my processes? Measured on this machine, this disk, and your own code."""


command.add_command(limit)
command.add_command(burst)
command.add_command(rate)


def run(arguments: list[str]) -> int:
    """Run one command and return its status."""
    try:
        status = command.main(args=arguments, prog_name=NAME, standalone_mode=False)
        return status if isinstance(status, int) else ANSWERED
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else COULD_NOT_MEASURE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return WRONG_USAGE
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT_MEASURE
    except BaseException as error:
        status, words = _ending_of(error)
        complain(words)
        return status


def _ending_of(error: BaseException) -> tuple[int, str]:
    """Return the status for what a command raised, and one line that says what to do."""
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx is not None else NAME
        return WRONG_USAGE, f"{_one_line(error.format_message())} ({where} --help)"
    if isinstance(error, WrongUsage):
        return WRONG_USAGE, _one_line(str(error))
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return INTERRUPTED, "interrupted: nothing is left running"
    if isinstance(
        error, (CouldNotMeasure, OSError, sqlite3.Error, WriterError, NotImplementedError, click.ClickException)
    ):
        return COULD_NOT_MEASURE, in_words(error)
    traceback.print_exception(error)  # a defect: it must not look like an answer
    return COULD_NOT_MEASURE, f"a defect of sqlite-writes, see above: {_one_line(repr(error))}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
