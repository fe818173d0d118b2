"""The line of writers: one turn at a time, in the order of their coming, and every commit durable at its return."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import stat
import sys
import tempfile
import threading
import time
import traceback
import warnings
from binascii import crc32
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
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
    generate_example_rows,
    insert_rows_in_parallel,
    line,
    row_count,
    write_turn,
)

from .conftest import wait_until, wait_until_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, or has sockets without a file")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
STRANGER, OTHER, COMMON = 12345, 12346, 54321

INSERT = "INSERT INTO messages (msg) VALUES (?)"
INSERT_ONE = "INSERT INTO messages (msg) VALUES (1)"


class Child(AbstractContextManager["Child"]):
    """A forked process that runs a function, and is killed at the end of the ``with``, unless it has ended.

    It says when it is so far, and then waits until it is let go.
    """

    def __init__(self, act: Callable[[Child], object]) -> None:
        self.heard, self.said = os.pipe()
        self.waits, self.goes = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, where there are threads
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(self.goes)
                act(self)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        self.code: int | None = None
        os.close(self.said)

    def say(self) -> None:
        """In the child: say that it is so far, and wait until it may go on."""
        os.write(self.said, b"x")
        os.read(self.waits, 1)

    def hear(self) -> None:
        """In the parent: wait until it is so far."""
        assert os.read(self.heard, 1) == b"x", "it died"

    def let_go(self) -> None:
        """In the parent: let it go on."""
        os.write(self.goes, b"x")

    def end(self, number: int = 0) -> int:
        """Send it a signal, if one is given, and wait for its end: its exit code, or the signal's number below zero."""
        if self.code is None:
            if number:
                os.kill(self.pid, number)
            _, status = os.waitpid(self.pid, 0)
            self.code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.code

    def stop(self) -> None:
        """Stop it, and wait until it has."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until_stopped(self.pid)

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)
        for descriptor in (self.heard, self.waits, self.goes):
            os.close(descriptor)


class Thread(threading.Thread):
    """A thread that runs a function, and raises at its end what that raised."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.act = act
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Run it."""
        try:
            self.act()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Wait for its end."""
        self.join(60)
        assert not self.is_alive(), "it still runs"
        if self.error:
            raise self.error


@pytest.fixture
def table(database: str) -> str:
    """The path of a database with the table, in WAL mode."""
    create_table(database, "grouped")
    return database


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The files that this process has synced after a turn, each by device and number, in order."""
    found: list[tuple[int, int]] = []
    sync = line._sync

    def sync_and_note(descriptor: int) -> None:
        sync(descriptor)
        found.append(identity(os.fstat(descriptor)))

    monkeypatch.setattr(line, "_sync", sync_and_note)
    return found


def identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def line_of(database: str) -> Path:
    return Path(f"{database}-write-line")


def came(database: str) -> int:
    """How many have stood in line since its file was made: each has left an address, or the place of one."""
    return (line_of(database).stat().st_size - line._FIRST) // line._LENGTH


def write(database: str, message: str = "row", timeout: float = 60.0) -> None:
    """Write a row over a connection of one's own, in one's turn."""
    with closing(connect(database, "grouped")) as connection, write_turn(database, timeout):
        connection.execute(INSERT, (message,))


def hold(database: str, me: Child) -> None:
    """Have the turn until one is let go."""
    with write_turn(database):
        me.say()


def in_turn(database: str, act: Callable[[], object]) -> None:
    """Do it in one's turn."""
    with write_turn(database):
        act()


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


class Patient(socket.socket):
    """A socket that does not wake to look again, only when it is called, or at the deadline."""

    def settimeout(self, seconds: float | None) -> None:
        """Have it sleep for an hour where it would look again at the latest."""
        super().settimeout(3600 if seconds == 0.5 else seconds)


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


@LINUX
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("settings", ["queued", "grouped"])
def test_no_call_is_missed(settings: str, table: str) -> None:
    patient = replace(SETTINGS[settings], busy_timeout=7200.0)
    for _ in range(6):
        rows = generate_example_rows(40)
        insert_rows_in_parallel(table, rows, patient, start_method="fork", deadline=60.0).raise_for_failures()


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


def test_when_the_holder_is_killed_the_next_one_has_its_turn_within_a_second(table: str) -> None:
    with Child(partial(hold, table)) as child:
        child.hear()
        waiting = [Thread(partial(write, table, str(number))) for number in range(3)]
        wait_until(lambda: came(table) == 3 or sys.platform != "linux", "they wait")
        child.end(signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: row_count(table) > 0, "the next one writes")
        assert time.monotonic() - killed < 1
        for thread in waiting:
            thread.end()
    assert row_count(table) == 3


@LINUX
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
        assert time.monotonic() - began < 1
        os.kill(child.pid, signal.SIGCONT)
        assert child.end() == 0
    assert row_count(table) == 3


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
        assert 0.3 <= time.monotonic() - began < 1.3

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
def test_a_sync_that_is_held_up_delays_others_by_a_fraction_of_a_second(
    how: Callable[[str, Child], None], table: str, synced: list[tuple[int, int]]
) -> None:
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
                assert time.monotonic() - began < 0.7
            assert len(synced) == 3
            os.kill(child.pid, signal.SIGCONT)
            child.let_go()
            assert child.end() == 0
    assert row_count(table) == (3 if how is lock_the_log else 4)


@LINUX
def test_a_line_whose_file_is_deleted_while_one_waits_is_the_new_one_for_all(table: str) -> None:
    served = threading.Event()

    def wait() -> None:
        with write_turn(table):
            served.set()

    with ExitStack() as old, ExitStack() as new:
        old.enter_context(write_turn(table))
        thread = Thread(wait)
        wait_until(lambda: came(table) == 1, "it stands in the old line")
        line_of(table).unlink()
        new.enter_context(write_turn(table))
        old.close()
        wait_until(lambda: came(table) == 1, "it stands in the new line")
        assert not served.is_set()
        new.close()
        thread.end()
    assert served.is_set()


def test_a_line_whose_file_is_deleted_between_turns_is_made_anew(table: str) -> None:
    with WriteLine(table) as kept:
        for _ in range(3):
            with kept.turn(), pytest.raises(sqlite3.OperationalError, match="database is locked"):
                write(table, timeout=0)
            line_of(table).unlink()


@pytest.mark.parametrize("content", [b"", b"mine", b"sqlite-writes 2\n" + bytes(200)])
def test_a_file_of_somebody_elses_in_the_place_of_the_line_is_left_alone(content: bytes, table: str) -> None:
    line_of(table).write_bytes(content)
    before = line_of(table).stat()
    with pytest.raises(FileExistsError, match=r"^[^\n]*not made by sqlite_writes[^\n]*$") as raised:
        write(table)
    assert str(line_of(table)) in str(raised.value)
    assert line_of(table).read_bytes() == content
    assert line_of(table).stat()[:9] == before[:9]
    assert row_count(table) == 0


@pytest.mark.parametrize("what", ["a folder", "a FIFO", "a link", "a link to nothing"])
def test_what_is_no_file_in_the_place_of_the_line_is_left_alone(what: str, table: str) -> None:
    path, target = line_of(table), Path(table).parent / "target"
    if what == "a folder":
        path.mkdir()
    elif what == "a FIFO":
        os.mkfifo(path)
    else:
        if what == "a link":
            target.write_text("mine")
        path.symlink_to(target)
    before = path.lstat()
    with pytest.raises(OSError, match=r"^[^\n]+$"):
        write(table)
    assert path.lstat()[:9] == before[:9]
    assert not target.exists() or target.read_text() == "mine"
    assert row_count(table) == 0


@ROOT
@pytest.mark.parametrize(
    ("mode", "owner", "group", "said"),
    [
        (0o644, STRANGER, 0, f"user {STRANGER}, who may not write"),
        (0o666, 0, 0, "more may write it than"),
        (0o664, 0, 0, "more may write it than"),
    ],
)
def test_a_line_that_others_have_a_say_in_than_in_the_database_is_refused(
    mode: int, owner: int, group: int, said: str, table: str
) -> None:
    os.chmod(table, 0o644)
    write(table)
    os.chown(line_of(table), owner, group)
    line_of(table).chmod(mode)
    with pytest.raises(PermissionError, match=rf"^[^\n]*{said}[^\n]*$"):
        write(table)


@pytest.fixture
def shared() -> Iterator[str]:
    """The path of a database in a folder that other users reach."""
    folder = tempfile.mkdtemp(dir="/tmp")  # pytest's own are its user's alone
    database = f"{folder}/messages.db"
    create_table(database, "grouped")
    yield database
    shutil.rmtree(folder)


def as_user(user: int, group: int, act: Callable[[Child], object], me: Child) -> None:
    """Do it as that user, of a group of its own, and of another."""
    os.setgroups([group])
    os.setgid(user)
    os.setuid(user)
    act(me)


@ROOT
@pytest.mark.parametrize(("first", "known"), [(STRANGER, True), (OTHER, True), (STRANGER, False), (OTHER, False)])
def test_users_who_share_a_database_by_group_write_in_turns_whoever_makes_the_file(
    first: int, known: bool, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known are those in the system's list of users, with their groups; a container may run as others."""
    import pwd

    os.chown(os.path.dirname(shared), 0, COMMON)
    os.chmod(os.path.dirname(shared), 0o770)  # noqa: S103 that is what is tried
    os.chown(shared, STRANGER, COMMON)
    os.chmod(shared, 0o660)
    if known:
        monkeypatch.setattr(pwd, "getpwuid", lambda user: pwd.struct_passwd((f"u{user}", "x", user, user, "", "", "")))
        monkeypatch.setattr(os, "getgrouplist", lambda _, group: [group, COMMON])
    second = STRANGER + OTHER - first
    for user in (first, second, first):  # one after another
        with Child(partial(as_user, user, COMMON, lambda _: write(shared))) as child:
            assert child.end() == 0
    found = line_of(shared).stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (COMMON, 0o660)
    os.chmod(os.path.dirname(shared), 0o2770)  # noqa: S103 for SQLite, whose log is of its maker's group

    def write_often(me: Child) -> None:
        for _ in range(20):
            write(shared)

    def keep_open(me: Child) -> None:
        """So that SQLite's files stay: between making one and giving it its rights, SQLite locks others out."""
        with closing(sqlite3.connect(shared)) as connection:
            connection.execute("SELECT * FROM messages").fetchall()
            me.say()

    with ExitStack() as stack:
        stack.enter_context(Child(keep_open)).hear()
        both = [partial(as_user, number, COMMON, write_often) for number in (first, second)]
        children = [stack.enter_context(Child(act)) for act in both]
        assert [one.end() for one in children] == [0, 0]
    assert row_count(shared) == 43


@ROOT
def test_a_database_that_everybody_may_write_has_a_line_for_everybody(shared: str) -> None:
    os.chmod(os.path.dirname(shared), 0o777)  # noqa: S103 that is what is tried
    os.chmod(shared, 0o666)  # noqa: S103
    for user in (STRANGER, OTHER):
        with Child(partial(as_user, user, user, lambda _: write(shared))) as child:
            assert child.end() == 0
    assert row_count(shared) == 2


@pytest.mark.parametrize("step", ["fchown", "fchmod", "link"])
def test_one_that_is_killed_while_it_makes_the_file_leaves_it_to_the_next(step: str, table: str) -> None:
    """The file gets its name when all else is done; until then it is a draft, which is left."""
    os.chmod(table, 0o640)
    with suppress(PermissionError):
        os.chown(table, STRANGER, COMMON)

    def make_and_die(_: Child) -> None:
        setattr(os, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        write(table)

    with Child(make_and_die) as child:
        assert child.end() == -signal.SIGKILL
    assert not line_of(table).exists()
    write(table)
    made, like = line_of(table).stat(), os.stat(table)
    assert (made.st_mode, made.st_uid, made.st_gid) == (like.st_mode, like.st_uid, like.st_gid)
    assert len(list(Path(table).parent.glob(f"{line_of(table).name}-*"))) == 1


@pytest.mark.parametrize("without", ["epoll", "poll", "sockets", "RWF_APPEND"])
def test_what_a_system_or_gevent_takes_away_is_done_without(
    without: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without == "sockets":
        monkeypatch.setattr(socket, "socket", refuse)
    else:
        monkeypatch.delattr(os if without == "RWF_APPEND" else select, without, raising=False)
    with write_turn(table):
        threads = [Thread(partial(write, table)) for _ in range(5)]
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            write(table, timeout=0.05)
    for thread in threads:
        thread.end()
    assert row_count(table) == 5


def refuse(*_: object) -> None:
    raise OSError(errno.EPERM, "not in this sandbox")


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


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("settings", ["queued", "patient"])
def test_a_turn_is_as_good_for_synchronous_full_and_for_a_rollback_journal(
    settings: str, sync: bool, database: str, synced: list[tuple[int, int]]
) -> None:
    create_table(database, settings)
    with closing(connect(database, settings)) as connection:
        for number in range(3):
            with write_turn(database, sync=sync):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(INSERT, (str(number),))
                connection.execute("COMMIT")
    assert row_count(database) == 3
    assert len(synced) == (3 if sync and settings == "queued" else 0)


def test_what_the_block_raises_goes_through_and_what_it_committed_is_durable(
    table: str, synced: list[tuple[int, int]]
) -> None:
    before = descriptors()
    with closing(connect(table, "grouped")) as connection:

        def write_and_fail() -> None:
            connection.execute(INSERT, ("kept",))
            raise KeyError

        with pytest.raises(KeyError):
            in_turn(table, write_and_fail)
        assert len(synced) == 1
        write(table, timeout=0)
    assert row_count(table) == 2
    assert descriptors() == before


@pytest.mark.parametrize("kind", ["9p", "virtiofs", "vboxsf", "grpcfuse", "fuse.grpcfuse", "nfs4"])
def test_a_file_system_that_other_machines_share_is_refused_in_one_line_that_names_it(
    kind: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "major", lambda _: 0)
    mount = f"36 35 0:{os.minor(os.stat(table).st_dev)} / /mnt rw,noatime shared:1 - {kind} host:/x rw\n"
    mounts = "1 2 0:0 / / rw - ext4 /dev/x rw\n" + mount
    monkeypatch.setattr(line, "open", lambda *_, **__: io.StringIO(mounts), raising=False)
    line._file_system.cache_clear()
    try:
        with pytest.raises(NotImplementedError, match=rf"^[^\n]*\({re.escape(kind)}\)[^\n]*$") as raised:
            write(table)
    finally:
        line._file_system.cache_clear()
    assert repr(table) in str(raised.value)
    assert not line_of(table).exists()


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


@pytest.mark.parametrize(
    ("opened", "began", "damage", "clock", "syncs"),
    [
        ("long ago", "later", False, None, 0),
        ("long ago", "later", True, None, 1),
        ("long ago", "later", False, b"another boot", 1),
        ("long ago", "before the commit", False, None, 1),
        ("in our turn", "later", False, None, 1),
    ],
)
def test_only_a_whole_note_of_this_boot_of_a_sync_after_the_commit_spares_ones_own(
    opened: str, began: str, damage: bool, clock: bytes | None, syncs: int, table: str, synced: list[tuple[int, int]]
) -> None:
    """Later is a time that has yet to come: with another boot's clock, a note of before it."""
    with closing(connect(table, "grouped")) as connection, write_turn(table):
        now = time.monotonic()
        connection.execute(INSERT, ("row",))
        times = (now if opened == "in our turn" else 0.0, now + 100 if began == "later" else time.monotonic(), 0.001)
        note = line._NOTE.pack(line._clock() if clock is None else clock, *times)
        note += crc32(note).to_bytes(4, "little")
        with line_of(table).open("r+b") as file:
            file.seek(line._NOTE_AT)
            file.write(note[:30] + bytes([note[30] ^ damage]) + note[31:])
    assert len(synced) == syncs


def test_where_the_system_does_not_tell_its_clock_no_note_is_believed(
    table: str, synced: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_clock", lambda: b"")
    with closing(connect(table, "grouped")) as connection:
        for number in range(3):
            with write_turn(table):
                connection.execute(INSERT, (str(number),))
    assert len(synced) == 3


@LINUX
def test_those_who_commit_while_another_syncs_share_the_next_sync(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs, asked, goes_on, sync, is_synced = [], set(), threading.Event(), line._sync, line._Place._is_synced

    def sync_slowly(descriptor: int) -> None:
        syncs.append(descriptor)
        goes_on.wait()
        sync(descriptor)

    def note_who_asks(place: line._Place, committed: float) -> bool:
        asked.add(id(place))
        return is_synced(place, committed)

    with ExitStack() as stack:
        kept = [stack.enter_context(WriteLine(table)) for _ in range(6)]
        connections = [stack.enter_context(closing(connect(table, "grouped"))) for _ in kept]
        connections[0].execute("SELECT * FROM messages").fetchall()  # so that there is a log
        for one in kept:
            with one.turn():
                pass
        monkeypatch.setattr(line, "_PATIENCE", 60.0)
        monkeypatch.setattr(line, "_sync", sync_slowly)
        monkeypatch.setattr(line._Place, "_is_synced", note_who_asks)

        def work(number: int) -> None:
            with kept[number].turn(), closing(connect(table, "grouped")) as connection:
                connection.execute(INSERT, (str(number),))

        threads = [Thread(partial(work, 0))]
        wait_until(lambda: syncs, "the first one syncs")
        threads += [Thread(partial(work, number)) for number in range(1, 6)]
        wait_until(lambda: len(asked) == 6, "the others have committed, and wait")
        goes_on.set()
        for thread in threads:
            thread.end()
    assert len(syncs) == 2
    assert row_count(table) == 6


@LINUX
def test_a_log_made_anew_while_one_waits_is_the_one_that_is_synced(table: str, synced: list[tuple[int, int]]) -> None:
    log = Path(f"{table}-wal")
    with ExitStack() as others:
        first = others.enter_context(closing(connect(table)))
        first.execute("SELECT * FROM messages").fetchall()
        before = identity(log.stat())
        with write_turn(table, sync=False):
            thread = Thread(partial(write, table, "waits"))
            wait_until(lambda: came(table) == 1, "it stands in line")
            first.close()
            with closing(connect(table)) as last:
                last.execute("PRAGMA journal_mode = wal")
        others.enter_context(closing(second := connect(table)))
        second.execute("SELECT * FROM messages").fetchall()
        thread.end()
        assert synced[-1] == identity(log.stat()) or before == identity(log.stat())
    assert row_count(table) == 1


@pytest.mark.parametrize("what", ["checkpoint", "closed in the turn", "closed after it"])
def test_a_commit_that_has_left_the_log_needs_no_sync(
    what: str, table: str, monkeypatch: pytest.MonkeyPatch, synced: list[tuple[int, int]]
) -> None:
    sync = line._Place.sync
    connection = connect(table, "grouped")

    def close_and_sync(place: line._Place) -> None:
        connection.close()
        sync(place)

    if what == "closed after it":
        monkeypatch.setattr(line._Place, "sync", close_and_sync)
    with write_turn(table):
        connection.execute(INSERT, ("row",))
        if what == "checkpoint":
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        if what == "closed in the turn":
            connection.close()
    connection.close()
    assert len(synced) == (what == "checkpoint")
    assert row_count(table) == 1


@LINUX
def test_addresses_that_are_no_longer_needed_are_cut_off(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_LONGEST", 256)

    def work() -> None:
        with WriteLine(table) as kept:
            for _ in range(50):
                with kept.turn(timeout=10):
                    pass

    for thread in [Thread(work) for _ in range(10)]:
        thread.end()
    with suppress(sqlite3.OperationalError), write_turn(table), write_turn(table, timeout=0):
        pass  # it has left an address, so that there is something to cut off
    with write_turn(table):
        pass
    assert came(table) < 20


@LINUX
def test_one_whose_address_was_moved_as_others_were_cut_off_is_not_called_for_ever(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its line is kept open, so that somebody would hear the calls, and those behind it would not."""
    with write_turn(table), suppress(sqlite3.OperationalError):
        write(table, timeout=0)  # leaves a place of nobody's before the next
    with WriteLine(table) as kept:

        def wait() -> None:
            with kept.turn():
                pass

        monkeypatch.setattr(line, "_LONGEST", line._FIRST)
        with write_turn(table):
            waits = Thread(wait)
            wait_until(lambda: came(table) == 2, "it stands in line")
        waits.end()
        monkeypatch.setattr(line, "_LONGEST", 1 << 20)
        called, call = [], line._Place._call

        def call_and_note(place: line._Place, address: bytes) -> bool:
            heard = call(place, address)
            called.extend([address] * heard)
            return heard

        monkeypatch.setattr(line._Place, "_call", call_and_note)
        for number in range(3):
            before = came(table)
            with write_turn(table):
                waits = Thread(partial(write, table, str(number)))
                wait_until(lambda before=before: came(table) > before, "another stands in line")  # type: ignore[misc]
            waits.end()
        assert len(set(called)) == 3


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
