"""Measure one rate: draw when inserts come due, have a crew insert them, and check the table for every row.

Puts pool, writers and crew together. What came of it is in report.py. Prints nothing.
"""

from __future__ import annotations

import errno
import math
import random
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlite_writes.calls import create_table_of
from sqlite_writes.fresh_burst import fresh_database
from sqlite_writes.pool import Outcome, pool_map
from sqlite_writes.report import BurstReport, Check, check_rows, is_of_the_file
from sqlite_writes.snapshot import check_whole, file_of, take_snapshot, take_snapshot_after
from sqlite_writes.table import check_folder, generate_example_rows
from sqlite_writes.writers.names import resolve_writer
from sqlite_writes.writers.writer import InsertError, InsertTrace

from .crew import Crew
from .ledger import Entry, Ledger, new_ledger
from .report import Insert, RateReport

if TYPE_CHECKING:
    from sqlite_writes.driver import Database
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
    with fresh_database(folder) as database, new_ledger(len(due)) as path:
        create_table_of(writer, database)
        before = take_snapshot(writer, database)
        # All must be awake when the run begins: some milliseconds each.
        crew = Crew(writer, database, rows, due, path, 0.2 + 0.002 * workers, patience, keep_open)
        until = seconds + patience + _TIME_FOR_PROCESSES if deadline is None else deadline
        outcomes, was_interrupted = _run(crew, workers, until)
        ledger = Ledger(path, len(due))
        began, entries = ledger.began, ledger.entries()
        ledger.close()
        after = take_snapshot_after(before, file_of(database), writer, database)
        if not after.remarks:
            check_whole(writer, database, any(is_of_the_file(entry.reason) for entry in entries))
    if was_interrupted and not any(entry.ended for entry in entries):
        raise RateInterrupted(None)
    kept = [index for index, entry in enumerate(entries) if entry.ended or not was_interrupted]
    report = RateReport(
        writer,
        rate_per_second,
        seconds,
        workers,
        keep_open,
        seed,
        tuple(_insert(due[index], began, entries[index]) for index in kept),
        _begun(writer, rows, before, after, entries, outcomes, kept),
        together,
        not was_interrupted,
    )
    if "SQLITE_FULL" in report.errors:
        raise OSError(errno.ENOSPC, f"no space left on the disk of {str(folder)!r}")
    if was_interrupted:
        raise RateInterrupted(report)
    return report


def _run(crew: Crew, workers: int, deadline: float) -> tuple[list[Outcome[None]], bool]:
    """Have the crew insert; return what became of its processes, none if Ctrl-C ended it, and whether that was so."""
    try:
        outcomes = pool_map(crew, range(1, workers + 1), deadline=deadline, warm_up=crew.prepare)
    except KeyboardInterrupt:
        return [], True
    for outcome in outcomes:
        # A failed insert is in the ledger, and so is one whose process has ended: this is something else.
        if outcome.exception is not None and outcome.exit_status is None:
            raise outcome.exception
    return outcomes, False


def _begun(
    writer: Writer,
    rows: list[Row],
    before: Snapshot,
    after: Snapshot,
    entries: list[Entry],
    outcomes: list[Outcome[None]],
    kept: list[int],
) -> BurstReport:
    """Return the report of those inserts of ``kept`` that were begun."""
    check = check_rows(rows, before.rows, after.rows)
    begun = [index for index in kept if entries[index].began]
    return BurstReport(
        writer,
        tuple(rows[index] for index in begun),
        tuple(_outcome(entries[index], outcomes) for index in begun),
        Check(
            tuple(check.copies[index] for index in begun),
            tuple(check.instead[index] for index in begun),
            check.unexpected,
        ),
        tuple(after.remarks),
    )


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


def _outcome(entry: Entry, outcomes: list[Outcome[None]]) -> Outcome[InsertTrace]:
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
