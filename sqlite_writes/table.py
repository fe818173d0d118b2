"""The example's table: create it, make rows for it, and find them again.

Knows SQL and the file; knows neither how a writer writes nor processes.
"""

from __future__ import annotations

import math
import os
import time
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .driver import Database, Value, path_of, sqlite3
from .errors import with_path
from .settings import Settings, resolve_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[Value]

# No type for msg: a number would come back from a TEXT column as text (https://sqlite.org/datatype3.html#affinity).
CREATE_TABLE = "CREATE TABLE messages (ts DATE DEFAULT (datetime('now','localtime')), msg)"
READ_SCHEMA = "SELECT 1 FROM messages LIMIT 0"
INSERT_ROW = "INSERT INTO messages (msg) VALUES (?)"

# The sizes of the long values: SQLite keeps both in overflow pages; a log of 1,000 pages holds four of the second.
_LONG = (64 * 1024, 1024 * 1024)


def create_table(database: Database, settings: str | Settings = "default") -> None:
    """Drop ``messages`` if it is there, create it empty, and set the file's journal mode, once for all workers.

    Raises ``sqlite3.OperationalError`` if SQLite did not take the journal mode over (it answers with the old mode and
    no error), and a clear ``OSError``, ``ValueError`` or ``sqlite3.DatabaseError`` if the path will not do.
    """
    settings = resolve_settings(settings)
    check_folder(database)
    path = path_of(database)
    with closing(sqlite3.connect(path, timeout=settings.busy_timeout)) as connection:
        try:
            limit_wait(connection, time.monotonic() + settings.busy_timeout)
            # Now, not when the workers open the file: a change to WAL does not wait for other connections.
            (journal_mode,) = connection.execute(f"PRAGMA journal_mode = {settings.journal_mode}").fetchone()
            if journal_mode != settings.journal_mode:
                raise sqlite3.OperationalError(
                    f"journal mode is {journal_mode}, SQLite did not change it to {settings.journal_mode}"
                )
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DROP TABLE IF EXISTS messages")
                connection.execute(CREATE_TABLE)
        except sqlite3.DatabaseError as error:
            raise with_path(error, path) from None


def limit_wait(connection: sqlite3.Connection, deadline: float) -> None:
    """Have SQLite wait for other writers until the deadline, and not longer."""
    connection.execute(f"PRAGMA busy_timeout = {max(int(1000 * (deadline - time.monotonic())), 0)}")


def check_folder(database: Database) -> None:
    """Raise one clear ``OSError`` or ``ValueError`` if no database file can live at that path.

    SQLite says ``unable to open database file`` for all of these. The file itself is never opened here: closing it
    would drop every lock that this process holds on it (https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    path = path_of(database)
    if not path:
        raise ValueError("database '' is not the path of a file")
    folder = Path(path).absolute().parent
    if Path(path).is_dir():
        raise IsADirectoryError(f"database {path!r} is a directory, not a file")
    if not folder.is_dir():
        raise FileNotFoundError(f"database {path!r}: the folder {str(folder)!r} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            f"database {path!r}: the folder {str(folder)!r} cannot be written, and SQLite keeps its journal there"
        )


def row_count(database: Database) -> int:
    """The number of rows in ``messages``; ``FileNotFoundError`` if there is no such file (SQLite would create it)."""
    ((count,),) = _read(database, "SELECT count(*) FROM messages")
    return int(count)


def read_rows(database: Database) -> list[Row]:
    """Return every row that is in ``messages``; raises as ``row_count`` does."""
    return _read(database, "SELECT msg FROM messages")


def _read(database: Database, query: str) -> list[Any]:
    """Return what the query gives, and never make the file; an error of SQLite's names it."""
    path = path_of(database)
    if not os.path.exists(path):
        raise FileNotFoundError(f"database {path!r} does not exist: make it with create_table")
    with closing(sqlite3.connect(path)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.DatabaseError as error:
            raise with_path(error, path) from None


def count_copies(database: Database, rows: Sequence[Row]) -> list[int]:
    """Return how many times each of the rows is in ``messages``, in the order of ``rows``."""
    copies = Counter(read_rows(database))
    return [copies[row] for row in rows]


def generate_example_rows(count: int) -> list[tuple[str]]:
    """``count`` rows, each a one-element tuple of a UUID4 string, so that every row can be told apart."""
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"count {count!r} is not a whole number of 0 or more")
    return [(str(uuid.uuid4()),) for _ in range(count)]


def generate_rows_of_every_kind(*kinds: str) -> list[Row]:
    """Rows whose values are easily changed on their way: one of each value of the kinds, all of them unless given.

    ``"text"``: empty, 64 KiB, 1 MiB, every plane of Unicode, NUL, quotes, line ends, blanks at both ends, one letter in
    two forms. ``"number"``: the ends of SQLite's integers and floats. ``"bytes"``: every byte, 1 MiB. ``"none"``: None.
    """
    values: dict[str, list[Value]] = {
        "text": [
            "",
            *(_unique() + "x" * (size - 36) for size in _LONG),
            # A character from each plane that has any.
            *(_unique() + chr((plane << 16) + 0x1F6) for plane in (0, 1, 2, 3, 14, 15, 16)),
            *(
                _unique() + ending
                for ending in ("\0after NUL", "'; DROP TABLE messages; --", "\r\n\t", "  ", "%s ? :a")
            ),
            *("  " + _unique() + letter for letter in ("\u00e9", "e\u0301")),
            _unique() + "\ud7ff\ufffd\uffff",
            "123456789012345678901234567890",
            "1e5",
        ],
        "number": [
            0,
            1,
            -1,
            2**31,
            2**53 + 1,
            2**63 - 1,
            -(2**63),
            0.1,
            5e-324,
            1.7976931348623157e308,
            -1.5,
            math.inf,
        ],
        "bytes": [b"", bytes(range(256)), b"\xff\xfe" + _unique().encode(), _unique().encode() + bytes(_LONG[1])],
        "none": [None],
    }
    for kind in kinds:
        if kind not in values:
            raise ValueError(f"kind {kind!r} is not one of {', '.join(values)}")
    return [(value,) for kind in kinds or values for value in values[kind]]


def _unique() -> str:
    return str(uuid.uuid4())
