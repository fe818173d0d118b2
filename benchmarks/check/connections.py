"""What a connection did while somebody else used it: statements, commits, syncs, and how it was left."""

from __future__ import annotations

import contextlib
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from .outcomes import driver

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

Span = tuple[float, float]

# How long a writer of ours waits for a lock that somebody holds: long enough to tell it from not waiting at all.
HELD = 0.3


@contextlib.contextmanager
def recorded_connections(longer: float = 0.0) -> Iterator[tuple[list[Any], list[Span]]]:
    """Have every connection that this process makes meanwhile remember what it was told and how it wrote.

    Gives these connections, and what ``_recorded_syncs`` gives.
    """
    module = driver()
    recorded: list[Any] = []
    factory = _recording_connection(module, recorded)
    connect = module.connect

    def prepared(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **{"factory": factory, **named})
        return connection

    vars(module)["connect"] = prepared
    try:
        with _recorded_syncs(longer) as syncs:
            yield recorded, syncs
    finally:
        vars(module)["connect"] = connect


@contextlib.contextmanager
def _recorded_syncs(longer: float) -> Iterator[list[Span]]:
    """Give the spans of the write-ahead log's syncs that Python does in this process, so many seconds longer each.

    Those that SQLite does are not among them.
    """
    syncs: list[Span] = []
    plain = {name: function for name, function in vars(os).items() if name in ("fsync", "fdatasync")}

    def noted(sync: Callable[[int], None], descriptor: int) -> None:
        began = time.monotonic()
        sync(descriptor)
        path = f"/proc/self/fd/{descriptor}"
        if not os.path.exists(path) or os.readlink(path).endswith("-wal"):
            time.sleep(longer)
            syncs.append((began, time.monotonic()))

    vars(os).update({name: partial(noted, sync) for name, sync in plain.items()})
    try:
        yield syncs
    finally:
        vars(os).update(plain)


def _recording_connection(module: Any, recorded: list[Any]) -> type[Any]:
    """Return a class of connections that join ``recorded``, and remember their statements and how they were left."""
    plain: Any = module.Connection

    class Recorded(plain):  # type: ignore[misc]
        is_closed = False
        synchronous: int | None = None
        busy_timeout: float | None = None
        committed = 0.0

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.statements: list[str] = []
            self.set_trace_callback(self.hear)
            recorded.append(self)

        def hear(self, statement: str) -> None:
            self.statements.append(statement)
            if statement == "COMMIT":
                self.committed = time.monotonic()

        def close(self) -> None:
            self.set_trace_callback(None)
            with contextlib.suppress(module.Error):
                (self.synchronous,) = plain.execute(self, "PRAGMA synchronous").fetchone()
                (milliseconds,) = plain.execute(self, "PRAGMA busy_timeout").fetchone()
                self.busy_timeout = round(milliseconds / 500) / 2  # after a wait in line what is left of it
            self.is_closed = True
            super().close()

    return Recorded


def level(synchronous: int, committed: float, syncs: Iterable[Span], returned: float = float("inf")) -> int:
    """Return the level at which a row is synced when its insert returns: NORMAL with a later sync is FULL."""
    is_synced = any(committed < began and ended <= returned for began, ended in syncs)
    return 2 if synchronous == 1 and is_synced else synchronous


def open_files(folder: str) -> int:
    """Return how many of this process's descriptors are files in the folder; 0 without ``/proc``."""
    count = 0
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith(folder)
    return count


def refusal(insert: Callable[[], object]) -> tuple[str, float]:
    """Return the name of the error of an insert that cannot be done, and after how many seconds, to a tenth."""
    from sqlite_writes import error_name

    started = time.monotonic()
    try:
        insert()
        said = "no error"
    except Exception as error:
        said = error_name(error)
    return said, round(time.monotonic() - started, 1)
