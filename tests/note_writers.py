"""Somebody's functions that read and write notes, right and wrong, for test_testing. Fresh processes import them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from sqlite_writes import write_turn

if TYPE_CHECKING:
    from sqlite_writes.table import Row


def read(database: str) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes")]


def read_as_dictionaries(database: str) -> list[dict[str, str]]:
    return [{"text": text} for text in read(database)]


def add(database: str, row: Row, begin: str = "BEGIN", timeout: float = 5.0) -> None:
    """Read, think and write, in one transaction."""
    with closing(sqlite3.connect(database, timeout=timeout, isolation_level=None)) as connection, connection:
        connection.execute(begin)
        connection.execute("SELECT count(*) FROM notes").fetchone()
        time.sleep(0.05)
        connection.execute("INSERT INTO notes (text) VALUES (?)", row)


def add_immediately(database: str, row: Row) -> None:
    add(database, row, "BEGIN IMMEDIATE", timeout=0.2)


def number(database: str, row: Row) -> None:
    """Read the highest number before the transaction that writes the next."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        (highest,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM notes").fetchone()
        time.sleep(0.5)
        connection.execute("INSERT INTO notes (rowid, text) VALUES (?, ?)", (highest + 1, *row))


def add_in_turn(database: str, row: Row) -> None:
    with write_turn(database):
        add(database, row)


def forget(database: str, row: Row) -> None:
    """Nothing is written."""
