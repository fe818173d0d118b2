"""Reading before writing, in one transaction: what a deferred one cannot wait for. Knows no processes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from sqlite_writes.settings import Settings, resolve_settings
from sqlite_writes.table import INSERT_ROW, Row
from sqlite_writes.writers.ours import connect

if TYPE_CHECKING:
    from sqlite_writes.driver import Database


def read_then_insert_row(database: Database, row: Row, settings: str | Settings = "default") -> None:
    """Read the table and then insert the row, in one transaction: begun ``DEFERRED`` where the settings are implicit.

    A deferred transaction that has read cannot wait for the write lock: in WAL mode it fails at once with
    ``SQLITE_BUSY_SNAPSHOT`` if another has committed since, in delete mode with ``SQLITE_BUSY`` if another is about to.
    """
    settings = resolve_settings(settings)
    with closing(connect(database, settings)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE" if settings.transaction == "immediate" else "BEGIN DEFERRED")
        connection.execute("SELECT max(rowid) FROM messages").fetchone()
        connection.execute(INSERT_ROW, row)
