"""Rows that wait together share one commit: each caller returns after the commit, and its sync, that holds its row.

Knows SQL, files and locks, and no processes. What it promises, and why each step is where it is: docs/group_commit.md.
"""

from __future__ import annotations

import json
import os
import struct
import time
from binascii import crc32
from collections.abc import Iterator  # noqa: TC003 one line, and always loaded
from contextlib import closing, contextmanager, suppress

from .driver import Database, Parameters, sqlite3
from .file_lock import LOOK_AGAIN, FileLock, Queue, limit_wait, real_path, time_left, timed_out
from .settings import check_timeout

# A batch begins with its identity, 16 random bytes; then how far its leader is, and up to where it takes the records.
_HEADER = struct.Struct("<16scQ")
_OPEN, _CLAIMED, _COMMITTED = b"o", b"c", b"d"

# A record begins with the identity too, which no value holds by chance, so that the next is found after one left torn.
# Then whether it is still to be committed, the length and the checksum of the statement, and the statement.
_RECORD = struct.Struct("<16scII")
_PENDING, _WITHDRAWN, _REFUSED = b"p", b"w", b"r"

_MARK = 16  # where the one byte of either is that changes

# A larger statement waits in line on its own; so a batch is at most as large as this for each caller that waits.
RECORD_LIMIT = 1 << 16

_TYPES = {type(None), bool, int, float, str, bytes}

# No parameter has an empty name, so that what has one is bytes. As ASCII, two halves of a character would become one.
_TO_JSON = json.JSONEncoder(ensure_ascii=False, default=lambda value: {"": value.hex()})
_FROM_JSON = json.JSONDecoder(object_hook=lambda found: bytes.fromhex(found[""]) if "" in found else found)

# What a statement may raise that is its own caller's affair.
_ITS_OWN = (sqlite3.Error, sqlite3.Warning, Warning, ValueError, OverflowError, TypeError, RecursionError, MemoryError)

_CREATE = "CREATE TABLE IF NOT EXISTS _sqlite_writes_batch (one INTEGER PRIMARY KEY, identity BLOB)"


class UndecidedError(sqlite3.OperationalError):
    """The statement has been committed, or will be, once, or not at all: the call could not find out."""


def _checked(sql: str, parameters: Parameters) -> tuple[str, Parameters]:
    """The same; ``ValueError`` for a statement that might do more than write rows, or touch other files."""
    if not str.lstrip(sql).upper().startswith(("INSERT", "REPLACE", "UPDATE", "DELETE", "WITH")):
        raise ValueError(f"statement {sql[:80]!r} does not begin with INSERT, REPLACE, UPDATE, DELETE or WITH")
    return sql, parameters


def _pack(sql: str, parameters: Parameters) -> bytes | None:
    """As bytes that every Python reads alike; None if they are too many, or a value would not be the same again."""
    names, values = (parameters, parameters.values()) if isinstance(parameters, dict) else ((), parameters)
    if type(parameters) not in (tuple, list, dict) or not _TYPES.issuperset(map(type, values)):
        return None
    if not all(type(name) is str and name for name in names):
        return None
    packed = _TO_JSON.encode([sql, parameters]).encode()
    return packed if len(packed) < RECORD_LIMIT else None


class Batch(FileLock):
    """The statements that will be committed together, in the order in which they came: ``<database>-batch``.

    Its leader made it, holds it locked, and is the only one who ever commits it; while it does, its name is
    ``<database>-commit``. Whoever else finds it adds a statement and waits until the leader lets go of it, by
    finishing or by dying.
    """

    identity = _record = b""  # the batch's; our own statement's, and where it is
    _start: int | None = None

    def begin(self) -> bool:
        """Whether we lead it: the file is new, and ours."""
        if os.fstat(self.descriptor).st_size or not self.acquire() or os.fstat(self.descriptor).st_size:
            return False
        with suppress(OSError):
            os.unlink(f"{self.path}-bell")  # an earlier batch's, which has rung
        self.listen(os.O_CREAT)
        self.identity = os.urandom(_MARK)
        os.write(self.descriptor, _HEADER.pack(self.identity, _OPEN, 0))
        return True

    def header(self) -> tuple[bytes, int]:
        """How far the leader is, and the end; no mark if this is no batch, or not the one that it was."""
        found = os.pread(self.descriptor, _HEADER.size, 0)
        self.identity = self.identity or found[:_MARK]
        return _HEADER.unpack(found)[1:] if found[:_MARK] == self.identity and len(found) == _HEADER.size else (b"", 0)

    def set_mark(self, mark: bytes, start: int = 0) -> None:
        """Set that of the batch, or of the record that starts there: one byte, so that nobody finds half of it."""
        self.write_at(mark, start + _MARK)

    def add(self, packed: bytes) -> bool:
        """Append a statement's record; False if the disk is full."""
        self._record = _RECORD.pack(self.identity, _PENDING, len(packed), crc32(packed)) + packed
        if os.write(self.descriptor, self._record) == len(self._record):
            self._start = os.lseek(self.descriptor, 0, os.SEEK_CUR) - len(self._record)
        return self._start is not None

    # What became of a statement: _COMMITTED; _PENDING, it was not taken and never will be, so that it may join another
    # batch; _REFUSED, the same after an error; _WITHDRAWN, the same because the time was over.

    def lead(self, packed: bytes, queue: Queue, deadline: float) -> bytes:
        """Stand in line, commit what has been added by then, and say what became of the leader's own statement."""
        try:
            self.add(packed)
            if not queue.wait(deadline):
                return _WITHDRAWN
            return _COMMITTED if self._start in self._commit(deadline) else _REFUSED
        finally:
            self._remove()

    def follow(self, packed: bytes, deadline: float) -> bytes:
        """Add a statement, wait, and say what became of it; ``UndecidedError`` if that cannot be known."""
        done, withdrawn, pause = False, False, 0.0005
        try:
            while self.header()[0] != _OPEN and self.is_current() and time_left(deadline):
                if self.acquire(shared=True):  # nobody leads it
                    return self._fate(deadline)
                # Its leader is about to open it, or to rename it. Many that look often would keep it from a processor.
                time.sleep(min(pause := min(2 * pause, LOOK_AGAIN), time_left(deadline)))
            self.listen()
            # Open as before: then the bell is this batch's, and not the next one's.
            if self.header()[0] == _OPEN and not self.add(packed):
                return _REFUSED
            if self._start is None:
                return _PENDING if time_left(deadline) else _WITHDRAWN
            done = self.acquire_by(deadline, shared=True)
        finally:
            if not done and self._start is not None and self.header()[0] == _OPEN:
                with suppress(OSError):  # even one byte may need room on a disk that is full
                    self.set_mark(_WITHDRAWN, self._start)
                    withdrawn = True
        if done:
            return self._fate(deadline)
        # The leader marks the batch first, and then reads what is withdrawn: one of us sees the other.
        if not withdrawn or self.header()[0] != _OPEN:
            raise UndecidedError("the time was over, and the statement could not be withdrawn any more")
        return _WITHDRAWN

    def _fate(self, deadline: float) -> bytes:
        mark, end = self.header()
        if self._start is None or mark == _OPEN:
            self._remove()  # if it still has that name, a leader that died has left it, or it is no batch at all
            return _PENDING
        if mark == _CLAIMED:  # its leader died, or failed, after that
            with suppress(sqlite3.Error, OSError), closing(Queue(self.database)) as queue:
                if queue.wait(deadline):  # in line, since all who followed come to ask
                    self._settle(deadline)
            if (mark := self.header()[0]) == _OPEN:
                return _REFUSED
        found = os.pread(self.descriptor, len(self._record), self._start)
        refused = self._record[:_MARK] + _REFUSED + self._record[_MARK + 1 :]
        if mark != _COMMITTED or found not in (self._record, refused):
            raise UndecidedError(f"the database or {self.path!r} does not tell whether the statement was committed")
        # Beyond the end, it came when the leader had read.
        return _PENDING if self._start >= end else _REFUSED if found == refused else _COMMITTED

    def _commit(self, deadline: float) -> list[int]:
        """Commit what has been added, in one transaction, less what fails of it; the starts of what was committed."""
        with suppress(FileNotFoundError), closing(Batch(self.database, "-commit")) as dead:
            if dead.acquire(shared=True):  # else its leader lives: someone deleted the queue that we both stood in
                dead._settle(deadline)
                os.unlink(dead.path)
        failed = [True]
        while any(failed):
            with _transaction(self.database, deadline, _CREATE) as connection:
                statements = self._claim()
                # None is executed after one that itself rolled all back.
                failed = [connection.in_transaction and self._fails(connection, *one) for one in statements]
                if any(failed):
                    connection.rollback()  # and all anew, without those: a statement may fail half done
                elif statements:
                    connection.execute("REPLACE INTO _sqlite_writes_batch VALUES (1, ?)", (self.identity,))
        with suppress(OSError):  # it is committed: if the files cannot say so, the database does
            if self.header()[0] == _CLAIMED:
                self.set_mark(_COMMITTED)
            os.unlink(f"{self.database}-commit")
        return [start for start, _ in statements]

    def _fails(self, connection: sqlite3.Connection, start: int, packed: bytes) -> bool:
        """Execute the statement whose record starts there; True, and it is refused, if that fails."""
        with suppress(*_ITS_OWN):
            connection.execute(*_checked(*_FROM_JSON.decode(packed.decode()))).fetchall()
            return False
        self.set_mark(_REFUSED, start)
        return True

    def _claim(self) -> list[tuple[int, bytes]]:
        """Let nobody join any more, and give the statements to commit, each with the start of its record.

        Called by the leader, in the transaction that is to hold them and the batch's identity.
        """
        if self.header()[0] == _OPEN:
            self.set_mark(_CLAIMED)
            with suppress(FileNotFoundError):
                if self.is_current():
                    os.rename(self.path, f"{self.database}-commit")
        if self.header()[0] != _CLAIMED:
            return []  # damaged: nobody who waits there will take anything for committed
        data = os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)
        statements = []
        end = start = _HEADER.size
        while (start := data.find(self.identity, start)) >= 0:
            body = start + _RECORD.size
            _, mark, length, checksum = _RECORD.unpack(data[start:body].ljust(_RECORD.size))
            packed = data[body : body + length]
            if len(packed) < length or crc32(packed) != checksum:
                start += 1  # left torn by a writer that was killed; or, at the end, it is still being written
                continue
            if mark == _PENDING:
                statements.append((start, packed))
            end = start = body + length
        os.pwrite(self.descriptor, struct.pack("<Q", end), _MARK + 1)
        return statements

    def _settle(self, deadline: float) -> None:
        """Find out for good whether the batch was committed, if its leader died meanwhile, or failed; and mark it so.

        Called in line, before another batch's identity replaces its own.
        """
        if self.header()[0] != _CLAIMED:
            return
        is_other = False
        try:
            with _transaction(self.database, deadline, _CREATE) as connection:
                found = connection.execute("SELECT identity FROM _sqlite_writes_batch WHERE one = 1").fetchone()
                is_other = found != (self.identity,) and os.fstat(self.descriptor).st_nlink > 0
                # This commit syncs the batch's own; or overwrites it, if its leader died in the midst of that.
                connection.execute("REPLACE INTO _sqlite_writes_batch VALUES (2, NULL)")
        except sqlite3.Error:
            if is_other:  # a full disk; not if we are interrupted
                self.set_mark(_OPEN)
            raise
        if is_other:
            self.set_mark(_OPEN)
        elif found == (self.identity,):
            self.set_mark(_COMMITTED)

    def _remove(self) -> None:
        """See to it that nobody joins any more. While it has that name, it has not been committed."""
        if self.is_current():
            self.set_mark(_OPEN)
            with suppress(FileNotFoundError):
                os.unlink(self.path)


def execute_grouped(database: Database, sql: str, parameters: Parameters = (), timeout: float = 60.0) -> None:
    """Execute one INSERT, REPLACE, UPDATE or DELETE, and return when a commit that holds it has been synced.

    Statements that wait at the same time, of whatever processes and threads, are committed together, each exactly once.
    What a statement raises is raised by its own call, and the others do not notice. ``sqlite3.OperationalError``
    ``database is locked`` if it was not committed within ``timeout`` seconds, and then it never will be;
    ``UndecidedError`` if that could not be found out. ``ValueError`` for a statement of another kind, and what
    ``real_path`` raises. docs/group_commit.md has the whole promise.
    """
    _checked(sql, parameters)
    check_timeout("timeout", timeout)
    path, deadline = real_path(database), time.monotonic() + timeout
    group, fate = f"{path}-batch", _PENDING
    with closing(Queue(path)) as queue:
        while fate == _PENDING and (os.access(group, os.F_OK) or not queue.wait()) and (data := _pack(sql, parameters)):
            with closing(Batch(path, "-batch", os.O_CREAT | os.O_APPEND)) as batch:
                fate = batch.lead(data, queue, deadline) if batch.begin() else batch.follow(data, deadline)
        if fate != _COMMITTED:
            # Alone: since nobody waits; or to meet the error itself; or the time is over, and it may be free just now.
            if not queue.wait(deadline):
                raise timed_out(queue, timeout)
            with _transaction(path, deadline) as connection:
                connection.execute(sql, parameters).fetchall()


@contextmanager
def _transaction(database: str, deadline: float, *first: str) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that has the write lock, and is synced and committed if nothing is raised."""
    with closing(sqlite3.connect(database, timeout=time_left(deadline), isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        for statement in (*first, "BEGIN IMMEDIATE"):
            limit_wait(connection, deadline)  # it begins anew with each
            connection.execute(statement)
        yield connection
        limit_wait(connection, deadline)
        connection.commit()
