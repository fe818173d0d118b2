"""Peewee: a model that is bound to a database. Knows no processes.

As it comes: ``SqliteDatabase(path)``. Peewee lets SQLite commit each statement by itself, and waits 5 s for a lock.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peewee import Model, SqliteDatabase, TextField

from .in_turn import InTurn
from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


class _Message(Model):
    msg = TextField()

    class Meta:
        table_name = "messages"


@dataclass(frozen=True)
class Peewee(WarmsUp):
    """``Message.create()``. ``options``: what ``SqliteDatabase`` takes beside the path."""

    options: Mapping[str, Any] = field(default_factory=dict)

    def create(self, database: str) -> None:
        """Drop the table if it is there, and make it."""
        with self._connected(database) as connected:
            connected.drop_tables([_Message])
            connected.create_tables([_Message])

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one connection open."""

        def insert(row: Row) -> None:
            _Message.create(msg=row[0])

        with self._connected(database):
            yield insert

    def rows(self, database: str) -> Sequence[str]:
        """Return every message."""
        with self._connected(database):
            return [message.msg for message in _Message.select()]

    @contextmanager
    def _connected(self, database: str) -> Iterator[Any]:
        """Give a database that is connected, and to which the model is bound; one at a time in a process."""
        connected = SqliteDatabase(database, **self.options)
        with connected.bind_ctx([_Message]), connected.connection_context():
            yield connected


as_it_comes = Peewee()
with_timeout = Peewee({"timeout": 60})
as_advised = Peewee({"pragmas": {"journal_mode": "wal", "cache_size": -64000, "foreign_keys": 1}})
in_turn = InTurn(f"{__name__}:as_it_comes")
