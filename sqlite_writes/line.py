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
from functools import lru_cache, partial
from io import FileIO
from typing import TYPE_CHECKING
from weakref import ref

from .driver import Database, path_of, sqlite3
from .settings import check_timeout
from .two_libraries import OTHERS, both_have_open, in_words

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where two machines can open the same file, and the lock of one may mean nothing to the other.
_SHARED = re.compile(
    "9p|afs|beegfs|ceph|cifs|drvfs|lustre|nfs4?|prl_fs|smb3|smbfs|vboxsf|virtiofs"
    "|(fuse[.])?(glusterfs|grpcfuse|osxfs|sshfs|vmhgfs-fuse)"
)

# The file begins with its name, where the line begins, the note of the last sync with its checksum, and the log that
# has a hole: a sync of it failed, and SQLite would recover it only up to there. From _FIRST on comes the address of
# each writer that had to wait, in the order of their coming.
_MAGIC = b"sqlite-writes 1\n"
_HEAD, _NOTE, _HOLE = struct.Struct("<Q"), struct.Struct("<16sddd"), struct.Struct("<Q8s")
_HEAD_AT, _NOTE_AT, _HOLE_AT, _FIRST = 16, 24, 72, 128
_ADDRESS, _LENGTH = b"\0swl", 16

# Of addresses that are no longer needed, as many bytes are kept.
_LONGEST = 1 << 20

# Seconds, for each place in the line, after which a writer looks at the lock again though nobody has called: the one
# who should have called may have been killed or stopped.
LOOK_AGAIN = 0.02

# Seconds after which a writer first looks again whether another's sync has ended. If that takes longer by _PATIENCE
# than two of the slow syncs before it, the writer syncs alone.
_PAUSE, _PATIENCE = 0.0005, 0.02

# SQLite's own lock of whoever writes: that byte of the WAL's index, or of the database itself (WAL_WRITE_LOCK in wal.c,
# RESERVED_BYTE in os.h).
_WAL_LOCK, _RESERVED = 120, 0x40000001

# A file's time is that of the kernel's last tick, at most so many nanoseconds ago.
_TICK = 10_000_000


class _Log:
    """The write-ahead log of a database, opened to be synced; SQLite takes no lock on that file, so it may be closed.

    On Linux an error of a sync is told once to each descriptor that was open before it, so the log is opened before the
    transaction that it is to sync.
    """

    file: FileIO | None = None
    identity: tuple[int, int] | None = None
    opened = 0.0

    def __init__(self, database: str) -> None:
        self.path = database + "-wal"

    def look(self) -> os.stat_result | None:
        """Open what is there unless it is open, and return its state.

        A log that is gone was checkpointed, and so synced, by the one who removed it: SQLite's last connection, as it
        closed (https://sqlite.org/wal.html).
        """
        found = _state(self.path)
        if _identity(found) != self.identity:
            self.close()
            with suppress(FileNotFoundError):
                self.file = _open_existing(self.path)
            found = os.fstat(self.file.fileno()) if self.file else None
            self.identity, self.opened = _identity(found), time.monotonic()
        return found

    def sync(self) -> None:
        """Sync what was written to it; ``OSError`` if the system cannot."""
        if self.file:
            _sync(self.file.fileno())

    def name(self) -> bytes:
        """Return what tells it from every other log, and from itself once SQLite has begun it anew.

        Its inode and its salts (https://sqlite.org/fileformat2.html#walformat).
        """
        return _HOLE.pack(self.identity[1], os.pread(self.file.fileno(), 8, 16)) if self.file and self.identity else b""

    def close(self) -> None:
        """Close it."""
        file, self.file, self.identity = self.file, None, None
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
    identity: tuple[int, int] | None = None
    address = b""  # of the bell
    called = 0  # where the address stands of the writer whom we called: it comes before us
    before = (0, 0)
    started = 0.0

    def __init__(self, database: str) -> None:
        self.database, self.path = database, database + "-write-line"
        self.log = _Log(database)

    def enter(self, deadline: float) -> None:
        """Wait until it is our turn; ``TimeoutError`` if that was not so by the deadline."""
        _places[id(self)] = ref(self)
        self.log.look()
        while True:
            if self.file is None:
                self._open()
            is_late = self.called > 0 and self.called >= self._head()
            # One yield before the sleep: a turn is shorter than it takes to fall asleep and be woken.
            if is_late or not self._lock():
                os.sched_yield()
                if is_late or not self._lock():
                    self._stand_in_line(deadline, is_late)
            if _identity(_state(self.path)) == self.identity:
                break
            self._close()  # someone deleted it: those who come now wait at another
        self.before = self._last_write()
        self.started = time.monotonic()

    def leave(self) -> bool:
        """Let the next one have its turn, and return whether something may have been written in ours.

        Commits within one tick of the kernel give the file the same time. Where others wait, that is no sign.
        """
        last = self._last_write()
        fcntl.flock(self._fileno(), fcntl.LOCK_UN)
        with suppress(OSError):  # a full disk: they look again
            self._call_the_next()
        return last != self.before or (self.called > 0 and time.time_ns() - last[1] < _TICK)

    def sync(self) -> None:
        """Return when all that was committed before is durable: by our own sync, or another's that covers it.

        Another's covers it if it began after our commit, with a descriptor that was open before our transaction.
        """
        committed, log = time.monotonic(), self.log.file
        while log and not self._is_synced(committed):
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = time.monotonic() - committed
                if waited <= 2 * self._note()[2] + _PATIENCE:
                    time.sleep(_PAUSE + waited / 16)
                    continue
                self._sync_and_note()  # the other was stopped, or knows of no line
                break
            try:
                if not self._is_synced(committed):
                    self._sync_and_note()
                break
            finally:
                fcntl.flock(log, fcntl.LOCK_UN)
        # A descriptor that was opened after another's sync had failed was not told of it.
        if log and os.pread(self._fileno(), _HOLE.size, _HOLE_AT) == self.log.name():
            raise OSError(errno.EIO, "an earlier sync failed, and no checkpoint has mended it since", self.log.path)

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
            self._close()
        finally:
            self.log.close()

    def _open(self) -> None:
        """Open the line's file, made if need be; one line if it is somebody else's."""
        while self.file is None:
            try:
                self.file = _open_existing(self.path)
            except FileNotFoundError:
                _make_line(self.database, self.path)
            except OSError as error:
                said = f"{error.strerror}: it is to be the line of {self.database!r}"
                raise type(error)(error.errno, said, self.path) from None
        _check_line(self.database, self.path, self.file.fileno())
        self.identity = _identity(os.fstat(self.file.fileno()))

    def _silence(self) -> None:
        bell, self.bell = self.bell, None
        if bell:
            bell.close()

    def _close(self) -> None:
        try:
            self._silence()
        finally:
            file, self.file, self.called = self.file, None, 0
            if file:
                file.close()

    def _fileno(self) -> int:
        if self.file is None:
            raise ValueError("a turn is ended in another process than it was begun in")
        return self.file.fileno()

    def _last_write(self) -> tuple[int, int]:
        """Return the size and the time of what a commit writes to: the log, or the database where there is none."""
        found = self.log.look()
        found = found if found and found.st_size else _state(self.database)
        return (found.st_size, found.st_mtime_ns) if found else (0, 0)

    def _head(self) -> int:
        return max(int.from_bytes(os.pread(self._fileno(), _HEAD.size, _HEAD_AT), "little"), _FIRST)

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _ring(self) -> socket.socket:
        """Our bell: a socket with an address that no file system knows (unix(7), "abstract"), and nobody else has."""
        if self.bell is None:
            self.bell, self.address = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), _ADDRESS + os.urandom(12)
            self.bell.bind(self.address)
        return self.bell

    def _stand_in_line(self, deadline: float, is_late: bool) -> None:
        file, mine = self._fileno(), 0
        if sys.platform == "linux" and hasattr(os, "RWF_APPEND"):  # from Python 3.10 on
            with suppress(OSError):  # a sandbox without such sockets, or a full disk: then we only look again
                self._ring()
                os.pwritev(file, [self.address], -1, os.RWF_APPEND)
                mine = os.lseek(file, 0, os.SEEK_CUR) - _LENGTH
        while is_late or not self._lock():
            left = max(deadline - time.monotonic(), 0.001 * is_late)
            if left <= 0:
                raise TimeoutError
            is_late = False
            again = min((1 + max(mine - self._head(), 0) // _LENGTH) * LOOK_AGAIN, 0.5, left)
            if self.bell is None:
                time.sleep(min(again, 0.002))
                continue
            self.bell.settimeout(again)
            with suppress(TimeoutError, socket.timeout):
                self.bell.recv(1)
        if mine and mine == self._head():
            os.pwrite(file, _HEAD.pack(mine + _LENGTH), _HEAD_AT)
        else:  # we were not the first, or our address was moved: let nobody be heard there
            self._silence()

    def _call_the_next(self) -> None:
        """Call the first in line who hears it. Pass over those before it, and shorten the file when it has grown."""
        file, first = self._fileno(), self._head()
        while (address := os.pread(file, _LENGTH, first)) and not self._call(address):
            first += _LENGTH
        self.called = first if address else 0
        if first > self._head():  # unless others were quicker
            os.pwrite(file, _HEAD.pack(first), _HEAD_AT)
        if first > _LONGEST and self._lock():
            # Who comes between these two looks again, since nobody will call it.
            waiting = os.pread(file, _LONGEST, first)
            os.ftruncate(file, _FIRST)
            os.pwrite(file, _HEAD.pack(_FIRST), _HEAD_AT)
            os.pwrite(file, waiting, _FIRST)
            fcntl.flock(file, fcntl.LOCK_UN)

    def _call(self, address: bytes) -> bool:
        """Wake the one who sleeps there; False if nobody does."""
        bell = self._ring()
        if not address.startswith(_ADDRESS):
            return False
        bell.setblocking(False)
        with suppress(BlockingIOError):  # it has been called so often that its ears are full
            try:
                bell.sendto(b"", address)
            except ConnectionRefusedError:
                return False
        return True

    def _note(self) -> tuple[float, float, float]:
        """Of the last sync: when its descriptor had been opened, when it began; and how long the slow ones take."""
        found = os.pread(self._fileno(), _NOTE.size + 4, _NOTE_AT)
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
        if _identity(_state(self.log.path)) != self.log.identity:
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
    _clock.cache_clear()
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
        Before or after it, ``sqlite3.ProgrammingError`` if this process has the database open through two SQLite
        libraries, and after it if the block has left a transaction open, both as far as that can be told;
        ``OSError`` if the sync fails: then the rows are committed and not known to be durable. What the block raises is
        raised when what it had committed is durable.
        """
        check_timeout("timeout", timeout)
        if sys.modules.keys() & OTHERS:
            _check_one_library(self.database)
        try:
            place = self._idle.pop()
        except IndexError:
            place = _Place(self.database)
        try:
            try:
                place.enter(time.monotonic() + timeout)
            except TimeoutError:
                raise _timed_out(self.database, timeout) from None
            try:
                yield
            finally:
                wrote = place.leave()
                if sync:
                    place.sync()
            if sys.modules.keys() & OTHERS:
                _check_one_library(self.database)
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
    """Return the absolute path by which all writers name the files beside the database, whatever links they came by.

    ``FileNotFoundError`` if there is no such file, ``IsADirectoryError`` for a folder; ``NotImplementedError`` where it
    cannot be locked so, on Windows and on a file system that is shared with other machines, as far as Linux tells.
    """
    if sys.platform == "win32":
        raise NotImplementedError("a line of writers needs flock, which Windows does not have")
    path = path_of(database)
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        path = os.path.realpath(path)
        found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a database is a file", path)
    if (kind := _file_system(found.st_dev)) and _SHARED.fullmatch(kind):
        raise NotImplementedError(f"{path!r} is on a file system shared with other machines ({kind}): no lock holds")
    return path if path[0] == "/" else os.path.join(os.getcwd(), path)  # another thread may change the folder


@lru_cache
def _file_system(device: int) -> str | None:
    """Return the kind of file system that the device is, if it is no disk's and Linux tells."""
    if not os.major(device):
        # macOS does not tell.
        with suppress(FileNotFoundError), open("/proc/self/mountinfo", errors="replace") as mounts:
            kinds = {mount.split()[2]: mount.partition(" - ")[2].split()[0] for mount in mounts}
            return kinds.get(f"0:{os.minor(device)}")
    return None


@lru_cache
def _clock() -> bytes:
    """Return the name of what ``time.monotonic`` counts from: this boot, in this time namespace; b"" if not told.

    A note by another clock means nothing here.
    """
    space = "/proc/self/ns/time"
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", "rb") as boot:
        return boot.read(8) + struct.pack("<Q", os.stat(space).st_ino if os.path.exists(space) else 0)
    return b""


def _sync(descriptor: int) -> None:
    """Sync a file's content; on macOS, which has no fdatasync, as far as SQLite does by itself."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _open_existing(path: str) -> FileIO:
    """Open it without a moment at which the descriptor is a number that nobody would close: no bytecode in between."""
    return next(map(FileIO, map(os.open, (path,), (os.O_RDWR | os.O_NOFOLLOW,)), ("r+",)))


def _state(path: str) -> os.stat_result | None:
    """Return what is there; a link is not followed."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _identity(found: os.stat_result | None) -> tuple[int, int] | None:
    return found and (found.st_dev, found.st_ino)


def _make_line(database: str, path: str) -> None:
    """Make the file with the database's permissions, owner and group, before it has its name."""
    like, draft = os.stat(database), f"{path}-{os.urandom(8).hex()}"
    with FileIO(draft, "x+", opener=partial(os.open, mode=0o600)) as file:
        try:
            with suppress(PermissionError):  # only root gives files away
                os.fchown(file.fileno(), like.st_uid, -1)
            try:
                os.fchown(file.fileno(), -1, like.st_gid)
            except OSError as error:
                if like.st_mode & 0o060 != (like.st_mode & 0o006) << 3:  # its group may do what others may not
                    raise PermissionError(error.errno, f"cannot give it the group of {database!r}", path) from None
            os.fchmod(file.fileno(), like.st_mode & 0o666)
            file.write(_MAGIC + _HEAD.pack(_FIRST) + bytes(_FIRST - _NOTE_AT))
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            os.unlink(draft)


def _check_line(database: str, path: str, file: int) -> None:
    """Raise one clear error unless the file is a line, and of those alone who may write the database."""
    line, like, folder = os.fstat(file), os.stat(database), os.stat(os.path.dirname(path))
    if not stat.S_ISREG(line.st_mode) or os.pread(file, len(_MAGIC), 0) != _MAGIC:
        said = f"not made by sqlite_writes, and in the place of the line of {database!r}"
        raise FileExistsError(errno.EEXIST, said, path)
    may_all, is_same_group = like.st_mode & 0o002, line.st_gid == like.st_gid
    # Whoever may make a file in the folder may also give it the group where the folder does.
    is_theirs = is_same_group and like.st_mode & 0o020 and folder.st_mode & 0o2002 != 0o2002
    if line.st_uid not in {0, like.st_uid, os.geteuid()} and not may_all and not is_theirs:
        raise PermissionError(errno.EACCES, f"it belongs to user {line.st_uid}, who may not write {database!r}", path)
    is_other_group = line.st_mode & 0o020 and line.st_gid and not is_same_group and not may_all
    if line.st_mode & 0o022 & ~like.st_mode or is_other_group:
        raise PermissionError(errno.EACCES, f"more may write it than {database!r}: delete it to make it anew", path)


def _lock_holders(database: str) -> tuple[set[int], set[int]]:
    """Return the processes that have the turn, and those that have a transaction open that writes, as Linux tells."""
    turn: set[int] = set()
    writers: set[int] = set()
    wanted = {}
    for holders, suffix, byte in ((turn, "-write-line", 0), (writers, "-shm", _WAL_LOCK), (writers, "", _RESERVED)):
        if there := _state(database + suffix):
            name = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
            wanted[name] = holders, byte
    with suppress(OSError), open("/proc/locks") as locks:
        for _, _, _, mode, pid, name, start, end, *_ in map(str.split, locks):  # one that waits has one word more
            holders, byte = wanted.get(name, (set(), 0))
            if mode == "WRITE" and int(start) <= byte and (end == "EOF" or byte <= int(end)):
                holders.add(int(pid))
    return turn, writers


def _timed_out(database: str, timeout: float) -> sqlite3.OperationalError:
    """Return what SQLite itself raises when a writer has waited for too long, with the cause."""
    turn, writers = _lock_holders(database)
    causes = [f"; process {pid} has the turn" for pid in turn]
    causes += [f"; process {pid} has a transaction open that writes" for pid in writers]
    said = "".join(causes).replace(f" process {os.getpid()} ", " this process ")
    error = sqlite3.OperationalError(
        f"database is locked: no turn in the line of {database!r} within {timeout:g} s{said}"
    )
    error.__dict__.update(sqlite_errorcode=5, sqlite_errorname="SQLITE_BUSY")
    return error


def _check_one_library(database: str) -> None:
    """Raise if this process writes through two SQLite libraries: before the block, or when all in it is durable."""
    if both_have_open(database):
        raise sqlite3.ProgrammingError(in_words(database))


def _check_no_transaction(database: str) -> None:
    """Raise if this process can only have left a transaction open, whatever its connection is; called after a turn.

    With several threads, it might be another's.
    """
    if threading.active_count() == 1 and os.getpid() in _lock_holders(database)[1]:
        raise sqlite3.ProgrammingError(
            f"a transaction that writes to {database!r} is still open at the end of the turn: "
            "begin it, and commit or roll it back, inside the block"
        )
