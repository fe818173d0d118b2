"""The example's table: create it, make rows for it, and find them again.

Knows SQL and the file; knows neither how a writer writes nor processes.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from .driver import Database, sqlite3
from .errors import with_path
from .settings import Settings, resolve_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[str]

CREATE_TABLE = "CREATE TABLE messages (ts DATE DEFAULT (datetime('now','localtime')), msg TEXT)"
READ_SCHEMA = "SELECT 1 FROM messages LIMIT 0"
INSERT_ROW = "INSERT INTO messages (msg) VALUES (?)"

# A statement may have 999 parameters before SQLite 3.32 (https://sqlite.org/limits.html#max_variable_number).
_ROWS_PER_QUERY = 900


def create_table(database: Database, settings: str | Settings = "default") -> None:
    """Drop ``messages`` if it is there, create it empty, and set the file's journal mode, once for all workers.

    Raises ``sqlite3.OperationalError`` if SQLite did not take the journal mode over (it answers with the old mode and
    no error), and a clear ``OSError``, ``ValueError`` or ``sqlite3.DatabaseError`` if the path will not do.
    """
    settings = resolve_settings(settings)
    check_folder(database)
    path = os.fspath(database)
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
    path = os.fspath(database)
    if not isinstance(path, str) or path in ("", ":memory:"):
        raise ValueError(f"database {path!r} is not the path of a file that processes can share")
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
    if not os.path.exists(database):
        raise FileNotFoundError(f"database {os.fspath(database)!r} does not exist: make it with create_table")
    with closing(sqlite3.connect(os.fspath(database))) as connection:
        (count,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    return int(count)


def count_copies(database: Database, rows: Sequence[Row]) -> list[int]:
    """Return how many times each of the rows is in ``messages``, in the order of ``rows``."""
    counts: dict[str, int] = {}
    with closing(sqlite3.connect(os.fspath(database))) as connection:
        for first in range(0, len(rows), _ROWS_PER_QUERY):
            messages = [message for (message,) in rows[first : first + _ROWS_PER_QUERY]]
            marks = ",".join("?" * len(messages))
            counts.update(
                connection.execute(
                    f"SELECT msg, count(*) FROM messages WHERE msg IN ({marks}) GROUP BY msg",  # noqa: S608 only marks
                    messages,
                )
            )
    return [counts.get(message, 0) for (message,) in rows]


def generate_example_rows(count: int) -> list[Row]:
    """``count`` rows, each a one-element tuple of a UUID4 string, so that every row can be told apart."""
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"count {count!r} is not a whole number of 0 or more")
    return [(str(uuid.uuid4()),) for _ in range(count)]
