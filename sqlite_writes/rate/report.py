"""What came of inserts that arrived at random: latencies, meetings, and every row checked. Knows no processes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from sqlite_writes.report import quantile as quantile_or_none
from sqlite_writes.report import reason_of
from sqlite_writes.writers.writer import name_of

from .arithmetic import at_most, chance_of_meeting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlite_writes.report import BurstReport
    from sqlite_writes.table import Row
    from sqlite_writes.writers.writer import Writer


class Insert(NamedTuple):
    """One insert's moments, in seconds from the beginning of the run.

    due: when it was to begin. taken: when a worker that was free took it. began, ended: when it began and ended. Those
    that did not happen are None.
    """

    due: float
    taken: float | None
    began: float | None
    ended: float | None


@dataclass(frozen=True)
class RateReport:
    """Inserts that came due at random, so many a second, and what became of each.

    writer: how each was written.
    rate, seconds: what was asked for: inserts a second, and for how long they came due.
    workers: how many processes were there to begin them.
    keep_open: each process kept its connection.
    seed: what the moments were drawn from.
    together: how many came due at each moment; 1 unless they were made to meet.
    inserts: all that came due, in that order.
    begun: those that were begun, as a burst's report: counts, errors, insert times, and each row against the table.
    is_whole: the run was not ended by Ctrl-C.

    All times are in seconds. Latency counts from the moment at which an insert was due, insert time from the moment at
    which it began. An insert that has no end, or was not even begun, counts with the time until the run was over: its
    latency is that at least.
    """

    writer: Writer
    rate: float
    seconds: float
    workers: int
    keep_open: bool
    seed: int
    inserts: tuple[Insert, ...]
    begun: BurstReport
    together: int = 1
    is_whole: bool = True

    @property
    def attempted(self) -> int:
        """Inserts that came due."""
        return len(self.inserts)

    @property
    def not_begun(self) -> int:
        """Inserts for which no worker was free in time; their rows are neither acknowledged nor failed."""
        return self.attempted - self.begun.attempted

    @property
    def acknowledged(self) -> int:
        """Rows whose insert returned."""
        return self.begun.acknowledged

    @property
    def failed(self) -> int:
        """Rows whose insert was begun and did not return; ``errors`` has the reasons."""
        return self.begun.failed

    @property
    def errors(self) -> dict[str, int]:
        """How many failed for each reason, most frequent first."""
        return self.begun.errors

    @property
    def words(self) -> dict[str, str]:
        """The first message of each reason in ``errors``; empty where there is none."""
        found: dict[str, str] = {}
        for outcome in self.begun.outcomes:
            if outcome.status != "returned":
                reason = reason_of(outcome)
                text = str(outcome.exception or "").removeprefix(f"{reason}: ")
                found.setdefault(reason, "" if text == reason else text)
        return found

    def which(self, what: str) -> list[Row]:
        """The rows that were ``"failed"``, ``"lost"``, ``"altered"``, ``"recovered"`` or ``"duplicated"``."""
        return self.begun.which(what)

    @cached_property
    def wrong(self) -> dict[str, int]:
        """How many rows failed, were lost, altered or duplicated; only what is not 0."""
        counts = {kind: len(self.which(kind)) for kind in ("failed", "lost", "altered", "duplicated")}
        return {kind: count for kind, count in counts.items() if count}

    @property
    def failing_share(self) -> float:
        """The share of rows that is not kept as it should be, at most, with 95% confidence."""
        return at_most(min(sum(self.wrong.values()), self.begun.attempted), self.begun.attempted)

    @cached_property
    def over(self) -> float:
        """The moment at which the run was over, in seconds from its beginning."""
        return max(moment for insert in self.inserts for moment in insert if moment is not None)

    @cached_property
    def latencies(self) -> list[float]:
        """From the moment each was due to its end, ascending."""
        return sorted((self.over if insert.ended is None else insert.ended) - insert.due for insert in self.inserts)

    @cached_property
    def insert_times(self) -> list[float]:
        """From each one's beginning to its end, ascending; without those that were not begun."""
        return sorted(ended - began for began, ended in self._intervals)

    @cached_property
    def closed_loop(self) -> list[float]:
        """The insert times that a closed loop would have shown, ascending.

        One caller who begins an insert when it is due, and passes over all that come due while it still waits for an
        answer. So a stall is one slow insert among many, however many it delays (coordinated omission: Gil Tene, "How
        NOT to measure latency", 2013; https://github.com/giltene/wrk2).
        """
        times, free = [], -math.inf
        for began, ended in self._intervals:
            if began >= free:
                times.append(ended - began)
                free = ended
        return sorted(times)

    @cached_property
    def waited_for_worker(self) -> int:
        """Inserts that began late, or not at all, because every worker was busy when they came due."""
        return sum(insert.taken is None or insert.taken > insert.due for insert in self.inserts)

    @cached_property
    def meetings(self) -> Meetings:
        """How many inserts were under way while another was, beside what the arithmetic expects."""
        return count_meetings(self._intervals, self.rate if self.together == 1 else None)

    def why_not(self, p99: float) -> str:
        """Why the rate does not hold, in some words; empty if no row went wrong and p99 is not passed."""
        if self.wrong:
            return ", ".join(f"{count} {kind}" for kind, count in self.wrong.items())
        return "p99 passed" if quantile(self.latencies, 0.99) > p99 else ""

    def to_dict(self) -> dict[str, object]:
        """The report as JSON-ready values: counts, times in seconds, and what it ran with."""
        met = self.meetings
        return {
            "writer": name_of(self.writer),
            "rate": self.rate,
            "seconds": self.seconds,
            "workers": self.workers,
            "keep_open": self.keep_open,
            "seed": self.seed,
            "together": self.together,
            "is_whole": self.is_whole,
            "attempted": self.attempted,
            "not_begun": self.not_begun,
            "acknowledged": self.acknowledged,
            **{kind: len(self.which(kind)) for kind in ("failed", "lost", "altered", "recovered", "duplicated")},
            "errors": self.errors,
            "latency": summary(self.latencies),
            "insert_time": summary(self.insert_times),
            "closed_loop_insert_time": summary(self.closed_loop),
            "waited_for_worker": self.waited_for_worker,
            "meetings": {
                "inserts": met.inserts,
                "inserts_expected": met.inserts_expected,
                "pairs": met.pairs,
                "pairs_expected": met.pairs_expected,
                "peak": met.peak,
                "insert_time_alone": met.alone,
                "insert_time_met": met.met,
            },
            "latencies": self.latencies,
        }

    @cached_property
    def _intervals(self) -> list[tuple[float, float]]:
        """Beginning and end of each insert that was begun, in that order; the run's end for one that has none."""
        return sorted(
            (insert.began, self.over if insert.ended is None else insert.ended)
            for insert in self.inserts
            if insert.began is not None
        )


@dataclass(frozen=True)
class Meetings:
    """How often inserts met: counted, and expected of as many that arrive at random and take as long (else None).

    inserts, inserts_expected: inserts that were under way while at least one other was.
    pairs, pairs_expected: pairs of inserts that were under way at one moment.
    peak: the most that were under way at one moment.
    alone, met: the mean insert time of those that met nobody, and of those that met another; None if there are none.
    """

    inserts: int
    inserts_expected: float | None
    pairs: int
    pairs_expected: float | None
    peak: int
    alone: float | None
    met: float | None


def count_meetings(intervals: Iterable[tuple[float, float]], rate: float | None) -> Meetings:
    """Count which of the intervals, from a beginning to an end, overlap another; ``rate``: how many arrive a second."""
    intervals = sorted(intervals)
    has_met = [False] * len(intervals)
    under_way: list[int] = []
    pairs = peak = 0
    for index, (began, _) in enumerate(intervals):
        under_way = [other for other in under_way if intervals[other][1] > began]
        pairs += len(under_way)
        for other in under_way:
            has_met[other] = has_met[index] = True
        under_way.append(index)
        peak = max(peak, len(under_way))
    times = [ended - began for began, ended in intervals]
    mean = sum(times) / len(times) if times else 0.0
    # Each meets those that begin while it is under way, and those that are under way when it begins.
    expected = None if rate is None else sum(chance_of_meeting(rate, (own + mean) / 2) for own in times)
    alone = [time for time, met in zip(times, has_met) if not met]
    met = [time for time, met in zip(times, has_met) if met]
    return Meetings(
        len(met),
        expected,
        pairs,
        None if rate is None else len(times) * rate * mean,
        peak,
        sum(alone) / len(alone) if alone else None,
        sum(met) / len(met) if met else None,
    )


def quantile(ascending: list[float], share: float) -> float:
    """The time that this share did not exceed, a time that occurred; NaN if there is none."""
    time = quantile_or_none(ascending, share)
    return math.nan if time is None else time


def summary(ascending: list[float]) -> dict[str, float | None]:
    """The quantiles that are shown; None if there are no times."""
    shares = {"median": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "slowest": 1.0}
    return {name: quantile_or_none(ascending, share) for name, share in shares.items()}
