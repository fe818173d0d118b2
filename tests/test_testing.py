"""What ``assert_writes_hold`` tells somebody about their own two functions, in words that say what to do."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sqlite_writes.testing import assert_writer_holds, assert_writes_hold
from sqlite_writes.writers.writer import WriterError

from . import bad_writers, note_writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_writes.table import Row

    from .conftest import Living

WORKERS = 20


@pytest.fixture
def notes(database: str) -> str:
    """The path of a database with the table."""
    bad_writers.Good().create(database)
    return database


def message_of(insert: Callable[[str, Row], None], database: str, **options: object) -> str:
    """What the assertion says."""
    with pytest.raises(AssertionError) as caught:
        assert_writes_hold(partial(insert, database), partial(note_writers.read, database), WORKERS, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_way_that_holds_gives_its_report(notes: str, marked: Living) -> None:
    report = assert_writes_hold(partial(note_writers.add_in_turn, notes), partial(note_writers.read, notes), WORKERS)
    assert (report.acknowledged, report.failed, report.lost) == (WORKERS, 0, 0)


def test_reading_before_writing_is_told_to_begin_immediately(notes: str, marked: Living) -> None:
    said = message_of(note_writers.add, notes)
    assert re.match(
        r"tests.note_writers:add: 20 processes wrote one row each at one moment\n  \d+ of 20 failed: '", said
    )
    assert re.search(r"\d+ x SQLITE_BUSY(_SNAPSHOT)?: database is locked", said)
    assert "begin" in said
    assert "BEGIN IMMEDIATE" in said
    assert "write_turn(path)" in said


def test_waiting_in_vain_is_told_to_stand_in_line(notes: str, marked: Living) -> None:
    said = message_of(note_writers.add_immediately, notes)
    assert "SQLITE_BUSY: database is locked" in said
    assert "to do: " in said
    assert "write_turn(path)" in said


def test_a_key_that_two_have_computed_is_told_to_be_read_in_the_transaction(notes: str, marked: Living) -> None:
    said = message_of(note_writers.number, notes)
    assert re.search(r"\d+ x SQLITE_CONSTRAINT\w*: UNIQUE constraint failed", said)
    assert "to do: where a key follows from what was read, others read the same: " in said
    assert "write_turn(path)" in said


def test_a_lost_row_is_told_with_what_was_noticed(notes: str, marked: Living) -> None:
    said = message_of(note_writers.forget, notes)
    assert "20 of 20 lost: insert returned, and the row is not there: '" in said
    assert "noticed: alone, too, its row is not there afterwards" in said
    assert "to do: commit before insert returns" in said


def test_an_altered_row_is_shown_beside_what_it_was(notes: str, marked: Living) -> None:
    writer = bad_writers.CutsLongValues()
    with pytest.raises(
        AssertionError,
        match=r"1 of 2 altered: the row is there with another value: 'long-.*250 long\) is 'long-.*200 long\)",
    ):
        assert_writer_holds(writer, database=notes, values=["short", "long-" * 50])


def test_no_values_are_not_taken_for_the_usual_ones(notes: str) -> None:
    with pytest.raises(ValueError, match=r"^rows is empty: a burst needs at least one row$"):
        assert_writer_holds(bad_writers.Good(), database=notes, values=[])


def test_rows_that_are_dictionaries_are_not_taken_for_their_keys(notes: str, marked: Living) -> None:
    insert, rows = partial(note_writers.add_in_turn, notes), partial(note_writers.read_as_dictionaries, notes)
    with pytest.raises(WriterError, match=r"rows gives \{'text': .*\}, which is neither a value nor a row"):
        assert_writes_hold(insert, rows, 2)


@pytest.mark.parametrize("names", [("tests.note_writers:ad", "tests.note_writers:read"), ("tests.nowhere:add", "x:y")])
def test_a_wrong_name_is_told_before_any_burst(names: tuple[str, str], marked: Living) -> None:
    with pytest.raises(WriterError, match=rf"^'{names[0]}' cannot be imported: [^\n]*$"):
        assert_writes_hold(*names)


def test_rows_that_cannot_be_read_are_told_by_the_name_of_what_reads_them(notes: str, marked: Living) -> None:
    with pytest.raises(
        WriterError, match=r"^rows \(tests\.note_writers:read\) fails: SQLITE_ERROR: no such table: notes$"
    ):
        assert_writes_hold(partial(note_writers.add_in_turn, notes), partial(note_writers.read, f"{notes}-other"), 2)


def test_a_row_that_is_there_twice_is_told(notes: str, marked: Living) -> None:
    with pytest.raises(AssertionError, match="5 of 5 there more than once"):
        assert_writer_holds(bad_writers.WritesTwice(), 5, database=notes)


def test_an_insert_that_returns_before_it_commits_does_not_hold(notes: str, marked: Living) -> None:
    """Though every row is there in the end."""
    with pytest.raises(AssertionError, match="noticed: a row is gone when its process is killed as soon as insert has"):
        assert_writer_holds(bad_writers.CommitsWhenItCloses(), WORKERS, database=notes)


def test_a_writer_by_name_holds_in_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, database: str, marked: Living
) -> None:
    monkeypatch.chdir(str(database).rpartition("/")[0])
    assert assert_writer_holds("grouped", WORKERS, bursts=2).acknowledged == WORKERS


def test_a_closure_can_be_tried_by_forking(notes: str, marked: Living) -> None:
    """A fresh process cannot import it."""

    def insert(row: Row) -> None:
        note_writers.add_in_turn(notes, row)

    def rows() -> list[str]:
        return note_writers.read(notes)

    with pytest.raises(ValueError, match="cannot be pickled"):
        assert_writes_hold(insert, rows, 2)
    assert_writes_hold(insert, rows, WORKERS, start_method="fork")


@pytest.mark.parametrize(("option", "value"), [("workers", 0), ("workers", 2.5), ("bursts", 0), ("bursts", True)])
def test_a_number_that_will_not_do_is_named(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{option} {value!r} is not a whole number of 1 or more"):
        assert_writer_holds("wal", **{option: value})  # type: ignore[arg-type]
