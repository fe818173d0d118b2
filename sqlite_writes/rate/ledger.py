"""The book that a crew shares: who takes which insert, and when it began and ended. Knows no writers and no SQL.

It is a file in memory, mapped by every process, and not messages: so what was done is known when a process is killed
or hangs, and when Ctrl-C ends the run.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import time
from array import array
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlite_writes.folders import MEMORY, fresh_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = 2  # numbers: how many inserts are taken, and when the run began
_FIELDS = 4  # numbers of each insert, as in Entry
_REASON = 256  # bytes of each insert: why it failed, in a name and in words, as UTF-8
_SEPARATOR = "\x1f"


class Entry(NamedTuple):
    """One insert in the book; moments on ``time.monotonic``, 0 for what has not happened.

    worker: the number of the one who took it, from 1; 0 if nobody did.
    taken, began, ended: when it was taken, when the insert began and ended.
    reason, words: why it failed, in one name and in words; empty if it did not.
    """

    worker: int
    taken: float
    began: float
    ended: float
    reason: str
    words: str


class Ledger:
    """An open ledger of so many inserts."""

    def __init__(self, path: str, count: int) -> None:
        self._count = count
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._map = mmap.mmap(self._descriptor, _size(count))
        self._numbers = memoryview(self._map)[: 8 * (_HEAD + _FIELDS * count)].cast("d")

    def close(self) -> None:
        """Give back what it has opened."""
        self._numbers.release()
        self._map.close()
        os.close(self._descriptor)

    @property
    def began(self) -> float:
        """The moment from which every insert's due time counts; 0 before ``begin``."""
        return self._numbers[1]

    def begin(self, lead: float) -> float:
        """Return the moment from which due times count; who comes first sets it to ``lead`` seconds from then."""
        with self._locked():
            if not self._numbers[1]:
                self._numbers[1] = time.monotonic() + lead
        return self._numbers[1]

    def take(self, worker: int) -> int | None:
        """Take the next insert that nobody has; its index, or None if all are taken."""
        with self._locked():
            index = int(self._numbers[0])
            if index >= self._count:
                return None
            self._numbers[0] = index + 1
        self._set(index, 0, worker)
        self._set(index, 1, time.monotonic())
        return index

    def note_beginning(self, index: int) -> None:
        """The insert begins now."""
        self._set(index, 2, time.monotonic())

    def note_end(self, index: int, ended: float, reason: str = "", words: str = "") -> None:
        """The insert ended at that moment; ``reason`` and ``words``: why it failed, empty if it did not."""
        place = 8 * (_HEAD + _FIELDS * self._count) + _REASON * index
        text = f"{reason}{_SEPARATOR}{words}".encode(errors="replace")[:_REASON] if reason else b""
        self._map[place : place + len(text)] = text
        self._set(index, 3, ended)

    def entries(self) -> list[Entry]:
        """Every insert, as it stands in the book."""
        found = []
        reasons = 8 * (_HEAD + _FIELDS * self._count)
        for index in range(self._count):
            first = _HEAD + _FIELDS * index
            worker, taken, began, ended = self._numbers[first : first + _FIELDS]
            place = reasons + _REASON * index
            text = self._map[place : place + _REASON].rstrip(b"\0").decode(errors="ignore")
            reason, _, words = text.partition(_SEPARATOR)
            found.append(Entry(int(worker), taken, began, ended, reason, words))
        return found

    def _set(self, index: int, field: int, value: float) -> None:
        self._numbers[_HEAD + _FIELDS * index + field] = value

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be alone; the kernel lets go for who is killed meanwhile. Some microseconds."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


@contextmanager
def new_ledger(count: int) -> Iterator[str]:
    """The path of an empty ledger, in memory where there is room for it, so that it adds nothing to the disk's work."""
    with ExitStack() as kept:
        for parent in (MEMORY, tempfile.gettempdir()):
            try:
                path = Path(kept.enter_context(fresh_folder(parent)), "ledger")
                path.write_bytes(bytes(_size(count)))  # a hole in a full disk would kill who writes into the map
            except OSError:
                kept.close()
                continue
            break
        else:
            raise OSError(f"there is no room for {_size(count)} bytes in {tempfile.gettempdir()}: set TMPDIR")
        yield str(path)


def _size(count: int) -> int:
    return array("d").itemsize * (_HEAD + _FIELDS * count) + _REASON * count
