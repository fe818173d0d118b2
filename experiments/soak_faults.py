"""The faults of the soak: each torments processes that write to one database, until it is told to stop.

Each is a context manager. Knows nothing of what is written, and counts nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    # The database, the folder in which each worker's process id is the name of a file, and how chance would have it.
    Fault = Callable[[str, Path, random.Random], AbstractContextManager[None]]

FULL_DISK = "a full disk"

# At which of its syncs a worker meets an error, and at every so many after it.
_SYNCS = "fsync,fdatasync:error=EIO:when={first}+{step}"


def pids_in(folder: Path) -> list[int]:
    """Return the workers that have come so far."""
    return [int(path.name) for path in folder.iterdir()]


@contextmanager
def _meanwhile(act: Callable[[threading.Event], object]) -> Iterator[None]:
    """Do that in a thread, which ends when the event is set."""
    over = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            act(over)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    for error in errors:
        raise error


def _random_signals(
    folder: Path, chance: random.Random, over: threading.Event, torment: Callable[[int], object], most: int
) -> None:
    chosen = 0
    while chosen < most and not over.wait(chance.uniform(0.001, 0.15)):
        pids = pids_in(folder)
        if pids:
            with suppress(ProcessLookupError):
                torment(chance.choice(pids))
            chosen += 1


def none(_database: str, _folder: Path, _chance: random.Random) -> AbstractContextManager[None]:
    """Nothing is done to them."""
    return _meanwhile(lambda _: None)


def kills(_database: str, folder: Path, chance: random.Random) -> AbstractContextManager[None]:
    """Some of them are killed at random moments."""
    number = chance.choice([signal.SIGKILL, signal.SIGTERM])
    return _meanwhile(lambda over: _random_signals(folder, chance, over, lambda pid: os.kill(pid, number), 4))


def stops(_database: str, folder: Path, chance: random.Random) -> AbstractContextManager[None]:
    """One after another is stopped for a while, wherever it is."""

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(chance.uniform(0.02, 0.3))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return _meanwhile(lambda over: _random_signals(folder, chance, over, stop, 100))


def locks(database: str, _folder: Path, chance: random.Random) -> AbstractContextManager[None]:
    """Another program holds the lock of writers, of everybody or of readers, again and again."""

    def hold(over: threading.Event) -> None:
        while not over.wait(chance.uniform(0.01, 0.1)):
            with suppress(sqlite3.OperationalError), closing(_connect(database)) as connection:
                connection.execute(chance.choice(["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "BEGIN"]))
                connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
                time.sleep(chance.uniform(0.01, 0.3))

    return _meanwhile(hold)


def checkpoints(database: str, _folder: Path, chance: random.Random) -> AbstractContextManager[None]:
    """Another program checkpoints all the time, in every mode."""

    def checkpoint(over: threading.Event) -> None:
        while not over.wait(chance.uniform(0, 0.01)):
            with suppress(sqlite3.OperationalError), closing(_connect(database)) as connection:
                mode = chance.choice(["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
                connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    return _meanwhile(checkpoint)


def failing_syncs(_database: str, folder: Path, chance: random.Random) -> AbstractContextManager[None]:
    """For some of them, every so many syncs end with an error; strace says so in the kernel's place."""

    def attach(over: threading.Event) -> None:
        tracers: list[subprocess.Popen[bytes]] = []
        until = time.monotonic() + 0.5
        while time.monotonic() < until and len(pids_in(folder)) < 2:
            time.sleep(0.01)
        inject = "inject=" + _SYNCS.format(first=chance.randint(1, 5), step=chance.randint(1, 20))
        try:
            for pid in pids_in(folder)[:2]:
                command = ["strace", "-qq", "-o", "/dev/null", "-e", inject, "-p", str(pid)]
                tracers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            over.wait()
        finally:
            for tracer in tracers:
                tracer.terminate()
                tracer.wait()

    return _meanwhile(attach)


@contextmanager
def full_disk(database: str, _folder: Path, _chance: random.Random) -> Iterator[None]:
    """The disk is small. At the end there is room again: SQLite needs some to read what is there."""
    reserve = Path(database).parent.parent / "reserve"
    reserve.write_bytes(bytes(1 << 19))
    try:
        yield
    finally:
        reserve.unlink()


def _connect(database: str) -> sqlite3.Connection:
    return sqlite3.connect(database, timeout=0.2, isolation_level=None)


FAULTS: dict[str, Fault] = {
    "none": none,
    "kills": kills,
    "stops": stops,
    "locks held": locks,
    "checkpoints by others": checkpoints,
}
if shutil.which("strace"):
    FAULTS["failing syncs"] = failing_syncs


@contextmanager
def small_disk(parent: Path) -> Iterator[Path | None]:
    """Give a folder on a disk of a few megabytes, in memory; None where one may not mount."""
    folder = parent / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
