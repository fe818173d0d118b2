"""The DB-API module that the whole package uses: ``sqlite3``, or the one that ``SQLITE_WRITES_DRIVER`` names.

``pysqlite3`` brings a newer SQLite of its own. One process must not open a file through two libraries: each would drop
the other's locks (https://sqlite.org/howtocorrupt.html, section 2.2.1), so nothing here imports ``sqlite3`` otherwise.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
else:
    sqlite3 = import_module(os.environ.get("SQLITE_WRITES_DRIVER") or "sqlite3")

# What it takes for a database's path, for a value, and for the parameters of a statement.
Database = Union[str, "os.PathLike[str]"]
Value = Union[None, int, float, str, bytes]
Parameters = Union["Sequence[Value]", "Mapping[str, Value]"]

__all__ = ["Database", "Parameters", "Value", "sqlite3"]
