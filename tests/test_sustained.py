"""Writers that insert as fast as they can, beside a plain writer and a reader: every row once, and a log with a limit.

``python -m tests.test_sustained ROWS SETTINGS [--keep-open]`` does it with 50 writers and as many rows in all.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sqlite_writes import SETTINGS, Settings, create_table, pool_map
from sqlite_writes.writers.ours import insert_rows
from sqlite_writes.writers.warm_up import warm_up

from .conftest import scratch_folder

# It knows of no line, and waits for SQLite's lock as anybody does.
PLAIN = Settings("wal", busy_timeout=60.0, transaction="immediate")

# SQLite checkpoints from 1000 pages on, which are 4 MiB. While somebody reads, the log cannot begin anew.
LARGEST_LOG = 4 * 4 * 2**20


def work(database: str, settings: Settings, keep_open: bool, item: tuple[str, int]) -> list[float]:
    """What one process does: ``reader`` gives the sizes of the log, and any other name the times of its inserts."""
    name, count = item
    if name == "reader":
        return read(database, count)
    rows = [(f"{name} {number}",) for number in range(count)]
    traces = insert_rows(database, PLAIN if name == "plain" else settings, rows, keep_open=keep_open)
    return [trace.closed - trace.called for trace in traces]


def read(database: str, rows: int) -> list[float]:
    """Read until as many rows are there, of which no later snapshot may have fewer than an earlier one."""
    sizes, seen = [0.0], 0
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        while seen < rows:
            (found,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM messages").fetchone()
            assert found >= seen, (found, seen)
            seen = found
            with suppress(FileNotFoundError):
                sizes.append(Path(f"{database}-wal").stat().st_size)
            time.sleep(0.001)  # or it would take one of two processors
    return sizes


def write_and_check(
    database: str, settings: Settings, writers: int, rows_each: int, keep_open: bool, deadline: float = 120.0
) -> str:
    """Have them write, check every row and the log's size, and say how fast it was."""
    create_table(database, settings)
    items = [(f"writer {number}", rows_each) for number in range(writers)] + [("plain", rows_each)]
    items.append(("reader", sum(count for _, count in items)))
    task = partial(work, database, settings, keep_open)
    outcomes = pool_map(task, items, deadline=deadline, warm_up=partial(warm_up, settings))
    assert [outcome.exception for outcome in outcomes if outcome.status != "returned"] == []
    with closing(sqlite3.connect(database)) as connection:
        found = dict(connection.execute("SELECT msg, count(*) FROM messages GROUP BY msg"))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert found == {f"{name} {number}": 1 for name, count in items[:-1] for number in range(count)}
    log = max(outcomes[-1].result or [])
    assert log <= LARGEST_LOG
    spans = [(outcome.started or 0.0, outcome.ended or 0.0) for outcome in outcomes[:writers]]
    times = sorted(ended - started for started, ended in spans)
    rate = writers * rows_each / (max(ended for _, ended in spans) - min(started for started, _ in spans))
    inserts = sorted(seconds for outcome in outcomes[:writers] for seconds in outcome.result or [])
    p99, ratio = 1000 * inserts[99 * len(inserts) // 100], times[-1] / times[0]
    return f"{rate:.0f} rows a second, slowest/fastest {ratio:.2f}, p99 {p99:.1f} ms, log {log:.0f} bytes"


@pytest.mark.parametrize("keep_open", [True, False])
@pytest.mark.parametrize("settings", ["grouped", "queued", "wal"])
def test_every_row_is_there_once_beside_a_plain_writer_and_a_reader(
    settings: str, keep_open: bool, database: str
) -> None:
    write_and_check(database, replace(SETTINGS[settings], busy_timeout=60.0), 10, 40, keep_open)


if __name__ == "__main__":
    with scratch_folder() as folder:
        wanted = replace(SETTINGS[sys.argv[2]], busy_timeout=60.0)
        each, kept = int(sys.argv[1]) // 50, "--keep-open" in sys.argv
        sys.stdout.write(write_and_check(f"{folder}/messages.db", wanted, 50, each, kept, 3600.0) + "\n")
