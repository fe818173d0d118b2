"""DiskCache: a dictionary in a folder, SQLite with small values in it. Knows no processes.

As it comes: ``Cache(folder)``. It sets WAL mode and ``synchronous = NORMAL`` itself, and tries a locked write again
until it succeeds. Opening writes its settings each time.

Strings of 32 Ki characters or more go into a file of their own, in which a carriage return comes back as a line feed.
A cache drops its oldest values from 1 GiB on.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from diskcache import Cache

from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


class DiskCache(WarmsUp):
    """``cache[key] = value``, with a new key for each row, so that a row that is there twice shows."""

    def create(self, database: str) -> None:
        """Make the folder, and empty the cache that is in it."""
        with Cache(database) as cache:
            cache.clear()

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one cache open."""
        with Cache(database) as cache:

            def insert(row: Row) -> None:
                cache[str(uuid.uuid4())] = row[0]

            yield insert

    def rows(self, database: str) -> Sequence[object]:
        """Return every value."""
        with Cache(database) as cache:
            return [cache[key] for key in cache]


as_it_comes = DiskCache()
