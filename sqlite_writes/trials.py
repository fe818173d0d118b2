"""What one burst showed, and what several bursts of one size show together: counts, times, reasons.

Knows no process and no table, and not how sizes are chosen (limit.py) or shown (command_line/).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .advice import advise
from .report import quantile, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .report import BurstReport

# What may be wrong with a row.
FAULTS = ("failed", "lost", "altered", "duplicated")


@dataclass(frozen=True)
class Trial:
    """One burst.

    workers: how many processes wrote at one moment.
    rows: how many rows they wrote together: one each, unless they kept their connection.
    failed, lost, altered, duplicated, recovered: how many rows, in the words of ``BurstReport``.
    errors: how many rows failed for each reason; ``words``: the first message of each.
    insert_times: seconds of each insert that ended, ascending; ``commit_times``: of each acknowledged one, from the
        moment at which it had the lock, where a writer of ours says it.
    burst_time: seconds from the first start to the last end; None if no insert ended.
    seconds: what the whole trial took, with starting and ending the processes.
    process_times: seconds from the first start to the end of each process's last row, ascending, where each wrote
        several.
    remarks: what was noticed about the writer or the file, a sentence each; ``to_do``: what to change in it.
    """

    workers: int
    rows: int = 0
    failed: int = 0
    lost: int = 0
    altered: int = 0
    duplicated: int = 0
    recovered: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    insert_times: tuple[float, ...] = ()
    commit_times: tuple[float, ...] = ()
    burst_time: float | None = None
    seconds: float = 0.0
    process_times: tuple[float, ...] = ()
    remarks: tuple[str, ...] = ()
    to_do: tuple[str, ...] = ()

    @property
    def faults(self) -> int:
        """How many rows failed, were lost, altered or duplicated: 0 if the burst holds."""
        return sum(self.count(kind) for kind in FAULTS)

    def count(self, kind: str) -> int:
        """How many rows were ``"failed"``, ``"lost"``, ``"altered"``, ``"duplicated"`` or ``"recovered"``."""
        found: int = getattr(self, kind)
        return found


@dataclass(frozen=True)
class Size:
    """All trials of one number of workers, together."""

    workers: int
    trials: tuple[Trial, ...]

    @property
    def bursts(self) -> int:
        """How many bursts there were."""
        return len(self.trials)

    @property
    def failed_bursts(self) -> int:
        """In how many of them a row failed, was lost, altered or duplicated."""
        return sum(trial.faults > 0 for trial in self.trials)

    def total(self, kind: str) -> int:
        """How many rows were so, in all bursts; the kinds are those of ``Trial.count``, and ``"rows"``."""
        return sum(trial.count(kind) for trial in self.trials)

    @property
    def faults(self) -> int:
        """How many rows failed, were lost, altered or duplicated, in all bursts."""
        return sum(trial.faults for trial in self.trials)

    @property
    def errors(self) -> dict[str, int]:
        """How many rows failed for each reason, most frequent first."""
        found: Counter[str] = Counter()
        for trial in self.trials:
            found.update(trial.errors)
        return dict(found.most_common())

    @property
    def words(self) -> dict[str, str]:
        """The first message of each reason."""
        found: dict[str, str] = {}
        for trial in reversed(self.trials):
            found.update(trial.words)
        return found

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was noticed, each remark once."""
        return tuple(dict.fromkeys(remark for trial in self.trials for remark in trial.remarks))

    @property
    def to_do(self) -> tuple[str, ...]:
        """What to change, by the last burst that failed."""
        return next((trial.to_do for trial in reversed(self.trials) if trial.faults), ())

    @property
    def insert_times(self) -> list[float]:
        """Seconds of each insert that ended, of all bursts, ascending."""
        return sorted(time for trial in self.trials for time in trial.insert_times)

    def quantile(self, share: float) -> float | None:
        """The insert time that this share of all inserts did not exceed; None if none ended."""
        return quantile(self.insert_times, share)

    @property
    def burst_time(self) -> float | None:
        """The longest of the burst times; None if no insert ended."""
        return max((trial.burst_time for trial in self.trials if trial.burst_time is not None), default=None)


def trial_of(report: BurstReport, workers: int, seconds: float) -> Trial:
    """Keep of a burst's report what a comparison of many needs."""
    words: dict[str, str] = {}
    for outcome in report.outcomes:
        if outcome.exception is not None:
            reason = reason_of(outcome)
            words.setdefault(reason, " ".join(str(outcome.exception).removeprefix(f"{reason}: ").split()))
    traces = [outcome.result for outcome in report.outcomes if outcome.result is not None]
    return Trial(
        workers=workers,
        rows=report.attempted,
        failed=report.failed,
        lost=report.lost,
        altered=report.altered,
        duplicated=report.duplicated,
        recovered=report.recovered,
        errors=report.errors,
        words=words,
        insert_times=tuple(report.insert_times),
        commit_times=tuple(trace.committed - trace.locked for trace in traces if trace.locked > trace.opened),
        burst_time=report.burst_time,
        seconds=seconds,
        process_times=tuple(_process_times(report)) if report.attempted > workers else (),
        remarks=report.remarks,
        to_do=tuple(advise(report)),
    )


def _process_times(report: BurstReport) -> list[float]:
    starts = [outcome.started for outcome in report.outcomes if outcome.started is not None]
    ends: dict[int, float] = {}
    for outcome in report.outcomes:
        if outcome.ended is not None:
            ends[outcome.pid] = max(outcome.ended, ends.get(outcome.pid, 0.0))
    return sorted(ended - min(starts) for ended in ends.values())
