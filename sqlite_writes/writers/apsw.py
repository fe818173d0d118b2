"""APSW: SQLite's own interface, with a SQLite of its own. Knows no processes.

As it comes: ``Connection(path)``. SQLite commits each statement by itself, and its default is to wait for no lock.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw
import apsw.bestpractice

from .in_turn import InTurn
from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


@dataclass(frozen=True)
class Apsw(WarmsUp):
    """``connection.execute()``. ``practices``: what is done to each new connection, in that order."""

    practices: tuple[Callable[[apsw.Connection], object], ...] = ()

    def create(self, database: str) -> None:
        """Drop the table if it is there, and make it."""
        with self._connected(database) as connection:
            connection.execute("DROP TABLE IF EXISTS messages; CREATE TABLE messages (msg TEXT)")

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one connection open."""
        with self._connected(database) as connection:

            def insert(row: Row) -> None:
                connection.execute("INSERT INTO messages VALUES (?)", row)

            yield insert

    def rows(self, database: str) -> Sequence[object]:
        """Return every row of the table."""
        with self._connected(database) as connection:
            return connection.execute("SELECT msg FROM messages").fetchall()

    @contextmanager
    def _connected(self, database: str) -> Iterator[apsw.Connection]:
        with closing(apsw.Connection(database)) as connection:
            for practice in self.practices:
                practice(connection)
            yield connection


def wait_for_a_minute(connection: apsw.Connection) -> None:
    """Have SQLite wait for a lock."""
    connection.set_busy_timeout(60_000)


# Those of a connection. The one that is left out sends SQLite's log to Python's, for the whole process.
_RECOMMENDED = tuple(
    practice for practice in apsw.bestpractice.recommended if practice.__name__.startswith("connection_")
)
# ``PRAGMA optimize`` analyses a table of which it knows nothing yet, or which has grown. Having read, it does not wait
# for the write lock: it fails at once, whatever the busy timeout. An empty table stays one of which nothing is known.
_NO_OPTIMIZE = tuple(practice for practice in _RECOMMENDED if practice is not apsw.bestpractice.connection_optimize)

as_it_comes = Apsw()
with_timeout = Apsw((wait_for_a_minute,))
as_advised = Apsw(_RECOMMENDED)
no_optimize = Apsw(_NO_OPTIMIZE)
no_optimize_with_timeout = Apsw((*_NO_OPTIMIZE, wait_for_a_minute))
in_turn = InTurn(f"{__name__}:as_it_comes")
