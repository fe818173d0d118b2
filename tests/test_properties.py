"""Whatever settings, rows, workers and writers anybody gives: a report that adds up, or one line; never a lost row.

The examples are drawn by hypothesis, the same ones in each run. ``HYPOTHESIS_EXAMPLES=1000`` draws more, and others.
"""

from __future__ import annotations

import math
import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sqlite_writes import (
    Settings,
    WriterError,
    create_table,
    create_table_of,
    insert_rows_in_parallel,
)
from sqlite_writes.kept_open import insert_rows_kept_open
from sqlite_writes.row_check import check_rows
from sqlite_writes.table import read_rows

from .odd_writers import DiesByItsRow, Odd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_writes import BurstReport
    from sqlite_writes.driver import Value
    from sqlite_writes.table import Row

    from .conftest import Living

Result = TypeVar("Result")

MORE = int(os.environ.get("HYPOTHESIS_EXAMPLES", "0"))


def examples(count: int) -> settings:
    """Draw so many, the same each time; the fixture that sees processes is one for all of them."""
    return settings(
        max_examples=MORE or count,
        derandomize=not MORE,
        database=None,
        deadline=None,
        phases=list(Phase) if MORE else [Phase.explicit, Phase.generate],  # to make a failure smaller takes minutes
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# All settings that there may be: what does not fit together is refused, and then a draw counts for nothing.
ANY_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "journal_mode": st.sampled_from(["delete", "wal"]),
    "synchronous": st.sampled_from(["full", "normal", "off"]),
    "busy_timeout": st.sampled_from([60, 100.0]),  # long enough beside any load
    "transaction": st.sampled_from(["implicit", "immediate"]),
    "retry": st.sampled_from([0.0, 0.0, 0.001, 0.02]),
    "line": st.booleans(),
    "sync_after": st.booleans(),
}


@st.composite
def any_settings(draw: st.DrawFn) -> Settings:
    """Draw settings, and mend what does not fit together."""
    drawn = {name: draw(values) for name, values in ANY_SETTINGS.items()}
    if drawn["line"]:
        drawn["retry"] = 0.0
    if drawn["line"] or drawn["retry"]:
        drawn["transaction"] = "immediate"
    if drawn["sync_after"]:
        drawn |= {"journal_mode": "wal", "synchronous": "normal"}
    return Settings(**drawn)


VALUES = st.one_of(
    st.text(max_size=50),
    st.text(st.characters(), max_size=5),  # with lone surrogates, which are no text to SQLite
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.binary(max_size=50),
    st.none(),
    st.booleans(),
)
KEPT = st.tuples(VALUES.filter(lambda value: value == value))  # noqa: PLR0124 no table gives "not a number"
ROWS = st.lists(st.tuples(VALUES), min_size=1, max_size=6)


def tried(act: Callable[[], Result]) -> tuple[Result | None, str]:
    """Return what it gives, or the words with which it is refused."""
    try:
        return act(), ""
    except (ValueError, WriterError) as error:
        return None, str(error)


def there(database: str) -> list[str]:
    """What is in the table, with the types, by a program that knows nothing of the burst."""
    return sorted(repr(row) for row in read_rows(database))


def acknowledged(report: BurstReport) -> list[str]:
    rows = [row for row, outcome in zip(report.rows, report.outcomes) if outcome.status == "returned"]
    return sorted(repr((_kept_as(*row),)) for row in rows)


def _kept_as(value: Value) -> Value:
    """SQLite knows neither booleans nor a zero below zero (https://sqlite.org/floatingpoint.html)."""
    if isinstance(value, bool):
        return int(value)
    return value + 0.0 if isinstance(value, float) else value


@given(chosen=any_settings(), rows=ROWS, keep_open=st.booleans())
@examples(14)
def test_what_is_acknowledged_is_in_the_table_and_nothing_else(
    chosen: Settings, rows: list[Row], keep_open: bool, marked: Living
) -> None:
    """A row that no SQLite can hold fails; rows that cannot be told apart, or come back as another, are refused."""
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder, "messages.db"))
        create_table(database, chosen)
        if keep_open:
            report, refused = tried(lambda: insert_rows_kept_open(database, rows, chosen, workers=1, deadline=120))
        else:
            report, refused = tried(lambda: insert_rows_in_parallel(database, rows, chosen, deadline=120))
        if report is None:
            assert "\n" not in refused
            assert len({*rows}) < len(rows) or any(value != value for (value,) in rows)  # noqa: PLR0124 not a number
            assert there(database) == []
            return
        assert there(database) == acknowledged(report)
        assert report.acknowledged + report.failed == len(rows)
        assert set(report.errors) <= {"OverflowError", "UnicodeEncodeError"}
        assert (report.lost, report.altered, report.duplicated, report.recovered) == (0, 0, 0, 0)
        assert "\n" not in report._verdict()


@given(rows=st.lists(KEPT, max_size=8), before=st.lists(KEPT, max_size=4), after=st.lists(KEPT, max_size=8))
@examples(200)
def test_the_counts_of_a_check_add_up_whatever_was_read(rows: list[Row], before: list[Row], after: list[Row]) -> None:
    """Each row that is there more often than before is one of the burst's, an altered one, or unexpected."""
    check = check_rows(rows, before, [*before, *after])
    assert len(check.copies) == len(check.instead) == len(rows)
    assert check.unexpected >= 0
    altered = sum(instead is not None for instead in check.instead)
    kinds = {_kind(row) for row in after} - {_kind(row) for row in rows}
    assert altered + check.unexpected == len(kinds)


def _kind(row: Row) -> tuple[type, object]:
    (value,) = row
    return (int, int(value)) if isinstance(value, bool) else (type(value), value)


FIELDS = ["journal_mode", "synchronous", "busy_timeout", "transaction", "retry", "line", "sync_after"]
ANYTHING: st.SearchStrategy[Any] = st.one_of(
    VALUES, st.sampled_from(["wal", "delete", "full", "normal", "immediate", "implicit"]), st.just([])
)


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
@examples(300)
def test_settings_that_will_not_do_are_named_in_one_line(fields: dict[str, Any]) -> None:
    made, refused = tried(lambda: Settings(**fields))
    if made is None:
        assert "\n" not in refused
        assert any(name in refused for name in FIELDS)
    else:
        assert 0 <= made.busy_timeout < math.inf


@given(
    chosen=any_settings(),
    fates=st.lists(st.sampled_from(["killed", "exits", "interrupted", "written", "sys.exit"]), min_size=2, max_size=6),
    is_locked=st.booleans(),
)
@examples(8)
def test_whatever_becomes_of_some_workers_the_others_rows_are_kept(
    chosen: Settings, fates: list[str], is_locked: bool, marked: Living
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder, "messages.db"))
        create_table(database, chosen)
        rows = [(f"{number} {fate}",) for number, fate in enumerate(fates)]
        writer = DiesByItsRow(chosen)
        with held(database) if is_locked and chosen.journal_mode == "wal" else nullcontext():
            report = insert_rows_in_parallel(database, rows, writer, deadline=120)
        written = sorted(repr(row) for row in rows if "written" in row[0])
        assert sorted(map(repr, writer.rows(database))) == acknowledged(report) == written
        assert report.failed == sum(fate != "written" for fate in fates)


@contextmanager
def held(database: str) -> Iterator[None]:
    """Read all the time, which keeps no writer out in WAL mode."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM messages").fetchall()
        yield


WAYS = ["well", "well", "well", "raises", "recurses", "raises a class", "changes the folder", "closes all files"]
WAYS += ["exits", "killed", "interrupted", "sys.exit"]
GIFTS = ["gives nothing", "gives a list"]


@given(
    writer=st.builds(
        Odd,
        st.sampled_from(WAYS[:8]),
        st.sampled_from([*WAYS, *GIFTS]),
        st.sampled_from(WAYS),
        st.sampled_from([*WAYS[:8], *GIFTS, "gives lines", "gives objects"]),
    )
)
@examples(12)
def test_whatever_a_writer_does_it_is_a_report_or_one_line(writer: Odd, marked: Living) -> None:
    rows: list[Row] = [(f"row {number} of an odd writer",) for number in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder, "notes.db"))
        report, refused = tried(lambda: made_and_written(writer, database, rows))
    is_well = set(writer.ways) == {"well"}
    if report is None:
        assert "\n" not in refused
        assert not is_well
    else:
        assert report.acknowledged + report.failed == 3
        assert report.lost == 0
        assert len(str(report).splitlines()) < 30
        assert report.failed == 0 or not is_well


def made_and_written(writer: Odd, database: str, rows: list[Row]) -> BurstReport:
    create_table_of(writer, database)
    return insert_rows_in_parallel(database, rows, writer, deadline=120)


def test_a_number_that_is_none_is_refused_since_sqlite_keeps_none_of_it(database: str) -> None:
    create_table(database)
    with pytest.raises(ValueError, match=r"row \(nan,\) is not a number, which SQLite keeps as NULL"):
        insert_rows_in_parallel(database, [(math.nan,)])
