"""asv's result files as values, and a value as text; knows no commits, no page and no terminal.

The terminal and the pages both read through this, so that they cannot tell two stories.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from asv.util import human_float, human_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asv.results import Results

# The suite's classes that answer the question, and what people read for the second.
BURST, NAIVE_BURST = "burst.Burst", "caller.NaiveBurst"
NAIVE = "the naive way"
# What has a count of rows for each burst, beside the benchmark that has their mean.
BY_BURST = "_by_burst"
# The class that runs the same bursts through other people's libraries.
LIBRARY_BURST = "libraries.Libraries"

# Rows of these must be there, once. The naive way loses them by design: it is the baseline, and never an alarm.
MUST_BE_ZERO = re.compile(rf"(?!{re.escape(NAIVE_BURST)}\.).*\.track_(lost|altered|duplicated)_rows")

# Costs that are the same in every run, so that any change is one of the code.
EXACT = "cost.InsertCost."

Parameters = tuple[str, ...]
Values = dict[Parameters, "Value"]


@dataclass(frozen=True)
class Value:
    """What one benchmark gave with one set of parameters: a number; None if it failed; NaN where it was skipped.

    The interval is asv's, of 99% confidence, where it has samples to take one from. The samples are there where asv was
    told to record them.
    """

    number: float | None
    low: float | None = None
    high: float | None = None
    samples: tuple[float, ...] = ()

    @property
    def failed(self) -> bool:
        """The benchmark itself failed: it raised, crashed or ran out of time."""
        return self.number is None

    @property
    def measured(self) -> bool:
        """There is a number."""
        return self.number is not None and not math.isnan(self.number)

    @property
    def known(self) -> bool:
        """There is a number or a failure, and not n/a."""
        return self.failed or self.measured

    def text(self, unit: str) -> str:
        """Return the value as people read it."""
        if self.number is None:
            return "benchmark failed"
        return number_text(self.number, unit) if self.measured else "n/a"

    def to_json(self, unit: str) -> dict[str, float | str]:
        """Return ``text``; and ``failed``; or ``number``, and for its interval ``low``, ``high`` and ``between``.

        No number of the suite can be below 0, so the text of asv's interval, which can, ends there.
        """
        told: dict[str, float | str] = {"text": self.text(unit)}
        if self.number is None:
            return told | {"failed": True}
        if not self.measured:
            return told
        told["number"] = self.number
        if self.low is not None and self.high is not None:
            between = " \u2013 ".join(number_text(max(0.0, bound), unit) for bound in (self.low, self.high))
            told |= {"low": self.low, "high": self.high, "between": between}
        return told


def number_text(number: float, unit: str) -> str:
    """Return a number with its unit, as asv writes it; but rows as ``rows_text``."""
    if unit.startswith("rows"):
        return rows_text(number)
    text: str = human_value(number, unit) if unit in {"seconds", "bytes"} else human_float(number)
    return text


def rows_text(rows: float) -> str:
    """Return a count, or a mean of counts with one decimal, halves rounded up; never 0 for what is more than 0."""
    if rows == int(rows):
        return f"{rows:.0f}"
    return str(Decimal(rows).quantize(Decimal("0.1"), ROUND_HALF_UP)) if rows >= 0.05 else f"{rows:.1g}"


def read_values(result: Results, benchmarks: Mapping[str, Any]) -> dict[str, Values]:
    """Return the values of each benchmark that is still known in the same version, by the text of its parameters.

    Parameters that the result was taken without are left out: asv itself shows them as failed. So are parameters that
    the benchmark no longer has.
    """
    values: dict[str, Values] = {}
    for name in sorted(result.get_result_keys(benchmarks)):
        known, taken = benchmarks[name]["params"], result.get_result_params(name)
        stored = zip(
            result.get_result_value(name, taken),
            result.get_result_stats(name, taken),
            result.get_result_samples(name, taken),
            strict=True,
        )
        values[name] = {
            parameters: _value(number, statistics, samples)
            for parameters, (number, statistics, samples) in zip(itertools.product(*taken), stored, strict=True)
            if len(parameters) == len(known) and all(map(operator.contains, known, parameters))
        }
    return values


def _value(number: float | None, statistics: dict[str, Any] | None, samples: list[float] | None) -> Value:
    low, high = (statistics or {}).get("ci_99_a"), (statistics or {}).get("ci_99_b")
    if any(bound is None or not math.isfinite(bound) for bound in (low, high)):
        low = high = None
    return Value(number, low, high, tuple(samples or ()))


def way_of(parameters: Parameters) -> tuple[int, str]:
    """Return the number of workers and the name of the settings; a burst without settings is the naive way's."""
    return int(parameters[0]), parameters[1].strip("'") if len(parameters) > 1 else NAIVE


def entry_name(name: str, parameters: Parameters) -> str:
    """Return a benchmark with its parameters, as asv writes it: ``burst.Burst.time_burst(500, 'wal')``."""
    return f"{name}({', '.join(parameters)})" if parameters else name
