"""A burst of processes that keep their connection: each inserts several rows over one ``open()``, without a rest.

As burst.py does for one row a process, so that the same report can be made of it. Knows no pipes and no SQL.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from .burst import check_burst, checked_rows, deadline_for
from .calls import prepare
from .driver import path_of
from .pool import Outcome, pool_map
from .snapshot import take_snapshot
from .writers.names import AnyWriter, resolve_writer
from .writers.ours import Ours, check_database
from .writers.writer import InsertError, InsertTrace, as_insert_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .driver import Database
    from .report import BurstReport
    from .table import Row
    from .writers.writer import Writer

# Seconds before the deadline at which a process begins no more rows, so that it can still say what became of the rest.
_TIME_TO_END = 2.0


@dataclass(frozen=True)
class _Insert:
    """What became of one row in its process; ``started`` is None if its turn did not come."""

    trace: InsertTrace | None
    error: InsertError | None
    started: float | None
    ended: float | None


def insert_rows_kept_open(
    database: Database,
    rows: Sequence[Row],
    writer: AnyWriter = "default",
    *,
    workers: int,
    deadline: float | None = None,
) -> BurstReport:
    """Insert the rows from so many processes at one moment, the same number each, over one connection each.

    A row that fails does not end its process: the next row is tried, as an application would. All other parameters, and
    what is raised, are those of ``insert_rows_in_parallel``. An insert time is the time of one row here. If a process
    is killed, all of its rows count as failed; those that had been written already are recovered rows.
    """
    writer = resolve_writer(writer)
    rows = checked_rows(rows)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers {workers!r} is not a whole number of 1 or more")
    if len(rows) % workers:
        raise ValueError(f"{len(rows)} rows cannot be shared alike among {workers} workers")
    each = len(rows) // workers
    shares = [tuple(rows[first : first + each]) for first in range(0, len(rows), each)]
    deadline = deadline_for(writer) if deadline is None else deadline
    if isinstance(writer, Ours):
        check_database(database, writer.settings)
    before = take_snapshot(writer, database)
    outcomes = pool_map(
        partial(_insert_all, writer, path_of(database), time.monotonic() + deadline - _TIME_TO_END),
        shares,
        deadline=deadline,
        warm_up=partial(prepare, writer),
    )
    by_row = [row for outcome in outcomes for row in _outcomes_of_rows(outcome, each)]
    return check_burst(writer, database, rows, by_row, before, start_method="forkserver", deadline=deadline)


def _insert_all(writer: Writer, database: str, until: float, rows: Sequence[Row]) -> list[_Insert]:
    """Insert the rows over one connection, and say of each what became of it."""
    done: list[_Insert] = []
    try:
        with writer.open(database) as insert:
            for row in rows:
                started = time.monotonic()
                if started >= until:
                    break
                trace, error = None, None
                try:
                    traced = insert(row)
                except BaseException as reason:
                    error = as_insert_error(reason)
                ended = time.monotonic()
                if error is None:
                    whole = InsertTrace(started, started, started, ended, ended, 0)
                    trace = traced if isinstance(traced, InsertTrace) else whole
                done.append(_Insert(trace, error, started, ended))
    except BaseException as reason:
        error = as_insert_error(reason)
        return [*done, *(_Insert(None, error, None, None) for _ in rows[len(done) :])]
    late = InsertError("timed out", "its turn did not come before the deadline")
    return [*done, *(_Insert(None, late, None, None) for _ in rows[len(done) :])]


def _outcomes_of_rows(outcome: Outcome[list[_Insert]], rows_each: int) -> list[Outcome[InsertTrace]]:
    """Return an outcome for each row of a process; where it had nothing to say, its own for all of them."""
    if outcome.result is None:
        ended: dict[str, Any] = {"result": None, "started": None, "ended": None}
        return [replace(outcome, **ended) for _ in range(rows_each)]  # type: ignore[misc]
    return [
        Outcome(
            status="returned" if insert.error is None else "raised",
            pid=outcome.pid,
            result=insert.trace,
            exception=insert.error,
            ready=outcome.ready,
            started=insert.started,
            ended=insert.ended,
        )
        for insert in outcome.result
    ]
