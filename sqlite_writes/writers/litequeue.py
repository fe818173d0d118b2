"""litequeue: a queue of strings in a file. Knows no processes.

As it comes: ``LiteQueue(filename)``. It sets WAL mode and ``synchronous = NORMAL`` itself, lets SQLite commit each
``put()``, and waits 5 s for a lock. Opening takes the write lock twice, and makes ten more connections for reading.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from litequeue import LiteQueue

from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


class Litequeue(WarmsUp):
    """``queue.put()``; nobody takes a message out."""

    def create(self, database: str) -> None:
        """Make the queue, and empty it."""
        with closing(LiteQueue(database)) as queue, queue.transaction("IMMEDIATE"):
            queue.conn.execute("DELETE FROM Queue")

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one queue open."""
        with closing(LiteQueue(database)) as queue:

            def insert(row: Row) -> None:
                queue.put(row[0])

            yield insert

    def rows(self, database: str) -> Sequence[object]:
        """Return every message: in SQL, since the queue itself gives one at a time."""
        with closing(LiteQueue(database)) as queue:
            return [data for (data,) in queue.conn.execute("SELECT data FROM Queue")]


as_it_comes = Litequeue()
