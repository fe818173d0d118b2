"""The sync after the turn: every commit is durable when the turn returns, whoever synced it."""

from __future__ import annotations

import sys
import threading
import time
from binascii import crc32
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from sqlite_writes import (
    WriteLine,
    connect,
    create_table,
    line,
    row_count,
    write_turn,
)

from .conftest import wait_until
from .line_tools import INSERT, LINUX, Thread, came, descriptors, identity, in_turn, line_of, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("settings", ["queued", "patient"])
def test_a_turn_is_as_good_for_synchronous_full_and_for_a_rollback_journal(
    settings: str, sync: bool, database: str, synced: list[tuple[int, int]]
) -> None:
    create_table(database, settings)
    with closing(connect(database, settings)) as connection:
        for number in range(3):
            with write_turn(database, sync=sync):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(INSERT, (str(number),))
                connection.execute("COMMIT")
    assert row_count(database) == 3
    assert len(synced) == (3 if sync and settings == "queued" else 0)


def test_what_the_block_raises_goes_through_and_what_it_committed_is_durable(
    table: str, synced: list[tuple[int, int]]
) -> None:
    before = descriptors()
    with closing(connect(table, "grouped")) as connection:

        def write_and_fail() -> None:
            connection.execute(INSERT, ("kept",))
            raise KeyError

        with pytest.raises(KeyError):
            in_turn(table, write_and_fail)
        assert len(synced) == 1
        write(table, timeout=0)
    assert row_count(table) == 2
    assert descriptors() == before


@pytest.mark.parametrize(
    ("opened", "began", "damage", "clock", "syncs"),
    [
        ("long ago", "later", False, None, 0),
        ("long ago", "later", True, None, 1),
        ("long ago", "later", False, b"another boot", 1),
        ("long ago", "before the commit", False, None, 1),
        ("in our turn", "later", False, None, 1),
    ],
)
def test_only_a_whole_note_of_this_boot_of_a_sync_after_the_commit_spares_ones_own(
    opened: str, began: str, damage: bool, clock: bytes | None, syncs: int, table: str, synced: list[tuple[int, int]]
) -> None:
    """Later is a time that has yet to come: with another boot's clock, a note of before it."""
    with closing(connect(table, "grouped")) as connection, write_turn(table):
        now = time.monotonic()
        connection.execute(INSERT, ("row",))
        times = (now if opened == "in our turn" else 0.0, now + 100 if began == "later" else time.monotonic(), 0.001)
        note = line._NOTE.pack(line._clock() if clock is None else clock, *times)
        note += crc32(note).to_bytes(4, "little")
        with line_of(table).open("r+b") as file:
            file.seek(line._NOTE_AT)
            file.write(note[:30] + bytes([note[30] ^ damage]) + note[31:])
    assert len(synced) == syncs


def test_where_the_system_does_not_tell_its_clock_no_note_is_believed(
    table: str, synced: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_clock", lambda: b"")
    with closing(connect(table, "grouped")) as connection:
        for number in range(3):
            with write_turn(table):
                connection.execute(INSERT, (str(number),))
    assert len(synced) == 3


@LINUX
def test_those_who_commit_while_another_syncs_share_the_next_sync(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs, asked, goes_on, sync, is_synced = [], set(), threading.Event(), line._sync, line._Place._is_synced

    def sync_slowly(descriptor: int) -> None:
        syncs.append(descriptor)
        goes_on.wait()
        sync(descriptor)

    def note_who_asks(place: line._Place, committed: float) -> bool:
        asked.add(id(place))
        return is_synced(place, committed)

    with ExitStack() as stack:
        kept = [stack.enter_context(WriteLine(table)) for _ in range(6)]
        connections = [stack.enter_context(closing(connect(table, "grouped"))) for _ in kept]
        connections[0].execute("SELECT * FROM messages").fetchall()  # so that there is a log
        for one in kept:
            with one.turn():
                pass
        monkeypatch.setattr(line, "_PATIENCE", 60.0)
        monkeypatch.setattr(line, "_sync", sync_slowly)
        monkeypatch.setattr(line._Place, "_is_synced", note_who_asks)

        def work(number: int) -> None:
            with kept[number].turn(), closing(connect(table, "grouped")) as connection:
                connection.execute(INSERT, (str(number),))

        threads = [Thread(partial(work, 0))]
        wait_until(lambda: syncs, "the first one syncs")
        threads += [Thread(partial(work, number)) for number in range(1, 6)]
        wait_until(lambda: len(asked) == 6, "the others have committed, and wait")
        goes_on.set()
        for thread in threads:
            thread.end()
    assert len(syncs) == 2
    assert row_count(table) == 6


@LINUX
def test_a_log_made_anew_while_one_waits_is_the_one_that_is_synced(table: str, synced: list[tuple[int, int]]) -> None:
    log = Path(f"{table}-wal")
    with ExitStack() as others:
        first = others.enter_context(closing(connect(table)))
        first.execute("SELECT * FROM messages").fetchall()
        before = identity(log.stat())
        with write_turn(table, sync=False):
            thread = Thread(partial(write, table, "waits"))
            wait_until(lambda: came(table) == 1, "it stands in line")
            first.close()
            with closing(connect(table)) as last:
                last.execute("PRAGMA journal_mode = wal")
        others.enter_context(closing(second := connect(table)))
        second.execute("SELECT * FROM messages").fetchall()
        thread.end()
        assert synced[-1] == identity(log.stat()) or before == identity(log.stat())
    assert row_count(table) == 1


@pytest.mark.parametrize("what", ["checkpoint", "closed in the turn", "closed after it"])
def test_a_commit_that_has_left_the_log_needs_no_sync(
    what: str, table: str, monkeypatch: pytest.MonkeyPatch, synced: list[tuple[int, int]]
) -> None:
    sync = line._Place.sync
    connection = connect(table, "grouped")

    def close_and_sync(place: line._Place) -> None:
        connection.close()
        sync(place)

    if what == "closed after it":
        monkeypatch.setattr(line._Place, "sync", close_and_sync)
    with write_turn(table):
        connection.execute(INSERT, ("row",))
        if what == "checkpoint":
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        if what == "closed in the turn":
            connection.close()
    connection.close()
    assert len(synced) == (what == "checkpoint")
    assert row_count(table) == 1
