"""A file beside a database that its writers lock in turn, waiting in the kernel, and not longer than they want to.

Knows files, locks and time; no table, and nothing of what is done while a lock is held.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from contextlib import suppress
from functools import lru_cache
from typing import ClassVar

from .driver import Database, sqlite3

if sys.platform != "win32":
    import fcntl

# Where two machines can open the same file, and the lock of one may mean nothing to the other.
_NETWORK = {"afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}


class FileLock:
    """The file ``<database><suffix>``, open, to be locked with ``flock``; the kernel unlocks it when its holder dies.

    With the ``os.O_CREAT`` flag, made if need be, with the database's permissions and, if we may, its owner, as SQLite
    does with the files beside it.
    """

    def __init__(self, database: str, suffix: str, flags: int = 0) -> None:
        self.database = database
        self.path = database + suffix
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
        if flags & os.O_CREAT:
            like, ours = os.stat(database), os.fstat(self.descriptor)
            if (ours.st_mode ^ like.st_mode) & 0o666 or (ours.st_uid, ours.st_gid) != (like.st_uid, like.st_gid):
                with suppress(PermissionError):  # it is another's, or we may not give it away
                    os.fchmod(self.descriptor, like.st_mode & 0o666)
                    os.fchown(self.descriptor, like.st_uid, like.st_gid)

    def acquire(self, deadline: float = 0.0, *, shared: bool = False) -> bool:
        """Lock it, for us alone or ``shared`` with others who do; False if that was not granted by the deadline.

        The deadline is a moment on ``time.monotonic``; one that is past means now or not at all.
        """
        # The process, the file by its inode and device, and how it is to be locked.
        key = (os.getpid(), *os.fstat(self.descriptor)[1:3], fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        wait = _Wait.given_up(key)
        if wait is None:
            with suppress(BlockingIOError):
                fcntl.flock(self.descriptor, key[-1] | fcntl.LOCK_NB)
                return True
            wait = _Wait(key, os.dup(self.descriptor)) if time_left(deadline) else None
        return wait is not None and wait.until(deadline, self)

    def append(self, data: bytes) -> int | None:
        """Write the data behind all that is there, not mixed with what others append; where, or None if cut short."""
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, os.O_APPEND)
        written = os.write(self.descriptor, data)
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, 0)
        return os.lseek(self.descriptor, 0, os.SEEK_CUR) - written if written == len(data) else None

    def is_current(self) -> bool:
        """Whether the file is still the one that others open by its path."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        return False

    def close(self) -> None:
        """Let go of the lock, even if a process forked meanwhile has the file open too, and close the file."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)


class Queue(FileLock):
    """``<database>-queue``: whoever holds it writes; the others wait in line.

    They are served in the order in which the kernel has them, which on Linux is that of their coming; one that comes
    in the moment between two of them may be served first.
    """

    since = 0.0  # the moment when it became ours

    def __init__(self, database: str) -> None:
        super().__init__(database, "-queue", os.O_CREAT)

    def wait(self, deadline: float = 0.0) -> bool:
        """Wait in line until it is ours; False if that was not so by the deadline."""
        while self.acquire(deadline):
            if self.is_current():
                self.since = self.since or time.monotonic()
                return True
            stale = self.descriptor  # someone deleted it: those who come now wait for another
            super().__init__(self.database, "-queue", os.O_CREAT)
            os.close(stale)
        return False


def timed_out(lock: FileLock, timeout: float) -> sqlite3.OperationalError:
    """What SQLite itself raises when a writer has waited for too long."""
    error = sqlite3.OperationalError(f"database is locked: not the first in {lock.path!r} within {timeout:g} s")
    error.__dict__.update(sqlite_errorcode=5, sqlite_errorname="SQLITE_BUSY")
    return error


def time_left(deadline: float) -> float:
    """Seconds until that moment on ``time.monotonic``; 0 if it is past."""
    return max(deadline - time.monotonic(), 0.0)


def limit_wait(connection: sqlite3.Connection, deadline: float) -> None:
    """Have SQLite wait for other writers until the deadline, and not longer."""
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * time_left(deadline))}")


def real_path(database: Database) -> str:
    """The path by which all writers of the database name the files beside it, whatever links they came by.

    ``FileNotFoundError`` if there is no such file; ``NotImplementedError`` where it cannot be locked so, on Windows
    and on a network file system, as far as Linux tells.
    """
    if sys.platform == "win32":
        raise NotImplementedError("a queue of writers needs flock, which Windows does not have")
    path = os.path.realpath(database) if os.path.islink(database) else os.fspath(database)
    if not os.path.exists(path):
        raise FileNotFoundError(f"database {path!r} does not exist")
    _refuse_network(os.path.dirname(path) or ".")
    return path


@lru_cache
def _refuse_network(folder: str) -> None:
    device = os.stat(folder).st_dev
    with suppress(FileNotFoundError), open("/proc/self/mountinfo") as mounts:  # macOS does not tell
        for mount in mounts:
            place, _, source = mount.partition(" - ")
            kind = source.split()[0]
            if kind in _NETWORK and place.split()[2] == f"{os.major(device)}:{os.minor(device)}":
                raise NotImplementedError(f"{folder!r} is on a network file system ({kind}), whose locks mean nothing")


class _Wait:
    """A thread that waits for a file lock in the kernel, where the wait can be given no limit.

    One that is given up goes on there until the lock is free, and then lets go of it. So that behind a lock which never
    is no threads gather, the next call of this process that waits for the same takes it over.
    """

    _all: ClassVar[list[_Wait]] = []

    def __init__(self, key: tuple[int, ...], descriptor: int) -> None:
        self._key = key
        self._descriptor = descriptor
        self._mutex = _thread.allocate_lock()  # two plain locks: with a Condition a burst in memory took a third longer
        self._granted = _thread.allocate_lock()
        self._granted.acquire()
        self._wanted, self._over = True, False
        self._all.append(self)
        _thread.start_new_thread(self._wait_in_the_kernel, (key[-1],))

    @classmethod
    def given_up(cls, key: tuple[int, ...]) -> _Wait | None:
        """One that waits for the same and that nobody wants any more: from now on the caller does."""
        for wait in [wait for wait in cls._all if wait._key == key]:
            with wait._mutex:
                if not wait._wanted and not wait._over:
                    wait._wanted = True
                    return wait
        return None

    def until(self, deadline: float, lock: FileLock) -> bool:
        """Have the lock by the deadline, or give up."""
        try:
            # Not in one go: a Ctrl-C that comes just before a wait begins is noticed only when it ends.
            while not self._granted.acquire(timeout=min(time_left(deadline), 0.5)) and time_left(deadline):
                pass
        finally:
            with self._mutex:
                self._wanted, over = False, self._over
            if over:
                os.dup2(self._descriptor, lock.descriptor, inheritable=False)
                os.close(self._descriptor)
        return over

    def _wait_in_the_kernel(self, operation: int) -> None:
        fcntl.flock(self._descriptor, operation)
        with self._mutex:
            self._over = True
            self._all.remove(self)
            if not self._wanted:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
                os.close(self._descriptor)
        self._granted.release()
