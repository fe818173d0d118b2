"""The exact cost of one insert: what it writes, syncs, executes and calls; the same number in every run.

Counts over a fixed number of inserts by one process into a new table, so that nobody waits and nothing is retried. Puts
database and pool together as a burst does; blind to sleeps and to locks held longer, which need time to be seen.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlite_writes.driver import sqlite3
from sqlite_writes.library import check_library
from sqlite_writes.pool import pool_map
from sqlite_writes.settings import Settings, resolve_settings
from sqlite_writes.table import Row, create_table
from sqlite_writes.writers.ours import insert_row
from sqlite_writes.writers.warm_up import warm_up

from .strace import can_trace, run_traced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_writes.driver import Database

# How many inserts are counted; the cost of one is their mean, and whole where each costs the same.
INSERTS = 10

METRICS = ("bytes_written", "write_calls", "syncs", "sql_statements", "virtual_machine_steps", "python_calls")


def insert_cost(database: Database, settings: str | Settings = "default") -> dict[str, float | None]:
    """What one ``insert_row`` costs, by the names in ``METRICS``; None for what this platform cannot tell.

    Makes the table anew. The mean of ``INSERTS`` inserts, each by a connection of its own, in one warmed-up process.

    bytes_written, write_calls: as the kernel counts a process's write system calls (``/proc/self/io``: Linux).
    syncs: ``fsync`` and ``fdatasync`` calls (``strace``, where it is installed and allowed).
    sql_statements, virtual_machine_steps: what SQLite's trace and progress handlers are told.
    python_calls: calls of Python and C functions that ``sys.setprofile`` is told.
    """
    database = os.fspath(database)  # a path object would add Python calls of its own
    settings = resolve_settings(settings)
    check_library(settings)
    counters: dict[str, Callable[[Database, Settings], int | None]] = {
        "bytes_written": partial(_io_counter, "wchar"),
        "write_calls": partial(_io_counter, "syscw"),
        "sql_statements": _sql_statements,
        "virtual_machine_steps": _virtual_machine_steps,
        "python_calls": _python_calls,
    }
    costs: dict[str, float | None] = {}
    for metric in METRICS:
        create_table(database, settings)
        if metric == "syncs":
            total = _syncs(database, settings)
        else:
            # A process for each, so that one counter's hooks are not counted by the next.
            (outcome,) = pool_map(
                partial(_count, counters[metric], settings=settings), [database], warm_up=partial(warm_up, settings)
            )
            if outcome.status != "returned":
                raise outcome.exception or ChildProcessError(f"the process that counts {metric}: {outcome.status}")
            total = outcome.result
        costs[metric] = None if total is None else total / INSERTS
    return costs


def _count(counter: Callable[[Database, Settings], int | None], database: Database, settings: Settings) -> int | None:
    _insert(database, settings, 1)  # the first into a new table costs more
    return counter(database, settings)


def _insert(database: Database, settings: Settings, count: int) -> None:
    for number in range(count):
        insert_row(database, _row(number), settings)


def _row(number: int) -> Row:
    return (f"{number:036d}",)  # as long as the UUID4 of an example row


def _io_counter(name: str, database: Database, settings: Settings) -> int | None:
    counters = Path("/proc/self/io")
    if not counters.exists():
        return None

    def read() -> int:
        return int(dict(line.split(": ") for line in counters.read_text().splitlines())[name])

    before = read()
    _insert(database, settings, INSERTS)
    return read() - before


def _sql_statements(database: Database, settings: Settings) -> int:
    statements: list[str] = []
    with _every_connection(lambda connection: connection.set_trace_callback(statements.append)):
        _insert(database, settings, INSERTS)
    return len(statements)


def _virtual_machine_steps(database: Database, settings: Settings) -> int:
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0  # go on

    with _every_connection(lambda connection: connection.set_progress_handler(step, 1)):
        _insert(database, settings, INSERTS)
    return steps


@contextmanager
def _every_connection(prepare: Callable[[sqlite3.Connection], object]) -> Iterator[None]:
    """Have every connection that this process makes meanwhile prepared first."""
    connect = sqlite3.connect

    def prepared(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        prepare(connection)
        return connection

    vars(sqlite3)["connect"] = prepared
    try:
        yield
    finally:
        vars(sqlite3)["connect"] = connect


def _python_calls(database: Database, settings: Settings) -> int:
    calls = 0

    def profile(_frame: object, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    rows = [_row(number) for number in range(INSERTS)]
    for row in rows:
        sys.setprofile(profile)
        insert_row(database, row, settings)
        sys.setprofile(None)
        calls -= 1  # the call that ends the counting
    return calls


def _syncs(database: Database, settings: Settings) -> int | None:
    """Syncs of ``INSERTS`` inserts: those that strace sees of that many and one more, less those of the one."""
    if not can_trace():
        return None
    seen = []
    for count in (1, 1 + INSERTS):
        with tempfile.NamedTemporaryFile("r") as log:
            run_traced(_insert, database, settings, count, options=["-e", "trace=fsync,fdatasync"], log=log.name)
            seen.append(sum("sync(" in line for line in log))
    return seen[1] - seen[0]
