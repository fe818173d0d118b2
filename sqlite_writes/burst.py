"""A burst: insert rows from as many processes at one moment, then check the table for every row.

Puts pool and writers together. What came of it is in report.py; what else is watched in a writer that is not ours, in
examination.py. Knows no pipes and no SQL of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .calls import prepare
from .driver import path_of
from .examination import Examination, examine
from .pool import Outcome, pool_map
from .report import BurstError, BurstReport
from .row_check import check_rows
from .settings import resolve_settings
from .snapshot import Snapshot, check_whole, file_of, take_snapshot, take_snapshot_after
from .writers.names import AnyWriter, resolve_writer
from .writers.ours import Ours, check_database, insert_rows, trace_insert
from .writers.warm_up import warm_up
from .writers.writer import InsertTrace, Writer, trace_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .driver import Database
    from .settings import Settings
    from .table import Row

# Seconds that a burst may take beyond the busy timeout before its workers are killed, unless the caller says otherwise.
_TIME_FOR_PROCESSES = 60.0

# The busy timeout of a writer that is not ours is not known; this is SQLite's usual one in Python.
_USUAL_TIMEOUT = 5.0


def insert_rows_in_parallel(
    database: Database,
    rows: Iterable[Row],
    writer: AnyWriter = "default",
    *,
    start_method: str = "forkserver",
    deadline: float | None = None,
) -> BurstReport:
    """Insert each row from a process of its own, all at the same moment, and check the table afterwards.

    database: the path of a file that the writer has made: by ``create_table`` with settings of the same journal mode,
        or by ``create_table_of``. Rows that are in the table already are left alone, and rows that others insert
        meanwhile do not matter.
    rows: distinct one-element tuples.
    writer: the name of settings or of a library, ``Settings``, ``package.module:name``, or an object with the parts of
        a ``Writer``.
    start_method, deadline: those of ``pool_map``; the deadline, in seconds, is 60 more than the busy timeout unless
        given.

    A writer that is not ours is called in fresh processes only, also to read the rows back. If the rows are strings, it
    is examined afterwards: two more processes write a row each, alone, and what they do besides is in ``remarks``.

    What a worker meets is data in the report, never an exception here. Raises ``NotImplementedError`` if the linked
    SQLite or the file system lacks what the settings need, ``ValueError`` for rows, a writer or a deadline that will
    not do, ``OSError`` or ``sqlite3.DatabaseError`` for a database that cannot be written, all before any process is
    started; ``WriterError`` if the rows of a writer that is not ours cannot be read; afterwards only what ``pool_map``
    raises, and ``sqlite3.DatabaseError`` if the table cannot be read back, or if SQLite finds the file damaged. If the
    file was deleted or replaced meanwhile, the rows that are not in what lies there are lost, and a remark says so.
    """
    writer = resolve_writer(writer)
    rows = checked_rows(rows)
    if isinstance(writer, Ours):
        check_database(database, writer.settings)
        insert: Callable[[Row], InsertTrace] = partial(trace_insert, database, settings=writer.settings)
    else:
        insert = partial(trace_writer, writer, path_of(database))
    deadline = deadline_for(writer) if deadline is None else deadline
    before = take_snapshot(writer, database, start_method)
    outcomes = pool_map(insert, rows, start_method=start_method, deadline=deadline, warm_up=partial(prepare, writer))
    return check_burst(writer, database, rows, outcomes, before, start_method=start_method, deadline=deadline)


def deadline_for(writer: Writer) -> float:
    """Seconds that a burst may take unless its caller says otherwise."""
    return _TIME_FOR_PROCESSES + (writer.settings.busy_timeout if isinstance(writer, Ours) else _USUAL_TIMEOUT)


def check_burst(
    writer: Writer,
    database: Database,
    rows: Sequence[Row],
    outcomes: Sequence[Outcome[InsertTrace]],
    before: Snapshot,
    *,
    start_method: str,
    deadline: float,
) -> BurstReport:
    """Read the rows back and report; examine a writer that is not ours. ``before``: what was there before the burst."""
    examination, file = Examination(), file_of(database)
    if not isinstance(writer, Ours) and before.is_of(file):  # else it would write into what somebody has put there
        examination = examine(writer, path_of(database), rows, start_method=start_method, deadline=deadline)
    after = take_snapshot_after(before, file, writer, database, start_method)
    check = check_rows(rows, before.rows, examination.without_own(after.rows))
    report = BurstReport(writer, tuple(rows), tuple(outcomes), check, tuple(after.remarks))
    if after.remarks:  # what happened to the file hides what the writer does
        return report
    check_whole(writer, database, report.is_suspect)
    return replace(report, remarks=tuple(examination.remarks(after.rows, len(rows), report.lost)))


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
    rows = checked_rows(rows)
    check_database(database, settings)
    (outcome,) = pool_map(
        partial(insert_rows, database, settings), [rows], deadline=deadline, warm_up=partial(warm_up, settings)
    )
    if outcome.exception is not None:
        raise outcome.exception
    if outcome.started is None or outcome.ended is None:
        raise BurstError(f"the process that inserts one row after another {outcome.status} within {deadline:g} s")
    return outcome.ended - outcome.started


def checked_rows(rows: Iterable[Row]) -> Sequence[Row]:
    """Return the rows; ``ValueError`` in one line for those that no burst can be made of."""
    rows = list(rows)
    if not rows:
        raise ValueError("rows is empty: a burst needs at least one row")
    for row in rows:
        if not isinstance(row, tuple) or len(row) != 1 or not isinstance(row[0], (str, int, float, bytes, type(None))):
            raise ValueError(
                f"row {row!r} is not a one-element tuple of a string, a number, bytes or None, such as ('a message',)"
            )
        if isinstance(row[0], float) and math.isnan(row[0]):
            raise ValueError(f"row {row!r} is not a number, which SQLite keeps as NULL: give None, or a text")
    for row, count in Counter(rows).items():
        if count > 1:
            raise ValueError(f"row {row!r} is given {count} times: rows must differ to be told apart in the table")
    return rows
