"""Bursts: the article's own tests on real files, the report against the table, and bad input in one clear line."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    SETTINGS,
    BurstError,
    BurstReport,
    Outcome,
    Settings,
    create_table,
    generate_example_rows,
    insert_row,
    insert_rows_in_parallel,
    insert_rows_one_after_another,
    open_writer,
    resolve_writer,
    row_count,
)
from sqlite_writes.row_check import Check

from .conftest import PROJECT, READS_PROC, Living, run_script, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_writes.writers.writer import InsertTrace


def report_of(settings: str, outcomes: tuple[Outcome[InsertTrace], ...], copies: tuple[int, ...]) -> BurstReport:
    rows = tuple(generate_example_rows(len(outcomes)))
    return BurstReport(resolve_writer(settings), rows, outcomes, Check(copies, (None,) * len(outcomes)))


def returned(started: float, ended: float) -> Outcome[InsertTrace]:
    return Outcome("returned", pid=1, ready=0.0, started=started, ended=ended)


@pytest.mark.parametrize("count", [5, 100])
def test_rows_inserted_in_parallel_into_a_new_database_are_there(count: int, database: str, marked: Living) -> None:
    create_table(database)
    report = insert_rows_in_parallel(database, generate_example_rows(count), "patient")
    report.raise_for_failures()
    assert row_count(database) == report.acknowledged == count


def test_100_through_concurrent_futures_whose_exceptions_are_not_swallowed(database: str) -> None:
    create_table(database)
    with ProcessPoolExecutor(100, mp_context=get_context("forkserver")) as executor:
        # The list reads every result, and so raises what a worker raised.
        done = list(executor.map(partial(insert_row, database, settings="patient"), generate_example_rows(100)))
    assert done == [None] * 100
    assert row_count(database) == 100


def test_50_into_a_populated_database(database: str, marked: Living) -> None:
    create_table(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany("INSERT INTO messages (msg) VALUES (?)", generate_example_rows(1000))
    insert_rows_in_parallel(database, generate_example_rows(50)).raise_for_failures()
    assert row_count(database) == 1050


def test_10000_one_after_another_and_then_100_in_parallel(database: str, marked: Living) -> None:
    settings = SETTINGS["wal-normal"]
    create_table(database, settings)
    with open_writer(database, settings) as insert:
        for row in generate_example_rows(10_000):
            insert(row)
    insert_rows_in_parallel(database, generate_example_rows(100), settings).raise_for_failures()
    assert row_count(database) == 10_100


def test_500_in_wal_mode(database: str, marked: Living) -> None:
    create_table(database, PATIENT_WAL)
    insert_rows_in_parallel(database, generate_example_rows(500), PATIENT_WAL).raise_for_failures()
    assert row_count(database) == 500


def test_failures_are_counted_by_name_and_the_rest_is_judged_as_ever(database: str, marked: Living) -> None:
    create_table(database)
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        report = insert_rows_in_parallel(database, generate_example_rows(3), Settings(busy_timeout=0.1))
    assert (report.attempted, report.acknowledged, report.failed) == (3, 0, 3)
    assert report.errors == {"SQLITE_BUSY": 3}
    assert (report.lost, report.recovered, report.duplicated) == (0, 0, 0)
    with pytest.raises(BurstError, match=r"3 rows: 0 acknowledged, 3 failed \(SQLITE_BUSY 3\), 0 lost") as raised:
        report.raise_for_failures()
    assert isinstance(raised.value.__cause__, sqlite3.OperationalError)


def test_an_acknowledged_row_that_is_not_in_the_table_is_lost(database: str, marked: Living) -> None:
    create_table(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER lose AFTER INSERT ON messages WHEN new.msg LIKE 'lose%' "
            "BEGIN DELETE FROM messages WHERE rowid = new.rowid; END"
        )
    report = insert_rows_in_parallel(database, [("lose 1",), ("keep 1",), ("lose 2",)])
    assert (report.acknowledged, report.failed, report.lost) == (3, 0, 2)
    with pytest.raises(BurstError, match="2 lost"):
        report.raise_for_failures()


def test_a_row_that_is_in_the_table_more_often_than_inserted_is_duplicated(database: str, marked: Living) -> None:
    create_table(database)
    insert_row(database, ("old",))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER twice AFTER INSERT ON messages WHEN new.msg LIKE 'twice%' "
            "BEGIN INSERT INTO messages (msg) VALUES (new.msg); END"
        )
    report = insert_rows_in_parallel(database, [("twice",), ("once",), ("old",)])
    assert report.check.copies == (2, 1, 1)  # the row that was there before is not held against the burst
    assert (report.duplicated, report.lost, report.failed) == (1, 0, 0)
    with pytest.raises(BurstError, match="1 duplicated"):
        report.raise_for_failures()


def test_rows_one_after_another_that_cannot_be_inserted_have_no_time(database: str, marked: Living) -> None:
    create_table(database)
    rows = generate_example_rows(3)
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            insert_rows_one_after_another(database, rows, Settings(busy_timeout=0.1))
        with pytest.raises(BurstError, match="inserts one row after another timed out within 3 s"):
            insert_rows_one_after_another(database, rows, Settings(busy_timeout=600.0), deadline=3.0)


def test_times_and_overlap_are_derived_from_the_outcomes() -> None:
    outcomes: tuple[Outcome[InsertTrace], ...] = (
        returned(10.0, 11.0),
        returned(10.5, 14.0),
        returned(11.0, 11.5),
        Outcome("killed", pid=1, killed_by=9, ready=0.0, started=13.0),
        Outcome("raised", pid=1, exception=sqlite3.OperationalError("database is locked")),
    )
    report = report_of("default", outcomes, (1, 0, 1, 1, 0))
    assert report.burst_time == 4.0
    assert report.start_spread == 3.0
    assert report.peak_in_flight == 2  # at 11.0 one ends as another starts
    assert report.insert_times == [0.5, 1.0, 3.5]
    assert (report.quantile(0.5), report.quantile(0.99), report.slowest) == (1.0, 3.5, 3.5)
    assert (report.acknowledged, report.failed, report.lost, report.recovered) == (3, 2, 1, 1)
    assert report.errors == {"killed by SIGKILL": 1, "SQLITE_BUSY": 1}


def test_a_burst_in_which_nothing_ended_has_no_times() -> None:
    report = report_of("default", (Outcome("timed out", pid=1),), (0,))
    assert report.burst_time is report.start_spread is report.slowest is None
    assert "burst n/a" in str(report)
    assert report.errors == {"timed out": 1}


def test_a_row_that_vanished_although_it_was_there_before_is_lost() -> None:
    outcomes: tuple[Outcome[InsertTrace], ...] = (
        returned(1.0, 2.0),
        Outcome("killed", pid=1, killed_by=40, ready=0.0),
    )
    report = report_of("wal", outcomes, (-1, 0))
    assert report.lost == 1
    assert report.errors == {"killed by signal 40": 1}


def test_the_report_can_be_read_by_people_and_by_json(database: str, marked: Living) -> None:
    create_table(database, "wal")
    report = insert_rows_in_parallel(database, generate_example_rows(4), "wal")
    assert (
        str(report).splitlines()[0] == "4 rows: 4 acknowledged, 0 failed, 0 lost, 0 recovered, 0 duplicated, 0 altered"
    )
    kept = json.loads(json.dumps(report.to_dict()))
    assert kept["settings"]["journal_mode"] == "wal"
    assert (kept["acknowledged"], kept["failed"], kept["errors"]) == (4, 0, {})
    assert kept["sqlite_version"] == sqlite3.sqlite_version
    assert kept["insert_time"]["slowest"] == max(kept["insert_times"]) <= kept["burst_time"]


# WAL, so that a worker stopped in the middle of an attempt blocks nobody else.
PATIENT_WAL = Settings(journal_mode="wal", busy_timeout=60, transaction="immediate")


@READS_PROC
def test_workers_killed_while_they_insert_cost_their_own_rows_only(database: str, marked: Living) -> None:
    def kill_ten() -> None:
        for pid in _waiting_inserts(database, marked, 200)[:10]:
            os.kill(pid, signal.SIGKILL)

    report = _burst_held_up_until(kill_ten, database, 200, deadline=60.0)
    assert report.errors == {"killed by SIGKILL": 10}
    assert (report.acknowledged, report.lost, report.recovered, report.duplicated) == (190, 0, 0, 0)
    assert marked() == []


@READS_PROC
def test_a_worker_that_hangs_is_cut_off_at_the_deadline(database: str, marked: Living) -> None:
    def stop_one() -> None:
        os.kill(_waiting_inserts(database, marked, 50)[0], signal.SIGSTOP)

    report = _burst_held_up_until(stop_one, database, 50, deadline=8.0)
    assert report.errors == {"timed out": 1}
    assert (report.acknowledged, report.lost, report.recovered, report.duplicated) == (49, 0, 0, 0)
    assert marked() == []


def _burst_held_up_until(act: Callable[[], None], database: str, count: int, deadline: float) -> BurstReport:
    """A burst in which everyone waits for a lock that the test holds until ``act`` has been done."""
    create_table(database, PATIENT_WAL)
    writer = sqlite3.connect(database, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    failures: list[BaseException] = []

    def act_and_let_go() -> None:
        try:
            act()
        except BaseException as failure:
            failures.append(failure)
        finally:
            writer.close()

    thread = threading.Thread(target=act_and_let_go)
    thread.start()
    try:
        return insert_rows_in_parallel(database, generate_example_rows(count), PATIENT_WAL, deadline=deadline)
    finally:
        thread.join()
        assert failures == []


def _waiting_inserts(database: str, marked: Living, count: int) -> list[int]:
    """The workers, once each of them has the database open, and so is waiting for the lock."""

    def inserting() -> list[int]:
        return [pid for pid in marked() if database in _open_files(pid)]

    wait_until(lambda: len(inserting()) == count, f"{count} workers have the database open")
    return inserting()


def _open_files(pid: int) -> list[str]:
    try:
        return [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


BURST_SCRIPT = """
import sys
from sqlite_writes import generate_example_rows, insert_rows_in_parallel
insert_rows_in_parallel(sys.argv[1], generate_example_rows(500), "patient")
"""


@READS_PROC
def test_ctrl_c_in_a_burst_of_500_leaves_nothing(database: str, tmp_path: Path, marked: Living) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    create_table(database, "patient")
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        caller = subprocess.Popen(
            [sys.executable, "-c", BURST_SCRIPT, database],
            env={**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(temporary)},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _waiting_inserts(database, marked, 500)
        os.killpg(caller.pid, signal.SIGINT)
        assert caller.wait(30) == -signal.SIGINT
        assert marked() == []
    assert list(temporary.iterdir()) == []
    insert_row(database, ("the next",))
    assert row_count(database) == 1
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "rows is empty"),
        (["text"], "row 'text' is not a one-element tuple"),
        ([("a", "b")], r"row \('a', 'b'\) is not a one-element tuple"),
        ([["a"]], r"row \['a'\] is not a one-element tuple"),
        ([([],)], r"row \(\[\],\) is not a one-element tuple of a string"),
        ([("a",), ("b",), ("a",)], r"row \('a',\) is given 2 times"),
    ],
)
def test_rows_that_will_not_do_are_named(rows: list[tuple[str]], said: str, database: str) -> None:
    create_table(database)
    with pytest.raises(ValueError, match=said):
        insert_rows_in_parallel(database, rows)


def test_databases_that_will_not_do_are_named(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database, but long enough to have a header that could be one\n" * 50)
    empty = str(tmp_path / "empty.db")
    sqlite3.connect(empty).close()
    wal = str(tmp_path / "wal.db")
    create_table(wal, "wal")
    for database, error, said in [
        (str(tmp_path), IsADirectoryError, "is a directory"),
        (str(tmp_path / "none" / "a.db"), FileNotFoundError, "the folder '.*none' does not exist"),
        (str(tmp_path / "a.db"), FileNotFoundError, "make it with create_table"),
        (str(text), sqlite3.DatabaseError, f"{text}.*file is not a database"),
        (empty, sqlite3.OperationalError, "has no table messages"),
        (wal, ValueError, "is in journal mode wal, the settings want delete"),
        (":memory:", ValueError, "':memory:' is in memory"),
        ("", ValueError, "'' is not the path of a file"),
    ]:
        with pytest.raises(error, match=said):
            insert_rows_in_parallel(database, [("a",)])
    for database, error, said in [
        (str(tmp_path), IsADirectoryError, "is a directory"),
        (str(tmp_path / "none" / "a.db"), FileNotFoundError, "does not exist"),
        (str(text), sqlite3.DatabaseError, f"{text}.*file is not a database"),
    ]:
        with pytest.raises(error, match=said):
            create_table(database)


UNPRIVILEGED = """
import os, sys
from sqlite_writes import create_table, insert_rows_in_parallel
if os.getuid() == 0:
    os.setuid(54321)
for act in (create_table, lambda database: insert_rows_in_parallel(database, [("a",)])):
    try:
        act(sys.argv[1])
    except OSError as error:
        print(error)
"""


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    create_table(folder / "a.db")
    for parent in [tmp_path, *tmp_path.parents][:4]:  # pytest's folders are private
        parent.chmod(parent.stat().st_mode | stat.S_IXGRP | stat.S_IXOTH)
    folder.chmod(0o555)
    try:
        done = run_script(UNPRIVILEGED, str(folder / "a.db"))
    finally:
        folder.chmod(0o755)
    assert done.stderr == ""
    assert [line.partition(": ")[2] for line in done.stdout.splitlines()] == [
        f"the folder {str(folder)!r} cannot be written, and SQLite keeps its journal there"
    ] * 2


@pytest.mark.parametrize("deadline", [0, -3, float("nan")])
def test_a_deadline_that_will_not_do_is_named(deadline: float, database: str) -> None:
    create_table(database)
    with pytest.raises(ValueError, match="is not a number of seconds above 0"):
        insert_rows_in_parallel(database, [("a",)], deadline=deadline)
    assert row_count(database) == 0


def test_an_unknown_writer_is_named(database: str) -> None:
    create_table(database)
    with pytest.raises(ValueError, match=r"writer 'fast' is no package.module:name, nor one of default"):
        insert_rows_in_parallel(database, [("a",)], "fast")
