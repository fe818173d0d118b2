"""Writers that die by their rows, or of which each part does something odd, for test_properties.

Knows no test and no library, so that the many fresh processes that import it start quickly.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlite_writes import Settings, create_table, open_writer
from sqlite_writes.table import read_rows

from .bad_writers import Good
from .workers import misbehave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_writes.table import Row


class DiesByItsRow:
    """Writes as settings say, unless its row says how it is to die before."""

    def __init__(self, chosen: Settings) -> None:
        self.settings = chosen

    def create(self, database: str) -> None:
        """Make the table."""
        create_table(database, self.settings)

    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], object]]:
        """As the settings do."""
        with open_writer(database, self.settings) as insert:

            def insert_or_die(row: Row) -> None:
                misbehave(str(row[0]).partition(" ")[2])
                insert(row)

            yield insert_or_die

    def rows(self, database: str) -> list[Row]:
        """Read them, without those of the examination, which does not die."""
        return [row for row in read_rows(database) if "examination" not in str(row[0])]


class Odd:
    """A writer of which each part does something odd, by its name."""

    def __init__(self, create: str, opening: str, inserting: str, reading: str) -> None:
        self.ways = create, opening, inserting, reading

    def create(self, database: str) -> None:
        """Make the table, or not."""
        act_oddly(self.ways[0])
        Good().create(database)

    def open(self, database: str) -> Any:
        """Give something to enter, or not."""
        if self.ways[1] == "gives nothing":
            return None
        if self.ways[1] == "gives a list":
            return nullcontext([])
        act_oddly(self.ways[1])
        return self._open(database)

    @contextmanager
    def _open(self, database: str) -> Iterator[Callable[[Row], object]]:
        with Good().open(database) as insert:

            def insert_oddly(row: Row) -> object:
                act_oddly(self.ways[2])
                insert(row)
                return lambda: None

            yield insert_oddly

    def rows(self, database: str) -> Any:
        """Give rows, or something else."""
        act_oddly(self.ways[3])
        found = Good().rows(database)
        return {
            "gives nothing": None,
            "gives a list": [[], {}],
            "gives lines": [(value, value) for (value,) in found],
            "gives objects": (object(),),
        }.get(self.ways[3], iter(found))


class Strange(BaseException):
    """Neither an Exception nor easily pickled."""

    def __init__(self, one: object, other: object) -> None:
        super().__init__(one)
        self.other = lambda: other

    def __str__(self) -> str:
        return "two\nlines \ud800"


def act_oddly(way: str) -> None:
    """Do what is said, if it is something to do."""
    if way == "raises":
        raise Strange(1, 2)
    if way == "recurses":
        act_oddly(way)
    if way == "raises a class":
        raise KeyError
    if way == "changes the folder":
        os.chdir("/")
    if way == "closes all files":
        os.closerange(0, 3)
    misbehave(way)
