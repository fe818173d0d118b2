"""What became of rows that many processes wrote: their own notes of each, held against the table. Knows no fault.

Each process notes in a file before it writes a row, and when it knows what became of it. A note is one ``O_APPEND``
write, so a process that is killed leaves whole lines.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlite_writes.table import Row

# Characters of the longest row.
_LONGEST = 3000


@dataclass(frozen=True)
class Counts:
    """How many rows were so; ``corrupt`` and ``left`` count databases that are damaged, and things left behind.

    attempted: a process set out to write it. failed: an error was raised. unknown: its process was killed meanwhile.
    recovered: failed or unknown, and there all the same. altered: there, and nobody wrote it so.
    """

    attempted: int = 0
    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    recovered: int = 0
    lost: int = 0
    duplicated: int = 0
    altered: int = 0
    corrupt: int = 0
    left: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def broken(self) -> int:
        """How much is there that must never be."""
        return self.lost + self.duplicated + self.altered + self.corrupt + self.left


def value_of(name: str) -> str:
    """Return the row's value for its name: up to 3,000 characters that follow from the name, so that a change shows."""
    number = zlib.crc32(name.encode())
    return f"{name} " + f"{number:08x}" * (number % (_LONGEST // 8))


class Notes:
    """Where processes note what they do: ``+name`` before, ``=name`` when acknowledged, ``!name why`` when failed."""

    def __init__(self, path: str) -> None:
        self.path = path

    def write_rows(self, insert: Callable[[Row], object], names: Iterable[str]) -> None:
        """Insert a row for each name, and note it; an error ends nothing."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for name in names:
                os.write(descriptor, f"+{name}\n".encode())
                try:
                    insert((value_of(name),))
                except Exception as error:
                    os.write(descriptor, f"!{name} {type(error).__name__}: {error}".replace("\n", " ").encode() + b"\n")
                else:
                    os.write(descriptor, f"={name}\n".encode())
        finally:
            os.close(descriptor)

    def check(self, rows: Iterable[Row], database: str) -> tuple[Counts, Counter[str]]:
        """Hold them against the rows that are there; and why rows failed."""
        noted: dict[str, set[str]] = {"+": set(), "=": set(), "!": set()}
        reasons: Counter[str] = Counter()
        with suppress(FileNotFoundError):
            for line in Path(self.path).read_text().splitlines():
                name, _, why = line[1:].partition(" ")
                noted[line[0]].add(name)
                if line[0] == "!":
                    reasons[why.replace(database, "DATABASE")[:100]] += 1
        there = Counter(str(value) for (value,) in rows)
        wanted = {value_of(name): name for name in noted["+"]}
        names = {wanted[value] for value in there if value in wanted}
        acknowledged = noted["="]
        return Counts(
            attempted=len(noted["+"]),
            acknowledged=len(acknowledged),
            failed=len(noted["!"]),
            unknown=len(noted["+"] - acknowledged - noted["!"]),
            recovered=len(names - acknowledged),
            lost=len(acknowledged - names),
            duplicated=sum(count > 1 for count in there.values()),
            altered=sum(value not in wanted for value in there),
            corrupt=int(not is_whole(database)),
        ), reasons


def is_whole(database: str) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(database, timeout=60)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    return False
