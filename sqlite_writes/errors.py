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

# For who hands on only the number (https://sqlite.org/rescode.html).
_NAME_BY_CODE = {
    5: "SQLITE_BUSY",
    261: "SQLITE_BUSY_RECOVERY",
    517: "SQLITE_BUSY_SNAPSHOT",
    6: "SQLITE_LOCKED",
    8: "SQLITE_READONLY",
    10: "SQLITE_IOERR",
    11: "SQLITE_CORRUPT",
    13: "SQLITE_FULL",
    14: "SQLITE_CANTOPEN",
    15: "SQLITE_PROTOCOL",
    19: "SQLITE_CONSTRAINT",
    26: "SQLITE_NOTADB",
}


def error_name(error: BaseException) -> str:
    """SQLite's name for the error (``SQLITE_BUSY``, ``SQLITE_BUSY_SNAPSHOT``, …), else the exception's class.

    A library's own exception is looked through for SQLite's behind it: what it was raised from, and what it carries as
    ``orig``. Before Python 3.11 only the message is there, so an extended code shows as its primary one.
    """
    chain: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and behind not in chain:
        chain.append(behind)
        name = _name_of(behind)
        if name is not None:
            return name
        behind = getattr(behind, "orig", None) or behind.__cause__ or behind.__context__
    return type(error).__name__


def _name_of(error: BaseException) -> str | None:
    """SQLite's name for this very exception; None if it is not SQLite's."""
    name = getattr(error, "sqlite_errorname", None)
    if isinstance(name, str):
        return name
    code = getattr(error, "extendedresult", None)  # of apsw
    if isinstance(code, int):
        return _NAME_BY_CODE.get(code) or _NAME_BY_CODE.get(code & 0xFF, "SQLITE_ERROR")
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError):
        message = str(error)
        return next((name for text, name in _NAME_BY_MESSAGE.items() if text in message), "SQLITE_ERROR")
    return None


def with_path(error: sqlite3.DatabaseError, path: str) -> sqlite3.DatabaseError:
    """The same error, its message led by the path, with SQLite's name kept where Python has it."""
    named = type(error)(f"database {path!r}: {error}")
    named.__dict__.update(error.__dict__)
    return named
