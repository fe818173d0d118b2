"""Our writers: how a row gets in, by settings. A function for each way; knows SQL, and no processes.

Not here: the table (table.py), the line (line.py), and what becomes of many writers at once (burst.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlite_writes.driver import Database, path_of, sqlite3
from sqlite_writes.errors import error_name, with_path
from sqlite_writes.library import built_in_synchronous, check_library
from sqlite_writes.line import WriteLine, real_path, synced
from sqlite_writes.settings import Settings, resolve_settings
from sqlite_writes.table import INSERT_ROW, READ_SCHEMA, Row, check_folder, create_table, limit_wait, read_rows

from .writer import InsertTrace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

# Insert one row, and say when each part was done.
TracedInsert = Callable[[Row], InsertTrace]


@dataclass(frozen=True)
class Ours:
    """The writer that writes as the settings say."""

    settings: Settings

    def create(self, database: Database) -> None:
        """What ``create_table`` does."""
        create_table(database, self.settings)

    def open(self, database: Database) -> AbstractContextManager[TracedInsert]:
        """What ``open_writer`` does."""
        return open_writer(database, self.settings)

    def rows(self, database: Database) -> list[Row]:
        """What ``read_rows`` does."""
        return read_rows(database)

    def __str__(self) -> str:
        settings = self.settings
        return (
            f"{settings.journal_mode}, {settings.synchronous}, {settings.busy_timeout:g} s timeout, "
            f"{settings.transaction}"
            + (f", again after {1000 * settings.retry:g} ms" if settings.retry else "")
            + (", in line" if settings.line else "")
            + (", synced after it" if settings.sync_after else "")
        )


def connect(database: Database, settings: str | Settings = "default") -> sqlite3.Connection:
    """A new connection that writes as the settings say; the caller closes it.

    The journal mode is a property of the file and is not touched here. ``PRAGMA synchronous`` is sent only where the
    built-in value differs, because it reads the schema and so takes a lock that plain ``sqlite3.connect`` does not.
    """
    settings = resolve_settings(settings)
    connection: sqlite3.Connection = sqlite3.connect(
        path_of(database),
        timeout=settings.retry or settings.busy_timeout,
        isolation_level="DEFERRED" if settings.transaction == "implicit" else None,
    )
    try:
        if settings.synchronous != built_in_synchronous(settings.journal_mode):
            connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
    except BaseException:
        connection.close()
        raise
    return connection


def insert_row(database: Database, row: Row, settings: str | Settings = "default") -> None:
    """Insert one row over a connection of its own, commit, and close the connection, whatever happens.

    Closing is not a nicety: from Python 3.11 on ``with sqlite3.connect(…)`` alone leaves the file open until the
    garbage collector comes by. Raises what ``sqlite3`` raises, for which ``error_name`` gives SQLite's name, and
    ``NotImplementedError`` if the linked SQLite lacks what the settings need.
    """
    trace_insert(database, row, settings)


def trace_insert(database: Database, row: Row, settings: str | Settings = "default") -> InsertTrace:
    """Do what ``insert_row`` does, and say when each part was done."""
    called = time.monotonic()
    with open_writer(database, settings) as insert:
        trace = insert(row)
    return trace._replace(called=called, closed=time.monotonic())


@contextmanager
def open_writer(database: Database, settings: str | Settings = "default") -> Iterator[TracedInsert]:
    """A connection that is kept open, and the function that inserts a row over it, as the settings say.

    Each call is a transaction of its own, and returns when the row is acknowledged. What it raises leaves no
    transaction open.
    """
    settings = resolve_settings(settings)
    with closing(connect(database, settings)) as connection:
        insert = _insert(connection, settings)
        if settings.line:
            if settings.synchronous == built_in_synchronous(settings.journal_mode):  # else it has been read already
                connection.execute(READ_SCHEMA)  # before the wait, not in the turn
            with WriteLine(database) as line:
                turn = partial(line.turn, sync=settings.sync_after)
                yield partial(_insert_in_turn, connection, settings.busy_timeout, turn, insert)
        elif settings.sync_after:
            yield partial(_insert_and_sync, database, insert)
        else:
            yield insert


def _insert(connection: sqlite3.Connection, settings: Settings) -> TracedInsert:
    """Return the way in which the settings have a transaction begun and repeated."""
    if settings.transaction == "implicit":
        return partial(_insert_implicitly, connection)
    if settings.transaction == "concurrent":
        return partial(_insert_concurrently, connection, settings.busy_timeout)
    if settings.retry:
        return partial(_insert_trying_again, connection, settings.busy_timeout)
    return partial(_insert_explicitly, connection, "BEGIN IMMEDIATE", connection.execute)


def _insert_implicitly(connection: sqlite3.Connection, row: Row) -> InsertTrace:
    """The INSERT takes the write lock, in a transaction that the module begins."""
    called = time.monotonic()
    with connection:  # rolls back what an error leaves
        locked = _write(connection.execute, row)
    return _trace(called, locked)


def _insert_explicitly(
    connection: sqlite3.Connection, begin: str, execute: Callable[..., object], row: Row
) -> InsertTrace:
    """BEGIN takes the write lock."""
    called = time.monotonic()
    with connection:  # rolls back what an error leaves
        execute(begin)
        locked = time.monotonic()
        _write(execute, row)
    return _trace(called, locked)


def _insert_trying_again(connection: sqlite3.Connection, timeout: float, row: Row) -> InsertTrace:
    """Each statement is tried until the timeout; before each new try SQLite has slept once."""
    deadline = time.monotonic() + timeout

    def execute(sql: str, parameters: Row | tuple[()] = ()) -> None:
        while True:
            try:
                connection.execute(sql, parameters)
                return
            except sqlite3.OperationalError as error:
                if time.monotonic() >= deadline or not error_name(error).startswith("SQLITE_BUSY"):
                    raise

    return _insert_explicitly(connection, "BEGIN IMMEDIATE", execute, row)


def _insert_concurrently(connection: sqlite3.Connection, timeout: float, row: Row) -> InsertTrace:
    """COMMIT takes the write lock; where another commit has changed the same pages, all begins anew."""
    called = time.monotonic()
    retries = 0
    while True:
        try:
            trace = _insert_explicitly(connection, "BEGIN CONCURRENT", connection.execute, row)
        except sqlite3.Error as error:
            if time.monotonic() - called >= timeout or not error_name(error).startswith("SQLITE_BUSY"):
                check_library("concurrent")
                raise
            retries += 1
        else:
            return trace._replace(called=called, opened=called, retries=retries)


def _insert_in_turn(
    connection: sqlite3.Connection,
    timeout: float,
    turn: Callable[[float], AbstractContextManager[None]],
    insert: TracedInsert,
    row: Row,
) -> InsertTrace:
    """The wait in line, and SQLite's own within the turn, last no longer than the timeout together."""
    called = time.monotonic()
    with turn(timeout):
        has_waited = time.monotonic() - called > timeout / 100
        if has_waited:  # SQLite's own wait begins anew with each statement
            limit_wait(connection, called + timeout)
        try:
            trace = insert(row)
        finally:
            if has_waited:  # the next row may wait for as long as ever
                limit_wait(connection, time.monotonic() + timeout)
    return _trace(called, trace.locked)


def _insert_and_sync(database: Database, insert: TracedInsert, row: Row) -> InsertTrace:
    with synced(database):
        trace = insert(row)
    return _trace(trace.called, trace.locked, trace.retries)


def _write(execute: Callable[..., object], row: Row) -> float:
    """Insert and commit, and return the moment between the two."""
    execute(INSERT_ROW, row)
    inserted = time.monotonic()
    execute("COMMIT")
    return inserted


def _trace(called: float, locked: float, retries: int = 0) -> InsertTrace:
    done = time.monotonic()
    return InsertTrace(called, called, locked, done, done, retries)


def insert_rows(
    database: Database, settings: str | Settings, rows: Sequence[Row], *, keep_open: bool = False
) -> list[InsertTrace]:
    """Insert the rows one after another, each as ``insert_row`` does, or over one connection that is kept open."""
    if not keep_open:
        return [trace_insert(database, row, settings) for row in rows]
    with open_writer(database, settings) as insert:
        return [insert(row) for row in rows]


def check_database(database: Database, settings: str | Settings = "default") -> None:
    """Raise one clear error unless the table is there and the file's journal mode is the one of the settings.

    ``NotImplementedError`` if the linked SQLite or the file system lacks what the settings need, ``OSError`` for the
    folder, ``FileNotFoundError`` for the file, ``sqlite3.DatabaseError`` for a file that is no database or has no table
    ``messages``, ``ValueError`` for a file in another journal mode.
    """
    check_folder(database)
    path = path_of(database)
    if not Path(path).exists():
        raise FileNotFoundError(f"database {path!r} does not exist: make it with create_table")
    if not os.access(path, os.W_OK):
        raise PermissionError(f"database {path!r} cannot be written")
    settings = resolve_settings(settings)
    check_library(settings)
    if settings.line or settings.sync_after:
        real_path(database)
    wanted = settings.journal_mode
    with closing(sqlite3.connect(path)) as connection:
        try:
            (journal_mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            tables = connection.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name='messages'").fetchall()
        except sqlite3.DatabaseError as error:
            raise with_path(error, path) from None
    if not tables:
        raise sqlite3.OperationalError(f"database {path!r} has no table messages: make it with create_table")
    if journal_mode != wanted:
        raise ValueError(
            f"database {path!r} is in journal mode {journal_mode}, the settings want {wanted}: "
            "give create_table the same settings"
        )
