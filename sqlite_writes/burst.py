"""A burst: insert rows from as many processes at one moment, then check the table for every row.

Puts pool and writers together and derives the report; knows no pipes and no SQL of its own.
"""

from __future__ import annotations

import math
import platform
import signal
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from .errors import error_name
from .library import known_bugs, library_version
from .pool import Outcome, pool_map
from .settings import Settings, resolve_settings
from .table import Row, count_copies
from .writers.ours import InsertTrace, check_database, insert_rows, trace_insert
from .writers.warm_up import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .driver import Database

# Seconds that a burst may take beyond the busy timeout before its workers are killed, unless the caller says otherwise.
_TIME_FOR_PROCESSES = 60.0


class BurstError(RuntimeError):
    """Rows of a burst failed, were lost or duplicated; the message is the report's first line."""


@dataclass(frozen=True)
class BurstReport:
    """All outcomes of a burst, checked against the table.

    settings: how every worker wrote.
    outcomes: one per row, in the order of the rows.
    copies: for each row, how many more times it was in the table after the burst than before.

    All times are in seconds. An insert that has no end, because its worker was killed or timed out, is in no insert
    time, and counts as under way from its start to the end of the burst.
    """

    settings: Settings
    outcomes: tuple[Outcome[InsertTrace], ...]
    copies: tuple[int, ...]

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
        return sum(outcome.status == "returned" and copies < 1 for outcome, copies in self._pairs())

    @property
    def recovered(self) -> int:
        """Rows that were not acknowledged and are in the table all the same."""
        return sum(outcome.status != "returned" and copies > 0 for outcome, copies in self._pairs())

    @property
    def duplicated(self) -> int:
        """Rows that are in the table more than once. Must be 0."""
        return sum(copies > 1 for copies in self.copies)

    @property
    def errors(self) -> dict[str, int]:
        """How many rows failed for each reason, most frequent first.

        SQLite's own names (``SQLITE_BUSY``, …; before Python 3.11 without the extended codes), the class of any other
        exception, ``killed by SIGKILL`` and the like, ``timed out``.
        """
        return dict(
            Counter(_reason(outcome) for outcome in self.outcomes if outcome.status != "returned").most_common()
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

        None for each if nothing was acknowledged.
        """
        moments = ("called", "opened", "locked", "committed", "closed")
        parts = zip(("open", "wait for the lock", "write and sync", "close"), moments, moments[1:])
        return {
            name: _quantile(sorted(getattr(trace, to) - getattr(trace, since) for trace in self._traces()), 0.5)
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
        return _quantile(self.insert_times, share)

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
        """Raise ``BurstError`` if a row failed, was lost or is duplicated, caused by the first worker's exception."""
        if self.failed or self.lost or self.duplicated:
            causes = (outcome.exception for outcome in self.outcomes if outcome.exception is not None)
            raise BurstError(self._verdict()) from next(causes, None)

    def to_dict(self) -> dict[str, object]:
        """The report as JSON-ready values: counts, times in seconds, and what it ran with."""
        version, source_id = library_version()
        names = ("attempted", "acknowledged", "failed", "lost", "recovered", "duplicated", "errors", "burst_time")
        return {
            "settings": asdict(self.settings),
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
        settings, (version, _) = self.settings, library_version()
        parts = [f"{name} {_text(median)}" for name, median in self.phases.items() if median is not None]
        return "\n".join(
            [
                self._verdict(),
                (
                    f"  burst {_text(self.burst_time)}, insert median {_text(self.quantile(0.5))}, "
                    f"p99 {_text(self.quantile(0.99))}, slowest {_text(self.slowest)}"
                ),
                *(["  of which " + ", ".join(parts)] if parts else []),
                f"  start spread {_text(self.start_spread)}, peak in flight {self.peak_in_flight}"
                + (f", {self.retries} retries" if self.retries else ""),
                (
                    f"  {settings.journal_mode}, {settings.synchronous}, {settings.busy_timeout:g} s timeout, "
                    f"{settings.transaction}"
                    + (f", again after {_text(settings.retry)}" if settings.retry else "")
                    + (", in line" if settings.line else "")
                    + (", synced after it" if settings.sync_after else "")
                    + f"; SQLite {version}, Python {platform.python_version()}"
                ),
                *(f"  SQLite's {bug}" for bug in known_bugs(version) if settings.journal_mode == "wal"),
            ]
        )

    def _verdict(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.errors.items())
        failed = f"{self.failed} failed ({reasons})" if reasons else "0 failed"
        return (
            f"{self.attempted} rows: {self.acknowledged} acknowledged, {failed}, {self.lost} lost, "
            f"{self.recovered} recovered, {self.duplicated} duplicated"
        )

    def _pairs(self) -> Iterable[tuple[Outcome[InsertTrace], int]]:
        return zip(self.outcomes, self.copies)

    def _traces(self) -> list[InsertTrace]:
        return [outcome.result for outcome in self.outcomes if outcome.result is not None]

    def _intervals(self) -> list[tuple[float, float]]:
        """Start and end of each insert that started; the end is infinite where there was none."""
        return [
            (outcome.started, math.inf if outcome.ended is None else outcome.ended)
            for outcome in self.outcomes
            if outcome.started is not None
        ]


def insert_rows_in_parallel(
    database: Database,
    rows: Iterable[Row],
    settings: str | Settings = "default",
    *,
    start_method: str = "forkserver",
    deadline: float | None = None,
) -> BurstReport:
    """Insert each row from a process of its own, all at the same moment, and check the table afterwards.

    ``database`` is the path of a file made by ``create_table`` with settings of the same journal mode; ``rows`` are
    distinct one-element tuples of a string. Rows that are in the table already are left alone, and rows that others
    insert meanwhile do not matter. ``start_method`` and ``deadline`` (seconds; 60 more than the busy timeout unless
    given) are those of ``pool_map``.

    What a worker meets is data in the report, never an exception here. Raises ``NotImplementedError`` if the linked
    SQLite or the file system lacks what the settings need, ``ValueError`` for rows, settings or a deadline that will
    not do, ``OSError`` or ``sqlite3.DatabaseError`` for a database that cannot be written, all before any process is
    started; afterwards only what ``pool_map`` raises, and ``sqlite3.DatabaseError`` if the table cannot be read back.
    """
    settings = resolve_settings(settings)
    rows = _checked(rows)
    check_database(database, settings)
    before = count_copies(database, rows)
    outcomes = pool_map(
        partial(trace_insert, database, settings=settings),
        rows,
        start_method=start_method,
        deadline=settings.busy_timeout + _TIME_FOR_PROCESSES if deadline is None else deadline,
        warm_up=partial(warm_up, settings),
    )
    after = count_copies(database, rows)
    return BurstReport(settings, tuple(outcomes), tuple(now - then for now, then in zip(after, before)))


def insert_rows_one_after_another(
    database: Database, rows: Iterable[Row], settings: str | Settings = "default", *, deadline: float = 600.0
) -> float:
    """The seconds that one process takes to insert the rows one after another: what a burst is compared with.

    The process is started fresh and warmed up as a burst's workers are, and each row has a connection of its own. In
    WAL mode each of them is the last to close, so each checkpoints and removes the WAL, which in a burst hardly any
    does: there a burst can take less time.
    Raises what ``insert_rows_in_parallel`` raises before the start, and what an insert raises.
    """
    settings = resolve_settings(settings)
    rows = _checked(rows)
    check_database(database, settings)
    (outcome,) = pool_map(
        partial(insert_rows, database, settings), [rows], deadline=deadline, warm_up=partial(warm_up, settings)
    )
    if outcome.exception is not None:
        raise outcome.exception
    if outcome.started is None or outcome.ended is None:
        raise BurstError(f"the process that inserts one row after another {outcome.status} within {deadline:g} s")
    return outcome.ended - outcome.started


def _checked(rows: Iterable[Row]) -> Sequence[Row]:
    rows = list(rows)
    if not rows:
        raise ValueError("rows is empty: a burst needs at least one row")
    for row in rows:
        if not isinstance(row, tuple) or len(row) != 1 or not isinstance(row[0], str):
            raise ValueError(f"row {row!r} is not a one-element tuple of a string, such as ('a message',)")
    for row, count in Counter(rows).items():
        if count > 1:
            raise ValueError(f"row {row!r} is given {count} times: rows must differ to be told apart in the table")
    return rows


def _reason(outcome: Outcome[InsertTrace]) -> str:
    if outcome.killed_by is not None:
        named = {number.value: number.name for number in signal.Signals}
        return f"killed by {named.get(outcome.killed_by, f'signal {outcome.killed_by}')}"
    return error_name(outcome.exception) if outcome.exception is not None else outcome.status


def _quantile(ascending: list[float], share: float) -> float | None:
    return ascending[max(math.ceil(share * len(ascending)) - 1, 0)] if ascending else None


def _text(seconds: float | None) -> str:
    if seconds is None:
        return "n/a"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
