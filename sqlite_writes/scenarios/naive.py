"""The wrong way, kept to be measured beside the right one: what most people write first, and what it loses.

Workers are forked from the caller by a plain ``Pool``, and connections are left to the garbage collector. Do not use.

``with sqlite3.connect(…)`` commits and does not close. Up to Python 3.10 the connection is closed when the function
returns; from 3.11 on it is part of a reference cycle and stays open until the garbage collector comes by. So the caller
still has the file open when it forks, and each worker inherits SQLite's belief that this process holds the file's
shared lock already, and does not ask the kernel for it. When the caller's collector closes that connection while the
workers write, no lock tells it of them: it takes itself for the last user and deletes the WAL under them. Their commits
succeed, in a file without a name (https://sqlite.org/howtocorrupt.html, section 2.6). Measured on 3.11: with the
caller's collector off during the burst all 500 rows stay; with it on, 10 to 21 of them.

Now and then workers die besides, of SIGBUS: most likely another opens the file, finds no lock on the WAL's index, takes
it for a dead process's and truncates it while it is mapped. ``Pool.map`` then waits for their answer for ever
(https://github.com/python/cpython/issues/66587): two of 220 bursts of 500 did not end, on 3.13. Here the row failed.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

from sqlite_writes.driver import sqlite3
from sqlite_writes.errors import error_name
from sqlite_writes.table import CREATE_TABLE, INSERT_ROW, count_copies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.pool import AsyncResult

    from sqlite_writes.table import Row

LONGEST_BURST = 20.0
"""Seconds after which no answer is expected any more: three times as long as 500 workers take on a busy machine."""


def naive_burst(database: str, rows: Sequence[Row], journal_mode: str = "wal") -> tuple[int, int]:
    """Create the table, insert each row by a plain ``Pool(n)``, and return the numbers of failed and of lost rows.

    The connections are leaked on purpose. This is the code of the article that asked the question, but for its
    ``Pool.map``, which would raise the first error and hide the others, and has no timeout: each row is handed to the
    pool by itself, as ``map`` does with as many rows as workers.
    """
    _create_table(database, journal_mode)
    with multiprocessing.get_context("fork").Pool(len(rows)) as pool:
        answers = [pool.apply_async(_insert_row, (database, row)) for row in rows]
        until = time.monotonic() + LONGEST_BURST
        errors = [_answer(answer, until) for answer in answers]
    try:
        kept = count_copies(database, rows)
    except sqlite3.DatabaseError:  # "malformed", now and then: then no row can be read any more
        kept = [0] * len(rows)
    lost = sum(error is None and not copies for error, copies in zip(errors, kept))
    return sum(error is not None for error in errors), lost


def _create_table(database: str, journal_mode: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        connection.execute("DROP TABLE IF EXISTS messages")
        connection.execute(CREATE_TABLE)


def _answer(answer: AsyncResult[str | None], until: float) -> str | None:
    """The error that a worker tells, if any, or that it did not answer."""
    try:
        return answer.get(max(0.0, until - time.monotonic()))
    except multiprocessing.TimeoutError as error:
        return error_name(error)


def _insert_row(database: str, row: Row) -> str | None:
    try:
        with sqlite3.connect(database) as connection:
            connection.execute(INSERT_ROW, row)
    except sqlite3.Error as error:
        return error_name(error)
    return None
