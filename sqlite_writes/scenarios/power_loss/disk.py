"""What recorded calls leave on a disk that keeps what was synced, and may do anything to the rest.

Knows files and folders; knows no SQLite and no processes.

The rule for a write that no sync covers is that of SQLite's own simulator of crashes, ``src/test6.c``: it is there, or
it is not, or its sectors hold garbage. Here a part of its sectors may be there as well. What is damaged ends where the
write ends, as SQLite itself takes for granted (https://sqlite.org/psow.html). For SQLite's simulator a file's name is
there or gone at once; a real file system may undo that until the folder is synced.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

SECTORS = (512, 4096)

# The share of the unsynced writes that is kept, drawn for each state: SQLite's own is 3/8. Of the others as many as its
# rule has are dropped, and the rest is damaged.
KEPT = (3 / 8, 3 / 8, 0.0, 0.9, 1.0)
DROPPED = 0.6


@dataclass(eq=False)
class Change:
    """A write to a file, or with no data its truncation; ``done`` when the system call has ended."""

    start: int
    data: bytes | None
    done: bool = False

    def apply(self, content: bytearray) -> None:
        """Do it."""
        if self.data is None:
            del content[self.start :]
        else:
            _put(content, self.start, self.data)

    def apply_damaged(self, content: bytearray, chance: random.Random) -> None:
        """Do a part of a write, by sectors, or put garbage into a part."""
        if self.data is None:
            return
        size = chance.choice(SECTORS)
        edges = [0, *range(size - self.start % size, len(self.data), size), len(self.data)]
        parts = list(itertools.pairwise(edges))
        first, end = sorted(chance.choices(range(len(parts) + 1), k=2))
        how = chance.choice(("beginning", "some", "garbage", "garbage"))
        if how == "beginning":
            parts = parts[:end]
        elif how == "some":
            parts = [part for part in parts if chance.random() < 0.5]
        else:
            parts = parts[first:end] or parts
        for begin, after in parts:
            found = chance.randbytes(after - begin) if how == "garbage" else self.data[begin:after]
            _put(content, self.start + begin, found)


def _put(content: bytearray, start: int, data: bytes) -> None:
    content.extend(bytes(max(start + len(data) - len(content), 0)))
    content[start : start + len(data)] = data


@dataclass(eq=False)
class StoredFile:
    """What is sure to be in a file, and what was done to it since, in order."""

    sure: bytearray = field(default_factory=bytearray)
    changes: list[Change] = field(default_factory=list)

    def sync(self, covered: list[Change]) -> None:
        """Make sure of the changes that a sync covers."""
        for change in covered:
            if change in self.changes:  # not synced by another meanwhile
                change.apply(self.sure)
        self.forget(covered)

    def forget(self, covered: list[Change]) -> None:
        """What a failed sync leaves: they are in memory, no later sync writes them, and nobody knows what is there."""
        self.changes = [change for change in self.changes if change not in covered]

    def after_power_loss(self, chance: random.Random, kept: float) -> bytes:
        """One of the contents that may be found."""
        content = bytearray(self.sure)
        for change in self.changes:
            if chance.random() < kept:
                change.apply(content)
            elif chance.random() >= DROPPED:
                change.apply_damaged(content, chance)
        return bytes(content)


@dataclass(eq=False)
class Renaming:
    """Files that get a name, and names that are no more, in one step."""

    names: Mapping[str, StoredFile | None]

    def apply(self, names: dict[str, StoredFile]) -> None:
        """Do it."""
        for name, file in self.names.items():
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file


class Disk:
    """Files by their names: as processes see them, and as they are sure to be found."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.files = {path: StoredFile(bytearray(content)) for path, content in contents.items()}
        self._sure = dict(self.files)
        self._renamings: list[Renaming] = []

    def rename(self, names: Mapping[str, StoredFile | None]) -> None:
        """Give files names, or take names away."""
        renaming = Renaming(names)
        renaming.apply(self.files)
        self._renamings.append(renaming)

    def unsure_names(self, folder: str) -> list[Renaming]:
        """What a sync of the folder that begins now would cover."""
        return [renaming for renaming in self._renamings if os.path.dirname(next(iter(renaming.names))) == folder]

    def sync_names(self, covered: list[Renaming]) -> None:
        """Make sure of the names that a sync covers."""
        for renaming in covered:
            if renaming in self._renamings:
                renaming.apply(self._sure)
        self._renamings = [renaming for renaming in self._renamings if renaming not in covered]

    def after_power_loss(self, chance: random.Random, *, names_are_sure: bool) -> dict[str, bytes]:
        """One of the states that may be found; of unsure names, those up to some moment are there."""
        names = self.files
        if not names_are_sure:
            names = dict(self._sure)
            for renaming in self._renamings[: chance.randint(0, len(self._renamings))]:
                renaming.apply(names)
        kept = chance.choice((*KEPT, chance.random()))
        return {path: file.after_power_loss(chance, kept) for path, file in names.items()}
