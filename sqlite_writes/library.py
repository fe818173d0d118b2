"""The linked SQLite: its version, what it was built with, what it lacks, and its known bugs. Knows no table."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from typing import NamedTuple

from .driver import sqlite3
from .settings import Settings, resolve_settings

# Name, what it does, the first version with it, the first without it, the backports without it, and where it is told.
_BUGS = (
    (
        "WAL-reset bug",
        "in WAL mode a checkpoint that meets a commit of another connection can lose rows",
        (3, 7, 0),
        (3, 51, 3),
        ((3, 44, 6), (3, 50, 7)),
        "https://sqlite.org/wal.html#walresetbug",
    ),
)


def library_version() -> tuple[str, str]:
    """The version of the linked SQLite and its source id (date and hash of its check-in)."""
    with closing(sqlite3.connect(":memory:")) as connection:
        (source_id,) = connection.execute("SELECT sqlite_source_id()").fetchone()
    return sqlite3.sqlite_version, source_id


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


@cache
def built_in_synchronous(journal_mode: str) -> str:
    """What the linked SQLite uses when nobody asks: FULL, unless it was built otherwise (Apple's is, for WAL)."""
    with closing(sqlite3.connect(":memory:")) as connection:
        options = dict(option.partition("=")[::2] for (option,) in connection.execute("PRAGMA compile_options"))
    level = options.get("DEFAULT_SYNCHRONOUS", "2")
    if journal_mode == "wal":
        level = options.get("DEFAULT_WAL_SYNCHRONOUS", level)
    return {"0": "off", "1": "normal", "2": "full"}.get(level, "extra")


class KnownBug(NamedTuple):
    """A bug of SQLite: its name, what it does, and where SQLite tells of it."""

    name: str
    effect: str
    link: str


def known_bugs(version: str) -> list[str]:
    """Return one line for each bug that SQLite of this version (such as ``"3.40.1"``) has by its number."""
    return [f"{bug.name} (affected by its version number): {bug.effect}; {bug.link}" for bug in bugs_of(version)]


def bugs_of(version: str) -> list[KnownBug]:
    """Return each bug that SQLite of this version (such as ``"3.40.1"``) has by its number."""
    number = tuple(map(int, version.split(".")[:3]))
    found = []
    for name, effect, since, until, backports, link in _BUGS:
        is_mended = any(number[:2] == mended[:2] and number >= mended for mended in backports)
        if since <= number < until and not is_mended:
            found.append(KnownBug(name, effect, link))
    return found
