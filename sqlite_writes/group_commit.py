"""Rows that wait together share one commit: each caller returns after the commit, and its sync, that holds its row.

Knows SQL, files and locks, and no processes. What it promises, and why each step is where it is: docs/group_commit.md.
"""

from __future__ import annotations

import json
import os
import re
import struct
import time
from binascii import crc32
from contextlib import closing, suppress
from typing import TYPE_CHECKING, NamedTuple, Union

from .driver import sqlite3
from .file_lock import Database, FileLock, Queue, limit_wait, real_path, timed_out
from .settings import LONGEST_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value = Union[None, int, float, str, bytes]
Parameters = Union["Sequence[Value]", "Mapping[str, Value]"]

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

_CREATE = "CREATE TABLE IF NOT EXISTS _sqlite_writes_batch (one INTEGER PRIMARY KEY, identity BLOB)"


class UndecidedError(sqlite3.OperationalError):
    """The statement has been committed, or will be, once, or not at all: the call could not find out."""


class _Statement(NamedTuple):
    sql: str
    parameters: Parameters

    def run(self, connection: sqlite3.Connection) -> None:
        connection.execute(self.sql, self.parameters).fetchall()

    def pack(self) -> bytes | None:
        """As bytes that every Python reads alike; None if a value is of a type that would not be the same again."""
        parameters = dict(self.parameters) if hasattr(self.parameters, "keys") else list(self.parameters)
        values = parameters.values() if isinstance(parameters, dict) else parameters
        if not {type(value) for value in values} <= {type(None), bool, int, float, str, bytes}:
            return None
        packed = json.dumps([self.sql, parameters], default=lambda value: {"": value.hex()}).encode()
        return packed if len(packed) < RECORD_LIMIT else None

    @classmethod
    def unpack(cls, packed: bytes) -> _Statement:
        # No parameter has an empty name, so that what has one is bytes.
        return cls(*json.loads(packed, object_hook=lambda found: bytes.fromhex(found[""]) if "" in found else found))


class Batch(FileLock):
    """The statements that will be committed together, in the order in which they came: ``<database>-batch``.

    Its leader made it, holds it locked, and is the only one who ever commits it; while it does, its name is
    ``<database>-commit``. Whoever else finds it adds a statement and waits until the leader lets go of it, by
    finishing or by dying.
    """

    def __init__(self, database: str, suffix: str = "-batch", flags: int = 0) -> None:
        super().__init__(database, suffix, flags)
        self.identity = os.pread(self.descriptor, _MARK, 0)

    def begin(self) -> bool:
        """Make a new file a batch that we lead; False if someone took it for one whose leader had died before that."""
        if self.acquire():
            self.identity = os.urandom(_MARK)
            os.pwrite(self.descriptor, _HEADER.pack(self.identity, _OPEN, 0), 0)
        return self.mark() == _OPEN

    def mark(self) -> bytes:
        """How far the leader is; empty if this is no batch, or not the one that it was."""
        header = os.pread(self.descriptor, _HEADER.size, 0)
        return header[_MARK : _MARK + 1] if len(header) == _HEADER.size and header[:_MARK] == self.identity else b""

    def set_mark(self, mark: bytes, start: int = 0) -> None:
        """Set that of the batch, or of the record that starts there: one byte, so that nobody finds half of it."""
        os.pwrite(self.descriptor, mark, start + _MARK)

    def remove(self) -> None:
        """See to it that nobody joins any more."""
        if self.is_current():
            with suppress(FileNotFoundError):
                os.unlink(self.path)

    def follow(self, own: _Statement, deadline: float) -> bytes:
        """Add a statement, wait, and say what became of it; ``UndecidedError`` if that cannot be known.

        ``_COMMITTED``; ``_PENDING`` if it was not taken and never will be, so that it may join another batch;
        ``_REFUSED`` if the same after an error; ``_WITHDRAWN`` if the same because the time was over.
        """
        if self.mark() != _OPEN:
            if not self.acquire(deadline, shared=True):
                return _WITHDRAWN
            self.remove()  # if it still has that name, a leader that died has left it, or it is no batch at all
            return _PENDING
        packed = own.pack()
        if packed is None:
            return _REFUSED
        record = _RECORD.pack(self.identity, _PENDING, len(packed), crc32(packed)) + packed
        start = self.append(record)
        if start is None:
            return _REFUSED
        try:
            granted = self.acquire(deadline, shared=True)
        except BaseException:
            self._withdraw(start)
            raise
        if granted:
            return self._fate(start, record, deadline)
        if not self._withdraw(start):
            raise UndecidedError("the time was over while the statement was being committed")
        return _WITHDRAWN

    def _withdraw(self, start: int) -> bool:
        """True if a record is withdrawn; False if it may be committed at this moment, or has been."""
        if self.mark() == _OPEN:
            self.set_mark(_WITHDRAWN, start)
        # The leader marks the batch first, and then reads what is withdrawn: one of us sees the other.
        return self.mark() == _OPEN

    def _fate(self, start: int, record: bytes, deadline: float) -> bytes:
        mark = self.mark()
        if mark == _OPEN:
            self.remove()  # its leader died, or its time was over
            return _PENDING
        if mark == _CLAIMED:  # its leader died, or failed, after that: what its transaction wrote decides
            try:
                with closing(sqlite3.connect(self.database)) as connection:
                    limit_wait(connection, deadline)
                    committed = _is_committed(connection, self.identity)
            except sqlite3.Error as error:
                raise UndecidedError(
                    f"the database does not tell whether the statement was committed: {error}"
                ) from error
            deleted = os.fstat(self.descriptor).st_nlink == 0
            mark = _COMMITTED if committed else self.mark()  # which the next leader sets before it deletes the file
            if mark == _OPEN or (mark == _CLAIMED and not deleted):
                return _REFUSED
        found = os.pread(self.descriptor, len(record), start)
        if mark != _COMMITTED or found[:_MARK] + found[_MARK + 1 :] != record[:_MARK] + record[_MARK + 1 :]:
            raise UndecidedError(f"{self.path!r} was damaged or deleted while the statement waited there")
        _, _, end = _HEADER.unpack(os.pread(self.descriptor, _HEADER.size, 0))
        if start >= end:
            return _PENDING  # it came when the leader had read
        return _REFUSED if found[_MARK : _MARK + 1] == _REFUSED else _COMMITTED

    def claim(self, connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
        """Let nobody join any more, and give the statements to commit, each with the start of its record.

        Called by the leader, in the transaction that is to hold them and the batch's identity.
        """
        if self.mark() == _OPEN:
            self._settle(connection)
            if self.is_current():
                os.rename(self.path, f"{self.database}-commit")
            self.set_mark(_CLAIMED)
        if self.mark() != _CLAIMED:
            return []  # damaged: nobody who waits there will take anything for committed
        data = os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)
        statements = []
        end = start = _HEADER.size
        while (start := data.find(self.identity, start)) >= 0:
            body = start + _RECORD.size
            _, mark, length, checksum = _RECORD.unpack(data[start:body].ljust(_RECORD.size))
            if len(data) < body + length or crc32(data[body : body + length]) != checksum:
                start += 1  # left torn by a writer that was killed; or, at the end, it is still being written
                continue
            if mark == _PENDING:
                statements.append((start, data[body : body + length]))
            end = start = body + length
        os.pwrite(self.descriptor, struct.pack("<Q", end), _MARK + 1)
        return statements

    def _settle(self, connection: sqlite3.Connection) -> None:
        """Mark the batch whose leader died while it committed it, before our identity replaces that one's."""
        with suppress(FileNotFoundError), closing(Batch(self.database, "-commit")) as dead:
            if dead.mark() == _CLAIMED:
                dead.set_mark(_COMMITTED if _is_committed(connection, dead.identity) else _OPEN)
            os.unlink(dead.path)


def execute_grouped(database: Database, sql: str, parameters: Parameters = (), timeout: float = 60.0) -> None:
    """Execute one INSERT, REPLACE, UPDATE or DELETE, and return when a commit that holds it has been synced.

    Statements that wait at the same time, of whatever processes and threads, are committed together, each exactly once.
    What a statement raises is raised by its own call, and the others do not notice. ``sqlite3.OperationalError``
    ``database is locked`` if it was not committed within ``timeout`` seconds, and then it never will be;
    ``UndecidedError`` if that could not be found out. ``ValueError`` for a statement of another kind, and what
    ``real_path`` raises. docs/group_commit.md has the whole promise.
    """
    trace_grouped(database, sql, parameters, timeout)


def trace_grouped(database: Database, sql: str, parameters: Parameters, timeout: float) -> float:
    """Do what ``execute_grouped`` does; the moment when the statement's turn came."""
    if not re.match(r"\s*(INSERT|REPLACE|UPDATE|DELETE|WITH)\b", sql, re.IGNORECASE):
        raise ValueError(f"statement {sql[:80]!r} does not begin with INSERT, REPLACE, UPDATE, DELETE or WITH")
    if not 0 <= timeout <= LONGEST_TIMEOUT:
        raise ValueError(f"timeout {timeout!r} is not a number of seconds from 0 to {LONGEST_TIMEOUT}")
    deadline = time.monotonic() + timeout
    path = real_path(database)
    own = _Statement(sql, parameters)
    with closing(Queue(path)) as queue:
        fate = _PENDING
        while fate == _PENDING:
            try:
                batch = Batch(path)
            except FileNotFoundError:  # nobody waits
                if queue.wait():
                    break
                fate = _lead(queue, own, deadline, timeout)
            else:
                with closing(batch):
                    fate = batch.follow(own, deadline)
        if fate == _COMMITTED:
            return queue.since or time.monotonic()
        # Alone: since nobody waits; or to meet the error itself; or the time is over, and it is free at this moment.
        if not queue.wait(deadline):
            raise timed_out(queue, timeout)
        _commit(path, None, own, deadline)
        return queue.since


def _lead(queue: Queue, own: _Statement, deadline: float, timeout: float) -> bytes:
    try:
        made = Batch(queue.database, flags=os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return _PENDING
    with closing(made) as batch:
        try:
            if not batch.begin():
                return _PENDING
            if not queue.wait(deadline):
                raise timed_out(queue, timeout)
            _commit(queue.database, batch, own, deadline)
            return _COMMITTED
        finally:
            batch.remove()


def _commit(database: str, batch: Batch | None, own: _Statement | None, deadline: float) -> None:
    """Commit ``own`` and what the batch holds in one transaction; what fails of it is refused, or is raised."""
    failure = None
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        while True:
            limit_wait(connection, deadline)
            connection.execute("PRAGMA synchronous = FULL")
            if batch is not None:
                connection.execute(_CREATE)
            connection.execute("BEGIN IMMEDIATE")
            statements = [] if batch is None else batch.claim(connection)
            start = 0
            try:
                for start, packed in statements:  # noqa: B007 the one that failed is refused
                    _Statement.unpack(packed).run(connection)
                start = 0
                if own is not None:
                    own.run(connection)
            except Exception as error:
                connection.rollback()  # of all: a statement may fail half done, or roll all back itself
                if batch is not None and start:
                    batch.set_mark(_REFUSED, start)  # before a commit that passes it by
                else:
                    failure, own = error, None
                continue
            if batch is not None and statements:
                connection.execute("REPLACE INTO _sqlite_writes_batch VALUES (1, ?)", (batch.identity,))
            limit_wait(connection, deadline)
            connection.commit()
            if batch is not None:
                batch.set_mark(_COMMITTED)
                with suppress(FileNotFoundError):
                    os.unlink(f"{database}-commit")
            break
    if failure is not None:
        raise failure


def _is_committed(connection: sqlite3.Connection, identity: bytes) -> bool:
    return bool(connection.execute("SELECT 1 FROM _sqlite_writes_batch WHERE identity = ?", (identity,)).fetchall())
