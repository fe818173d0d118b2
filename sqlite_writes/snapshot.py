"""What a burst finds and what it leaves: the rows, and whether the file is still the same one, and whole.

Knows no burst and no report; says in words what somebody has done to the file meanwhile.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .calls import call_in_fresh_process, rows_of
from .driver import path_of, sqlite3
from .writers.ours import Ours
from .writers.writer import Writer, WriterError

if TYPE_CHECKING:
    from .driver import Database
    from .table import Row

# Bytes up to which a database is always looked through, some milliseconds; a larger one only if rows are wrong.
_SMALL = 16 << 20


@dataclass(frozen=True)
class Snapshot:
    """The rows that are there at one moment.

    file: the device and number of the database file; None if there is none by that path.
    remarks: what has become of the file since the snapshot before, a sentence each.
    """

    rows: list[Row]
    file: tuple[int, int] | None = None
    remarks: list[str] = field(default_factory=list)

    def is_of(self, file: tuple[int, int] | None) -> bool:
        """Whether it is of that file, as far as it is of one."""
        return self.file in (None, file)


def take_snapshot(writer: Writer, database: Database, start_method: str = "forkserver") -> Snapshot:
    """Read every row, and note which file it is; raises what ``rows_of`` raises."""
    return Snapshot(rows_of(writer, database, start_method), file_of(database))


def take_snapshot_after(
    before: Snapshot, file: tuple[int, int] | None, writer: Writer, database: Database, start_method: str = "forkserver"
) -> Snapshot:
    """Read every row once more; ``file``: which file was there when the burst was over, by ``file_of``.

    A file that is gone, or another one that has no such table, has none of the rows, and ``remarks`` say why. One that
    is the same and cannot be read is an error that says so: nobody knows which rows are there.
    """
    path = path_of(database)
    if before.is_of(file):
        try:
            return Snapshot(rows_of(writer, path, start_method), file)
        except (sqlite3.DatabaseError, WriterError, FileNotFoundError) as error:
            error.args = (f"after the burst its rows cannot be read back: {error}",)
            raise
    remarks = [f"the database {path!r} was deleted, or replaced by another file, while the burst ran"]
    try:
        rows = rows_of(writer, path, start_method) if file else []
    except (sqlite3.DatabaseError, WriterError, OSError) as error:
        rows, remarks = [], [*remarks, f"what is there now has no such rows: {error}"]
    return Snapshot(rows, file, remarks)


def check_whole(writer: Writer, database: Database, is_suspect: bool) -> None:
    """Raise ``sqlite3.DatabaseError`` if SQLite finds the file damaged: then no row in it is to be trusted.

    A small file of a writer of ours is always looked through, any other one if it ``is_suspect``: if rows are wrong.
    One of a writer that is not ours is read in a process of its own.
    """
    path, is_ours = path_of(database), isinstance(writer, Ours)
    if not os.path.isfile(path) or not (is_suspect or (is_ours and os.path.getsize(path) <= _SMALL)):
        return
    try:
        found = find_damage(path) if is_ours else call_in_fresh_process("", find_damage, path)
    except sqlite3.OperationalError:  # locked by somebody
        return
    except WriterError as error:
        found = f"{error}"
    if found:
        raise sqlite3.DatabaseError(f"after the burst SQLite finds the database {path!r} damaged: {found}")


def find_damage(path: str) -> str:
    """Return the first thing that ``PRAGMA integrity_check`` finds; empty if all is well, or it is no database.

    The file is read by SQLite alone: to open and close it here would drop the locks that this process holds on it
    (https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    with closing(sqlite3.connect(path)) as connection:
        try:
            ((found,),) = connection.execute("PRAGMA integrity_check(1)")
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):
                return ""
            raise
    return "" if found == "ok" else " ".join(str(found).split())


def file_of(database: Database) -> tuple[int, int] | None:
    """Return the device and number of the database file; None if there is none."""
    try:
        found = os.stat(path_of(database))
    except OSError:
        return None
    return found.st_dev, found.st_ino
