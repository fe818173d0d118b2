"""persist-queue: a queue in a folder, its items pickled. Knows no processes.

As it comes: ``SQLiteQueue(folder, auto_commit=True)``. It sets WAL mode itself, has a transaction for each ``put()``,
and waits 10 s for a lock.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from persistqueue import SQLiteQueue

from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


class PersistQueue(WarmsUp):
    """``queue.put()``; nobody takes an item out."""

    def create(self, database: str) -> None:
        """Make the folder, and empty the queue that is in it."""
        with _queue(database) as queue:
            while queue.size:
                queue.get_nowait()

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one queue open."""
        with _queue(database) as queue:

            def insert(row: Row) -> None:
                queue.put(row[0])

            yield insert

    def rows(self, database: str) -> Sequence[object]:
        """Return every item."""
        with _queue(database) as queue:
            return [item["data"] for item in queue.queue()]


def _queue(database: str) -> closing[SQLiteQueue]:
    return closing(SQLiteQueue(database, auto_commit=True))


as_it_comes = PersistQueue()
