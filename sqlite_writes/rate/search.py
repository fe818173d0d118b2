"""Look for the highest rate that holds: raise it until p99 is passed or a row goes wrong, and close in on the edge.

What is tried next follows from what was measured (``next_rate``); how one rate is measured is in measure.py.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sqlite_writes.writers.names import resolve_writer
from sqlite_writes.writers.writer import Writer, name_of

from .measure import crew_for, measure_rate
from .report import RateReport, quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlite_writes.driver import Database
    from sqlite_writes.fresh_burst import Around
    from sqlite_writes.writers.names import AnyWriter

_FIRST = 40.0  # inserts a second
_LOWEST = 2.5
_FACTOR = 4.0  # from one rate to the next, until one does not hold
_CLOSE = 1.3  # how far apart the two ends may be
_REPEATS = 3  # runs at each end

# Seconds that starting and checking a run takes besides.
_OVERHEAD = 2.5


@dataclass(frozen=True)
class Trying:
    """What is about to be measured: ``rate`` inserts a second for so many ``seconds``; ``limit``: what is known."""

    rate: float
    seconds: float
    limit: RateLimit
    time_left: float


@dataclass(frozen=True)
class RateLimit:
    """All runs of a search, and between which rates the edge lies.

    p99: the latency in seconds, from the moment an insert was due, that 99 of 100 may not exceed.
    runs: in the order in which they were made.
    largest: the highest rate that was to be tried.
    """

    writer: Writer
    p99: float
    runs: tuple[RateReport, ...]
    largest: float

    @cached_property
    def by_rate(self) -> dict[float, list[bool]]:
        """For each rate that was tried, ascending, whether it held in each of its runs."""
        found: dict[float, list[bool]] = defaultdict(list)
        for run in sorted(self.runs, key=lambda run: run.rate):
            found[run.rate].append(not run.why_not(self.p99))
        return dict(found)

    @property
    def passed(self) -> float | None:
        """The lowest rate that did not hold in half of its runs or more; None if there is none."""
        return lowest_passed(self.by_rate)

    @property
    def held(self) -> float | None:
        """The highest rate that held in each of its runs, as did all below it; None if there is none."""
        return highest_held(self.by_rate)

    @property
    def is_complete(self) -> bool:
        """Whether the search ended by itself, and not because its time was over."""
        return next_rate(self.by_rate, self.largest) is None

    @property
    def reasons(self) -> list[str]:
        """Why ``passed`` did not hold, each reason once."""
        runs = [run for run in self.runs if run.rate == self.passed]
        return list(dict.fromkeys(reason for run in runs if (reason := run.why_not(self.p99))))

    def at(self, rate: float) -> list[RateReport]:
        """The runs of that rate."""
        return [run for run in self.runs if run.rate == rate]

    def to_dict(self) -> dict[str, object]:
        """The search as JSON-ready values."""
        return {
            "writer": name_of(self.writer),
            "p99": self.p99,
            "held": self.held,
            "passed": self.passed,
            "reasons": self.reasons,
            "largest": self.largest,
            "is_complete": self.is_complete,
            "rates": [
                {
                    "rate": rate,
                    "runs": len(held),
                    "held": held.count(True),
                    "p99": [quantile(run.latencies, 0.99) for run in self.at(rate)],
                }
                for rate, held in self.by_rate.items()
            ],
            "runs": [run.to_dict() for run in self.runs],
        }


def find_rate(
    writer: AnyWriter,
    *,
    p99: float = 0.1,
    directory: Database = ".",
    seed: int = 0,
    workers: int | None = None,
    keep_open: bool = False,
    largest: float = 10_000.0,
    time_limit: float = 50.0,
    on_progress: Callable[[Trying], object] | None = None,
    around: Around | None = None,
) -> RateLimit:
    """Raise the rate until the p99 latency passes ``p99`` seconds or a row goes wrong, and repeat near the edge.

    Each run has a new database, and lasts until some hundred inserts have come due. ``on_progress`` is called before
    each, and ``around`` as in ``measure_rate``. No run is begun that would end after ``time_limit`` seconds; what is
    known by then is the answer. On Ctrl-C the run under way is dropped, and the last ``Trying`` has what is known.

    Raises what ``measure_rate`` raises; ``ValueError`` also for a p99 or a largest rate that will not do.
    """
    for name, value in (("p99", p99), ("largest", largest), ("time_limit", time_limit)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(f"{name} {value!r} is not a number above 0")
    writer = resolve_writer(writer)
    until = time.monotonic() + time_limit
    limit = RateLimit(writer, p99, (), largest)
    while (rate := next_rate(limit.by_rate, largest)) is not None:
        seconds = min(max(2.0, 100 / rate), 8.0)
        time_left = until - time.monotonic()
        if limit.runs and seconds + _OVERHEAD > time_left:
            break
        if on_progress is not None:
            on_progress(Trying(rate, seconds, limit, time_left))
        patience = max(1.0, 2 * p99)
        run = measure_rate(
            writer,
            rate,
            seconds,
            directory=directory,
            seed=seed + len(limit.runs),
            workers=crew_for(rate, 2 * p99) if workers is None else workers,
            keep_open=keep_open,
            patience=patience,
            deadline=seconds + patience + 15,
            around=around,
        )
        limit = RateLimit(writer, p99, (*limit.runs, run), largest)
    return limit


def lowest_passed(found: Mapping[float, Sequence[bool]]) -> float | None:
    """The lowest rate that did not hold in half of its runs or more, by whether each run held."""
    return min((rate for rate, runs in found.items() if 2 * sum(runs) <= len(runs)), default=None)


def highest_held(found: Mapping[float, Sequence[bool]]) -> float | None:
    """The highest rate that held in each of its runs, as did all below it."""
    failing = min((rate for rate, runs in found.items() if not all(runs)), default=math.inf)
    return max((rate for rate in found if rate < failing), default=None)


def next_rate(found: Mapping[float, Sequence[bool]], largest: float) -> float | None:
    """The rate to measure next, by whether each run of the others held; None if that is enough.

    While the rate grows, two runs of three decide. Then one decides where the search goes: a bad moment of the machine
    is found out when the ends are repeated, and the search goes on from there.
    """
    if not found:
        return min(_FIRST, largest)
    passed = lowest_passed(found)
    if passed is None and max(found) < largest:
        return min(_rounded(max(found) * _FACTOR), largest)
    if passed == max(found) and len(found[passed]) < (_REPEATS if any(found[passed]) else 2):
        return passed
    below = max((rate for rate in found if passed is None or rate < passed), default=None)
    if passed is not None and below is not None and passed > below * _CLOSE:
        return _rounded(math.sqrt(below * passed))
    ends = [rate for rate in (passed, below) if rate is not None and len(found[rate]) < _REPEATS]
    return ends[0] if ends else _next_below(found)


def _next_below(found: Mapping[float, Sequence[bool]]) -> float | None:
    """The rate to measure next where some runs below the edge did not hold."""
    held = highest_held(found)
    if held is None:
        lower = _rounded(min(found) / _FACTOR)
        return lower if lower >= _LOWEST else None
    above = min((rate for rate in found if rate > held), default=held)
    if above > held * _CLOSE:
        return _rounded(math.sqrt(held * above))
    return held if len(found[held]) < _REPEATS else None


def _rounded(rate: float) -> float:
    """Two digits are enough for an edge that is known to a third."""
    return float(f"{rate:.2g}")
