"""What came of a burst: all outcomes, checked against the rows that are there, as numbers and in words.

Knows neither processes nor how a row is written or read.
"""

from __future__ import annotations

import math
import platform
import signal
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .errors import error_name
from .library import known_bugs, library_version
from .writers.ours import Ours
from .writers.writer import InsertError, InsertTrace, Writer, name_of

if TYPE_CHECKING:
    from .pool import Outcome
    from .row_check import Check
    from .table import Row


class BurstError(RuntimeError):
    """Rows of a burst failed, were lost, altered or duplicated; the message is the report's first line."""


@dataclass(frozen=True)
class BurstReport:
    """All outcomes of a burst, checked against the table.

    writer: how every worker wrote.
    rows: what was to be written; one outcome for each, in the same order.
    check: what the table says of each row, in the same order.
    remarks: what was noticed about a writer that is not ours, or about the file, a sentence each.

    All times are in seconds. An insert that has no end, because its worker was killed or timed out, is in no insert
    time, and counts as under way from its start to the end of the burst.
    """

    writer: Writer
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome[InsertTrace], ...]
    check: Check
    remarks: tuple[str, ...] = ()

    @property
    def attempted(self) -> int:
        """Rows that the burst set out to insert."""
        return len(self.outcomes)

    @property
    def acknowledged(self) -> int:
        """Rows whose insert returned."""
        return sum(outcome.status == "returned" for outcome in self.outcomes)

    @property
    def failed(self) -> int:
        """Rows that were not acknowledged, for whatever reason; ``errors`` has the reasons."""
        return self.attempted - self.acknowledged

    @property
    def lost(self) -> int:
        """Rows that were acknowledged and are not in the table. Must be 0."""
        return len(self.which("lost"))

    @property
    def altered(self) -> int:
        """Rows that are in the table with another value than was written. Must be 0."""
        return len(self.which("altered"))

    @property
    def recovered(self) -> int:
        """Rows that were not acknowledged and are in the table all the same."""
        return len(self.which("recovered"))

    @property
    def duplicated(self) -> int:
        """Rows that are in the table more than once. Must be 0."""
        return len(self.which("duplicated"))

    def which(self, what: str) -> list[Row]:
        """The rows that were ``"failed"``, ``"lost"``, ``"altered"``, ``"recovered"`` or ``"duplicated"``."""
        found = []
        for row, outcome, copies, instead in zip(self.rows, self.outcomes, self.check.copies, self.check.instead):
            is_acknowledged = outcome.status == "returned"
            holds = {
                "failed": not is_acknowledged,
                "lost": is_acknowledged and copies < 1 and instead is None,
                "altered": instead is not None,
                "recovered": not is_acknowledged and copies > 0,
                "duplicated": copies > 1,
            }
            if holds[what]:
                found.append(row)
        return found

    @property
    def is_suspect(self) -> bool:
        """Whether the file itself may be damaged: rows are wrong without an error, or SQLite could not read it."""
        return any(map(is_of_the_file, self.errors)) or bool(self.lost or self.altered or self.duplicated)

    @property
    def errors(self) -> dict[str, int]:
        """How many rows failed for each reason, most frequent first.

        SQLite's own names (``SQLITE_BUSY``, …; before Python 3.11 without the extended codes), the class of any other
        exception, ``killed by SIGKILL`` and the like, ``timed out``.
        """
        return dict(
            Counter(reason_of(outcome) for outcome in self.outcomes if outcome.status != "returned").most_common()
        )

    @property
    def retries(self) -> int:
        """How often the acknowledged inserts began anew because of a conflict; 0 unless ``concurrent``."""
        return sum(trace.retries for trace in self._traces())

    @property
    def attempts_per_commit(self) -> float | None:
        """Transactions begun for each one acknowledged, 1 at best (SQLite's bc_test1 reports the reverse of it).

        A failed insert counts as one, whatever it tried before it gave up; None if nothing was acknowledged.
        """
        return (self.attempted + self.retries) / self.acknowledged if self.acknowledged else None

    @property
    def phases(self) -> dict[str, float | None]:
        """Where the time of an acknowledged insert went: the median of each part that ``InsertTrace`` describes.

        None for each if nothing was acknowledged. A writer that is not ours does not tell the wait from the writing.
        """
        parts = [("open", "called", "opened"), ("close", "committed", "closed")]
        if isinstance(self.writer, Ours):
            parts[1:1] = [("wait for the lock", "opened", "locked"), ("write and sync", "locked", "committed")]
        else:
            parts[1:1] = [("wait, write and sync", "opened", "committed")]
        return {
            name: quantile(sorted(getattr(trace, to) - getattr(trace, since) for trace in self._traces()), 0.5)
            for name, since, to in parts
        }

    @property
    def insert_times(self) -> list[float]:
        """How long each insert took that ended, with or without an error, ascending."""
        return sorted(ended - started for started, ended in self._intervals() if ended < math.inf)

    def quantile(self, share: float) -> float | None:
        """The insert time that this share of the inserts did not exceed, a time that occurred; None if none ended."""
        if not 0 <= share <= 1:
            raise ValueError(f"share {share!r} is not a number from 0 to 1")
        return quantile(self.insert_times, share)

    @property
    def slowest(self) -> float | None:
        """The longest insert time; None if no insert ended."""
        return self.quantile(1)

    @property
    def burst_time(self) -> float | None:
        """From the first worker's start to the last worker's end; starting processes is not in it."""
        intervals = self._intervals()
        ends = [ended for _, ended in intervals if ended < math.inf]
        return max(ends) - min(started for started, _ in intervals) if ends else None

    @property
    def start_spread(self) -> float | None:
        """From the first worker's start to the last worker's start."""
        starts = [started for started, _ in self._intervals()]
        return max(starts) - min(starts) if starts else None

    @property
    def peak_in_flight(self) -> int:
        """The largest number of inserts that were under way at one moment."""
        steps = [(started, 1) for started, _ in self._intervals()] + [(ended, -1) for _, ended in self._intervals()]
        peak = in_flight = 0
        for _, step in sorted(steps):
            in_flight += step
            peak = max(peak, in_flight)
        return peak

    def raise_for_failures(self) -> None:
        """Raise ``BurstError`` unless every row is there, once, as it was, caused by the first worker's exception."""
        if self.failed or self.lost or self.altered or self.duplicated:
            causes = (outcome.exception for outcome in self.outcomes if outcome.exception is not None)
            raise BurstError(self._verdict()) from next(causes, None)

    def to_dict(self) -> dict[str, object]:
        """The report as JSON-ready values: counts, times in seconds, and what it ran with."""
        version, source_id = library_version()
        names = (
            "attempted",
            "acknowledged",
            "failed",
            "lost",
            "altered",
            "recovered",
            "duplicated",
            "errors",
            "burst_time",
        )
        return {
            "writer": name_of(self.writer),
            "settings": asdict(self.writer.settings) if isinstance(self.writer, Ours) else None,
            "remarks": list(self.remarks),
            **{name: getattr(self, name) for name in names},
            "start_spread": self.start_spread,
            "peak_in_flight": self.peak_in_flight,
            "insert_time": {"median": self.quantile(0.5), "p99": self.quantile(0.99), "slowest": self.slowest},
            "insert_times": self.insert_times,
            "phases": self.phases,
            "retries": self.retries,
            "attempts_per_commit": self.attempts_per_commit,
            "sqlite_version": version,
            "sqlite_source_id": source_id,
            "sqlite_known_bugs": known_bugs(version),
            "python_version": platform.python_version(),
        }

    def __str__(self) -> str:
        version, _ = library_version()
        parts = [f"{name} {_text(median)}" for name, median in self.phases.items() if median is not None]
        settings = self.writer.settings if isinstance(self.writer, Ours) else None
        lines = [
            self._verdict(),
            (
                f"burst {_text(self.burst_time)}, insert median {_text(self.quantile(0.5))}, "
                f"p99 {_text(self.quantile(0.99))}, slowest {_text(self.slowest)}"
            ),
            *(["of which " + ", ".join(parts)] if parts else []),
            f"start spread {_text(self.start_spread)}, peak in flight {self.peak_in_flight}"
            + (f", {self.retries} retries" if self.retries else ""),
            f"{name_of(self.writer)}; {f'SQLite {version}, ' if settings else ''}Python {platform.python_version()}",
            *(f"SQLite's {bug}" for bug in known_bugs(version) if settings and settings.journal_mode == "wal"),
            *self.remarks,
        ]
        return "\n  ".join(lines)

    def _verdict(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.errors.items())
        failed = f"{self.failed} failed ({reasons})" if reasons else "0 failed"
        return (
            f"{self.attempted} rows: {self.acknowledged} acknowledged, {failed}, {self.lost} lost, "
            f"{self.recovered} recovered, {self.duplicated} duplicated, {self.altered} altered"
        )

    def _traces(self) -> list[InsertTrace]:
        return [outcome.result for outcome in self.outcomes if outcome.result is not None]

    def _intervals(self) -> list[tuple[float, float]]:
        """Start and end of each insert that started; the end is infinite where there was none."""
        return [
            (outcome.started, math.inf if outcome.ended is None else outcome.ended)
            for outcome in self.outcomes
            if outcome.started is not None
        ]


def reason_of(outcome: Outcome[InsertTrace]) -> str:
    """Why the row failed, in one name or a few words: as ``errors`` has it."""
    if outcome.killed_by is not None:
        named = {number.value: number.name for number in signal.Signals}
        return f"killed by {named.get(outcome.killed_by, f'signal {outcome.killed_by}')}"
    if outcome.exit_status is not None:
        return f"exited with status {outcome.exit_status}"
    if isinstance(outcome.exception, InsertError):
        return outcome.exception.reason
    return error_name(outcome.exception) if outcome.exception is not None else outcome.status


def is_of_the_file(reason: str) -> bool:
    """Whether SQLite says by that name that it cannot read the file as it should be."""
    return reason.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR"))


def quantile(ascending: list[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed; None if there is none."""
    return ascending[max(math.ceil(share * len(ascending)) - 1, 0)] if ascending else None


def _text(seconds: float | None) -> str:
    if seconds is None:
        return "n/a"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
