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

__all__ = ["Database", "Value", "sqlite3"]
