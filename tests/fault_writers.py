"""Writers for the tests of faults: two SQLite libraries, and processes with different ones. No tests.

Module-level, so that fresh processes can import them. ``apsw`` and ``pysqlite3`` bring a SQLite of their own.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlite_writes import resolve_writer, write_turn
from sqlite_writes.writers.writer import as_rows

from .bad_writers import INSERT, Good

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_writes.table import Row


class ThroughTwoLibraries(Good):
    """Keeps a connection of ``sqlite3``, and reads over one of APSW that it opens and closes."""

    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        """Read over the other one, and write."""
        import apsw

        connection.execute("SELECT count(*) FROM notes").fetchall()
        with closing(apsw.Connection(connection.execute("PRAGMA database_list").fetchone()[2])) as other:
            other.execute("SELECT count(*) FROM notes").fetchall()
        super().insert(connection, row)


class MeetsADamagedPage(Good):
    """Each insert meets a page that was overwritten, and reading does not; ``hides_it``: insert says nothing of it."""

    def __init__(self, hides_it: bool = False) -> None:
        self.hides_it = hides_it

    def create(self, database: str) -> None:
        """Make the table with an index, and overwrite that."""
        super().create(database)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("CREATE INDEX lengths ON notes (length(text))")
            ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'")
        with open(database, "r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 8)

    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        """Meet it."""
        with suppress(sqlite3.DatabaseError) if self.hides_it else nullcontext():
            super().insert(connection, row)


class OneLibraryEach(Good):
    """Each process writes with one SQLite, and they are three, chosen by the row; ``in_turn``: in a turn of its own."""

    def __init__(self, in_turn: bool = False) -> None:
        self.in_turn = in_turn

    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], object]]:
        """Open nothing before it is known with which."""

        def insert(row: Row) -> None:
            write = (_with_sqlite3, _with_pysqlite3, _with_apsw)[int(str(row[0])[0], 16) % 3]
            with write_turn(database) if self.in_turn else nullcontext():
                write(database, row)

        yield insert


def _with_sqlite3(database: str, row: Row) -> None:
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute(INSERT, row)


def _with_pysqlite3(database: str, row: Row) -> None:
    connect: Any = import_module("pysqlite3.dbapi2").connect  # which has no types
    with closing(connect(database, timeout=30)) as connection, connection:
        connection.execute(INSERT, row)


def _with_apsw(database: str, row: Row) -> None:
    import apsw

    with closing(apsw.Connection(database)) as connection:
        connection.set_busy_timeout(30_000)
        connection.execute(INSERT, row)


# What means something in a URI, in a URL, to a shell or to a format, and what is not ASCII.
ODD = "a ?mode=ro#%25 {0} 'é'.db"


def write_one(folder: str, name: str) -> tuple[list[Row], list[str]]:
    """Write a row with that library's writer into a file of an odd name; the rows then, and what lies there."""
    place = Path(folder, name)
    place.mkdir()
    database = str(place / ODD)
    writer = resolve_writer(name)
    writer.create(database)
    with writer.open(database) as insert:
        insert((f"row of {name}",))
    return as_rows(writer.rows(database)), os.listdir(place)


class Hangs(Good):
    """Never returns, and makes a file beside the database when it has begun."""

    def insert(self, connection: sqlite3.Connection, _row: Row) -> None:
        """Say so, and hang."""
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        Path(path).with_name("hangs").touch()
        time.sleep(3600)


hangs = Hangs()
