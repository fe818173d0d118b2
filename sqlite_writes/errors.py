"""SQLite's names for errors, also where Python hands on only the message. Knows no table and no settings."""

from __future__ import annotations

from .driver import sqlite3

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


def with_path(error: sqlite3.DatabaseError, path: str) -> sqlite3.DatabaseError:
    """The same error, its message led by the path, with SQLite's name kept where Python has it."""
    named = type(error)(f"database {path!r}: {error}")
    named.__dict__.update(error.__dict__)
    return named
