"""Django's ORM, without a project: one model, one database, no app. Knows no processes.

As it comes: a database with no options. Django lets SQLite commit each statement unless ``atomic()`` begins a
transaction, which is a deferred one. The busy timeout is that of the standard ``sqlite3``, 5 s.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.utils import ConnectionHandler

from .in_turn import InTurn
from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert

# Not Django's default one: in a process that has a project, that is the project's.
ALIAS = "sqlite_writes"


@cache
def _message() -> Any:
    """Return the model. It can be made once Django is set up, which a project may have done already."""
    if not settings.configured:
        settings.configure()
        django.setup()

    from django.db import models

    class Message(models.Model):
        msg = models.TextField()

        class Meta:
            app_label = ALIAS
            db_table = "messages"

    return Message


@dataclass(frozen=True)
class Django(WarmsUp):
    """``objects.create()``; where it reads first, both in one ``atomic()``. ``options``: the database's ``OPTIONS``."""

    reads_first: bool = False
    options: Mapping[str, object] = field(default_factory=dict)

    def create(self, database: str) -> None:
        """Drop the table if it is there, and make it."""
        message = _message()
        with self._connected(database) as connection, connection.schema_editor() as editor:
            if message._meta.db_table in connection.introspection.table_names():
                editor.delete_model(message)
            editor.create_model(message)

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one connection, which Django makes when it is first used."""
        objects = _message().objects.using(ALIAS)

        def insert(row: Row) -> None:
            objects.create(msg=row[0])

        def read_and_insert(row: Row) -> None:
            with transaction.atomic(using=ALIAS):
                objects.exists()
                objects.create(msg=row[0])

        with self._connected(database):
            yield read_and_insert if self.reads_first else insert

    def rows(self, database: str) -> Sequence[str]:
        """Return every message."""
        with self._connected(database):
            return list(_message().objects.using(ALIAS).values_list("msg", flat=True))

    @contextmanager
    def _connected(self, database: str) -> Iterator[Any]:
        """Give a connection of our own, and close it afterwards; one at a time in a process."""
        ours = {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": dict(self.options)}
        connection = ConnectionHandler({DEFAULT_DB_ALIAS: {}, ALIAS: ours})[ALIAS]
        connections[ALIAS] = connection
        try:
            yield connection
        finally:
            connection.close()
            del connections[ALIAS]


as_it_comes = Django()
with_timeout = Django(options={"timeout": 60})
reading = Django(reads_first=True)
immediate = Django(reads_first=True, options={"transaction_mode": "IMMEDIATE"})
# What its page says of "Database is locked": a longer timeout, and a transaction that can wait for it.
as_advised = Django(reads_first=True, options={"transaction_mode": "IMMEDIATE", "timeout": 20})
in_turn = InTurn(f"{__name__}:reading")
