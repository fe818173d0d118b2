"""A file beside a database that its writers lock in turn, asleep until they may, and not longer than they want to.

Knows files, locks and time; no table, and nothing of what is done while a lock is held.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from contextlib import suppress
from functools import lru_cache

from .driver import Database, sqlite3

if sys.platform != "win32":
    import fcntl

# Where two machines can open the same file, and the lock of one may mean nothing to the other.
_NETWORK = {"afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}

# Whoever waits for a lock looks for it again after so many seconds, even if nothing is heard: its holder may have died.
LOOK_AGAIN = 0.5

# Linux's own number, since a Python that was built for an older system has no name for it.
_EXCLUSIVE = 1 << 28


class FileLock:
    """The file ``<database><suffix>``, open, to be locked with ``flock``; the kernel unlocks it when its holder dies.

    A ``flock`` that waits can be given no time limit. So they wait at a FIFO, ``<database><suffix>-bell``, which the
    holder rings when it lets go. Only time depends on that: whoever hears nothing, because the holder was killed, the
    bell deleted, or the file system has no FIFOs, looks again every ``LOOK_AGAIN`` seconds.

    With the ``os.O_CREAT`` flag, made if need be.
    """

    descriptor, _bell, _is_ours = -1, -1, False

    def __init__(self, database: str, suffix: str, flags: int = 0) -> None:
        self.database, self.path = database, database + suffix
        self.descriptor = _open(database, self.path, flags)

    def acquire(self, *, shared: bool = False) -> bool:
        """Lock it now, for us alone or ``shared`` with others who do; False if others have locked it."""
        try:
            fcntl.flock(self.descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._is_ours = not shared
        return True

    def listen(self, flags: int = 0) -> None:
        """Have the bell open, with the ``os.O_CREAT`` flag made if need be: from now on no ring is missed."""
        if self._bell < 0:
            with suppress(OSError):
                self._bell = _open(self.database, f"{self.path}-bell", os.O_NONBLOCK | flags)
                if not stat.S_ISFIFO(os.fstat(self._bell).st_mode):  # somebody's file
                    other, self._bell = self._bell, -1
                    os.close(other)

    def acquire_by(self, deadline: float, *, shared: bool = False) -> bool:
        """Lock it, and sleep at the bell until it can be; False if not by that moment on ``time.monotonic``.

        One ring wakes all who wait to share it. Of those who want it for themselves it wakes, on Linux, the first.
        """
        in_line = not shared and sys.platform == "linux"
        poll, second, again = (select.epoll(), 1, LOOK_AGAIN) if in_line else (select.poll(), 1000, LOOK_AGAIN)
        with suppress(OSError, ValueError):
            self.listen(0 if shared else os.O_CREAT)
            poll.register(self._bell, select.EPOLLIN | _EXCLUSIVE if in_line else select.POLLIN)
        while not (ours := self.acquire(shared=shared)) and (left := time_left(deadline)):
            if poll.poll(second * min(left, again)):
                if shared:  # it rings once, and whoever locks it after that does so for a moment
                    poll, again = select.poll(), 0.0005
                else:
                    with suppress(BlockingIOError):  # another was quicker
                        os.read(self._bell, 4096)
            again = min(2 * again, LOOK_AGAIN)
        return ours

    def write_at(self, data: bytes, place: int) -> None:
        """Write it there, and not at the end, whatever the file was opened for."""
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, 0)  # with O_APPEND, Linux has pwrite append
        os.pwrite(self.descriptor, data, place)

    def is_current(self) -> bool:
        """Whether the file is still the one that others open by its path."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        return False

    def close(self) -> None:
        """Let go of the lock, even if a process forked meanwhile has the file open too, and ring, if it was ours."""
        if self.descriptor >= 0:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        if self._is_ours:
            self.listen()
            if self._bell >= 0:
                with suppress(BlockingIOError):  # it rang 65,536 times, and those who wait have not looked yet
                    os.write(self._bell, b"!")
        opened = {self.descriptor, self._bell} - {-1}
        self.descriptor, self._bell, self._is_ours = -1, -1, False  # first: what is closed twice is another's by then
        for descriptor in opened:
            os.close(descriptor)


class Queue(FileLock):
    """``<database>-queue``: whoever holds it writes; the others wait in line. It is opened when it is first waited for.

    On Linux they are woken in the order of their coming; one that comes, or looks again, in the moment between two of
    them may be served first.
    """

    def __init__(self, database: str) -> None:
        self.database, self.path = database, f"{database}-queue"

    def wait(self, deadline: float = 0.0) -> bool:
        """Wait in line until it is ours; False if that was not so by the deadline, or, if that is past, at once."""
        while True:
            if self.descriptor < 0:
                super().__init__(self.database, "-queue", os.O_CREAT)
            if not self.acquire() and not (time_left(deadline) and self.acquire_by(deadline)):
                return False
            if self.is_current():
                return True
            self.close()  # someone deleted it: those who come now wait for another


def _open(database: str, path: str, flags: int) -> int:
    """Open a file beside the database, with ``os.O_CREAT`` made if need be; with ``os.O_NONBLOCK`` it is a FIFO.

    It gets the database's permissions and, if we may, its owner, as SQLite does with the files beside it.
    """
    flags |= os.O_RDWR | os.O_NOFOLLOW
    looks = 500
    while True:
        try:
            return os.open(path, flags & ~os.O_CREAT)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        except PermissionError:
            looks -= 1
            if not looks:
                raise
            time.sleep(0.001)  # who has just made it may be about to give it the permissions below
            continue
        with suppress(FileExistsError):
            return _make(database, path, flags | os.O_EXCL)


def _make(database: str, path: str, flags: int) -> int:
    like = os.stat(database)
    if flags & os.O_NONBLOCK:
        os.mkfifo(path, like.st_mode & 0o666)
        flags &= ~(os.O_CREAT | os.O_EXCL)
    descriptor = os.open(path, flags, like.st_mode & 0o666)
    try:
        with suppress(OSError):
            os.fchmod(descriptor, like.st_mode & 0o666)
        with suppress(OSError):  # we may not give it away, or here its owner has no name
            os.fchown(descriptor, like.st_uid, like.st_gid)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


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
    """The absolute path by which all writers of the database name the files beside it, whatever links they came by.

    ``FileNotFoundError`` if there is no such file; ``NotImplementedError`` where it cannot be locked so, on Windows
    and on a network file system, as far as Linux tells.
    """
    if sys.platform == "win32":
        raise NotImplementedError("a queue of writers needs flock, which Windows does not have")
    path = os.path.realpath(database) if os.path.islink(database) else os.fspath(database)
    if (kind := _file_system(os.stat(path).st_dev)) in _NETWORK:
        raise NotImplementedError(f"{path!r} is on a network file system ({kind}), whose locks mean nothing")
    return path if path[0] == "/" else os.path.join(os.getcwd(), path)  # another thread may change the folder


@lru_cache
def _file_system(device: int) -> str | None:
    """The kind of file system that the device is, if it is no disk's and Linux tells."""
    if not os.major(device):
        # macOS does not tell.
        with suppress(FileNotFoundError), open("/proc/self/mountinfo", errors="replace") as mounts:
            kinds = {mount.split()[2]: mount.partition(" - ")[2].split()[0] for mount in mounts}
            return kinds.get(f"0:{os.minor(device)}")
    return None
