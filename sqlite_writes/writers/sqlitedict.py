"""sqlitedict: a dictionary in a file, its values pickled. Knows no processes.

As it comes: ``SqliteDict(path)``, and ``commit()`` after each value. A thread of its own holds the connection, and
waits 5 s for a lock. It sets ``synchronous = OFF``: a power loss may take acknowledged rows, or damage the file.

An error of the commit itself ends that thread, and ``commit()`` then never returns.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlitedict import SqliteDict

from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


class Sqlitedict(WarmsUp):
    """``dictionary[key] = value``, with a new key for each row, so that a row that is there twice shows."""

    def create(self, database: str) -> None:
        """Make the table, and empty it."""
        SqliteDict(database, flag="w").close()

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one dictionary open."""
        with SqliteDict(database) as dictionary:

            def insert(row: Row) -> None:
                dictionary[str(uuid.uuid4())] = row[0]
                dictionary.commit()

            yield insert

    def rows(self, database: str) -> Sequence[object]:
        """Return every value."""
        with SqliteDict(database) as dictionary:
            return list(dictionary.values())


as_it_comes = Sqlitedict()
