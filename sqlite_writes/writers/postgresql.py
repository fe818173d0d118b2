"""PostgreSQL through psycopg 3: what the step from SQLite to a server brings, at the same durability.

Knows SQL, and which server is meant; knows no processes, and starts no server (experiments/postgres.py does). The
environment variable ``SQLITE_WRITES_POSTGRES`` names the server, by a connection string or URL of libpq.

PostgreSQL's text has no NUL: psycopg raises ``DataError`` for such a row. Each path that a burst was given has a table
of its own on the server; it stays there until the same path is used again.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from sqlite_writes.table import Row

    from .writer import Insert

SERVER = "SQLITE_WRITES_POSTGRES"

# An acknowledged row survives a power loss, as with SQLite's WAL and synchronous=FULL, if none of these is off
# (https://www.postgresql.org/docs/current/runtime-config-wal.html). Every other value of synchronous_commit waits for
# the sync of the server's own log. Without full_page_writes, a page that a power loss has torn cannot be mended.
_MUST_NOT_BE_OFF = ("fsync", "synchronous_commit", "full_page_writes")

# A column for each kind of value, because PostgreSQL would change one that is put into the column of another.
_COLUMNS: dict[type, str] = {str: "msg", int: "whole_number", float: "fraction", bytes: "blob", type(None): "msg"}
_CREATE_TABLE = """CREATE TABLE {} (
    ts timestamptz DEFAULT now(), msg text, whole_number bigint, fraction double precision, blob bytea
)"""


@dataclass(frozen=True)
class Postgresql:
    """A row is a committed transaction of its own, over psycopg's connection as it comes."""

    def create(self, database: str) -> None:
        """Make the table of this path anew.

        Raises ``NotImplementedError`` if no server is named, psycopg is not installed, or the server may lose an
        acknowledged row; psycopg's own error, in one line, if the server cannot be reached or refuses.
        """
        table = _table(database)
        with _told_in_one_line(), closing(_connect()) as connection, connection.transaction():
            _check_durability(connection)
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(_CREATE_TABLE.format(table))

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one connection open; ``insert`` returns when the server has committed."""
        table = _table(database)
        with closing(_connect()) as connection:
            yield lambda row: _insert(connection, table, row)

    def rows(self, database: str) -> Iterator[Row]:
        """Give each row of this path's table."""
        with _told_in_one_line(), closing(_connect()) as connection:
            for values in connection.execute(
                f"SELECT msg, whole_number, fraction, blob FROM {_table(database)}"  # noqa: S608 the name is ours
            ):
                yield (next((value for value in values if value is not None), None),)

    def warm_up(self) -> None:
        """Commit a row to a table that vanishes with its transaction, and close the connection.

        Does nothing without a server. Where it fails, the first insert fails too, and tells why.
        """
        with suppress(NotImplementedError):
            psycopg = _psycopg()
            with suppress(psycopg.Error), closing(_connect()) as connection, connection.transaction():
                connection.execute("CREATE TEMPORARY TABLE warm (msg text) ON COMMIT DROP")
                _insert(connection, "warm", ("warm",))


def _psycopg() -> Any:
    """Import psycopg; ``NotImplementedError`` where it cannot be imported, or no server is named."""
    if not os.environ.get(SERVER):
        raise NotImplementedError(f"no server: set {SERVER} to a connection string such as 'host=/run/postgresql'")
    try:
        import psycopg
    except ImportError as error:  # of psycopg itself, or of libpq
        raise NotImplementedError(
            f"no PostgreSQL without psycopg ({str(error).splitlines()[0]}): pip install 'psycopg[binary]'"
        ) from error
    return psycopg


def _connect() -> psycopg.Connection[tuple[Any, ...]]:
    connection: psycopg.Connection[tuple[Any, ...]] = _psycopg().connect(
        os.environ[SERVER],
        client_encoding="utf8",  # else the server's, which may not have every character
    )
    return connection


def _insert(connection: psycopg.Connection[tuple[Any, ...]], table: str, row: Row) -> None:
    (value,) = row
    column = _COLUMNS.get(type(value))
    if column is None:
        raise TypeError(f"a row holds a string, a number, bytes or None, not {type(value).__name__}")
    with connection.transaction():
        connection.execute(f"INSERT INTO {table} ({column}) VALUES (%s)", (value,))  # noqa: S608 the names are ours


def _check_durability(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    for setting in _MUST_NOT_BE_OFF:
        if connection.execute(f"SHOW {setting}").fetchone() == ("off",):
            raise NotImplementedError(f"{SERVER}: {setting} is off, so a power loss may take acknowledged rows")


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    """Put what psycopg raises into one line that names the variable."""
    psycopg = _psycopg()
    try:
        yield
    except psycopg.Error as error:
        raise type(error)(f"{SERVER}: {' '.join(str(error).split())}") from None


def _table(database: str) -> str:
    """Return the name of the table for this path on this machine, of 46 characters; PostgreSQL allows 63."""
    place = f"{os.uname().nodename}:{os.path.realpath(database)}"
    return f"sqlite_writes_{hashlib.sha256(os.fsencode(place)).hexdigest()[:32]}"


as_it_comes = Postgresql()
