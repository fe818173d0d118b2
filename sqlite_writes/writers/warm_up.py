"""Do once all that a first insert does, so that a later one finds everything loaded. Knows no processes."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from sqlite_writes.driver import sqlite3
from sqlite_writes.folders import MEMORY, PREFIX
from sqlite_writes.line import write_turn
from sqlite_writes.settings import Settings, resolve_settings
from sqlite_writes.table import create_table

from .ours import insert_row


def warm_up(settings: str | Settings = "default") -> None:
    """Do once all that a first ``insert_row`` does, so that a later one finds everything loaded.

    In a new database, in a folder in memory where there is one with room. With a line, also what an insert does that
    waits in vain.
    """
    import tempfile  # large, and only this needs it

    settings = resolve_settings(settings)
    if os.access(MEMORY, os.W_OK | os.X_OK):
        with suppress(OSError, sqlite3.Error), tempfile.TemporaryDirectory(dir=MEMORY, prefix=PREFIX) as folder:
            _insert_in_each_way(folder, settings)
            return
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        _insert_in_each_way(folder, settings)


def _insert_in_each_way(folder: str, settings: Settings) -> None:
    database = os.path.realpath(folder) + "/warm.db"
    create_table(database, settings)
    insert_row(database, ("warm",), settings)
    if settings.line:
        with write_turn(database), suppress(sqlite3.OperationalError):
            insert_row(database, ("in vain",), replace(settings, busy_timeout=0.001))
        insert_row(database, ("warm again",), settings)
