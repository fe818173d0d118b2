"""Measure one rate: draw when inserts come due, have a crew insert them, and check the table for every row.

Puts pool, writers and crew together. What came of it is in report.py. Prints nothing.
"""

from __future__ import annotations

import errno
import math
import random
from array import array
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlite_writes.calls import create_table_of
from sqlite_writes.fresh_burst import fresh_database
from sqlite_writes.pool import Outcome, pool_map
from sqlite_writes.report import BurstReport, is_of_the_file
from sqlite_writes.row_check import Check, check_rows
from sqlite_writes.snapshot import check_whole, file_of, take_snapshot, take_snapshot_after
from sqlite_writes.table import check_folder, generate_example_rows
from sqlite_writes.writers.names import resolve_writer
from sqlite_writes.writers.writer import InsertError, InsertTrace

from .crew import Crew
from .ledger import Entry, Ledger, new_ledger
from .report import Insert, RateReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_writes.driver import Database
    from sqlite_writes.fresh_burst import Around
    from sqlite_writes.snapshot import Snapshot
    from sqlite_writes.table import Row
    from sqlite_writes.writers.names import AnyWriter
    from sqlite_writes.writers.writer import Writer

# A stall of so many seconds finds a worker free for each insert that comes due in it.
_LONGEST_STALL = 2.0
_WORKERS = (16, 200)

# Fewer say nothing of a p99, and may be none at all.
_FEWEST = 20

# Seconds that the crew may take to start, and then beyond the schedule to be done.
_TIME_FOR_PROCESSES = 60.0


class RateInterrupted(KeyboardInterrupt):
    """Ctrl-C came during a run; ``report``: what was measured until then, None if no insert had ended."""

    def __init__(self, report: RateReport | None) -> None:
        super().__init__()
        self.report = report


def measure_rate(
    writer: AnyWriter,
    rate_per_second: float,
    seconds: float,
    *,
    directory: Database = ".",
    seed: int = 0,
    workers: int | None = None,
    keep_open: bool = False,
    together: int = 1,
    patience: float = 10.0,
    deadline: float | None = None,
    around: Around | None = None,
) -> RateReport:
    """Have inserts come due at random for so many seconds, and say how late each was done, and whether it was kept.

    writer: the name of settings or of a library, ``Settings``, ``package.module:name``, or an object with the parts of
        a ``Writer``. It makes its table anew.
    rate_per_second: inserts a second on average, with gaps as between independent callers (a Poisson process).
    directory: a folder on the disk to be measured; the database is in a temporary folder in it.
    seed: the moments are drawn from it.
    workers: how many processes wait for inserts to come due. An insert that finds none free begins late, and is counted
        in ``waited_for_worker``. Unless given, as many as come due in two seconds, from 16 to 200.
    keep_open: each process keeps its connection. Otherwise each insert opens and closes one, as a short-lived process
        does. What starting that process costs is not measured.
    together: how many come due at each moment, to see what becomes of those that meet; the rate is that of all.
    patience: seconds. If an insert that late is still not begun, the crew is too slow by far, and the run ends.
    deadline: seconds from the start after which what still runs is killed, and has failed.
    around: what to do before and after the run; it is called with the database's path.

    What an insert meets is data in the report. Raises ``ValueError`` for what cannot be tried, ``NotImplementedError``
    if the writer cannot write here, ``WriterError`` if its ``create`` or ``rows`` fails, ``OSError`` for the folder and
    what ``pool_map`` raises; on Ctrl-C ``RateInterrupted``, which has the report so far.
    """
    due = draw_moments(rate_per_second, seconds, seed, together)
    workers = crew_for(rate_per_second) if workers is None else workers
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers {workers!r} is not a whole number of 1 or more")
    if not 0 < patience < math.inf:
        raise ValueError(f"patience {patience!r} is not a number of seconds above 0")
    writer = resolve_writer(writer)
    folder = Path(directory).absolute()
    check_folder(folder / "writes.db")
    rows: list[Row] = list(generate_example_rows(len(due)))
    until = seconds + patience + _TIME_FOR_PROCESSES if deadline is None else deadline
    with fresh_database(folder) as database, (around or nullcontext)(database), new_ledger(len(due)) as ledger:
        create_table_of(writer, database)
        # All must be awake when the run begins: some milliseconds each.
        crew = Crew(writer, database, rows, due, ledger, 0.2 + 0.002 * workers, patience, keep_open)
        done = _run(crew, workers, until)
    if done.was_interrupted and not done.kept:
        raise RateInterrupted(None)
    inserts, begun = done.inserts(due), done.begun(writer, rows)
    whole = not done.was_interrupted
    report = RateReport(writer, rate_per_second, seconds, workers, keep_open, seed, inserts, begun, together, whole)
    if "SQLITE_FULL" in report.errors:
        raise OSError(errno.ENOSPC, f"no space left on the disk of {str(folder)!r}")
    if done.was_interrupted:
        raise RateInterrupted(report)
    return report


@dataclass(frozen=True)
class _Run:
    """What a crew leaves behind.

    entries: of each insert, in the order in which they came due; ``began``: when the run did.
    outcomes: what became of the crew's processes; none if Ctrl-C ended them.
    before, after: the rows that were there.
    """

    began: float
    entries: Sequence[Entry]
    outcomes: Sequence[Outcome[None]]
    before: Snapshot
    after: Snapshot
    was_interrupted: bool

    @property
    def kept(self) -> list[int]:
        """The numbers of the inserts that say something; after Ctrl-C of those that had ended."""
        return [index for index, entry in enumerate(self.entries) if entry.ended or not self.was_interrupted]

    def inserts(self, due: Sequence[float]) -> tuple[Insert, ...]:
        """Their moments."""
        return tuple(_insert(due[index], self.began, self.entries[index]) for index in self.kept)

    def begun(self, writer: Writer, rows: Sequence[Row]) -> BurstReport:
        """The report of those that were begun."""
        check = check_rows(rows, self.before.rows, self.after.rows)
        begun = [index for index in self.kept if self.entries[index].began]
        return BurstReport(
            writer,
            tuple(rows[index] for index in begun),
            tuple(_outcome(self.entries[index], self.outcomes) for index in begun),
            Check(
                tuple(check.copies[index] for index in begun),
                tuple(check.instead[index] for index in begun),
                check.unexpected,
            ),
            tuple(self.after.remarks),
        )


def _run(crew: Crew, workers: int, deadline: float) -> _Run:
    """Have the crew insert, and read the rows before and after; Ctrl-C ends the crew alone."""
    outcomes: list[Outcome[None]] = []
    was_interrupted = False
    before = take_snapshot(crew.writer, crew.database)
    try:
        outcomes = pool_map(crew, range(1, workers + 1), deadline=deadline, warm_up=crew.prepare)
    except KeyboardInterrupt:
        was_interrupted = True
    for outcome in outcomes:
        # A failed insert is in the ledger, and so is one whose process has ended: this is something else.
        if outcome.exception is not None and outcome.exit_status is None:
            raise outcome.exception
    ledger = Ledger(crew.ledger, len(crew.rows))
    began, entries = ledger.began, ledger.entries()
    ledger.close()
    after = take_snapshot_after(before, file_of(crew.database), crew.writer, crew.database)
    if not after.remarks:
        check_whole(crew.writer, crew.database, any(is_of_the_file(entry.reason) for entry in entries))
    return _Run(began, entries, outcomes, before, after, was_interrupted)


def draw_moments(rate: float, seconds: float, seed: int, together: int = 1) -> array[float]:
    """Draw when inserts come due, in seconds from the beginning: so many a second, and ``together`` at each moment."""
    for name, value in (("rate", rate), ("seconds", seconds)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(f"{name} {value!r} is not a number above 0")
    if rate * seconds < _FEWEST:
        raise ValueError(f"{rate:g} inserts a second for {seconds:g} s are fewer than {_FEWEST}: take more seconds")
    if isinstance(together, bool) or not isinstance(together, int) or together < 1:
        raise ValueError(f"together {together!r} is not a whole number of 1 or more")
    random_numbers = random.Random(seed)  # noqa: S311 a seeded schedule is no secret
    due, moment = array("d"), random_numbers.expovariate(rate / together)
    while moment < seconds:
        due.extend([moment] * together)
        moment += random_numbers.expovariate(rate / together)
    return due


def crew_for(rate: float, stall: float = _LONGEST_STALL) -> int:
    """How many processes are free for all inserts that come due in a stall of so many seconds, within limits."""
    fewest, most = _WORKERS
    return min(max(math.ceil(rate * stall), fewest), most)


def _insert(due: float, began: float, entry: Entry) -> Insert:
    taken, begun, ended = (moment - began if moment else None for moment in (entry.taken, entry.began, entry.ended))
    return Insert(due, taken, begun, ended)


def _outcome(entry: Entry, outcomes: Sequence[Outcome[None]]) -> Outcome[InsertTrace]:
    """What became of one insert, in the pool's words."""
    worker = outcomes[entry.worker - 1] if outcomes and entry.worker else None
    pid = worker.pid if worker is not None else 0
    began, ended = entry.began or None, entry.ended or None
    if entry.ended and not entry.reason:
        return Outcome("returned", pid, started=began, ended=ended)
    if entry.ended or worker is None:
        error = InsertError(entry.reason or "not ended", entry.words)
        return Outcome("raised", pid, exception=error, started=began, ended=ended)
    ended_so: dict[str, Any] = {"killed_by": worker.killed_by, "exit_status": worker.exit_status}
    return Outcome(worker.status, pid, started=began, **ended_so)
