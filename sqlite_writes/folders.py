"""A folder of one's own, removed afterwards, and with it what processes left that were killed. Knows no database."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

# How the name of such a folder begins, and that of one in which a worker warms up.
PREFIX = ".sqlite-writes-"

# Where a file system in memory is, if there is one.
MEMORY = "/dev/shm"  # noqa: S108 a folder of its own in there

# Seconds after which a folder that nobody has locked is taken to be left behind: its owner may just have made it.
_OLD = 60.0


@contextmanager
def fresh_folder(parent: str | os.PathLike[str]) -> Iterator[str]:
    """Give the absolute path of a new folder in that one, and remove it afterwards, whatever happens.

    Only a process that is killed outright cannot do that: so those that are older and that nobody has locked are
    removed first, there and in memory. ``OSError`` if no folder can be made there.
    """
    import shutil  # both are large, and a worker that only inserts needs neither
    import tempfile

    folder, lock = "", -1
    try:
        with _signals_blocked():  # else a Ctrl-C would lose the folder's name
            for place in {os.path.abspath(parent), MEMORY}:
                _remove_abandoned(place)
            folder = tempfile.mkdtemp(prefix=PREFIX, dir=os.path.abspath(parent))
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            with suppress(OSError):  # a file system without such locks
                fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder
    finally:
        with _signals_blocked():
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
            if lock >= 0:
                os.close(lock)


def _remove_abandoned(parent: str) -> None:
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_abandoned(entry.path)


def _remove_if_abandoned(folder: str) -> None:
    """Remove it if it is ours, old, and locked by nobody: the kernel frees the lock of a process that dies."""
    import shutil

    found = os.stat(folder)
    if found.st_uid != os.geteuid() or time.time() - found.st_mtime < _OLD:
        return
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
