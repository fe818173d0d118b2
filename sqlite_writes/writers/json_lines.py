"""No database at all: a file of JSON lines, where each row is one ``O_APPEND`` write and one ``fdatasync``.

Knows files; knows no SQL and no processes. On a local disk only: NFS does not append in one step (man 2 open).

The kernel writes each row in one step behind the last one, so rows of many writers do not mix. A write can still end
early: the disk is full, a limit is reached, the writer is killed, the power fails. Three rules keep that harmless:

- Each row begins with the line break, so that it never continues a torn line.
- Each row is a JSON array, and no beginning of one is valid JSON, so that a torn row is never read as another.
- Whoever wrote only a part gets an error, and does not write the rest: another row may stand in between by now.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .row_files import decode_row, encode_row, sync_folder
from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_writes.table import Row

    from .writer import Insert

# The size of the file changes with each row, and fdatasync syncs that too. macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)

_START = b"\n["


@dataclass(frozen=True)
class JsonLines(WarmsUp):
    """A row is acknowledged when its line is synced."""

    def create(self, database: str) -> None:
        """Make the file, or empty it; ``ValueError`` for a file that holds something else."""
        descriptor = os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not _START.startswith(os.read(descriptor, len(_START))):
                raise ValueError(f"{database!r} is not a file of such JSON lines, and is left as it is")
            os.ftruncate(descriptor, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(database)

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep the file open; ``insert`` raises ``OSError`` for a row that was not written whole, or not synced."""
        descriptor = os.open(database, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

        def insert(row: Row) -> None:
            line = b"\n" + encode_row(row)
            written = os.write(descriptor, line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes were written: the disk is full, or a limit reached")
            _sync(descriptor)

        try:
            yield insert
        finally:
            os.close(descriptor)

    def rows(self, database: str) -> Iterator[Row]:
        """Give each row that was written whole; skip torn lines."""
        with open(database, "rb") as lines:
            for line in lines:
                try:
                    row = decode_row(line)
                except ValueError:
                    continue
                yield row


as_it_comes = JsonLines()
