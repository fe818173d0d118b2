"""What the workers of test_library_writers.py do with a ready-made writer; a fresh process imports it from here.

Every use of a library is in a process of its own: some bring a SQLite of their own, some have state for the process.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def write_in_two_tables(name: str, database: str) -> tuple[list[Row], list[Row], list[Row]]:
    """Text written over a connection that is kept open; what is there, and what when the table has been made anew."""
    writer = resolve_writer(name)
    written = generate_rows_of_every_kind("text")
    writer.create(database)
    with writer.open(database) as insert_row:
        for row in written:
            insert_row(row)
    there = as_rows(writer.rows(database))
    writer.create(database)
    return written, there, as_rows(writer.rows(database))


def write_line_ends(name: str, database: str, size: int) -> str:
    """The first two characters that are there of a text that begins with a carriage return and a line feed."""
    create(name, database)
    insert(name, database, ("\r\n".ljust(size, "x"),))
    ((message,),) = rows(name, database)
    return str(message)[:2]


def warm_up(name: str, _database: str) -> tuple[list[str], int]:
    """The files that are open after the warm-up, and the threads that run on."""
    resolve_writer(name).warm_up()  # type: ignore[attr-defined]
    files = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own
            files.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in files if "warm" in path], threading.active_count() - 1


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
