"""The example's table: connect, create it, insert one row, count rows, and name SQLite's errors.

Knows SQL; knows nothing of processes, bursts or reports.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NamedTuple

from .driver import Database, sqlite3
from .line import WriteLine, real_path, synced, write_turn
from .settings import Settings, resolve_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

Row = tuple[str]

CREATE_TABLE = "CREATE TABLE messages (ts DATE DEFAULT (datetime('now','localtime')), msg TEXT)"
READ_SCHEMA = "SELECT 1 FROM messages LIMIT 0"
INSERT_ROW = "INSERT INTO messages (msg) VALUES (?)"

# A statement may have 999 parameters before SQLite 3.32 (https://sqlite.org/limits.html#max_variable_number).
_ROWS_PER_QUERY = 900

# CPython before 3.11 hands on only the message. These are SQLite's own, from sqlite3ErrStr() in its main.c.
_NAME_BY_MESSAGE = {
    "database is locked": "SQLITE_BUSY",
    "database table is locked": "SQLITE_LOCKED",
    "attempt to write a readonly database": "SQLITE_READONLY",
    "disk I/O error": "SQLITE_IOERR",
    "database disk image is malformed": "SQLITE_CORRUPT",
    "database or disk is full": "SQLITE_FULL",
    "unable to open database file": "SQLITE_CANTOPEN",
    "locking protocol": "SQLITE_PROTOCOL",
    "file is not a database": "SQLITE_NOTADB",
    "constraint failed": "SQLITE_CONSTRAINT",
}


@cache
def _built_in_synchronous(journal_mode: str) -> str:
    """What the linked SQLite uses when nobody asks: FULL, unless it was built otherwise (Apple's is, for WAL)."""
    with closing(sqlite3.connect(":memory:")) as connection:
        options = dict(option.partition("=")[::2] for (option,) in connection.execute("PRAGMA compile_options"))
    level = options.get("DEFAULT_SYNCHRONOUS", "2")
    if journal_mode == "wal":
        level = options.get("DEFAULT_WAL_SYNCHRONOUS", level)
    return {"0": "off", "1": "normal", "2": "full"}.get(level, "extra")


def connect(database: Database, settings: str | Settings = "default") -> sqlite3.Connection:
    """A new connection that writes as the settings say; the caller closes it.

    The journal mode is a property of the file and is not touched here. ``PRAGMA synchronous`` is sent only where the
    built-in value differs, because it reads the schema and so takes a lock that plain ``sqlite3.connect`` does not.
    """
    settings = resolve_settings(settings)
    connection: sqlite3.Connection = sqlite3.connect(
        os.fspath(database),
        timeout=settings.retry or settings.busy_timeout,
        isolation_level="DEFERRED" if settings.transaction == "implicit" else None,
    )
    try:
        if settings.synchronous != _built_in_synchronous(settings.journal_mode):
            connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
    except BaseException:
        connection.close()
        raise
    return connection


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


def check_database(database: Database, settings: str | Settings = "default") -> None:
    """Raise one clear error unless the table is there and the file's journal mode is the one of the settings.

    ``NotImplementedError`` if the linked SQLite or the file system lacks what the settings need, ``OSError`` for the
    folder, ``FileNotFoundError`` for the file, ``sqlite3.DatabaseError`` for a file that is no database or has no table
    ``messages``, ``ValueError`` for a file in another journal mode.
    """
    check_folder(database)
    path = os.fspath(database)
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
            raise _with_path(error, path) from None
    if not tables:
        raise sqlite3.OperationalError(f"database {path!r} has no table messages: make it with create_table")
    if journal_mode != wanted:
        raise ValueError(
            f"database {path!r} is in journal mode {journal_mode}, the settings want {wanted}: "
            "give create_table the same settings"
        )


def create_table(database: Database, settings: str | Settings = "default") -> None:
    """Drop ``messages`` if it is there, create it empty, and set the file's journal mode, once for all workers.

    Raises ``sqlite3.OperationalError`` if SQLite did not take the journal mode over (it answers with the old mode and
    no error), and a clear ``OSError``, ``ValueError`` or ``sqlite3.DatabaseError`` if the path will not do.
    """
    settings = resolve_settings(settings)
    check_folder(database)
    path = os.fspath(database)
    with closing(connect(path, settings)) as connection:
        try:
            _limit_wait(connection, time.monotonic() + settings.busy_timeout)
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
            raise _with_path(error, path) from None


class InsertTrace(NamedTuple):
    """One insert's moments on ``time.monotonic``, and how often it began anew (``concurrent`` only, else 0).

    called to opened: the connection is made; nothing where it was kept open.
    opened to locked: the wait in line, and for the write lock, with the statement that takes it (BEGIN, or with
        ``implicit`` the INSERT, which also reads the schema); with ``concurrent``, which takes it only to commit, the
        attempts that met a conflict.
    locked to committed: write and sync, wherever the sync is done.
    committed to closed: the connection is closed, which in WAL mode checkpoints if no other is open.
    """

    called: float
    opened: float
    locked: float
    committed: float
    closed: float
    retries: int


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
def open_writer(database: Database, settings: str | Settings = "default") -> Iterator[Callable[[Row], InsertTrace]]:
    """A connection that is kept open, and the function that inserts a row over it, as the settings say.

    Each call is a transaction of its own, and returns when the row is acknowledged. What it raises leaves no
    transaction open.
    """
    settings = resolve_settings(settings)
    with closing(connect(database, settings)) as connection:
        if settings.line:
            if settings.synchronous == _built_in_synchronous(settings.journal_mode):  # else it has been read already
                connection.execute(READ_SCHEMA)  # before the wait, not in the turn
            with WriteLine(database) as line:
                yield partial(_insert_in_turn, connection, settings, partial(line.turn, sync=settings.sync_after))
        elif settings.sync_after:
            yield partial(_insert_in_turn, connection, settings, lambda _: synced(database))
        else:
            yield partial(_insert_alone, connection, settings)


def _insert_in_turn(
    connection: sqlite3.Connection,
    settings: Settings,
    turn: Callable[[float], AbstractContextManager[None]],
    row: Row,
) -> InsertTrace:
    called = time.monotonic()
    timeout = settings.busy_timeout
    with turn(timeout):
        has_waited = time.monotonic() - called > timeout / 100
        if has_waited:  # SQLite's own wait begins anew with each statement
            _limit_wait(connection, called + timeout)
        try:
            trace = _insert_alone(connection, settings, row)
        finally:
            if has_waited:  # the next row may wait for as long as ever
                _limit_wait(connection, time.monotonic() + timeout)
    done = time.monotonic()
    return trace._replace(called=called, opened=called, committed=done, closed=done)


def _insert_alone(connection: sqlite3.Connection, settings: Settings, row: Row) -> InsertTrace:
    called = time.monotonic()
    retries = 0
    execute: Callable[..., object] = connection.execute
    if settings.retry:
        execute = partial(_execute_again, connection, called + settings.busy_timeout)
    while True:
        try:
            if settings.transaction != "implicit":
                execute(f"BEGIN {settings.transaction}")
                locked = time.monotonic()
            execute(INSERT_ROW, row)
            if settings.transaction == "implicit":
                locked = time.monotonic()
            execute("COMMIT")
            break
        except BaseException as error:
            if connection.in_transaction:
                connection.rollback()
            if not isinstance(error, sqlite3.Error):
                raise
            late = time.monotonic() - called >= settings.busy_timeout
            if late or settings.transaction != "concurrent" or not error_name(error).startswith("SQLITE_BUSY"):
                check_library(settings)
                raise
            retries += 1
    done = time.monotonic()
    return InsertTrace(called, called, locked, done, done, retries)


def _execute_again(connection: sqlite3.Connection, deadline: float, sql: str, row: Row | tuple[()] = ()) -> None:
    """Execute the statement, and again while the database is locked; before each time SQLite has slept once."""
    while True:
        try:
            connection.execute(sql, row)
            return
        except sqlite3.OperationalError as error:
            if time.monotonic() >= deadline or not error_name(error).startswith("SQLITE_BUSY"):
                raise


def _limit_wait(connection: sqlite3.Connection, deadline: float) -> None:
    """Have SQLite wait for other writers until the deadline, and not longer."""
    connection.execute(f"PRAGMA busy_timeout = {max(int(1000 * (deadline - time.monotonic())), 0)}")


def insert_rows(
    database: Database, settings: str | Settings, rows: Sequence[Row], *, keep_open: bool = False
) -> list[InsertTrace]:
    """Insert the rows one after another, each as ``insert_row`` does, or over one connection that is kept open."""
    if not keep_open:
        return [trace_insert(database, row, settings) for row in rows]
    with open_writer(database, settings) as insert:
        return [insert(row) for row in rows]


def read_then_insert_row(database: Database, row: Row, settings: str | Settings = "default") -> None:
    """Read the table and then insert the row, in one transaction: begun ``DEFERRED`` where the settings are implicit.

    A deferred transaction that has read cannot wait for the write lock: in WAL mode it fails at once with
    ``SQLITE_BUSY_SNAPSHOT`` if another has committed since, in delete mode with ``SQLITE_BUSY`` if another is about to.
    """
    settings = resolve_settings(settings)
    with closing(connect(database, settings)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE" if settings.transaction == "immediate" else "BEGIN DEFERRED")
        connection.execute("SELECT max(rowid) FROM messages").fetchone()
        connection.execute(INSERT_ROW, row)


def check_library(settings: str | Settings) -> None:
    """Raise ``NotImplementedError``, in one line, if the linked SQLite cannot write as the settings say."""
    if resolve_settings(settings).transaction != "concurrent":
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN CONCURRENT")
        except sqlite3.OperationalError:
            raise NotImplementedError(
                f"SQLite {sqlite3.sqlite_version} does not know BEGIN CONCURRENT; its begin-concurrent branch does"
            ) from None


def library_version() -> tuple[str, str]:
    """The version of the linked SQLite and its source id (date and hash of its check-in)."""
    with closing(sqlite3.connect(":memory:")) as connection:
        (source_id,) = connection.execute("SELECT sqlite_source_id()").fetchone()
    return sqlite3.sqlite_version, source_id


def warm_up(settings: str | Settings = "default") -> None:
    """Do once all that a first ``insert_row`` does, so that a later one finds everything loaded.

    In a new database, in a folder in memory where there is one with room. With a line, also what an insert does that
    waits in vain.
    """
    import tempfile  # large, and only this needs it

    settings = resolve_settings(settings)
    memory = "/dev/shm"  # noqa: S108
    if os.access(memory, os.W_OK | os.X_OK):
        with suppress(OSError, sqlite3.Error), tempfile.TemporaryDirectory(dir=memory) as folder:
            _insert_in_each_way(folder, settings)
            return
    with tempfile.TemporaryDirectory() as folder:
        _insert_in_each_way(folder, settings)


def _insert_in_each_way(folder: str, settings: Settings) -> None:
    database = os.path.realpath(folder) + "/warm.db"
    create_table(database, settings)
    insert_row(database, ("warm",), settings)
    if settings.line:
        with write_turn(database), suppress(sqlite3.OperationalError):
            insert_row(database, ("in vain",), replace(settings, busy_timeout=0.001))
        insert_row(database, ("warm again",), settings)


def row_count(database: Database) -> int:
    """The number of rows in ``messages``; ``FileNotFoundError`` if there is no such file (SQLite would create it)."""
    if not os.path.exists(database):
        raise FileNotFoundError(f"database {os.fspath(database)!r} does not exist: make it with create_table")
    with closing(sqlite3.connect(os.fspath(database))) as connection:
        (count,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    return int(count)


def count_rows(database: Database, rows: Sequence[Row]) -> list[int]:
    """How many times each of the rows is in ``messages``, in the order of ``rows``."""
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


def error_name(error: BaseException) -> str:
    """SQLite's name for the error (``SQLITE_BUSY``, ``SQLITE_BUSY_SNAPSHOT``, …), else the exception's class.

    Before Python 3.11 only the message is there, so an extended code shows as its primary one.
    """
    name = getattr(error, "sqlite_errorname", None)
    if isinstance(name, str):
        return name
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError):
        message = str(error)
        return next((name for text, name in _NAME_BY_MESSAGE.items() if text in message), "SQLITE_ERROR")
    return type(error).__name__


def _with_path(error: sqlite3.DatabaseError, path: str) -> sqlite3.DatabaseError:
    """The same error, its message led by the path, with SQLite's name kept where Python has it."""
    named = type(error)(f"database {path!r}: {error}")
    named.__dict__.update(error.__dict__)
    return named
