"""The line of writers: one turn at a time, in the order of their coming, and who is killed, stopped or forked in it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import warnings
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sqlite_writes import (
    SETTINGS,
    WriteLine,
    connect,
    create_table,
    error_name,
    line,
    row_count,
    write_turn,
)

from .conftest import run_script, wait_until, wait_until_stopped
from .line_tools import (
    INSERT,
    INSERT_ONE,
    LINUX,
    Child,
    Patient,
    Thread,
    assert_within,
    came,
    descriptors,
    hold,
    in_time_once,
    in_turn,
    line_of,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not called waits for an hour."""
    monkeypatch.setattr(line, "LOOK_AGAIN", 3600.0)
    monkeypatch.setattr(socket, "socket", Patient)


@LINUX
@pytest.mark.usefixtures("patient")
def test_those_who_wait_are_served_in_the_order_of_their_coming(table: str) -> None:
    served: list[int] = []

    def wait(number: int) -> None:
        with write_turn(table):
            served.append(number)

    threads = []
    with write_turn(table):
        for number in range(20):
            threads.append(Thread(partial(wait, number)))
            wait_until(lambda number=number: came(table) == number + 1, "it stands in line")  # type: ignore[misc]
    for thread in threads:
        thread.end()
    assert served == list(range(20))


# A program of its own: forty forks of this process would cost a second, so large is it.
MANY_CALLS = """
import socket, sys
from dataclasses import replace
from sqlite_writes import SETTINGS, generate_example_rows, insert_rows_in_parallel, line
from tests.line_tools import Patient
line.LOOK_AGAIN, socket.socket = 3600.0, Patient
patient = replace(SETTINGS[sys.argv[2]], busy_timeout=7200.0)
for _ in range(6):
    rows = generate_example_rows(40)
    insert_rows_in_parallel(sys.argv[1], rows, patient, start_method="fork").raise_for_failures()
"""


@LINUX
@pytest.mark.parametrize("settings", ["queued", "grouped"])
def test_no_call_is_missed(settings: str, table: str) -> None:
    """Who is not called waits for an hour, and the burst's deadline is a minute."""
    done = run_script(MANY_CALLS, table, settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert row_count(table) == 240


@LINUX
def test_a_turn_that_cannot_be_had_in_time_is_sqlites_own_error_that_names_who_has_it(table: str) -> None:
    with Child(partial(hold, table)) as child:
        child.hear()
        before = descriptors(), threading.active_count()
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError, match=r"^database is locked: [^\n]*$") as raised:
                write(table, timeout=0.02)
            assert error_name(raised.value) == "SQLITE_BUSY"
            assert vars(raised.value)["sqlite_errorname"] == "SQLITE_BUSY"
            assert f"process {child.pid} has the turn" in str(raised.value)
        assert (descriptors(), threading.active_count()) == before
        child.let_go()
        assert child.end() == 0
    with write_turn(table), pytest.raises(sqlite3.OperationalError, match=r"; this process has the turn$"):
        write(table, timeout=0)
    write(table, timeout=0)
    assert row_count(table) == 1


@in_time_once
def test_when_the_holder_is_killed_the_next_one_has_its_turn_within_a_second(table: str) -> None:
    with Child(partial(hold, table)) as child:
        child.hear()
        waiting = [Thread(partial(write, table, str(number))) for number in range(3)]
        wait_until(lambda: came(table) == 3 or sys.platform != "linux", "they wait")
        child.end(signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: row_count(table) > 0, "the next one writes")
        assert_within(1, killed)
        for thread in waiting:
            thread.end()
    assert row_count(table) == 3


@LINUX
@in_time_once
def test_one_that_is_stopped_in_line_delays_the_others_by_a_fraction_of_a_second(table: str) -> None:
    def come(me: Child) -> None:
        me.say()
        write(table, "stopped")

    with Child(come) as child:
        child.hear()
        with write_turn(table):
            child.let_go()
            wait_until(lambda: came(table) == 1, "it stands in line")
            child.stop()
            behind = Thread(partial(write, table, "behind it"))
            wait_until(lambda: came(table) == 2, "another stands behind it")
        began = time.monotonic()
        behind.end()
        write(table, "later")
        assert_within(1, began)
        os.kill(child.pid, signal.SIGCONT)
        assert child.end() == 0
    assert row_count(table) == 3


@in_time_once
def test_while_one_is_stopped_in_its_transaction_the_others_timeouts_are_kept(table: str) -> None:
    def begin(me: Child) -> None:
        with closing(connect(table, "grouped")) as connection, write_turn(table):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(INSERT, ("stopped",))
            me.say()
            connection.execute("COMMIT")

    def give_up() -> None:
        began = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            write(table, timeout=0.3)
        assert time.monotonic() - began >= 0.3
        assert_within(1.3, began)

    with Child(begin) as child:
        child.hear()
        child.stop()
        for thread in [Thread(give_up) for _ in range(4)]:
            thread.end()
        os.kill(child.pid, signal.SIGCONT)
        child.let_go()
        assert child.end() == 0
    write(table)
    assert row_count(table) == 2


def stop_in_its_sync(database: str, me: Child) -> None:
    """Write, and be stopped in the sync."""
    sync = os.fdatasync

    def stop_and_sync(descriptor: int) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        sync(descriptor)

    os.fdatasync = stop_and_sync  # type: ignore[assignment]
    write(database, "stopped")


def lock_the_log(database: str, me: Child) -> None:
    """Hold the lock of those who sync, as somebody might who knows of no line."""
    with closing(connect(database)) as connection, open(f"{database}-wal", "ab") as log:
        connection.execute("SELECT * FROM messages").fetchall()
        fcntl.flock(log, fcntl.LOCK_EX)
        me.say()


@LINUX
@pytest.mark.parametrize("how", [stop_in_its_sync, lock_the_log])
@in_time_once
def test_a_sync_that_is_held_up_delays_others_by_a_fraction_of_a_second(
    how: Callable[[str, Child], None], table: str, synced: list[tuple[int, int]]
) -> None:
    synced.clear()
    with closing(connect(table)) as connection:  # so that there is a log; nobody here has a lock on it
        connection.execute("SELECT * FROM messages").fetchall()
        with Child(partial(how, table)) as child:
            if how is lock_the_log:
                child.hear()
            else:
                wait_until_stopped(child.pid)
            for number in range(3):
                began = time.monotonic()
                write(table, str(number))
                assert_within(0.7, began)
            assert len(synced) == 3
            os.kill(child.pid, signal.SIGCONT)
            child.let_go()
            assert child.end() == 0
    assert row_count(table) == (3 if how is lock_the_log else 4)


def test_a_child_forked_in_another_threads_turn_never_has_that_turn(table: str) -> None:
    def grandchild(me: Child) -> None:
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            write(table, timeout=0)
        me.say()
        write(table)
        me.say()

    def parent(me: Child) -> None:
        held = threading.Event()

        def hold() -> None:
            with write_turn(table):
                held.set()
                signal.pause()

        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        if os.fork() == 0:
            grandchild(me)
            os._exit(0)
        signal.pause()

    def parent_without_warnings(me: Child) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            parent(me)

    with Child(parent_without_warnings) as child:
        child.hear()
        child.end(signal.SIGKILL)
        write(table, timeout=0.5)  # the grandchild lives, and waits
        child.let_go()
        child.hear()
        child.let_go()
    assert row_count(table) == 2


def test_a_child_forked_while_another_thread_opens_the_file_never_has_a_turn_of_it(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(table)
    opened, forked = threading.Event(), threading.Event()
    check = line._check_line

    def check_later(*arguments: object) -> None:
        check(*arguments)  # type: ignore[arg-type]
        opened.set()
        forked.wait(0.5)  # a fork may wait for us

    def parent(me: Child) -> None:
        line._check_line = check_later  # type: ignore[assignment]
        thread = Thread(partial(hold, table, me))
        opened.wait()
        with Child(lambda _: os.read(me.waits, 1)):
            forked.set()
            thread.join()

    with Child(parent) as child:
        child.hear()
        child.end(signal.SIGKILL)
        write(table, timeout=0.5)  # the grandchild lives, until the pipe that it reads is closed


@contextmanager
def alone(log: Path) -> Iterator[None]:
    """Note the beginning and the end of what is done, in one file for all processes."""
    with log.open("ab", buffering=0) as file:
        file.write(b"+")
        yield
        file.write(b"-")


def test_a_line_kept_open_may_be_used_by_any_thread_and_after_a_fork(table: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with WriteLine(table) as kept:

        def work(name: str, *_: object) -> None:
            with closing(connect(table, "grouped")) as connection:
                for number in range(10):
                    with kept.turn(), alone(log):
                        connection.execute(INSERT, (f"{name} {number}",))

        for thread in [Thread(partial(work, str(number))) for number in range(8)]:
            thread.end()
        with Child(partial(work, "child")) as child:
            threads = [Thread(partial(work, f"again {number}")) for number in range(4)]
            for thread in threads:
                thread.end()
            assert child.end() == 0
    assert log.read_bytes() == b"+-" * 130
    with closing(connect(table)) as connection:
        assert connection.execute("SELECT count(DISTINCT msg), count(*) FROM messages").fetchone() == (130, 130)


@LINUX
@pytest.mark.parametrize(
    ("begin", "journal_mode", "is_first"),
    [
        ("IMMEDIATE", "wal", False),
        ("EXCLUSIVE", "wal", False),
        ("IMMEDIATE", "delete", True),
        ("IMMEDIATE", "wal", True),
        ("EXCLUSIVE", "delete", True),
    ],
)
def test_a_transaction_left_open_at_the_end_of_the_turn_is_an_error_that_says_so(
    begin: str, journal_mode: str, is_first: bool, database: str
) -> None:
    """The first one is the first to open the database, and so makes the log."""
    create_table(database, replace(SETTINGS["default"], journal_mode=journal_mode))

    def leave_it_open(_: Child) -> None:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            if not is_first:
                connection.execute("SELECT * FROM messages").fetchall()
            with pytest.raises(sqlite3.ProgrammingError, match="still open at the end of the turn"):
                in_turn(database, lambda: [connection.execute(sql) for sql in (f"BEGIN {begin}", INSERT_ONE)])
        write(database, timeout=0)

    with Child(leave_it_open) as child:
        assert child.end() == 0
    assert row_count(database) == 1


@LINUX
def test_who_waits_with_a_transaction_of_its_own_open_is_told_so(table: str) -> None:
    with Child(partial(hold, table)) as child, closing(connect(table, "grouped")) as connection:
        child.hear()
        connection.execute("BEGIN IMMEDIATE")
        said = f"process {child.pid} has the turn; this process has a transaction open that writes"
        with pytest.raises(sqlite3.OperationalError, match=said):
            write(table, timeout=0.05)
        connection.execute("ROLLBACK")
        child.let_go()
        assert child.end() == 0


def test_a_transaction_that_has_read_before_the_turn_gets_sqlites_own_error(table: str) -> None:
    with closing(connect(table, "grouped")) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM messages").fetchall()
        write(table)
        with pytest.raises(sqlite3.OperationalError) as raised, write_turn(table):
            connection.execute(INSERT, ("too late",))
        assert error_name(raised.value) in ("SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY")
        connection.execute("ROLLBACK")
    write(table, timeout=0)


def test_of_many_that_set_the_journal_mode_and_create_the_table_at_their_start_none_fails(
    database: str, tmp_path: Path
) -> None:
    Path(database).touch()

    def start(me: Child) -> None:
        me.say()
        with write_turn(database), alone(tmp_path / "log"), closing(connect(database, "grouped")) as connection:
            assert connection.execute("PRAGMA journal_mode = wal").fetchone() == ("wal",)
            connection.execute("CREATE TABLE IF NOT EXISTS messages (msg)")
            connection.execute(INSERT, ("row",))

    with ExitStack() as stack:
        children = [stack.enter_context(Child(start)) for _ in range(50)]
        for child in children:
            child.hear()
        for child in children:
            child.let_go()
        assert [child.end() for child in children] == [0] * 50
    assert row_count(database) == 50
    assert (tmp_path / "log").read_bytes() == b"+-" * 50


class InterruptedError_(Exception):  # noqa: N801, N818
    """What is raised at one of the bytecodes."""


def interrupt(number: int, act: Callable[[], object]) -> bool:
    """Do it, and raise at the bytecode of that number in the file of the line; whether it came to that."""
    left = number

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != line.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise InterruptedError_
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except InterruptedError_:
        return True
    except sqlite3.OperationalError:
        assert left > 0
    finally:
        sys.settrace(before)
    return left <= 0


@LINUX
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the interpreter closes what the interrupted call could not
@pytest.mark.parametrize("when", ["the file is there", "it is made", "it waits"])
def test_an_exception_at_any_bytecode_leaves_no_descriptor_and_the_turn_free(when: str, table: str) -> None:
    write(table)
    with closing(connect(table, "grouped")) as connection:
        connection.execute("SELECT * FROM messages").fetchall()

        def act() -> None:
            with write_turn(table, 0.003 if when == "it waits" else 60):
                connection.execute(INSERT, ("row",))

        number, interrupted, faults = 1, True, []
        before = descriptors()
        while interrupted:
            if when == "it is made":
                line_of(table).unlink()
            with write_turn(table) if when == "it waits" else ExitStack():
                interrupted = interrupt(number, act)
            with suppress(sqlite3.OperationalError), write_turn(table, 0):
                number += 4 if when == "it waits" else 1  # a wait takes its time
                continue
            faults.append(f"{number}: the turn is not free")
            break
        assert (faults, descriptors()) == ([], before)
        assert number > 300
