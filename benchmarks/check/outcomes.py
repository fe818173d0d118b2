"""What became of rows: who acknowledged them, and what is in the table. Knows no processes."""

from __future__ import annotations

import importlib
import os
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Sample = dict[str, Any]


def driver() -> Any:
    """Return the module through which this commit reaches SQLite: one file must not be opened through two libraries."""
    try:
        return importlib.import_module("sqlite_writes.driver").sqlite3
    except ImportError:
        return importlib.import_module("sqlite3")


def copies_in(database: str) -> dict[str, int]:
    """Return how often each message is in the table."""
    with closing(driver().connect(database)) as connection:
        return dict(connection.execute("SELECT msg, count(*) FROM messages GROUP BY msg"))


def counts(rows: Sequence[tuple[str]], returned: Sequence[bool], copies: dict[str, int]) -> Sample:
    """Return what became of the rows, by who returned and what is in the table.

    An altered row is one that is not there as it was written, while another is that begins as it does.
    """
    written = {message for (message,) in rows}
    strangers = {str(message)[:8] for message in copies if message not in written}
    found = [copies.get(message, 0) for (message,) in rows]
    missing = [message[:8] for (message,), ok, count in zip(rows, returned, found) if ok and not count]
    altered = sum(beginning in strangers for beginning in missing)
    return {
        "attempted": len(rows),
        "failed": returned.count(False),
        "lost": len(missing) - altered,
        "altered": altered,
        "recovered": sum(bool(count) and not ok for ok, count in zip(returned, found)),
        "duplicated": sum(count > 1 for count in found),
    }


def end_of(text: str) -> str:
    """Return the last lines, without the folder of the sample's database, which has another name each time."""
    folder = rf"{re.escape(os.environ['SQLITE_WRITES_FOLDER'])}/[^/]+/"
    return "\n".join(re.sub(folder, "", text).rstrip().splitlines()[-8:])
