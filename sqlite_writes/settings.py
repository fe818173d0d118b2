"""How a worker writes: journal mode, synchronous, busy timeout, transaction, retry, line; and the named combinations.

Data only: nothing here knows SQL or processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_TIMEOUT = 2_000_000  # seconds: SQLite takes a C int of milliseconds

_ALLOWED: Mapping[str, tuple[object, ...]] = {
    "journal_mode": ("delete", "wal"),
    "synchronous": ("full", "normal", "off"),
    "transaction": ("implicit", "immediate", "concurrent"),
    "line": (True, False),
    "sync_after": (True, False),
}


@dataclass(frozen=True)
class Settings:
    """How one row is written.

    journal_mode: ``"delete"`` or ``"wal"``; a property of the file, set once by ``create_table``.
    synchronous: ``"full"``, ``"normal"`` or ``"off"``; what is synced before a commit returns
        (https://sqlite.org/pragma.html#pragma_synchronous).
    busy_timeout: seconds that SQLite's busy handler waits for a lock before ``database is locked``.
    transaction: ``"implicit"`` takes the write lock at the INSERT, as the ``sqlite3`` module does by default;
        ``"immediate"`` takes it at BEGIN; ``"concurrent"`` takes it only to commit, and begins anew if another commit
        changed the same pages, until the busy timeout is over: ``BEGIN CONCURRENT`` of SQLite's begin-concurrent branch
        (https://sqlite.org/src/doc/begin-concurrent/doc/begin_concurrent.md).
    retry: seconds after which a writer that finds the database locked tries again, each time the same; 0 leaves that to
        SQLite's busy handler, which sleeps 1, 2, 5, 10, … 100 ms. Either gives up after the busy timeout.
    line: writers stand in line, with the connection open and the schema read, and write one after another
        (docs/group_commit.md). The busy timeout limits the whole wait.
    sync_after: the write-ahead log is synced after the transaction, and after the turn if there is a line, so that the
        syncs of many overlap. An insert returns when its row is durable, as with ``"full"``.

    A value that is not allowed is a ``ValueError`` that names it and what is.
    """

    journal_mode: str = "delete"
    synchronous: str = "full"
    busy_timeout: float = 5.0
    transaction: str = "implicit"
    retry: float = 0.0
    line: bool = False
    sync_after: bool = False

    def __post_init__(self) -> None:
        for field, allowed in _ALLOWED.items():
            value = getattr(self, field)
            if value not in allowed:
                raise ValueError(f"{field} {value!r} is not one of {', '.join(map(str, allowed))}")
        check_timeout("busy_timeout", self.busy_timeout)
        check_timeout("retry", self.retry)
        if 0 < self.retry < 0.001:
            raise ValueError(f"retry {self.retry!r} is neither 0 nor a number of seconds from 0.001 on")
        if self.transaction == "concurrent" and self.journal_mode != "wal":
            raise ValueError(f"transaction 'concurrent' needs journal_mode 'wal', not {self.journal_mode!r}")
        if (self.line or self.retry) and self.transaction != "immediate":
            raise ValueError(f"a line, or a retry, needs transaction 'immediate', not {self.transaction!r}")
        if self.line and self.retry:
            raise ValueError(f"retry {self.retry!r} needs no line: in line nobody tries")
        if self.sync_after and (self.journal_mode, self.synchronous) != ("wal", "normal"):
            raise ValueError(
                f"sync_after needs journal_mode 'wal' and synchronous 'normal', "
                f"not {self.journal_mode!r} and {self.synchronous!r}"
            )

    @property
    def durable(self) -> bool:
        """Whether an acknowledged row is to survive a power loss, by what is synced."""
        return self.synchronous == "full" or self.sync_after


def check_timeout(name: str, timeout: float) -> None:
    """Raise ``ValueError`` that names it unless it is a number of seconds for which SQLite can wait."""
    if not isinstance(timeout, (int, float)) or not 0 <= timeout <= LONGEST_TIMEOUT:
        raise ValueError(f"{name} {timeout!r} is not a number of seconds from 0 to {LONGEST_TIMEOUT}")


SETTINGS: dict[str, Settings] = {
    # What sqlite3.connect(path) gives: the question as it was asked.
    "default": Settings(),
    # The usual advice: readers and the writer no longer block each other, and a commit needs one sync, not three.
    "wal": Settings(journal_mode="wal"),
    # The usual advice in full. No sync at a commit: the last commits may be gone after a power loss.
    "wal-normal": Settings(journal_mode="wal", synchronous="normal", transaction="immediate"),
    # Tries again every millisecond, where SQLite sleeps ever longer: Rails' remedy.
    "fair": Settings(journal_mode="wal", transaction="immediate", retry=0.001),
    # Only a longer timeout: the errors go, the slow tail stays.
    "patient": Settings(busy_timeout=60.0, transaction="immediate"),
    # The sync after the transaction, and no line: the syncs of many overlap, and nothing lies beside the database.
    "synced": Settings(journal_mode="wal", synchronous="normal", transaction="immediate", sync_after=True),
    # One at a time, in the order of their coming, each with its sync within its turn.
    "queued": Settings(journal_mode="wal", busy_timeout=60.0, transaction="immediate", line=True),
    # The same with the sync after the turn: the next one writes while this one syncs.
    "grouped": Settings(
        journal_mode="wal",
        synchronous="normal",
        busy_timeout=60.0,
        transaction="immediate",
        line=True,
        sync_after=True,
    ),
    # Writers that wait for each other only to commit. Only where the linked SQLite knows it; see check_library.
    "concurrent": Settings(journal_mode="wal", transaction="concurrent"),
}


def resolve_settings(settings: str | Settings) -> Settings:
    """The ``Settings`` of that name, or the given ``Settings`` itself; ``ValueError`` for an unknown name."""
    if isinstance(settings, Settings):
        return settings
    if not isinstance(settings, str) or settings not in SETTINGS:
        raise ValueError(f"settings {settings!r} is not a Settings nor one of {', '.join(SETTINGS)}")
    return SETTINGS[settings]
