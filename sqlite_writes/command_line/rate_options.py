"""What ``sqlite-writes rate`` can be told beside what every measuring command can. Measures nothing."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import Any

import click

from .errors import WrongUsage
from .options import (
    Command,
    Common,
    Duration,
    WholeNumber,
    check_directory,
    cleanup_option,
    directory_option,
    json_option,
    prepare_option,
    rows_option,
    with_options,
    writer_option,
)
from .rate_answer import Load

_UNITS = {
    "second": ("s", "sec", "second"),
    "minute": ("min", "minute"),
    "hour": ("h", "hour"),
    "day": ("d", "day"),
}

# Inserts a second: what no machine can do.
_LARGEST = 10_000.0

# Seconds for a load, at least.
LEAST = 14.0

_P99 = 0.1


@dataclass(frozen=True)
class RateOptions(Common):
    """All that the options of the command say; the names are theirs."""

    load: Load | None
    seconds: int | None
    workers: int | None
    keep_open: bool

    @property
    def how(self) -> dict[str, Any]:
        """What each run is told, and the document says."""
        return {
            "directory": self.directory,
            "seed": self.seed,
            "workers": self.workers,
            "keep_open": self.keep_open,
        }

    @property
    def most_late(self) -> float:
        """The p99 up to which is searched."""
        return self.p99 or _P99


def checked_rate(found: dict[str, Any]) -> RateOptions:
    """Return the options, with a seed; raise ``WrongUsage`` or ``CouldNotMeasure`` for what click cannot see."""
    options = RateOptions(**found)
    if options.load is None and options.max_failed is not None:
        raise WrongUsage("--max-failed is for a load: say which with --rate, such as --rate 50/s")
    if options.load is not None and options.seconds is not None and options.seconds < LEAST:
        raise WrongUsage(f"--seconds {options.seconds} is too short for a load: give {LEAST:g} or more")
    check_directory(options.directory)
    if options.seed is not None:
        return options
    return replace(options, seed=random.randrange(2**31))  # noqa: S311 a seed is no secret


class LoadType(click.ParamType[Load]):
    """So many inserts in a unit of time."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Load:
        """Return the load."""
        if isinstance(value, Load):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([a-z]+)", str(value).strip())
        unit = next((unit for unit, names in _UNITS.items() if match and match[2] in names), None)
        if match is None or unit is None or not float(match[1]) > 0:
            self.fail(f"{value!r} is no rate such as 1000/day, 3/hour, 10/min or 50/s", param, ctx)
        load = Load(float(match[1]), unit)
        if load.per_second > _LARGEST:
            self.fail(f"{value!r} is more than {_LARGEST:g}/s, the most that is tried", param, ctx)
        return load


def rate_options(command: Command) -> Command:
    """Add the options of ``RateOptions`` to the command."""
    return with_options(
        command,
        writer_option,
        rows_option,
        click.option("--rate", "load", type=LoadType(), help="The load: 1000/day, 3/hour, 10/min or 50/s."),
        click.option(
            "--p99",
            type=Duration(),
            help="How late 1% of the inserts may be, from the moment each was due. "
            "With --rate: end with status 3 if it is passed. Without: search up to there. [default: 100ms]",
        ),
        click.option(
            "--max-failed",
            type=WholeNumber(0),
            help="With --rate: end with status 3 if more rows fail, are lost, altered or duplicated.",
        ),
        click.option(
            "--seconds",
            type=WholeNumber(1, 86_400),
            help="What each writer gets: with --rate to insert, without to search. "
            "[default: so that all with --rate take less than a minute; 50 to search]",
        ),
        click.option(
            "--workers",
            type=WholeNumber(1, 10_000),
            help="How many processes wait for inserts to come due. [default: by the rate, 16 to 200]",
        ),
        click.option("--keep-open", is_flag=True, help="Each process keeps its connection."),
        directory_option,
        click.option("--seed", type=int, help="Of the moments. Default: another one each time."),
        prepare_option,
        cleanup_option,
        json_option,
    )
