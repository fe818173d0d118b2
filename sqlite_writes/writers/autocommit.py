"""Python's own ``sqlite3`` with ``autocommit=True``, which it has since Python 3.12. Knows no processes.

Each INSERT is a transaction of its own, which SQLite itself begins and commits. The busy timeout is the module's, 5 s.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlite_writes.driver import sqlite3
from sqlite_writes.table import INSERT_ROW, create_table, read_rows

from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_writes.table import Row

    from .writer import Insert


@dataclass(frozen=True)
class Autocommit(WarmsUp):
    """The example's table, without a transaction of Python's. ``timeout``: the busy timeout, in seconds."""

    timeout: float = 5.0

    def create(self, database: str) -> None:
        """Make the table; ``NotImplementedError`` where the module has no ``autocommit``."""
        if not hasattr(sqlite3, "LEGACY_TRANSACTION_CONTROL"):
            raise NotImplementedError("sqlite3.connect knows autocommit=True since Python 3.12")
        create_table(database)

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one connection open."""
        with closing(sqlite3.connect(database, self.timeout, autocommit=True)) as connection:  # type: ignore[call-overload, unused-ignore]

            def insert(row: Row) -> None:
                connection.execute(INSERT_ROW, row)

            yield insert

    def rows(self, database: str) -> list[Row]:
        """Return every row of the table."""
        return read_rows(database)


as_it_comes = Autocommit()
with_timeout = Autocommit(60)
