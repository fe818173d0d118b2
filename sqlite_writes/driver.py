"""The DB-API module that the whole package uses: ``sqlite3``, or the one that ``SQLITE_WRITES_DRIVER`` names.

``pysqlite3`` brings a newer SQLite of its own. One process must not open a file through two libraries: each would drop
the other's locks (https://sqlite.org/howtocorrupt.html, section 2.2.1), so nothing here imports ``sqlite3`` otherwise.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    sqlite3 = import_module(os.environ.get("SQLITE_WRITES_DRIVER") or "sqlite3")

# What it takes for a database's path, and for a value.
Database = str | os.PathLike[str]
Value = None | int | float | str | bytes


def path_of(database: Database) -> str:
    """Return the path as a string; ``ValueError`` in one line for what no other process could open by it.

    Whether ``file:…`` is a URI or a file of that name depends on the library and on how its SQLite was built
    (https://sqlite.org/uri.html): two writers could mean two files by it. An empty path is for writers that know their
    database themselves.
    """
    path = os.fspath(database)
    if not isinstance(path, str):
        raise ValueError(f"database {path!r} is not the path of a file, as a string or a path object")
    if path[:5] == "file:":
        raise ValueError(f"database {path!r} is a URI: give the path of the file (of one so named: './{path}')")
    if path == ":memory:":
        raise ValueError(f"database {path!r} is in memory, where no other process can write to it")
    if "\0" in path:
        raise ValueError(f"database {path!r} has a NUL in it, which no path has")
    return path


__all__ = ["Database", "Value", "path_of", "sqlite3"]
