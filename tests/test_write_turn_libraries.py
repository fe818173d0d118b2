"""``write_turn`` around what the libraries do by themselves, in many processes at once and in one.

Knows no library: ``library_writers`` has them all behind one face. ``SQLITE_WRITES_PROCESSES=200`` asks for more.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import pool_map, write_turn

from .library_writers import LIBRARIES, create_tables, insert_family, warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Living
    from .library_writers import Writer

PROCESSES = int(os.environ.get("SQLITE_WRITES_PROCESSES", "30"))

NO_PARENT = 999_999


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    """The name of a library that can be imported here."""
    name: str = request.param
    pytest.importorskip(LIBRARIES[name][0])
    return name


@pytest.fixture
def tables(database: str) -> str:
    """The path of a database with the two tables."""
    create_tables(database)
    return database


@pytest.fixture
def writer(library: str, tables: str) -> Iterator[Writer]:
    """The library's connection to it."""
    with closing(LIBRARIES[library][1](tables)) as writer:
        yield writer


def messages(writer: Writer) -> list[str]:
    """What the table of parents has, as the same connection reads it."""
    with writer.transaction():
        return [message for (message,) in writer.execute("SELECT msg FROM parents ORDER BY id")]


def test_many_processes_at_once_write_each_row_once_and_each_child_with_its_own_parent(
    library: str, tables: str, marked: Living
) -> None:
    """Each connects, writes two rows and closes within its turn, so ``last_insert_rowid()`` must be its own."""
    items = [f"message {number}" for number in range(PROCESSES)]
    outcomes = pool_map(
        partial(insert_family, library, tables), items, warm_up=partial(warm_up, library), deadline=120.0
    )
    assert Counter(outcome.traceback or outcome.status for outcome in outcomes) == {"returned": PROCESSES}
    with closing(sqlite3.connect(tables)) as connection:
        parents = connection.execute("SELECT id, msg FROM parents").fetchall()
        children = connection.execute("SELECT parent_id, msg FROM children").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    acknowledged = sorted((outcome.result, item) for outcome, item in zip(outcomes, items))
    assert sorted(parents) == acknowledged
    assert sorted(children) == [(parent, f"child of {message}") for parent, message in acknowledged]


def test_the_connection_is_set_up_as_the_turn_wants_it(writer: Writer) -> None:
    with writer.transaction():
        found = [writer.execute(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert found == [[("wal",)], [(1,)], [(1,)]]


def test_foreign_keys_are_enforced_and_what_the_block_raises_comes_out(writer: Writer, tables: str) -> None:
    """Each library has a class of its own for that."""
    with pytest.raises(Exception, match=r"(?i)FOREIGN KEY") as caught, write_turn(tables), writer.transaction():
        writer.add_child(NO_PARENT, "orphan")
    assert "Integrity" in caught.type.__name__ or "Constraint" in caught.type.__name__
    with writer.transaction():
        assert writer.execute("SELECT count(*) FROM children") == [(0,)]


def test_returning_gives_the_row(writer: Writer, tables: str) -> None:
    if tuple(map(int, sqlite3.sqlite_version.split("."))) < (3, 35):
        pytest.skip("SQLite knows RETURNING since 3.35")
    with write_turn(tables), writer.transaction():
        first = writer.execute("INSERT INTO parents (msg) VALUES (?) RETURNING id, msg", "first")
        second = writer.execute("INSERT INTO parents (msg) VALUES (?) RETURNING id, msg", "second")
    assert (first, second) == ([(1, "first")], [(2, "second")])
    assert messages(writer) == ["first", "second"]


def test_the_id_of_the_last_row_is_that_of_ones_own(writer: Writer, tables: str) -> None:
    for number in range(3):
        with write_turn(tables), writer.transaction():
            parent = writer.add_parent(f"message {number}")
            assert writer.execute("SELECT last_insert_rowid()") == [(parent,)]
            writer.add_child(parent, f"child of message {number}")
    with writer.transaction():
        joined = writer.execute("SELECT p.msg, c.msg FROM parents p JOIN children c ON c.parent_id = p.id ORDER BY 1")
    assert joined == [(f"message {number}", f"child of message {number}") for number in range(3)]


def test_sql_may_call_a_python_function_of_the_connection(writer: Writer, tables: str) -> None:
    with write_turn(tables), writer.transaction():
        writer.add_parent("quiet")
        assert writer.execute("SELECT shout(msg) FROM parents") == [("QUIET!",)]
        writer.execute("UPDATE parents SET msg = shout(msg) WHERE msg = ?", "quiet")
    assert messages(writer) == ["QUIET!"]


def test_the_statements_of_a_transaction_are_there_together_or_not_at_all(writer: Writer, tables: str) -> None:
    with write_turn(tables), writer.transaction():
        for number in range(3):
            writer.add_parent(f"message {number}")
        writer.execute("DELETE FROM parents WHERE msg = ?", "message 1")
    assert messages(writer) == ["message 0", "message 2"]


def test_a_rollback_in_the_block_keeps_nothing_and_the_next_turn_works(writer: Writer, tables: str) -> None:
    def change_ones_mind() -> None:
        with write_turn(tables), writer.transaction():
            writer.add_child(writer.add_parent("rolled back"), "rolled back")
            raise KeyError("changed my mind")

    with pytest.raises(KeyError, match="changed my mind"):
        change_ones_mind()
    with write_turn(tables, timeout=1), writer.transaction():
        assert writer.execute("SELECT count(*) FROM parents") == [(0,)]
        writer.add_parent("kept")
    assert messages(writer) == ["kept"]
