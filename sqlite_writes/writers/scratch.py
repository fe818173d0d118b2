"""A writer's warm-up: all that it does, done once in a scratch database. Knows no library, no SQL and no processes."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlite_writes.folders import MEMORY, PREFIX

if TYPE_CHECKING:
    from .writer import Writer


class WarmsUp:
    """For writers to inherit from: the warm-up."""

    def warm_up(self: Writer) -> None:
        """Create, open, insert, close and read once; leave nothing open that a fork could carry along."""
        write_in_scratch(self)


def write_in_scratch(writer: Writer) -> None:
    """Create, open, insert, close and read once, in a folder in memory where there is one with room."""
    import tempfile  # large, and only this needs it

    if os.access(MEMORY, os.W_OK | os.X_OK):
        with suppress(Exception), tempfile.TemporaryDirectory(dir=MEMORY, prefix=PREFIX) as folder:
            _write_once(writer, f"{folder}/warm")
            return
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        _write_once(writer, f"{folder}/warm")


def _write_once(writer: Writer, database: str) -> None:
    writer.create(database)
    with writer.open(database) as insert:
        insert(("warm",))
    for _ in writer.rows(database):
        pass
