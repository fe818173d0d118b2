"""Rows that share a commit: every acknowledged one is there, none twice, whoever is killed at whatever step."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    Settings,
    create_table,
    error_name,
    generate_example_rows,
    insert_row,
    insert_rows_in_parallel,
    row_count,
)
from sqlite_writes.file_lock import Queue
from sqlite_writes.group_commit import RECORD_LIMIT, Batch, UndecidedError, execute_grouped

from .conftest import PROJECT, wait_until
from .grouped import FOLLOWER_STEPS, LEADER_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLLOWERS = 4


class Group:
    """A leader and followers, real processes, that wait for the queue, which this process holds until ``go``."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.queue = Queue(database)
        assert self.queue.wait()

    def start(self, message: str, step: str = "", without: str = "") -> None:
        self.processes[message] = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.grouped", self.database, message, step, without],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lead(self, step: str = "", without: str = "") -> None:
        """Start a process and wait until it leads a batch, or has died before it could."""
        self.start("leader", step, without)
        batch = Path(f"{self.database}-batch")
        wait_until(
            lambda: (batch.exists() and batch.stat().st_size) or self.processes["leader"].poll() is not None,
            "a process leads a batch",
        )

    def follow(self, count: int = FOLLOWERS, step: str = "", without: str = "") -> None:
        """Start processes and wait until each has added its record, or has died; if there is no leader, one leads."""
        for number in range(count):
            message = f"follower {len(self.processes)} {number}"
            self.start(message, step, without)
            both = [self.processes[message], self.processes["leader"]]
            wait_until(
                lambda message=message, both=both: (
                    message in self.waiting() or any(each.poll() is not None for each in both)
                ),
                f"{message} waits",
            )

    def waiting(self) -> str:
        """What the batch holds, as text."""
        try:
            return Path(f"{self.database}-batch").read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def go(self) -> dict[str, str]:
        """Let them go; what each said: ``acknowledged``, an error's name, or nothing if it was killed."""
        self.queue.close()
        said = {}
        for message, process in self.processes.items():
            out, err = process.communicate(timeout=60)
            assert err == "", err
            said[message] = out
        return said


def copies(database: str) -> dict[str, int]:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(connection.execute("SELECT msg, count(*) FROM messages GROUP BY msg"))


def faults(said: dict[str, str], database: str) -> list[str]:
    """What must never be: a row acknowledged and not there, one there twice, an error, a next insert that fails."""
    found = copies(database)
    wrong = [f"{message} {found[message]} times" for message in found if found[message] > 1]
    wrong += [f"{message} lost" for message, word in said.items() if word == "acknowledged" and message not in found]
    wrong += [f"{message}: {word}" for message, word in said.items() if word not in ("acknowledged", "")]
    insert_row(database, ("next",), Settings(journal_mode="wal", transaction="immediate", queue="group"))
    if copies(database) != {**found, "next": 1}:
        wrong.append("the next insert")
    wrong += [f"{path.name} of {path.stat().st_size} bytes" for path in beside(database) if path.stat().st_size > 4096]
    return wrong


def beside(database: str) -> list[Path]:
    """The queue's files."""
    return sorted(
        path for path in Path(database).parent.iterdir() if path.name.endswith(("-queue", "-batch", "-commit"))
    )


@pytest.fixture
def group(database: str) -> Iterator[Group]:
    create_table(database, "grouped")
    group = Group(database)
    yield group
    for process in group.processes.values():
        process.kill()
        process.communicate()


def commits(database: str) -> int:
    """The transactions in the WAL: the frames that end one (https://sqlite.org/fileformat2.html#walformat)."""
    wal = Path(f"{database}-wal").read_bytes()
    frames = [wal[start : start + 8] for start in range(32, len(wal), 24 + 4096)]
    return sum(int.from_bytes(frame[4:], "big") > 0 for frame in frames)


def test_rows_that_wait_together_share_one_commit(group: Group) -> None:
    group.lead()
    group.follow()
    with closing(sqlite3.connect(group.database)) as connection:
        connection.execute("SELECT * FROM messages").fetchall()  # so that no close is the last, which removes the WAL
        said = group.go()
        assert said == {message: "acknowledged" for message in group.processes}
        assert commits(group.database) == 2  # the table of the identity, once; and all the rows
    assert faults(said, group.database) == []
    assert [path.name for path in beside(group.database)] == ["messages.db-queue"]


@pytest.mark.parametrize("step", LEADER_STEPS)
def test_a_leader_killed_at_any_step_costs_no_other_row_and_doubles_none(step: str, group: Group) -> None:
    group.lead(step)
    group.follow()
    said = group.go()
    assert said.pop("leader") == ""
    assert set(said.values()) == {"acknowledged"}
    assert faults(said, group.database) == []


@pytest.mark.parametrize("step", FOLLOWER_STEPS)
def test_a_follower_killed_at_any_step_costs_no_other_row_and_doubles_none(step: str, group: Group) -> None:
    group.lead()
    group.follow(1)
    group.follow(1, step)
    group.follow(2)
    said = group.go()
    assert sorted(said.values()) == ["", *4 * ["acknowledged"]]
    assert faults(said, group.database) == []


@pytest.mark.parametrize(
    ("leader", "follower", "without"),
    [
        ("after the commit, before the note", "", "the batch's identity is in its transaction"),
        ("after the inserts, before the commit", "", "a claim is not a commit"),
        ("holding the lock", "", "the end of the wait is not a commit"),
        ("after the inserts, before the commit", "", "the note comes after the commit"),
        ("", "in the middle of its record", "records have checksums"),
    ],
)
def test_without_its_safeguard_each_of_these_steps_is_seen_to_fail(
    leader: str, follower: str, without: str, group: Group
) -> None:
    """So the tests above would notice."""
    group.lead(leader, without)
    group.follow(1, "", without)
    if follower:
        group.follow(1, follower, without)
    group.follow(2, "", without)
    assert faults(group.go(), group.database) != []
