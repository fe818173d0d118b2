"""The line: writers of one database wait for their turn in order, and the sync of what they commit comes after it.

Knows files, locks, sockets and time; no SQL, no table, and nothing of what is done in a turn (docs/group_commit.md).
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import struct
import sys
import threading
import time
from binascii import crc32
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from io import FileIO
from typing import TYPE_CHECKING
from weakref import ref

from .driver import Database, sqlite3
from .settings import check_timeout

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where two machines can open the same file, and the lock of one may mean nothing to the other.
_SHARED = re.compile(
    "9p|afs|beegfs|ceph|cifs|drvfs|lustre|nfs4?|prl_fs|smb3|smbfs|vboxsf|virtiofs"
    "|(fuse[.])?(glusterfs|grpcfuse|osxfs|sshfs|vmhgfs-fuse)"
)

# The file begins with its name, where the line begins, the note of the last sync, and the log that has a hole. A sync
# of that log failed, and SQLite would recover it only up to there. Then comes the address of each writer that had to
# wait, in the order of their coming. Zeros stand for one that waits no longer.
_MAGIC = b"sqlite-writes 1\n"
_HEAD = struct.Struct("<Q")
_NOTE = struct.Struct("<16sddd")
_NOTE_AT = len(_MAGIC) + _HEAD.size
_HOLE = struct.Struct("<Q8s")
_HOLE_AT = 72
_FIRST = 128

_ADDRESS, _NOBODY = b"\0swl", b"\0" * 16

# Whoever stands in line looks at the lock again after so many seconds for each place, even if nobody calls: the one who
# should have called may have been killed or stopped.
LOOK_AGAIN = 0.02

# Of addresses that are no longer needed, as many bytes are kept.
_LONGEST = 1 << 20

# Who waits for another's sync looks so often whether it has ended.
_PAUSE = 0.0005

# And if it takes so much longer than two of the slow ones before it, syncs alone.
_PATIENCE = 0.02

# SQLite's own lock of whoever writes, and the byte that stands for it: in the WAL's index, or in the database itself
# (WAL_WRITE_LOCK in wal.c, RESERVED_BYTE in os.h).
_WRITE_LOCKS = (("-shm", 120), ("", 0x40000001))


class _Log:
    """The write-ahead log of a database, opened to be synced; SQLite takes no lock on that file, so it may be closed.

    On Linux an error of a sync is told once to each descriptor that was open before it, so the log is opened before the
    transaction that it is to sync.
    """

    def __init__(self, database: str) -> None:
        self.path = database + "-wal"
        self.file: FileIO | None = None
        self.identity = (0, 0)
        self.opened = 0.0

    def look(self) -> tuple[int, int]:
        """See to it that what is open is what is there; what differs, as a rule, when something was written.

        A log that is gone was checkpointed, and so synced, by who removed it: SQLite's last connection, as it closed
        (https://sqlite.org/wal.html).
        """
        found = self.there()
        if found is None or (found.st_dev, found.st_ino) != self.identity:
            self.close()
            with suppress(FileNotFoundError):
                self.file = _open(self.path, os.O_RDWR | os.O_NOFOLLOW)
                found = os.fstat(self.file.fileno())
                self.identity = (found.st_dev, found.st_ino)
            self.opened = time.monotonic()
        return (found.st_size, found.st_mtime_ns) if found and found.st_size else (0, 0)

    def there(self) -> os.stat_result | None:
        """What is there."""
        try:
            return os.stat(self.path)
        except FileNotFoundError:
            return None

    def is_current(self) -> bool:
        """Whether what is open is what is there."""
        found = self.there()
        return found is not None and (found.st_dev, found.st_ino) == self.identity

    def sync(self) -> None:
        """Sync what was written to it; ``OSError`` if the system cannot."""
        if self.file:
            _sync(self.file.fileno())

    def name(self) -> bytes:
        """What tells it from every other log, and from itself once SQLite begins it anew: its inode and its salts.

        (https://sqlite.org/fileformat2.html#walformat)
        """
        return _HOLE.pack(self.identity[1], os.pread(self.file.fileno(), 8, 16) if self.file else b"")

    def close(self) -> None:
        """Close it."""
        file, self.file, self.identity = self.file, None, (0, 0)
        if file:
            file.close()


class _Place:
    """One's place in a line: the files that it takes to wait, to call the next, and to sync.

    ``flock`` decides who has the turn; the kernel frees it when its holder dies. A ``flock`` that waits can be given no
    time limit, so whoever waits sleeps at a socket of its own, whose address it appends to the file, and whoever leaves
    calls the first in the file. Only time depends on those calls. Where there are no such sockets (macOS), they look
    again.
    """

    file: FileIO | None = None
    bell: socket.socket | None = None
    address = b""
    called = (0, b"")
    started = 0.0
    before = identity = (0, 0)

    def __init__(self, database: str) -> None:
        self.database, self.path = database, database + "-write-line"
        self.log = _Log(database)

    def enter(self, deadline: float) -> None:
        """Wait until it is our turn; ``TimeoutError`` if that was not so by the deadline."""
        _places[id(self)] = ref(self)
        self.before = self.log.look()
        while True:
            if self.file is None:
                self._open_file()
            # One yield before the sleep: a turn is shorter than it takes to fall asleep and be woken. But whom we have
            # called as we left comes before us.
            place, called = self.called
            is_late = called != b"" and os.pread(self._fileno(), len(called), place) == called
            if is_late or not self._lock():
                os.sched_yield()
                if is_late or not self._lock():
                    self._stand_in_line(deadline, is_late)
                self.before = self.log.look()
            with suppress(FileNotFoundError):
                there = os.stat(self.path)
                if (there.st_dev, there.st_ino) == self.identity:
                    break
            self._close_file()  # someone deleted it: those who come now wait at another
        self.started = time.monotonic()

    def leave(self) -> bool:
        """Let the next one have its turn; whether it looks as if something was written in ours."""
        wrote = self.before != self.log.look()
        fcntl.flock(self._fileno(), fcntl.LOCK_UN)
        with suppress(OSError):  # a full disk: they look again
            self._call_the_next()
        return wrote

    def _call_the_next(self) -> None:
        """Call the first in line who hears it. Pass over those before it, and shorten the file when it has grown."""
        file = self._fileno()
        head = first = _head(file)
        while (address := os.pread(file, len(_NOBODY), first)) and not self._call(address):
            first += len(_NOBODY)
        self.called = (first, address)
        if first > head:
            os.pwrite(file, _HEAD.pack(first), len(_MAGIC))
        if first > _LONGEST and self._lock():
            # Who comes between these two looks again, since nobody will call it.
            waiting = os.pread(file, _LONGEST, first)
            os.ftruncate(file, _FIRST)
            os.pwrite(file, _HEAD.pack(_FIRST), len(_MAGIC))
            os.pwrite(file, waiting, _FIRST)
            fcntl.flock(file, fcntl.LOCK_UN)

    def sync(self) -> None:
        """Return when all that was committed before is durable: by our own sync, or another's that covers it.

        Another's covers it if it began after our commit, with a descriptor that was open before our transaction.
        """
        self._sync(self.log.file)
        # A descriptor that was opened after another's sync had failed was not told of it.
        if self.log.file and os.pread(self._fileno(), _HOLE.size, _HOLE_AT) == self.log.name():
            raise OSError(errno.EIO, "an earlier sync failed, and no checkpoint has mended it since", self.log.path)

    def _sync(self, log: FileIO | None) -> None:
        committed = time.monotonic()
        while log and not self._is_synced(committed):
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = time.monotonic() - committed
                if waited > 2 * self._note()[2] + _PATIENCE:  # it was stopped, or knows of no line
                    return self._sync_and_note()
                time.sleep(_PAUSE + waited / 16)
                continue
            try:
                if not self._is_synced(committed):
                    self._sync_and_note()
                return None
            finally:
                fcntl.flock(log, fcntl.LOCK_UN)
        return None

    def close(self) -> None:
        """Let go of all, even of a lock that a process forked meanwhile has too; it can be entered again."""
        try:
            if self.file:
                fcntl.flock(self.file, fcntl.LOCK_UN)
        finally:
            self.forget()

    def forget(self) -> None:
        """Close all files, and leave the lock to whoever else has them open."""
        _places.pop(id(self), None)
        try:
            self._close_file()
        finally:
            self.log.close()

    def _open_file(self) -> None:
        """Open the line's file, made if need be; one line if it is somebody else's."""
        while self.file is None:
            try:
                self.file = _open(self.path, os.O_RDWR | os.O_NOFOLLOW)  # at once, so that a fork finds it here
            except FileNotFoundError:
                _make_line(self.database, self.path)
            except OSError as error:
                said = f"{error.strerror}: it is to be the line of {self.database!r}"
                raise type(error)(error.errno, said, self.path) from None
        try:
            line = os.fstat(self.file.fileno())
            begins = stat.S_ISREG(line.st_mode) and os.pread(self.file.fileno(), len(_MAGIC), 0)
            _check_line(self.database, self.path, line, begins)
        except BaseException:
            self._close_file()
            raise
        self.identity = (line.st_dev, line.st_ino)

    def _close_file(self) -> None:
        file, bell, self.file, self.bell, self.called = self.file, self.bell, None, None, (0, b"")
        try:
            if bell:
                bell.close()
        finally:
            if file:
                file.close()

    def _fileno(self) -> int:
        if self.file is None:
            raise ValueError("a turn is ended in another process than it was begun in")
        return self.file.fileno()

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _stand_in_line(self, deadline: float, is_late: bool) -> None:
        file, mine = self._fileno(), 0
        if sys.platform == "linux" and hasattr(os, "RWF_APPEND"):  # from Python 3.10 on
            with suppress(OSError):  # a sandbox without such sockets, or a full disk: then we only look again
                self.bell = self.bell or _bell()
                self.address = os.fsencode(self.bell.getsockname())
                os.pwritev(file, [self.address], -1, os.RWF_APPEND)
                mine = os.lseek(file, 0, os.SEEK_CUR) - len(self.address)
        try:
            while is_late or not self._lock():
                left = max(deadline - time.monotonic(), 0.001 * is_late)
                if left <= 0:
                    raise TimeoutError
                is_late = False
                before_us = max(mine - _head(file), 0) // len(_NOBODY)
                again = min((1 + before_us) * LOOK_AGAIN, 0.5, left)
                if self.bell is None:
                    time.sleep(min(again, 0.002))
                    continue
                self.bell.settimeout(again)
                with suppress(TimeoutError, socket.timeout):
                    self.bell.recv(1)
        finally:
            if mine and os.pread(file, len(self.address), mine) == self.address:
                with suppress(OSError):
                    os.pwrite(file, _NOBODY, mine)
            elif mine and self.bell:  # it was moved: let nobody be heard at it
                bell, self.bell = self.bell, None
                bell.close()

    def _call(self, address: bytes) -> bool:
        """Wake the one who sleeps there; False if nobody does."""
        if not address.startswith(_ADDRESS):
            return False
        self.bell = self.bell or _bell()
        self.bell.setblocking(False)
        try:
            self.bell.sendto(b"", address)
        except BlockingIOError:  # it has been called so often that its ears are full
            return True
        except ConnectionRefusedError:
            return False
        return True

    def _note(self) -> tuple[float, float, float]:
        """Of the last sync: when its descriptor had been opened, when it began; and how long the slow ones take."""
        file = self._fileno()
        found = os.pread(file, _NOTE.size + 4, _NOTE_AT)
        if found[_NOTE.size :] == crc32(found[: _NOTE.size]).to_bytes(4, "little"):
            clock, opened, began, took = _NOTE.unpack(found[: _NOTE.size])
            if clock == _clock() != b"":
                return opened, began, min(took, 0.5)
        return float("inf"), 0.0, 0.0

    def _is_synced(self, committed: float) -> bool:
        opened, began, _ = self._note()
        return opened <= self.started and began > committed

    def _sync_and_note(self) -> None:
        began = time.monotonic()
        if not self.log.is_current():
            return  # it was checkpointed, and with it our commit; a later log may hold those of others
        try:
            self.log.sync()
        except OSError:
            os.pwrite(self._fileno(), self.log.name(), _HOLE_AT)
            raise
        took = max(time.monotonic() - began, 0.9 * self._note()[2])
        with suppress(OSError):  # a full disk: it is synced all the same
            note = _NOTE.pack(_clock(), self.log.opened, began, took)
            os.pwrite(self._fileno(), note + crc32(note).to_bytes(4, "little"), _NOTE_AT)


# A process that is forked has all files of its parent, and with them the parent's turn, until it closes them. The
# references have no callback, since a Ctrl-C within one would be swallowed.
_places: dict[int, ref[_Place]] = {}


def _forget_all() -> None:
    for known in list(_places.values()):
        place = known()
        if place is not None:
            place.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class WriteLine(AbstractContextManager["WriteLine"]):
    """The line of those who write to one database, kept open for whoever writes often: ``with line.turn(): …``.

    Any number of threads may use it; each turn has files of its own. After a fork the child's turns are its own too.
    Closing it is only tidy, and so is ``with WriteLine(…) as line``.
    """

    def __init__(self, database: Database) -> None:
        self.database = real_path(database)
        self._idle: list[_Place] = []

    @contextmanager
    def turn(self, timeout: float = 60.0, *, sync: bool = True) -> Iterator[None]:
        """Wait in line, give the block its turn, and return when what it has committed is durable.

        In the block begin a transaction, write, and commit, on any connection to the database: in WAL mode with
        ``PRAGMA synchronous=NORMAL``, so that the commit writes the log and leaves the sync to us, outside the turn.
        With ``FULL`` that is as safe, and every sync is within the turn; ``sync=False`` then spares the second one. In
        a rollback-journal mode it is a line alone.

        Raises, before the block, ``sqlite3.OperationalError`` ``database is locked`` after ``timeout`` seconds, saying
        who has the turn, as far as Linux tells; ``OSError`` if the file ``<database>-write-line`` cannot be used.
        After the block, ``sqlite3.ProgrammingError`` if it has left a transaction open, as far as that can be told;
        ``OSError`` if the sync fails: then the rows are committed and not known to be durable. What the block raises is
        raised when what it had committed is durable.
        """
        check_timeout("timeout", timeout)
        try:
            place = self._idle.pop()
        except IndexError:
            place = _Place(self.database)
        try:
            try:
                place.enter(time.monotonic() + timeout)
            except TimeoutError:
                raise _timed_out(self.database, place.path, timeout) from None
            try:
                yield
            finally:
                wrote = place.leave()
                if sync:
                    place.sync()
            if not wrote:
                _check_no_transaction(self.database)
        except BaseException:
            place.close()
            raise
        self._idle.append(place)

    def close(self) -> None:
        """Close the files that no turn has in use."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def write_turn(database: Database, timeout: float = 60.0, *, sync: bool = True) -> Iterator[None]:
    """Wait in line, give the block its turn at writing, and return when what it has committed is durable.

    One turn of a ``WriteLine``, whose ``turn`` says what the block has to do, and what is raised.
    """
    with WriteLine(database) as line, line.turn(timeout, sync=sync):
        yield


@contextmanager
def synced(database: Database) -> Iterator[None]:
    """Return when what the block has committed is durable: the sync after it, without a line and without a file.

    For a transaction in WAL mode with ``synchronous=NORMAL``; in a rollback-journal mode it does nothing. Once a sync
    has failed (``OSError``), nothing is known to be durable until a checkpoint; who comes later is not told here.
    """
    log = _Log(real_path(database))
    try:
        log.look()
        try:
            yield
        finally:
            log.look()
            log.sync()
    finally:
        log.close()


def real_path(database: Database) -> str:
    """The absolute path by which all writers of the database name the files beside it, whatever links they came by.

    ``FileNotFoundError`` if there is no such file; ``NotImplementedError`` where it cannot be locked so, on Windows
    and on a file system that is shared with other machines, as far as Linux tells.
    """
    if sys.platform == "win32":
        raise NotImplementedError("a line of writers needs flock, which Windows does not have")
    path = os.fspath(database)
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        path = os.path.realpath(path)
        found = os.stat(path)
    if (kind := _file_system(found.st_dev)) and _SHARED.fullmatch(kind):
        raise NotImplementedError(f"{path!r} is on a file system shared with other machines ({kind}): no lock holds")
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


@lru_cache
def _clock() -> bytes:
    """What ``time.monotonic`` counts from: this boot, in this time namespace; nothing if the system does not tell.

    A note by another clock means nothing here.
    """
    with suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read()
        space = os.readlink("/proc/self/ns/time").encode() if os.path.lexists("/proc/self/ns/time") else b""
        return bytes.fromhex(boot.strip().replace(b"-", b"").decode())[:8] + crc32(space).to_bytes(8, "little")
    return b""


def _sync(descriptor: int) -> None:
    """Sync a file's content; on macOS, which has no fdatasync, as far as SQLite does by itself."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _head(file: int) -> int:
    return max(int.from_bytes(os.pread(file, _HEAD.size, len(_MAGIC)), "little"), _FIRST)


def _bell() -> socket.socket:
    """A socket with an address that no file system knows (unix(7), "abstract"), and that nobody else has."""
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        bell.bind(_ADDRESS + os.urandom(len(_NOBODY) - len(_ADDRESS)))
    except BaseException:
        bell.close()
        raise
    return bell


def _open(path: str, flags: int) -> FileIO:
    """Open it without a moment at which the descriptor is a number that nobody would close: no bytecode in between."""
    return next(map(FileIO, map(os.open, (path,), (flags,), (0o600,)), ("r+",)))


def _make_line(database: str, path: str) -> None:
    """Make the file with the database's permissions, owner and group, before it has its name."""
    like = os.stat(database)
    draft = f"{path}-{os.urandom(8).hex()}"
    try:
        file = _open(os.path.dirname(path), os.O_RDWR | os.O_TMPFILE)
        draft = f"/proc/self/fd/{file.fileno()}"
    except (AttributeError, OSError):  # a file system that has no files without a name
        file = FileIO(draft, "x+")
    descriptor = file.fileno()
    try:
        with suppress(PermissionError):  # only root gives files away
            os.fchown(descriptor, like.st_uid, -1)
        if os.fstat(descriptor).st_gid != like.st_gid:
            try:
                os.fchown(descriptor, -1, like.st_gid)
            except OSError as error:
                if like.st_mode & 0o060 != (like.st_mode & 0o006) << 3:  # its group may do what others may not
                    raise PermissionError(error.errno, f"cannot give it the group of {database!r}", path) from None
        os.fchmod(descriptor, like.st_mode & 0o666)
        os.pwrite(descriptor, _MAGIC + _HEAD.pack(_FIRST) + bytes(_FIRST - _NOTE_AT), 0)
        with suppress(FileExistsError):
            os.link(draft, path, src_dir_fd=descriptor)  # so that Python follows the link in /proc
    finally:
        file.close()
        with suppress(OSError):
            if not draft.startswith("/proc"):
                os.unlink(draft)


def _check_line(database: str, path: str, line: os.stat_result, begins: bytes | bool) -> None:
    """Raise one clear error unless the file is a line, and of those alone who may write the database."""
    if begins != _MAGIC:
        raise FileExistsError(
            errno.EEXIST, f"not made by sqlite_writes, and in the place of the line of {database!r}", path
        )
    like = os.stat(database)
    may_all = like.st_mode & 0o002
    if not may_all and line.st_uid not in {0, like.st_uid, os.geteuid()} and not _may_by_group(path, line, like):
        raise PermissionError(errno.EACCES, f"it belongs to user {line.st_uid}, who may not write {database!r}", path)
    is_other_group = line.st_mode & 0o020 and line.st_gid not in (like.st_gid, 0) and not may_all
    if line.st_mode & 0o022 & ~like.st_mode or is_other_group:
        raise PermissionError(
            errno.EACCES, f"more may write it than {database!r}: delete it, and it is made anew", path
        )


def _may_by_group(path: str, line: os.stat_result, like: os.stat_result) -> bool:
    """Whether the owner is one of the database's group, or nobody else could have made the file."""
    if not like.st_mode & 0o020:
        return False
    if line.st_gid == like.st_gid and not os.stat(os.path.dirname(path)).st_mode & 0o002:
        return True
    import pwd

    with suppress(KeyError, OSError):
        known = pwd.getpwuid(line.st_uid)
        return like.st_gid in os.getgrouplist(known.pw_name, known.pw_gid)
    return False


def _holders(path: str, kind: str, start: int = 0) -> set[int]:
    """The processes that hold a lock to write, of that kind and on that byte of the file, as far as Linux tells."""
    found = set()
    with suppress(OSError), open("/proc/locks") as locks:
        there = os.stat(path)
        wanted = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
        for line in locks:
            words = line.split()  # of one that waits, there is one more
            if [words[1], words[3], words[5]] == [kind, "WRITE", wanted]:
                end = sys.maxsize if words[7] == "EOF" else int(words[7])  # neighbours are joined
                if int(words[6]) <= start <= end:
                    found.add(int(words[4]))
    return found


def _writers(database: str) -> set[int]:
    """The processes that have a transaction open that writes."""
    return set().union(*(_holders(database + suffix, "POSIX", byte) for suffix, byte in _WRITE_LOCKS))


def _timed_out(database: str, path: str, timeout: float) -> sqlite3.OperationalError:
    """What SQLite itself raises when a writer has waited for too long, with the cause."""
    causes = [f"; process {pid} has the turn" for pid in _holders(path, "FLOCK")]
    causes += [f"; process {pid} has a transaction open that writes" for pid in _writers(database)]
    said = "".join(causes).replace(f" process {os.getpid()} ", " this process ")
    error = sqlite3.OperationalError(
        f"database is locked: no turn in the line of {database!r} within {timeout:g} s{said}"
    )
    error.__dict__.update(sqlite_errorcode=5, sqlite_errorname="SQLITE_BUSY")
    return error


def _check_no_transaction(database: str) -> None:
    """Raise if this process can only have left a transaction open, whatever its connection is; called after a turn.

    With several threads, it might be another's.
    """
    if threading.active_count() == 1 and os.getpid() in _writers(database):
        raise sqlite3.ProgrammingError(
            f"a transaction that writes to {database!r} is still open at the end of the turn: "
            "begin it, and commit or roll it back, inside the block"
        )
