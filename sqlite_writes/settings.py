"""How a worker writes: journal mode, synchronous, busy timeout, transaction mode, queue; and the named combinations.

Data only: nothing here knows SQL or processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_TIMEOUT = 2_000_000  # seconds: SQLite takes a C int of milliseconds

_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "journal_mode": ("delete", "wal"),
    "synchronous": ("full", "normal", "off"),
    "transaction": ("implicit", "immediate", "concurrent"),
    "queue": ("none", "lock", "group"),
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
    queue: ``"none"``; ``"lock"``, where writers stand in line for a lock, with the connection open and
        the schema read; ``"group"``, where those who stand there share one commit (docs/group_commit.md). With either,
        the busy timeout limits the whole wait.

    A value that is not allowed is a ``ValueError`` that names it and what is.
    """

    journal_mode: str = "delete"
    synchronous: str = "full"
    busy_timeout: float = 5.0
    transaction: str = "implicit"
    queue: str = "none"

    def __post_init__(self) -> None:
        for field, allowed in _ALLOWED.items():
            value = getattr(self, field)
            if value not in allowed:
                raise ValueError(f"{field} {value!r} is not one of {', '.join(allowed)}")
        if self.transaction == "concurrent" and self.journal_mode != "wal":
            raise ValueError(f"transaction 'concurrent' needs journal_mode 'wal', not {self.journal_mode!r}")
        if self.queue != "none" and self.transaction != "immediate":
            raise ValueError(f"queue {self.queue!r} needs transaction 'immediate', not {self.transaction!r}")
        if self.queue == "group" and self.synchronous != "full":
            raise ValueError(f"queue 'group' needs synchronous 'full', not {self.synchronous!r}: it commits for others")
        check_timeout("busy_timeout", self.busy_timeout)


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
    # Only a longer timeout: the errors go, the slow tail stays.
    "patient": Settings(busy_timeout=60.0, transaction="immediate"),
    # One at a time, nearly in the order of their coming: who lets go of the lock wakes the next.
    "queued": Settings(journal_mode="wal", busy_timeout=60.0, transaction="immediate", queue="lock"),
    # Those who wait together share one commit and one sync.
    "grouped": Settings(journal_mode="wal", busy_timeout=60.0, transaction="immediate", queue="group"),
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
