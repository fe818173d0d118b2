"""LMDB, a key-value store in one file, through the ``lmdb`` package, with its default of syncing every transaction.

Knows no SQL and no processes. LMDB lets one writer in at a time, by a mutex in the lock file beside the database, and
waits for it without a timeout. A commit writes its pages, calls ``fdatasync``, and then writes the page that makes them
count through a descriptor with ``O_DSYNC`` (``me_mfd`` in LMDB's mdb.c): two syncs a row, as strace shows.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lmdb

from .row_files import decode_row, encode_row, sync_folder
from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_writes.table import Row

    from .writer import Insert

# Bytes of address space, which is also the largest size of the file. LMDB's default of 10 MiB holds nine rows of 1 MiB,
# and this some 16,000. It costs nothing on a 64-bit machine: the file grows with what is written. A row that does not
# fit is an ``lmdb.MapFullError``.
MAP_SIZE = 1 << 34 if sys.maxsize > 1 << 32 else 1 << 30

# Opening the file takes a slot of 64 bytes for a moment, as reading does; a process killed just then leaves it taken. A
# thousand that open at one moment might find none free of LMDB's default of 126 (``lmdb.ReadersFullError``).
MAX_READERS = 2048


@dataclass(frozen=True)
class Lmdb(WarmsUp):
    """A row is a write transaction of its own; its key is the number of rows before it."""

    def create(self, database: str) -> None:
        """Make the file and its lock file anew; ``lmdb.InvalidError`` for a file that is not LMDB's."""
        if os.path.exists(database) and os.path.getsize(database):
            lmdb.open(database, subdir=False, readonly=True, lock=False).close()
        for path in (database, f"{database}-lock"):
            with suppress(FileNotFoundError):
                os.unlink(path)
        _open(database).close()
        sync_folder(database)  # LMDB syncs the file with each commit, and never the folder

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep the environment open; LMDB forbids to open it twice in one process, or to use it after a fork."""
        with closing(_open(database)) as environment:

            def insert(row: Row) -> None:
                value = encode_row(row)  # before the only writer's turn
                with environment.begin(write=True) as transaction:
                    key = transaction.stat()["entries"].to_bytes(8, "big")
                    transaction.put(key, value, append=True)

            yield insert

    def rows(self, database: str) -> Iterator[Row]:
        """Give each row, in the order in which they were committed."""
        with closing(_open(database, readonly=True)) as environment, environment.begin() as transaction:
            for value in transaction.cursor().iternext(keys=False):
                yield decode_row(bytes(value))


def _open(database: str, *, readonly: bool = False) -> lmdb.Environment:
    return lmdb.open(database, subdir=False, map_size=MAP_SIZE, max_readers=MAX_READERS, readonly=readonly)


as_it_comes = Lmdb()
