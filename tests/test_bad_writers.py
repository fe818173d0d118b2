"""A writer that does something wrong is told in words what, and spoils nobody else's rows.

The writers are in bad_writers.py, one mistake each.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    BurstError,
    BurstReport,
    Functions,
    WriterError,
    create_table_of,
    generate_example_rows,
    generate_rows_of_every_kind,
    insert_rows_in_parallel,
    resolve_writer,
)
from sqlite_writes.writers.writer import Named

from . import bad_writers
from .conftest import READS_PROC

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlite_writes.table import Row

    from .conftest import Living

WORKERS = 20


def burst_of(kind: type[bad_writers.Good], database: str, rows: Sequence[Row] | None = None) -> BurstReport:
    """A burst by that writer into a new table."""
    create_table_of(kind(), database)
    return insert_rows_in_parallel(database, rows or generate_example_rows(WORKERS), kind(), deadline=60.0)


def said(report: BurstReport, words: str) -> bool:
    """Whether one remark has these words, and the report prints it."""
    return any(words in remark for remark in report.remarks) and words in str(report)


def test_a_writer_that_makes_no_mistake_gets_no_remark(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.Good, database)
    report.raise_for_failures()
    assert report.remarks == ()


def test_forgets_to_commit(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.ForgetsToCommit, database)
    assert (report.failed, report.lost) == (0, WORKERS)
    assert said(report, "alone, too, its row is not there afterwards: it does not commit")
    with pytest.raises(BurstError, match="20 lost"):
        report.raise_for_failures()


def test_commits_only_when_it_closes(database: str, marked: Living) -> None:
    """Every row is there in the end, and none would be if the process were killed after insert had returned."""
    report = burst_of(bad_writers.CommitsWhenItCloses, database)
    assert report.lost == 0
    assert said(report, "it returns before it commits")
    assert said(report, "insert leaves a transaction open") or not READS_PROC


def test_returns_before_its_thread_has_written(database: str, marked: Living) -> None:
    assert said(burst_of(bad_writers.ReturnsBeforeItsThreadHasWritten, database), "it returns before it commits")


def test_swallows_the_lock_error(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.SwallowsTheLockError, database)
    assert report.failed == 0
    assert 0 < report.lost < WORKERS
    assert said(report, "alone it keeps its row")
    assert said(report, "insert hides an error such as database is locked")


def test_cuts_values_at_200_characters(database: str, marked: Living) -> None:
    rows: list[Row] = [(f"message {number} ".ljust(200 + (number > 2), "-"),) for number in range(5)]
    report = burst_of(bad_writers.CutsLongValues, database, rows)
    assert (report.failed, report.lost, report.altered) == (0, 0, 2)
    assert report.which("altered") == rows[3:]
    assert report.check.instead[3] == (str(rows[3][0])[:200],)
    with pytest.raises(BurstError, match="2 altered"):
        report.raise_for_failures()


def test_makes_text_of_numbers(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.MakesTextOfNumbers, database, [("text",), (7,), (0.5,), (10**12,)])
    assert (report.lost, report.altered) == (0, 3)


@pytest.mark.parametrize("writer", ["wal", "tests.bad_writers:writer"])
def test_a_good_writer_keeps_rows_of_every_kind(writer: str, database: str, marked: Living) -> None:
    create_table_of(writer, database)
    report = insert_rows_in_parallel(database, generate_rows_of_every_kind(), writer)
    report.raise_for_failures()
    assert report.attempted > 30


def test_writes_twice(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.WritesTwice, database)
    assert (report.lost, report.duplicated) == (0, WORKERS)


def test_writes_to_another_file(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.WritesToAnotherFile, database)
    assert report.lost == WORKERS
    assert said(report, "it writes where rows() does not read")
    assert said(report, f"{database}-other.db")


@pytest.mark.skipif(not READS_PROC, reason="needs /proc to see what is open")
def test_leaves_the_connection_open(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.LeavesTheConnectionOpen, database)
    assert report.lost == 0
    assert said(report, f"it leaves {database} open: close the connection")


def test_leaves_a_transaction_open(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.LeavesATransactionOpen, database)
    assert set(report.errors) == {"SQLITE_BUSY"}
    assert said(report, f"insert leaves a transaction open: it has returned, and {database} is locked")


@pytest.mark.skipif(not READS_PROC, reason="needs /proc to see what is open")
def test_forks_with_an_open_connection(database: str, marked: Living) -> None:
    assert said(burst_of(bad_writers.ForksWithAnOpenConnection, database), "it forks while the database is open")


def test_forks_and_lets_the_child_return_too(database: str, marked: Living) -> None:
    """The child has nothing to say; the row is counted once."""
    report = burst_of(bad_writers.LetsTheChildReturn, database)
    assert (report.acknowledged, report.lost, report.duplicated) == (WORKERS, 0, 0)


def test_leaves_a_process_or_a_thread_running(database: str, marked: Living) -> None:
    """It is told, and nothing runs on when the burst is over."""
    report = burst_of(bad_writers.LeavesAProcessRunning, database, generate_example_rows(5))
    assert (report.acknowledged, report.lost) == (5, 0)
    assert said(report, "it leaves a process running")
    assert said(burst_of(bad_writers.LeavesAThreadRunning, database), "it leaves 1 thread running")


def test_raises_what_cannot_be_pickled(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.RaisesWhatCannotBePickled, database)
    assert report.errors == {"HiddenError": WORKERS}
    assert said(report, "alone, too, insert fails: HiddenError: ('holds a connection'")


def test_ends_its_process(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.Exits, database)
    assert report.errors == {"exited with status 7": WORKERS}
    assert said(report, "alone, too, insert ends its process with status 7")
    report = burst_of(bad_writers.EndsTheProgram, database)
    assert report.errors == {"SystemExit": WORKERS}
    assert said(report, "alone, too, insert fails: SystemExit: no more")


def test_one_that_ends_its_process_spoils_no_others_row(database: str, marked: Living) -> None:
    rows: list[Row] = [(f"{'1' if number % 4 == 0 else 'a'} message {number}",) for number in range(WORKERS)]
    report = burst_of(bad_writers.ExitsNowAndThen, database, rows)
    assert (report.acknowledged, report.lost) == (15, 0)
    assert report.errors == {"exited with status 7": 5}


def test_prints(database: str, marked: Living, capfd: pytest.CaptureFixture[str]) -> None:
    """It is told once; the caller's own output stays clean."""
    report = burst_of(bad_writers.Prints, database)
    assert said(report, "it prints: saved a note")
    assert capfd.readouterr() == ("", "")


def test_hangs(database: str, marked: Living) -> None:
    create_table_of(bad_writers.Hangs(), database)
    report = insert_rows_in_parallel(database, generate_example_rows(3), bad_writers.Hangs(), deadline=2.0)
    assert report.errors == {"timed out": 3}
    assert said(report, "alone, too, insert does not return within 2 s")


def test_a_librarys_own_error_is_named_as_the_one_of_sqlite_behind_it(database: str, marked: Living) -> None:
    report = burst_of(bad_writers.HidesTheDriversError, database)
    assert report.acknowledged >= 1
    assert report.errors == {"SQLITE_BUSY": report.failed}
    assert report.failed > 0


def test_what_cannot_be_made_or_read_is_one_line(database: str, marked: Living) -> None:
    with pytest.raises(WriterError, match=r"^create of .*CannotCreate.* fails: PermissionError: not allowed here$"):
        create_table_of(bad_writers.CannotCreate(), database)
    create_table_of(bad_writers.Good(), database)
    with pytest.raises(WriterError, match=r"^rows of .*CannotRead.* fails: RuntimeError: the table is gone$"):
        insert_rows_in_parallel(database, [("a",)], bad_writers.CannotRead())
    with pytest.raises(WriterError, match=r"rows gives \('a', 'b'\), which is neither a value nor a row of one column"):
        insert_rows_in_parallel(database, [("a",)], bad_writers.GivesWideRows())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tests.no_such_module:writer", "cannot be imported: ModuleNotFoundError: No module named"),
        ("tests.bad_writers:no_such_name", "cannot be imported: tests.bad_writers has no no_such_name"),
        ("tests.bad_writers:LacksParts", "writer tests.bad_writers:LacksParts lacks open, rows"),
    ],
)
def test_what_cannot_be_imported_or_lacks_a_part_is_one_line(
    name: str, words: str, database: str, marked: Living
) -> None:
    for act in (lambda: create_table_of(name, database), lambda: insert_rows_in_parallel(database, [("a",)], name)):
        with pytest.raises(WriterError, match=words):
            act()


def test_a_library_that_is_not_installed_is_something_this_machine_lacks(database: str, marked: Living) -> None:
    with pytest.raises(NotImplementedError, match=r"^tests.needs_nothing_installed:writer needs Nothing, which is not"):
        create_table_of(Named("tests.needs_nothing_installed:writer", "Nothing"), database)


def test_a_name_that_is_none_says_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"writer 'fast' is no package.module:name, nor one of default, wal, .*django"):
        resolve_writer("fast")
    with pytest.raises(WriterError, match="lacks create, open, rows"):
        resolve_writer(7)  # type: ignore[arg-type]


def test_two_plain_functions_are_a_writer(tmp_path: Path, marked: Living) -> None:
    """Named or given; they know their database themselves."""
    path = tmp_path / "plain.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    insert, rows = bad_writers.plain_functions(str(path))
    report = insert_rows_in_parallel("", generate_example_rows(WORKERS), Functions(insert, rows))
    report.raise_for_failures()
    assert report.remarks == ()
    assert "tests.bad_writers:insert_into" in str(report)
