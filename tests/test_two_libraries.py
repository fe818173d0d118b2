"""Several SQLite libraries on one file: in one process they lose rows, which is noticed; in several they do not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    create_table_of,
    generate_example_rows,
    insert_rows_in_parallel,
    two_libraries,
    write_turn,
)
from sqlite_writes.testing import _message, assert_writer_holds

from . import fault_writers
from .conftest import READS_PROC
from .line_tools import INSERT, LINUX, in_turn, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Living


@LINUX
def test_one_process_with_two_sqlite_libraries_is_told_so(database: str, marked: Living) -> None:
    create_table_of(writer := fault_writers.ThroughTwoLibraries(), database)
    report = insert_rows_in_parallel(database, generate_example_rows(4), writer)
    assert any("through two SQLite libraries (sqlite3, apsw" in remark for remark in report.remarks), report
    with pytest.raises(AssertionError, match=r"noticed: this process has .* open through two SQLite libraries"):
        assert_writer_holds(writer, 2, database=database)


def test_a_way_that_kept_all_rows_through_two_libraries_does_not_hold(table: str, marked: Living) -> None:
    """The next time it may not."""
    report = insert_rows_in_parallel(table, generate_example_rows(2), "wal")
    assert _message(report) == ""
    assert "two SQLite libraries" in _message(replace(report, remarks=(two_libraries.in_words(table),)))


@pytest.fixture(params=["apsw", "pysqlite3.dbapi2"])
def read_over_another(request: pytest.FixtureRequest) -> Callable[[str], sqlite3.Connection]:
    """Open the database with another library than ``sqlite3``'s, and read it."""
    module = pytest.importorskip(request.param)

    def read(database: str) -> sqlite3.Connection:
        connection: sqlite3.Connection = getattr(module, "Connection" if request.param == "apsw" else "connect")(
            database
        )
        connection.execute("SELECT * FROM messages").fetchall()
        return connection

    return read


@LINUX
def test_no_turn_begins_while_two_sqlite_libraries_have_the_database_open(
    table: str, read_over_another: Callable[[str], sqlite3.Connection]
) -> None:
    with closing(sqlite3.connect(table, isolation_level=None)) as connection:
        connection.execute(INSERT, ("before",))
        with closing(read_over_another(table)):
            turn = write_turn(table)
            with pytest.raises(sqlite3.ProgrammingError, match="through two SQLite libraries"):
                turn.__enter__()
    write(table, "one library again")


@LINUX
def test_a_turn_in_which_a_second_library_opens_and_closes_the_database_is_an_error(
    table: str, read_over_another: Callable[[str], sqlite3.Connection]
) -> None:
    """When that one closes it, both the locks and the log of the first are gone."""

    def write_through_both() -> None:
        with closing(read_over_another(table)):
            connection.execute(INSERT, ("in it",))

    with closing(sqlite3.connect(table, isolation_level=None)) as connection:
        connection.execute(INSERT, ("before",))
        with pytest.raises(sqlite3.ProgrammingError, match="through two SQLite libraries"):
            in_turn(table, write_through_both)
        assert two_libraries.both_have_open(table)


@READS_PROC
@pytest.mark.parametrize("in_turn", [False, True])
def test_processes_with_different_sqlite_versions_keep_all_rows(in_turn: bool, database: str, marked: Living) -> None:
    """Each process has one library, so none drops the other's locks: sqlite3's own, pysqlite3's and APSW's."""
    pytest.importorskip("apsw")
    pytest.importorskip("pysqlite3")
    create_table_of(writer := fault_writers.OneLibraryEach(in_turn), database)
    report = insert_rows_in_parallel(database, generate_example_rows(60), writer)
    report.raise_for_failures()
    assert report.remarks == ()
