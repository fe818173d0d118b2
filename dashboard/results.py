"""asv's result files as values: a number with its interval, "failed", n/a, or not there; knows no page and no terminal.

The terminal (answer.py) and the pages (publish.py) both read through this, so that they cannot tell two stories.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asv.results import Results

# Rows of these must be there, once. The naive way loses them by design: it is the baseline, and never an alarm.
MUST_BE_ZERO = re.compile(r"(?!caller\.NaiveBurst\.).*\.track_(lost|duplicated)_rows")
SQLITE_VERSION = "cost.Library.track_sqlite_version"

Parameters = tuple[str, ...]
Values = dict[Parameters, "Value"]


@dataclass(frozen=True)
class Value:
    """What one benchmark gave with one set of parameters: a number; None if it failed; NaN where it was skipped.

    The interval is asv's, of 99% confidence, where it has samples to take one from.
    """

    number: float | None
    low: float | None = None
    high: float | None = None

    @property
    def failed(self) -> bool:
        """The benchmark itself failed: it raised, crashed or ran out of time."""
        return self.number is None

    @property
    def measured(self) -> bool:
        """There is a number."""
        return self.number is not None and not math.isnan(self.number)

    def to_json(self) -> float | str | list[float]:
        """A number, or with its interval [number, low, high], "failed", or "n/a"."""
        if self.number is None:
            return "failed"
        if math.isnan(self.number):
            return "n/a"
        if self.low is None or self.high is None:
            return self.number
        return [self.number, self.low, self.high]


def read_values(result: Results, known: Mapping[str, Any]) -> dict[str, Values]:
    """Every benchmark of one result file that is still known in the same version, by the text of its parameters.

    A set of parameters that the result was taken without is not in it: asv itself shows that as failed. Nor is one that
    the benchmark has no more.
    """
    return {
        name: _read_benchmark(result, name, known[name]["params"]) for name in sorted(result.get_result_keys(known))
    }


def _read_benchmark(result: Results, name: str, known: list[list[str]]) -> Values:
    parameters = result.get_result_params(name)
    numbers = result.get_result_value(name, parameters)
    statistics = result.get_result_stats(name, parameters)
    return {
        cell: Value(number, *_interval(statistic))
        for cell, number, statistic in zip(itertools.product(*parameters), numbers, statistics, strict=True)
        if len(cell) == len(known) and all(value in values for value, values in zip(cell, known))
    }


def _interval(statistics: dict[str, Any] | None) -> tuple[float, float] | tuple[None, None]:
    bounds = (statistics or {}).get("ci_99_a"), (statistics or {}).get("ci_99_b")
    if any(bound is None or not math.isfinite(bound) for bound in bounds):
        return None, None
    return bounds


def sqlite_version(values: dict[str, Values]) -> str | None:
    """SQLite's version as people write it, from the number that the suite tracks."""
    value = values.get(SQLITE_VERSION, {}).get(())
    if value is None or value.number is None or math.isnan(value.number):
        return None
    number = int(value.number)
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def entry_name(name: str, parameters: Parameters) -> str:
    """A benchmark with its parameters, as asv writes it: ``burst.Burst.time_burst(500, 'wal')``."""
    return f"{name}({', '.join(parameters)})" if parameters else name
