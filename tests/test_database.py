"""The table: created in the journal mode asked for, written over connections that are closed, errors by name."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sqlite_writes import (
    SETTINGS,
    Settings,
    connect,
    create_table,
    error_name,
    generate_example_rows,
    insert_row,
    insert_rows_in_parallel,
    open_writer,
    pool_map,
    row_count,
    write_turn,
)
from sqlite_writes.library import check_library
from sqlite_writes.scenarios.cost import _every_connection
from sqlite_writes.scenarios.transaction import read_then_insert_row
from sqlite_writes.table import count_copies
from sqlite_writes.writers import ours, warm_up
from sqlite_writes.writers.ours import insert_rows, trace_insert

if TYPE_CHECKING:
    from collections.abc import Iterator


def ask(database: str, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(question).fetchall()


def open_files(database: str) -> list[str]:
    """The descriptors of this process that are the database or a file beside it, by name or, on macOS, by number."""
    files = {(path.stat().st_dev, path.stat().st_ino) for path in Path(database).parent.glob(f"{Path(database).name}*")}
    found = []
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the listing's own
            status = os.fstat(int(name))
            if (status.st_dev, status.st_ino) in files or os.path.realpath(f"/dev/fd/{name}").startswith(database):
                found.append(name)
    return found


def test_the_table_has_the_articles_columns(database: str) -> None:
    create_table(database)
    assert ask(database, "SELECT name, type, dflt_value FROM pragma_table_info('messages')") == [
        ("ts", "DATE", "datetime('now','localtime')"),
        ("msg", "", None),  # without a type: a number comes back as a number
    ]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_file_has_the_settings_journal_mode(name: str, database: str) -> None:
    create_table(database, name)
    assert ask(database, "PRAGMA journal_mode") == [(SETTINGS[name].journal_mode,)]


def test_creating_again_empties_and_changes_the_journal_mode(database: str) -> None:
    create_table(database, "wal")
    insert_row(database, ("one",), "wal")
    create_table(database, "default")
    assert row_count(database) == 0
    assert ask(database, "PRAGMA journal_mode") == [("delete",)]


def test_a_journal_mode_that_sqlite_refuses_is_an_error(database: str) -> None:
    create_table(database, "wal")
    with closing(sqlite3.connect(database)) as reader:
        reader.execute("SELECT * FROM messages").fetchall()
        with pytest.raises(sqlite3.OperationalError, match=f"database '{database}': "):
            create_table(database, Settings(busy_timeout=0))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_connection_writes_as_the_settings_say(name: str, database: str) -> None:
    settings = SETTINGS[name]
    with closing(connect(database, name)) as connection:
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        (timeout,) = connection.execute("PRAGMA busy_timeout").fetchone()
    assert {"off": 0, "normal": 1, "full": 2}[settings.synchronous] == synchronous
    assert timeout == 1000 * (settings.retry or settings.busy_timeout)


def test_a_grouped_connection_leaves_the_sync_of_a_commit_to_what_comes_after_it(database: str) -> None:
    for name, level in (("grouped", 1), ("synced", 1), ("queued", 2), ("fair", 2)):
        with closing(connect(database, name)) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (level,), name


@pytest.mark.parametrize("name", SETTINGS)
def test_an_inserted_row_is_there_by_the_transaction_asked_for_and_its_connection_closed(
    name: str, database: str
) -> None:
    skip_unless_known(name)
    create_table(database, name)
    statements: list[str] = []
    with _every_connection(lambda connection: connection.set_trace_callback(statements.append)):
        insert_row(database, ("héllo 'quoted'",), name)
    assert ask(database, "SELECT msg FROM messages") == [("héllo 'quoted'",)]
    assert open_files(database) == []
    transaction = SETTINGS[name].transaction
    begins = [statement.strip().upper() for statement in statements if statement.startswith("BEGIN")]
    assert begins == ["BEGIN DEFERRED" if transaction == "implicit" else f"BEGIN {transaction.upper()}"]
    assert statements[-1] == "COMMIT"


def skip_unless_known(name: str) -> None:
    try:
        check_library(name)
    except NotImplementedError as reason:
        pytest.skip(str(reason))


def test_a_sqlite_without_begin_concurrent_is_said_to_lack_it(database: str) -> None:
    try:
        check_library("concurrent")
    except NotImplementedError:
        create_table(database, "concurrent")
        for write in (insert_row, lambda *to: insert_rows_in_parallel(to[0], [to[1]], to[2])):
            with pytest.raises(NotImplementedError, match=r"SQLite .* does not know BEGIN CONCURRENT"):
                write(database, ("x",), "concurrent")
    else:
        pytest.skip("this SQLite has it")


@pytest.mark.parametrize("settings", ["default", "wal-normal", "fair", "synced", "queued", "grouped"])
def test_an_inserts_moments_are_in_order_and_the_wait_is_where_it_was(settings: str, database: str) -> None:
    create_table(database, settings)
    with closing(sqlite3.connect(database, check_same_thread=False)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        released: list[float] = []

        def release() -> None:
            released.append(time.monotonic())
            writer.rollback()

        timer = threading.Timer(0.5, release)
        timer.start()
        trace = trace_insert(database, ("x",), settings)
        timer.join()
    assert trace.called <= trace.opened <= released[0] <= trace.locked <= trace.committed <= trace.closed
    assert trace.retries == 0


def test_a_concurrent_insert_whose_commit_conflicts_begins_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a SQLite that is told to begin otherwise, and whose first commit conflicts: few have BEGIN CONCURRENT."""
    commits: list[bool] = []

    class Conflicting(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                commits.append(self.in_transaction)
                if len(commits) == 1:
                    error = sqlite3.OperationalError("database is locked")
                    error.__dict__.update(sqlite_errorname="SQLITE_BUSY_SNAPSHOT")
                    raise error
            return super().execute(sql.replace("BEGIN CONCURRENT", "BEGIN IMMEDIATE"), *parameters)

    create_table(database, "concurrent")
    connect_plainly = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", partial(connect_plainly, factory=Conflicting))
    trace = trace_insert(database, ("x",), "concurrent")
    monkeypatch.undo()
    assert (trace.retries, commits) == (1, [True, True])
    assert ask(database, "SELECT msg FROM messages") == [("x",)]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_a_deferred_reader_cannot_wait_to_write_and_an_immediate_one_can(journal_mode: str, database: str) -> None:
    create_table(database, Settings(journal_mode=journal_mode))
    for transaction, expected in (("implicit", {"raised"}), ("immediate", {"returned"})):
        settings = Settings(journal_mode=journal_mode, transaction=transaction, busy_timeout=60)
        outcomes = pool_map(partial(read_then_insert_row, database, settings=settings), generate_example_rows(50))
        assert expected <= {outcome.status for outcome in outcomes} <= expected | {"returned"}


def test_the_connection_is_closed_when_the_insert_fails(database: str) -> None:
    create_table(database)
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as caught:
            insert_row(database, ("x",), Settings(busy_timeout=0))
    assert open_files(database) == []  # SQLite keeps a closed file open while another connection here holds its lock
    assert error_name(caught.value) == "SQLITE_BUSY"


@contextmanager
def held(database: str) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that writes."""
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        yield writer


@pytest.mark.parametrize("name", SETTINGS)
def test_a_writer_that_is_kept_open_goes_on_after_an_insert_that_failed(name: str, database: str) -> None:
    skip_unless_known(name)
    settings = replace(SETTINGS[name], busy_timeout=0.05)
    create_table(database, settings)
    with open_writer(database, settings) as insert:
        insert(("one",))
        with held(database), pytest.raises(sqlite3.OperationalError) as caught:
            insert(("in vain",))
        assert error_name(caught.value) == "SQLITE_BUSY"
        for unfit in (object(), "\ud800"):  # the second is raised by Python, not by SQLite
            with pytest.raises((sqlite3.Error, UnicodeEncodeError)):
                insert((unfit,))  # type: ignore[arg-type]
            with held(database):  # so no transaction was left open
                pass
        traces = [insert((message,)) for message in ("two", "three")]
    assert ask(database, "SELECT msg FROM messages") == [("one",), ("two",), ("three",)]
    assert open_files(database) == []
    for trace in traces:
        assert trace.called == trace.opened <= trace.locked <= trace.committed <= trace.closed


def test_a_writer_that_is_kept_open_waits_as_long_as_ever_after_a_long_wait_in_line(database: str) -> None:
    settings = replace(SETTINGS["grouped"], busy_timeout=3.0)
    create_table(database, settings)
    has_turn = threading.Event()

    def hold() -> None:
        with write_turn(database):
            has_turn.set()
            time.sleep(1)

    holder = threading.Thread(target=hold)
    said: list[str] = []
    with (
        _every_connection(lambda connection: connection.set_trace_callback(said.append)),
        open_writer(database, settings) as insert,
    ):
        holder.start()
        has_turn.wait()
        insert(("after a long wait",))
        holder.join()
        left, again = (int(sql.rpartition(" ")[2]) for sql in said if sql.startswith("PRAGMA busy_timeout"))
        assert left < 2900 < again  # both waits together take no longer than the timeout
        with held(database):  # by one who knows of no line
            started = time.monotonic()
            with pytest.raises(sqlite3.OperationalError):
                insert(("in vain",))
            assert time.monotonic() - started > 2.8


@pytest.mark.parametrize("keep_open", [True, False])
def test_rows_are_inserted_one_after_another(keep_open: bool, database: str) -> None:
    create_table(database, "grouped")
    first, *rows = generate_example_rows(6)
    insert_row(database, first, "grouped")  # the first of a process connects once more, to ask what is built in
    connections: list[sqlite3.Connection] = []
    with _every_connection(connections.append):
        traces = insert_rows(database, "grouped", rows, keep_open=keep_open)
    assert len(connections) == (1 if keep_open else 5)
    assert ask(database, "SELECT msg FROM messages") == [first, *rows]
    assert all(trace.called < trace.locked < trace.committed <= trace.closed for trace in traces)


def test_fair_tries_again_every_millisecond_and_gives_up_after_the_busy_timeout(database: str) -> None:
    settings = replace(SETTINGS["fair"], busy_timeout=1.5)
    create_table(database, settings)
    begins: list[str] = []
    with held(database), _every_connection(lambda connection: connection.set_trace_callback(begins.append)):
        started = time.monotonic()
        with pytest.raises(sqlite3.OperationalError) as caught:
            insert_row(database, ("x",), settings)
        assert 1.5 <= time.monotonic() - started < 4.5  # before the usual timeout, on a busy machine too
    assert error_name(caught.value) == "SQLITE_BUSY"
    assert 20 < sum(statement.startswith("BEGIN") for statement in begins) <= 1500  # each began once, and slept
    insert_row(database, ("y",), settings)
    assert ask(database, "SELECT msg FROM messages") == [("y",)]


def test_rows_are_counted_by_row(database: str) -> None:
    create_table(database)
    rows = generate_example_rows(2000)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany("INSERT INTO messages (msg) VALUES (?)", rows[:1500] + rows[:10])
    assert count_copies(database, rows) == [2] * 10 + [1] * 1490 + [0] * 500
    assert row_count(database) == 1510


def test_example_rows_differ_and_have_one_element() -> None:
    rows = generate_example_rows(1000)
    assert len(set(rows)) == 1000
    assert {(len(row), len(row[0])) for row in rows} == {(1, 36)}
    with pytest.raises(ValueError, match="count -1 is not"):
        generate_example_rows(-1)


def test_counting_a_missing_file_does_not_create_it(database: str) -> None:
    with pytest.raises(FileNotFoundError, match="make it with create_table"):
        row_count(database)
    assert not Path(database).exists()


def test_errors_have_sqlites_names_with_and_without_pythons_help() -> None:
    locked = sqlite3.OperationalError("database is locked")
    assert error_name(locked) == "SQLITE_BUSY"
    assert error_name(sqlite3.OperationalError("database '/a': disk I/O error")) == "SQLITE_IOERR"
    assert error_name(sqlite3.OperationalError("no such table: x")) == "SQLITE_ERROR"
    assert error_name(OSError("x")) == "OSError"


def test_a_librarys_error_has_the_name_of_sqlites_behind_it() -> None:
    """Raised from it, carrying it, or handing on its number alone."""

    def chained() -> BaseException:
        try:
            try:
                raise sqlite3.OperationalError("database is locked")
            except sqlite3.OperationalError as error:
                raise RuntimeError("could not save") from error
        except RuntimeError as error:
            return error

    assert error_name(chained()) == "SQLITE_BUSY"
    carrying = ValueError("wrapped")
    carrying.orig = sqlite3.OperationalError("database or disk is full")  # type: ignore[attr-defined]
    assert error_name(carrying) == "SQLITE_FULL"
    numbered = RuntimeError("BusyError")
    for code, name in (
        (5, "SQLITE_BUSY"),
        (517, "SQLITE_BUSY_SNAPSHOT"),
        (5 | 7 << 8, "SQLITE_BUSY"),
        (9, "SQLITE_ERROR"),
    ):
        numbered.extendedresult = code  # type: ignore[attr-defined]
        assert error_name(numbered) == name
    looped = RuntimeError("its own cause")
    looped.__cause__ = looped
    assert error_name(looped) == "RuntimeError"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the extended code is not handed on before Python 3.11")
def test_a_stale_snapshot_has_its_own_name(database: str) -> None:
    create_table(database, "wal")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM messages").fetchall()
        insert_row(database, ("newer",), "wal")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("INSERT INTO messages (msg) VALUES ('x')")
    assert error_name(caught.value) == "SQLITE_BUSY_SNAPSHOT"


def test_a_built_in_synchronous_that_differs_is_overruled(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create_table(database, "wal")
    monkeypatch.setattr(ours, "built_in_synchronous", lambda _: "normal")
    statements: list[str] = []
    real = sqlite3.connect

    def traced(*arguments: object, **names: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*arguments, **names)  # type: ignore[call-overload]
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    connect(database, "wal").close()
    assert statements == ["PRAGMA synchronous = full"]


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK | os.X_OK), reason="no folder in memory")  # noqa: S108
@pytest.mark.parametrize("settings", ["wal", "grouped"])
def test_a_memory_that_is_full_is_no_obstacle_to_warming_up(settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's often is, which has little."""
    made: list[str] = []
    create = create_table

    def create_or_fail(path: str, settings: Settings) -> None:
        made.append(path)
        if path.startswith("/dev/shm/"):  # noqa: S108
            raise sqlite3.OperationalError("database or disk is full")
        create(path, settings)

    monkeypatch.setattr(warm_up, "create_table", create_or_fail)
    warm_up.warm_up(settings)
    assert len(made) == 2
    assert not any(os.path.exists(os.path.dirname(path)) for path in made)
