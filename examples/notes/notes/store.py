"""Notes in a SQLite file, each with the next free number. Knows nothing of the processes that write them."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sqlite_writes import write_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Row = tuple[str]


def create(path: str) -> None:
    """Make a file without notes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DROP TABLE IF EXISTS notes")
        connection.execute("CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT)")


def add(path: str, text: str) -> None:
    """Add a note. The transaction reads before it writes, which is the usual mistake."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("BEGIN")
        (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM notes").fetchone()
        connection.execute("INSERT INTO notes VALUES (?, ?)", (number, text))


def add_in_turn(path: str, text: str) -> None:
    """Add a note after all who came before: the advice, taken."""
    with write_turn(path):
        add(path, text)


def texts(path: str) -> list[str]:
    """Return the text of every note."""
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes")]


@dataclass(frozen=True)
class Notes:
    """What sqlite-writes needs to know: how the table is made, how a row gets in, how all rows are read back."""

    add: Callable[[str, str], None]

    def create(self, database: str) -> None:
        """Make the table."""
        create(database)

    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], None]]:
        """Give the function that inserts a row."""
        yield partial(self.insert, database)

    def insert(self, database: str, row: Row) -> None:
        """Add the row's text."""
        self.add(database, *row)

    def rows(self, database: str) -> list[str]:
        """Return what is there."""
        return texts(database)


writer = Notes(add)
