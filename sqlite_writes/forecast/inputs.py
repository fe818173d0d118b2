"""Measure what a forecast needs of this machine: what an insert takes that meets no other. Knows no simulation."""

from __future__ import annotations

import os
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from sqlite_writes.driver import sqlite3
from sqlite_writes.folders import fresh_folder
from sqlite_writes.line import write_turn
from sqlite_writes.pool import pool_map
from sqlite_writes.settings import resolve_settings
from sqlite_writes.table import READ_SCHEMA, create_table, generate_example_rows
from sqlite_writes.writers.ours import open_writer
from sqlite_writes.writers.warm_up import warm_up

if TYPE_CHECKING:
    from sqlite_writes.driver import Database
    from sqlite_writes.settings import Settings
    from sqlite_writes.table import Row


class Inputs(NamedTuple):
    """The arguments of ``forecast`` for this machine: ``forecast(settings, workers, **inputs._asdict())``."""

    commit_seconds: float
    insert_seconds: float
    commit_cpu_seconds: float
    cores: int


def measure_commit(settings: str | Settings, directory: Database = ".", *, rows: int = 40) -> Inputs:
    """Insert rows one after another into a new database in the directory, and return what they took. Takes 0.5 s.

    Each row comes from a fresh process, as in a burst: its first insert takes twice the time of its second, because it
    is the first to write to memory that it shares. They stand in a line of their own, so that no insert meets another,
    and the machine does not rest in between. A connection is kept open meanwhile: in WAL mode the last one to close
    would checkpoint.

    Each number is a median. Raises what the first insert that failed has raised, and ``TimeoutError``.
    """
    settings = resolve_settings(settings)
    with fresh_folder(directory) as folder:
        database, line = Path(folder, "messages.db"), Path(folder, "line")
        create_table(database, settings)
        line.touch()
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(READ_SCHEMA)
            outcomes = pool_map(
                partial(_insert_in_turn, database, line, settings),
                generate_example_rows(rows),
                deadline=60.0,
                warm_up=partial(warm_up, settings),
            )
    parts: list[_Parts] = []
    for outcome in outcomes:
        if outcome.exception is not None:
            raise outcome.exception
        if outcome.result is None:
            raise TimeoutError(f"{rows} rows, one after another, took more than a minute in {os.fspath(directory)!r}")
        parts.append(outcome.result)
    commit, rest, commit_cpu = (median(values) for values in zip(*parts))
    return Inputs(commit, commit + rest, min(max(commit_cpu, 0.0), commit), _cores())


class _Parts(NamedTuple):
    """Seconds of one insert: its commit, the rest, and the processor time of its commit."""

    commit: float
    rest: float
    commit_cpu: float


def _insert_in_turn(database: Path, line: Path, settings: Settings, row: Row) -> _Parts:
    with write_turn(line, sync=False):
        called = time.monotonic()
        with open_writer(database, settings) as insert:
            used = time.process_time()
            trace = insert(row)
            used = time.process_time() - used
        commit = trace.committed - trace.locked
        # Before it has the lock, a writer that meets nobody never sleeps.
        return _Parts(commit, time.monotonic() - called - commit, used - (trace.locked - trace.opened))


def _cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
