"""Any writer of a SQLite file, once more within ``write_turn``. Knows no library."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlite_writes.driver import sqlite3
from sqlite_writes.line import write_turn

from .scratch import WarmsUp
from .writer import Named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlite_writes.table import Row

    from .writer import Insert

# Seconds that one may wait in line: as long as our own writers in line.
TIMEOUT = 60.0


@dataclass(frozen=True)
class InTurn(WarmsUp):
    """The writer named ``package.module:name``; each row, with all that it takes, in a turn of its own."""

    name: str

    def create(self, database: str) -> None:
        """Make the table, and put the file into WAL mode, which a turn needs."""
        self._writer.create(database)
        with closing(sqlite3.connect(database)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"journal mode is {mode}, SQLite did not change it to wal")

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Open nothing before one's turn: to connect, write and close are all in it."""

        def insert_in_turn(row: Row) -> None:
            with write_turn(database, timeout=TIMEOUT), self._writer.open(database) as insert:
                insert(row)

        yield insert_in_turn

    def rows(self, database: str) -> Iterable[Any]:
        """Read as the writer itself does."""
        return self._writer.rows(database)

    @cached_property
    def _writer(self) -> Named:
        return Named(self.name)

    def __str__(self) -> str:
        return f"{self.name} in turn"
