"""What the workers of test_library_writers.py do with a ready-made writer; a fresh process imports it from here.

Every use of a library is in a process of its own: some bring a SQLite of their own, some have state for the process.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlite_writes.table import generate_rows_of_every_kind
from sqlite_writes.writers.names import resolve_writer
from sqlite_writes.writers.writer import as_rows, trace_writer

if TYPE_CHECKING:
    from sqlite_writes.table import Row


def create(name: str, database: str) -> None:
    resolve_writer(name).create(database)


def insert(name: str, database: str, row: Row) -> None:
    """As a burst does: what the library raises comes out as an ``InsertError``, which has SQLite's own name for it."""
    trace_writer(resolve_writer(name), database, row)


def rows(name: str, database: str) -> list[Row]:
    return as_rows(resolve_writer(name).rows(database))


class FirstUse(NamedTuple):
    """What a process has found that warms a writer up, and writes text over a connection that it keeps open.

    files, threads: those of the warm-up that are open, or run on, when it is over. anew: what is there when the table
    has been made again.
    """

    files: list[str]
    threads: int
    written: list[Row]
    there: list[Row]
    anew: list[Row]


def use(name: str, database: str) -> FirstUse:
    """Use a writer for the first time; leave an empty table."""
    writer = resolve_writer(name)
    writer.warm_up()  # type: ignore[attr-defined]
    files, threads = [path for path in _open_files() if "warm" in path], threading.active_count() - 1
    written = generate_rows_of_every_kind("text")
    writer.create(database)
    with writer.open(database) as insert_row:
        for row in written:
            insert_row(row)
    there = as_rows(writer.rows(database))
    writer.create(database)
    return FirstUse(files, threads, written, there, as_rows(writer.rows(database)))


def _open_files() -> list[str]:
    """Return the paths of this process's open files; none where there is no /proc."""
    files = []
    with suppress(FileNotFoundError):
        for descriptor in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # the listing's own
                files.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return files


def write_line_ends(name: str, database: str, size: int) -> str:
    """The first two characters that are there of a text that begins with a carriage return and a line feed."""
    create(name, database)
    insert(name, database, ("\r\n".ljust(size, "x"),))
    ((message,),) = rows(name, database)
    return str(message)[:2]


def meet_lock(started: str, item: tuple[str, str]) -> None:
    """Say by a file that the writer of that name begins, and write a row; whoever holds the lock sees the file."""
    name, database = item
    resolve_writer(name).warm_up()  # type: ignore[attr-defined]
    Path(started, name).touch()
    insert(name, database, (name,))


def read_while_another_writes(name: str, database: str) -> str:
    """Have another connection write between Django's read and its write; whose row it was that failed, and why."""
    from django.db import OperationalError, connections

    from sqlite_writes.writers.django import ALIAS

    refused = []

    def write_before(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("INSERT"):
            with closing(sqlite3.connect(database, timeout=0)) as other:
                try:
                    other.execute("INSERT INTO messages (msg) VALUES ('another')")
                    other.commit()
                except sqlite3.OperationalError as error:
                    refused.append(f"another: {error}")
        return execute(sql, *arguments)

    with resolve_writer(name).open(database) as insert_row, connections[ALIAS].execute_wrapper(write_before):
        try:
            insert_row((name,))
        except OperationalError as error:
            refused.append(f"{name}: {error}")
    (who,) = refused
    return who
