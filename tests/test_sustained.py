"""Processes that insert as fast as they can, beside a plain writer and a reader: all rows once, no half group seen.

``python -m tests.test_sustained ROWS [SETTINGS]`` does it with 50 writers and as many rows in all.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from sqlite_writes import SETTINGS, Settings, create_table, group_commit, insert_row, pool_map
from sqlite_writes.database import connect, warm_up
from sqlite_writes.group_commit import Batch

from .conftest import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

BESIDE = ("-queue", "-batch", "-commit")

# Those who wait are the writers, and a record of such a row takes less than this.
BYTES_PER_WRITER = 256


class Found(NamedTuple):
    """What the reader met: the largest rowid of each of its snapshots, and how large each file beside was at most."""

    snapshots: list[int]
    sizes: dict[str, int]


def write(settings: Settings, database: str, name: str, count: int) -> None:
    """Insert numbered rows, and note in each group's own transaction from where to where its rows go."""
    original, transaction = Batch._claim, group_commit._transaction
    held: list[sqlite3.Connection] = []

    @contextmanager
    def remember(*arguments: Any) -> Iterator[sqlite3.Connection]:
        with transaction(*arguments) as connection:
            held[:] = [connection]
            yield connection

    def claim(self: Batch) -> list[tuple[int, bytes]]:
        statements = original(self)
        (connection,) = held
        (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM messages").fetchone()
        connection.execute("INSERT INTO groups VALUES (?, ?)", (last, last + len(statements)))
        return statements

    # In this process, which does nothing else.
    vars(group_commit)["_transaction"] = remember
    Batch._claim = claim  # type: ignore[method-assign]
    for number in range(count):
        insert_row(database, (f"{name} {number}",), settings)


def read(database: str, rows: int) -> Found:
    """Read until as many rows are there."""
    snapshots = [0]
    sizes = dict.fromkeys((*BESIDE, "-wal"), 0)
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        while snapshots[-1] < rows:
            (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM messages").fetchone()
            if last != snapshots[-1]:
                snapshots.append(last)
            for name in sizes:
                with suppress(FileNotFoundError):
                    sizes[name] = max(sizes[name], Path(database + name).stat().st_size)
            time.sleep(0.001)  # or it would take one of two processors
    return Found(snapshots, sizes)


def work(database: str, settings: Settings, item: tuple[str, int]) -> Found | None:
    """What one process does: ``reader`` reads until that many rows are there, any other name writes that many."""
    name, count = item
    if name == "reader":
        return read(database, count)
    plain = Settings(settings.journal_mode, settings.synchronous, settings.busy_timeout, "immediate")
    write(plain if name == "plain" else settings, database, name, count)
    return None


def write_and_check(
    database: str, settings: Settings, writers: int, rows_each: int, plain_rows: int, deadline: float = 120.0
) -> str:
    """Have them write, check every row, group and file, and say how fast it was."""
    create_table(database, settings)
    with closing(connect(database, settings)) as connection:
        connection.execute("CREATE TABLE groups (after INTEGER, last INTEGER)")
    total = writers * rows_each + plain_rows
    items = [(f"writer {number}", rows_each) for number in range(writers)] + [("plain", plain_rows), ("reader", total)]
    outcomes = pool_map(partial(work, database, settings), items, deadline=deadline, warm_up=partial(warm_up, settings))
    assert [outcome.exception for outcome in outcomes if outcome.status != "returned"] == []
    with closing(sqlite3.connect(database)) as connection:
        found = dict(connection.execute("SELECT msg, count(*) FROM messages GROUP BY msg"))
        groups = connection.execute("SELECT after, last FROM groups ORDER BY after").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert found == {f"{name} {number}": 1 for name, count in items[:-1] for number in range(count)}
    reader = outcomes[-1].result
    assert reader is not None
    assert half_groups(reader.snapshots, groups) == []
    for name in BESIDE:
        assert reader.sizes[name] <= writers * BYTES_PER_WRITER, (name, reader.sizes[name])
    spans = [(outcome.started or 0.0, outcome.ended or 0.0) for outcome in outcomes[:writers]]
    seconds = max(ended for _, ended in spans) - min(started for started, _ in spans)
    times = sorted(ended - started for started, ended in spans)
    rows = writers * rows_each
    return (
        f"{rows} rows of {writers} writers in {seconds:.1f} s: {rows / seconds:.0f} a second (slowest writer"
        f" {times[-1]:.1f} s, fastest {times[0]:.1f} s), beside {plain_rows} of a plain writer;"
        f" {len(groups)} groups, largest {max((last - after for after, last in groups), default=0)};"
        f" {len(reader.snapshots)} snapshots, none of half a group; largest files {reader.sizes}"
    )


def half_groups(snapshots: list[int], groups: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """The snapshots that end between the first and the last row of a group, each with the group."""
    last_row_before = {row: (after, last) for after, last in groups for row in range(after + 1, last)}
    return [(row, *last_row_before[row]) for row in snapshots if row in last_row_before]


def test_writers_beside_a_plain_writer_and_a_reader_keep_every_row_and_show_no_half_group(database: str) -> None:
    said = write_and_check(database, SETTINGS["grouped"], writers=20, rows_each=40, plain_rows=20)
    assert " 0 groups" not in said  # so that there was one of which half could have been seen


def test_a_half_group_would_be_seen() -> None:
    assert half_groups([0, 2, 5, 7], [(0, 2), (2, 6)]) == [(5, 2, 6)]


@pytest.mark.parametrize("settings", ["queued", "wal"])
def test_the_same_for_writers_that_form_no_groups(settings: str, database: str) -> None:
    said = write_and_check(database, replace(SETTINGS[settings], busy_timeout=60.0), 5, 10, 5)
    assert " 0 groups" in said


if __name__ == "__main__":
    with scratch_folder() as folder:
        wanted = replace(SETTINGS[sys.argv[2] if len(sys.argv) > 2 else "grouped"], busy_timeout=60.0)
        each = int(sys.argv[1]) // 50
        sys.stdout.write(write_and_check(f"{folder}/messages.db", wanted, 50, each, each, 3600.0) + "\n")
