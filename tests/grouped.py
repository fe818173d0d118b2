"""A process that inserts one row with ``grouped``, and is killed at a step on purpose, or lacks a safeguard on purpose.

``python -m tests.grouped DATABASE MESSAGE [STEP] [SAFEGUARD]`` prints ``acknowledged``, or the error's name.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from functools import partial
from typing import Any, Callable

from sqlite_writes import error_name, file_lock, group_commit, insert_row
from sqlite_writes.group_commit import Batch


def die(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop(*_arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def before(owner: Any, name: str, act: Callable[..., object]) -> None:
    """Have ``act`` called, with the same arguments, before each call of the function."""
    original = getattr(owner, name)

    def replaced(*arguments: object, **named: object) -> object:
        act(*arguments, **named)
        return original(*arguments, **named)

    setattr(owner, name, replaced)


def after(owner: Any, name: str, act: Callable[..., object]) -> None:
    """Have ``act`` called, with the result, after each call of the function."""
    original = getattr(owner, name)

    def replaced(*arguments: object, **named: object) -> object:
        result = original(*arguments, **named)
        act(result)
        return result

    setattr(owner, name, replaced)


def _die_at_mark(mark: bytes) -> Callable[..., None]:
    return lambda _batch, given, start=0: die() if given == mark and not start else None


def _die_at_commit(path: str) -> None:
    if path.endswith("-commit"):
        die()


def _die_in_transaction(connection: Any, _deadline: float) -> None:
    if connection.in_transaction:
        die()


def change_sql(change: Callable[[str], str]) -> None:
    """Have every connection execute what ``change`` makes of a statement."""

    class Changed(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute(change(sql), *parameters)

    vars(sqlite3)["connect"] = partial(sqlite3.connect, factory=Changed)


def do_not_sync() -> None:
    """Have commits be written, and not synced."""
    change_sql(lambda sql: sql.replace("synchronous = FULL", "synchronous = NORMAL"))


def _die_before_the_sync() -> None:
    do_not_sync()
    before(Batch, "set_mark", _die_at_mark(b"d"))


def _write_half_and_die(batch: Batch, packed: bytes) -> None:
    # With the checksum that the module uses, which may be the one of a safeguard that was removed.
    record = group_commit._RECORD.pack(batch.identity, b"p", len(packed), vars(group_commit)["crc32"](packed)) + packed
    os.write(batch.descriptor, record[: len(record) // 2])
    die()


UNSYNCED = "after the commit is written, before it is synced"

# The leader's steps in their order, and a follower's.
LEADER_STEPS: dict[str, Callable[[], None]] = {
    "with the file made, and not yet a batch": lambda: before(Batch, "begin", die),
    "while it waits for the lock": lambda: before(file_lock.FileLock, "acquire_by", die),
    "holding the lock": lambda: before(Batch, "_commit", die),
    "in the transaction": lambda: before(Batch, "_claim", die),
    "before the batch is claimed": lambda: before(Batch, "set_mark", _die_at_mark(b"c")),
    "with the batch claimed": lambda: after(Batch, "set_mark", die),
    "with the batch renamed": lambda: after(os, "rename", die),
    "with the statements read": lambda: after(Batch, "_claim", die),
    "after the inserts, before the commit": lambda: before(group_commit, "limit_wait", _die_in_transaction),
    UNSYNCED: _die_before_the_sync,
    "after the commit, before the note": lambda: before(Batch, "set_mark", _die_at_mark(b"d")),
    "after the note, before the file is removed": lambda: before(os, "unlink", _die_at_commit),
    "after the file is removed": lambda: before(Batch, "_remove", die),
}
STOPPED: dict[str, Callable[[], None]] = {
    "with the statements read, stopped": lambda: after(Batch, "_claim", stop),
    "before it asks, stopped": lambda: before(Batch, "_fate", stop),
    "with its fate known, stopped": lambda: after(Batch, "_fate", stop),
}
FOLLOWER_STEPS: dict[str, Callable[[], None]] = {
    "before its record": lambda: before(Batch, "add", die),
    "in the middle of its record": lambda: before(Batch, "add", _write_half_and_die),
    "after its record": lambda: after(Batch, "add", die),
}


def _take_no_claim_for_a_commit() -> None:
    Batch._settle = lambda self, deadline: self.set_mark(b"o")  # type: ignore[method-assign]  # noqa: ARG005


def _take_a_claim_for_a_commit() -> None:
    Batch._settle = lambda self, deadline: self.set_mark(b"d")  # type: ignore[method-assign]  # noqa: ARG005


def _take_the_end_of_the_wait_for_a_commit() -> None:
    Batch._fate = lambda *_: b"d"  # type: ignore[method-assign]


def _believe_torn_records() -> None:
    vars(group_commit)["crc32"] = lambda _: 0


def _settles(sql: str) -> bool:
    return sql.endswith("VALUES (2, NULL)")


def _die_in_settling() -> None:
    def change(sql: str) -> str:
        if _settles(sql):
            die()
        return sql

    change_sql(change)


def _mark_and_die_in_settling() -> None:
    before(Batch, "_settle", die)
    before(Batch, "_settle", lambda batch, _: batch.set_mark(b"o"))


SETTLING: dict[str, Callable[[], None]] = {
    "in settling": _die_in_settling,
    "in settling, the batch marked too early": _mark_and_die_in_settling,
}


def _settle_without_a_commit() -> None:
    change_sql(lambda sql: "SELECT 1" if _settles(sql) else sql)


def _do_not_settle() -> None:
    Batch._settle = lambda *_: None  # type: ignore[method-assign]


def _note_before_the_commit() -> None:
    original = Batch._claim

    def claim(self: Batch) -> Any:
        statements = original(self)
        self.set_mark(b"d")
        return statements

    Batch._claim = claim  # type: ignore[method-assign]


SAFEGUARDS: dict[str, Callable[[], None]] = {
    "the batch's identity is in its transaction": _take_no_claim_for_a_commit,
    "a claim is not a commit": _take_a_claim_for_a_commit,
    "the end of the wait is not a commit": _take_the_end_of_the_wait_for_a_commit,
    "records have checksums": _believe_torn_records,
    "what a dead leader wrote is settled by a commit": _settle_without_a_commit,
    "the next leader settles what a dead one left": _do_not_settle,
    "the note comes after the commit": _note_before_the_commit,
}


def main(database: str, message: str, step: str = "", without: str = "") -> None:
    """Insert the message, with the step and without the safeguard."""
    if without:
        SAFEGUARDS[without]()
    if step:
        {**LEADER_STEPS, **FOLLOWER_STEPS, **SETTLING, **STOPPED}[step]()
    try:
        insert_row(database, (message,), "grouped")
        os.write(1, f"acknowledged {message}".encode())
    except Exception as error:
        sys.stdout.write(error_name(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
