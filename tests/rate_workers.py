"""What the crews of test_rate run: writers that wait for nobody, and who takes all of a ledger.

Knows no test, so that the fresh processes that import it start quickly.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlite_writes.rate.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_writes.table import Row

# So many that two who do not wait for each other take the same one.
TAKEN = 5000


@dataclass(frozen=True)
class Sleeps:
    """A writer that waits for nobody: each insert sleeps, and adds a line to a file."""

    seconds: float

    def create(self, database: str) -> None:
        """Make an empty file."""
        Path(database).write_bytes(b"")

    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], None]]:
        """Count how often it is opened, and give the function that inserts."""
        self._append(f"{database}-opened", "once\n")
        yield lambda row: self._insert(database, row)

    def _insert(self, database: str, row: Row) -> None:
        time.sleep(self.seconds)
        self._append(database, f"{row[0]!s}\n")

    def _append(self, path: str, line: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    def rows(self, database: str) -> list[str]:
        """Read every line, and keep how often it was opened."""
        with suppress(FileNotFoundError):
            Path(database).parent.with_name("opened").write_bytes(Path(f"{database}-opened").read_bytes())
        return Path(database).read_text().split()


slow = Sleeps(0.02)


class OpenOnce(Sleeps):
    """Can be open only once in a process, and fails on every row that begins with a digit."""

    are_open = 0

    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], None]]:
        """Give the function that inserts."""
        if OpenOnce.are_open:
            raise RuntimeError("it is open already")
        OpenOnce.are_open += 1
        yield partial(self._fail_now_and_then, database)
        OpenOnce.are_open -= 1

    def _fail_now_and_then(self, database: str, row: Row) -> None:
        if str(row[0])[0].isdigit():
            raise LookupError("a digit")
        self._insert(database, row)


def take_all(path: str, worker: int) -> list[int]:
    """Take what is left, and note each as done."""
    ledger = Ledger(path, TAKEN)
    taken = []
    while (index := ledger.take(worker)) is not None:
        ledger.note_beginning(index)
        ledger.note_end(index, time.monotonic(), "SQLITE_BUSY" if index == 42 else "", "Ä" * 1000)
        taken.append(index)
    ledger.close()
    return taken
