"""sqlite-utils: dictionaries into tables. Knows no processes.

As it comes: ``Database(path)``. ``insert()`` has a deferred transaction of its own, and waits 5 s for a lock.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlite_utils import Database

from .in_turn import InTurn
from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


@dataclass(frozen=True)
class SqliteUtils(WarmsUp):
    """``table.insert()``. ``pragma``: run on each new connection; ``wal``: the file is put into WAL mode once."""

    pragma: str = ""
    wal: bool = False

    def create(self, database: str) -> None:
        """Drop the table if it is there, and make it."""
        with self._database(database) as connected:
            if self.wal:
                connected.enable_wal()
            table = connected.table("messages")
            table.drop(ignore=True)
            table.create({"msg": str})

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one connection open."""
        with self._database(database) as connected:

            def insert(row: Row) -> None:
                connected.table("messages").insert({"msg": row[0]})

            yield insert

    def rows(self, database: str) -> Sequence[object]:
        """Return every message."""
        with self._database(database) as connected:
            return [row["msg"] for row in connected.table("messages").rows]

    @contextmanager
    def _database(self, database: str) -> Iterator[Database]:
        with Database(database) as connected:
            if self.pragma:
                connected.execute(f"PRAGMA {self.pragma}")
            yield connected


as_it_comes = SqliteUtils()
# In milliseconds. Not by a connection of ours: sqlite-utils takes pysqlite3 for sqlite3 where that is installed.
with_timeout = SqliteUtils(pragma="busy_timeout = 60000")
as_advised = SqliteUtils(wal=True)
in_turn = InTurn(f"{__name__}:as_it_comes")
