"""huey: a queue of tasks, each with the row as its argument, pickled. Knows no processes, and runs no task.

As it comes: ``SqliteHuey(filename=…)``. It sets WAL mode itself, enqueues in a transaction that is exclusive from its
beginning, and waits 5 s for a lock. Opening has such a transaction, too.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from huey import SqliteHuey

from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


class Huey(WarmsUp):
    """A call of a task, which enqueues it; nobody takes it out."""

    def create(self, database: str) -> None:
        """Make the queue, and empty it."""
        with _opened(database) as (huey, _):
            huey.flush()

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one connection open."""
        with _opened(database) as (_, task):

            def insert(row: Row) -> None:
                task(row[0])

            yield insert

    def rows(self, database: str) -> Sequence[object]:
        """Return the argument of every task."""
        with _opened(database) as (huey, _):
            return [task.args[0] for task in huey.pending()]


@contextmanager
def _opened(database: str) -> Iterator[tuple[Any, Any]]:
    """Give huey and its one task, and close the connection afterwards."""
    huey = SqliteHuey(filename=database)

    @huey.task()
    def receive(message: object) -> None:
        """Do nothing: no consumer runs it."""

    try:
        yield huey, receive
    finally:
        huey.storage.close()


as_it_comes = Huey()
