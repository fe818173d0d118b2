"""Syncs that fail: an error of whoever they were for, and of all who cannot be sure. strace has them fail, or we do."""

from __future__ import annotations

import errno
import fcntl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import WriteLine, connect, create_table, line, resolve_writer, write_turn
from sqlite_writes.scenarios.power_loss.recording import record, row_text
from sqlite_writes.scenarios.power_loss.replay import lose_power
from sqlite_writes.table import INSERT_ROW

from .conftest import STRACE
from .line_tools import in_turn

if TYPE_CHECKING:
    from io import FileIO

# What the only process of a recording writes.
ROWS = [f"0.{row}" for row in range(4)]
FAILED = f"OSError {errno.EIO}"


@STRACE
@pytest.mark.parametrize("number", [1, 3, 4, 6])
def test_a_failed_sync_is_an_error_of_the_call_that_it_was_for_and_of_those_after_it(
    number: int, database: str
) -> None:
    """SQLite syncs a new log's header, which fails the transaction, and its folder; the third sync is ours.

    After that the log has a hole, until a checkpoint; SQLite begins a log anew whose header it could not sync.
    """
    recording = record("grouped", database, workers=1, inject=f"fdatasync:error=EIO:when={number}")
    fails = {"0.0": "OperationalError disk I/O error"} if number == 1 else dict.fromkeys(ROWS[number - 3 :], FAILED)
    assert recording.failed == fails
    assert sorted([*recording.acknowledged, *fails]) == ROWS
    there = [row for (row,) in resolve_writer("grouped").rows(database)]
    assert there == [row_text(name) for name in ROWS if number > 1 or name not in fails]


@STRACE
@pytest.mark.parametrize("settings", ["queued", "grouped"])
def test_whoever_comes_after_a_failed_sync_is_not_acknowledged_while_the_log_has_a_hole(settings: str) -> None:
    """SQLite itself takes the commit back, and the next one writes the same place in the log again."""
    found = lose_power(settings, 40, workers=1, inject="fdatasync:error=EIO:when=4")
    assert found.failed_syncs == found.recordings > 0, found
    assert found.failed > 0
    assert (found.lost, found.doubled, found.altered, found.damaged) == (0, 0, 0, 0), found


class Writing:
    """One's place in the line, with a connection of its own, and the parts of a turn one by one."""

    def __init__(self, database: str) -> None:
        self.place = line._Place(database)
        self.connection = connect(database, "grouped")
        self.connection.execute("SELECT * FROM messages").fetchall()  # so that there is a log

    def write(self) -> None:
        """A turn with a row, without the sync after it."""
        self.place.enter(time.monotonic() + 10)
        self.connection.execute(INSERT_ROW, ("row",))
        self.place.leave()

    def descriptor(self) -> int:
        """That of the log."""
        assert self.place.log.file is not None
        return self.place.log.file.fileno()

    def sync_while_waited_for(self, waiter: Writing) -> tuple[BaseException | None, BaseException | None]:
        """Sync after the other has begun to wait for that; what came of ours, and of the other's."""
        waits = threading.Event()
        look = waiter.place._note

        def tell_and_look() -> tuple[float, float, float]:
            waits.set()
            return look()

        waiter.place._note = tell_and_look  # type: ignore[method-assign]
        with ThreadPoolExecutor() as pool:
            fcntl.flock(self.descriptor(), fcntl.LOCK_EX)
            try:
                other = pool.submit(waiter.place.sync)
                assert waits.wait(60)
                ours = pool.submit(self.place._sync_and_note).exception(60)
            finally:
                fcntl.flock(self.descriptor(), fcntl.LOCK_UN)
            return ours, other.exception(60)

    def close(self) -> None:
        """Close all."""
        self.place.close()
        self.connection.close()


@dataclass
class Syncs:
    """Stands in for the sync: which descriptors it was called for, and whether it is to fail."""

    fails: bool = False
    calls: list[int] = field(default_factory=list)

    def __call__(self, descriptor: int) -> None:
        """Count it."""
        self.calls.append(descriptor)
        if self.fails:
            raise OSError(errno.EIO, "as if the disk had failed")


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    """Syncs that are only counted; and whoever waits for one has all the time there is."""
    found = Syncs()
    monkeypatch.setattr(line, "_sync", found)
    monkeypatch.setattr(line, "_PATIENCE", 60)
    return found


def note_in(database: str) -> bytes:
    return Path(f"{database}-write-line").read_bytes()[line._NOTE_AT :][: line._NOTE.size + 4]


def test_no_note_is_written_after_a_failed_sync_and_the_error_is_raised(database: str, syncs: Syncs) -> None:
    create_table(database, "grouped")
    with closing(connect(database, "grouped")) as connection, WriteLine(database) as in_line:
        with in_line.turn(10):
            connection.execute(INSERT_ROW, ("first",))
        noted = note_in(database)
        assert any(noted)
        syncs.fails = True

        def write() -> None:
            with in_line.turn(10):
                connection.execute(INSERT_ROW, ("second",))

        with pytest.raises(OSError, match="as if the disk had failed"):
            write()
        assert note_in(database) == noted
        assert len(syncs.calls) == 2
        assert connection.execute("SELECT msg FROM messages").fetchall() == [("first",), ("second",)]


@pytest.mark.parametrize("fails", [False, True])
def test_whoever_waits_for_anothers_sync_returns_by_it_only_if_it_succeeds(
    fails: bool, database: str, syncs: Syncs
) -> None:
    """Linux tells a failure to each descriptor that was open, so the sync of whoever has waited fails too."""
    create_table(database, "grouped")
    with closing(Writing(database)) as one, closing(Writing(database)) as other:
        one.write()
        other.write()
        syncs.fails = fails
        found = one.sync_while_waited_for(other)
        assert [type(error) for error in found] == ([OSError, OSError] if fails else [type(None)] * 2)
        assert syncs.calls == ([one.descriptor(), other.descriptor()] if fails else [one.descriptor()])


def test_a_sync_by_a_descriptor_opened_after_ones_turn_began_covers_nothing_of_ours(
    database: str, syncs: Syncs
) -> None:
    """It may not have been told of a failure in between."""
    create_table(database, "grouped")
    with closing(Writing(database)) as one, closing(Writing(database)) as late:
        one.write()
        late.write()
        assert late.sync_while_waited_for(one) == (None, None)
        assert syncs.calls == [late.descriptor(), one.descriptor()]


def test_a_checkpoint_mends_the_hole(database: str, syncs: Syncs) -> None:
    """SQLite begins the log anew after it."""
    create_table(database, "grouped")
    with closing(connect(database, "grouped")) as connection:

        def write() -> None:
            connection.execute(INSERT_ROW, ("row",))

        syncs.fails = True
        with pytest.raises(OSError, match="as if the disk had failed"):
            in_turn(database, write)
        syncs.fails = False
        with pytest.raises(OSError, match="an earlier sync failed"):
            in_turn(database, write)
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        in_turn(database, write)


def test_a_log_that_cannot_be_opened_is_an_error_before_the_turn(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For it could not be synced."""
    create_table(database, "grouped")
    open_existing = line._open_existing

    def open_no_log(path: str) -> FileIO:
        if path.endswith("-wal"):
            raise OSError(errno.EMFILE, "no descriptor is left")
        return open_existing(path)

    with closing(connect(database, "grouped")) as connection:
        connection.execute("SELECT * FROM messages").fetchall()  # so that there is a log
        monkeypatch.setattr(line, "_open_existing", open_no_log)
        for turn in (write_turn(database), line.synced(database)):
            with pytest.raises(OSError, match="no descriptor is left"):
                turn.__enter__()


def test_what_the_block_raises_does_not_hide_that_its_sync_failed(database: str, syncs: Syncs) -> None:
    create_table(database, "grouped")
    syncs.fails = True

    def write() -> None:
        with closing(connect(database, "grouped")) as connection, write_turn(database):
            connection.execute(INSERT_ROW, ("row",))
            raise KeyError

    with pytest.raises(OSError, match="as if the disk had failed") as caught:
        write()
    assert isinstance(caught.value.__context__, KeyError)
