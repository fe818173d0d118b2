"""What the writers of files that are not SQLite's share: a row as bytes, and a file's name made durable.

Knows no store, and no processes.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlite_writes.table import Row


def encode_row(row: Row) -> bytes:
    """Return the row as a JSON array in ASCII, without a line break; ``TypeError`` for a value that JSON would alter.

    No beginning of it is valid JSON, so a torn one is never taken for another row.
    """
    value: Any
    (value,) = row
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = {"base64": b64encode(value).decode()}
    elif value is not None and not isinstance(value, (str, int, float)):
        raise TypeError(f"a row holds a string, a number, bytes or None, not {type(value).__name__}")
    return json.dumps([value]).encode()


def decode_row(encoded: bytes) -> Row:
    """Return the row that ``encode_row`` was given; ``ValueError`` for bytes that are not one."""
    row = json.loads(encoded.decode("ascii"))
    if not isinstance(row, list) or len(row) != 1:
        raise ValueError(f"{encoded!r} is not a row")
    value: Any = row[0]
    return (b64decode(value["base64"]) if isinstance(value, dict) else value,)


def sync_folder(path: str) -> None:
    """Sync the folder of the file, without which a power loss may take a new file's name (man 2 fsync)."""
    folder = os.open(Path(path).absolute().parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
