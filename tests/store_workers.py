"""What the workers of test_other_stores.py do; a fresh process imports it from here."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_writes.table import Row
    from sqlite_writes.writers.writer import Writer


def insert_all(writer: Writer, database: str, rows: list[Row]) -> None:
    """Each second row over a connection of its own, the others over one that is kept open."""
    for row in rows[::2]:
        with writer.open(database) as insert:
            insert(row)
    with writer.open(database) as insert:
        for row in rows[1::2]:
            insert(row)


def insert_or_die_in_a_transaction(writer: Writer, database: str, row: Row | None) -> None:
    """Insert the row; without one, be killed while LMDB lets nobody else write."""
    if row is not None:
        insert_all(writer, database, [row])
        return
    import lmdb

    environment = lmdb.open(database, subdir=False)
    with environment.begin(write=True) as transaction:
        transaction.put(b"killed", b"killed")
        os.kill(os.getpid(), signal.SIGKILL)
