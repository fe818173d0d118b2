"""Rows that share a commit: every acknowledged one is there, none twice, whoever is killed at whatever step."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    Settings,
    create_table,
    error_name,
    generate_example_rows,
    group_commit,
    insert_row,
    insert_rows_in_parallel,
    row_count,
)
from sqlite_writes.file_lock import Queue
from sqlite_writes.group_commit import RECORD_LIMIT, Batch, UndecidedError, execute_grouped

from .conftest import PROJECT, wait_until, wait_until_stopped
from .grouped import FOLLOWER_STEPS, LEADER_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLLOWERS = 4


class Group:
    """A leader and followers, real processes, that wait for the queue, which this process holds until ``go``."""

    def __init__(self, database: str, name: str = "") -> None:
        self.database = database
        self.leader = f"{name}leader"
        self.follower = f"{name}follower"
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.queue = Queue(database)
        assert self.queue.wait()

    def start(self, message: str, step: str = "", without: str = "", under: tuple[str, ...] = ()) -> None:
        """Start a process that inserts the message."""
        self.processes[message] = subprocess.Popen(
            [*under, sys.executable, "-W", "error", "-m", "tests.grouped", self.database, message, step, without],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lead(self, step: str = "", without: str = "", under: tuple[str, ...] = ()) -> None:
        """Start a process and wait until it leads a batch, or has died before it could."""
        self.start(self.leader, step, without, under)
        batch = Path(f"{self.database}-batch")
        wait_until(
            lambda: (batch.exists() and batch.stat().st_size) or self.processes[self.leader].poll() is not None,
            "a process leads a batch",
        )

    def follow(self, count: int = FOLLOWERS, step: str = "", without: str = "") -> None:
        """Start processes and wait until each has added its record, or has died; if there is no leader, one leads."""
        for number in range(count):
            message = f"{self.follower} {len(self.processes)} {number}"
            self.start(message, step, without)
            wait_until(partial(self._waits, message), f"{message} waits")

    def _waits(self, message: str) -> bool:
        gone = [self.processes[one].poll() is not None for one in (message, self.leader)]
        return message in self.waiting() or any(gone)

    def stop(self, message: str) -> None:
        """Stop a process, and wait until it has."""
        self.processes[message].send_signal(signal.SIGSTOP)
        wait_until_stopped(self.processes[message].pid)

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
            said[message] = out.partition(" ")[0]
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
        path for path in Path(database).parent.iterdir() if path.name.endswith(("-queue", "-batch", "-commit", "-bell"))
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
        assert said == dict.fromkeys(group.processes, "acknowledged")
        assert commits(group.database) == 2  # the table of the identity, once; and all the rows
    assert faults(said, group.database) == []
    names = [path.name for path in beside(group.database)]
    assert names == ["messages.db-batch-bell", "messages.db-queue", "messages.db-queue-bell"]


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
    found = faults(group.go(), group.database)
    assert any(fault.endswith((" lost", " times")) for fault in found), found


@pytest.mark.parametrize("without", ["", "the next leader settles what a dead one left"])
def test_a_follower_that_looks_late_learns_that_its_row_was_committed(without: str, group: Group) -> None:
    """Its leader dies after the commit, and the next one's commit replaces what tells so, while it is stopped."""
    group.lead("after the commit, before the note")
    group.follow(1)
    late = next(message for message in group.processes if message != "leader")
    group.stop(late)
    group.queue.close()
    group.processes.pop("leader").communicate(timeout=60)
    again = Group(group.database, "second ")
    again.lead("", without)
    again.follow(2, "", without)
    said = again.go()
    group.processes[late].send_signal(signal.SIGCONT)
    said.update(
        (message, process.communicate(timeout=60)[0].partition(" ")[0]) for message, process in group.processes.items()
    )
    assert bool(faults(said, group.database)) == bool(without)


class Caller(threading.Thread):
    """A thread that calls, and keeps what came of it."""

    def __init__(self, database: str, sql: str, parameters: object, timeout: float) -> None:
        super().__init__()
        self.arguments = (database, sql, parameters, timeout)
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call."""
        try:
            execute_grouped(*self.arguments)  # type: ignore[arg-type]
        except BaseException as error:
            self.error = error


INSERT = "INSERT INTO messages (msg) VALUES (?)"


def is_larger(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size > size


def call_together(
    database: str, calls: list[tuple[str, object]], timeout: float = 60.0, meanwhile: object = None
) -> list[BaseException | None]:
    """Make the calls from threads, the first of which leads, while the queue is held; what each raised."""
    queue = Queue(database)
    assert queue.wait()
    callers = [Caller(database, *call, timeout) for call in calls]
    batch = Path(f"{database}-batch")
    size = group_commit._HEADER.size
    for caller in callers:
        caller.start()
        wait_until(partial(is_larger, batch, size), "the statement waits")
        size = batch.stat().st_size
    if callable(meanwhile):
        meanwhile()
    queue.close()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()
    return [caller.error for caller in callers]


def call_at_once(database: str, given: list[object]) -> list[BaseException | None]:
    """Insert the values from threads, of which nobody knows who leads; what each call raised."""
    queue = Queue(database)
    queue.wait()
    callers = [Caller(database, "INSERT INTO t VALUES (?)", (value,), 60.0) for value in given]
    for caller in callers:
        caller.start()
    queue.close()
    for caller in callers:
        caller.join(60)
    return [caller.error for caller in callers]


@pytest.fixture
def values(database: str) -> str:
    """A database with a table of one column, in which a value keeps the type that it has."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE t (v UNIQUE)")
    return database


def stored(database: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT v, typeof(v) FROM t ORDER BY rowid").fetchall()


def test_values_keep_their_types_whether_they_lead_or_follow(values: str) -> None:
    given = [None, 0, -(2**63), 2**63 - 1, 0.1, 1e308, float("inf"), "", "ä\0\U0001f600'", '{"": "00"}', b"", b"\0\xff"]
    errors = call_together(values, [("INSERT INTO t VALUES (?)", (value,)) for value in given])
    assert errors == [None] * len(given)
    errors = call_together(values, [("INSERT INTO t VALUES (:v)", {"v": value}) for value in (b"leads", 7, b"named")])
    assert errors == [None] * 3
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (v)")
        connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in [*given, b"leads", 7, b"named"]])
        expected = connection.execute("SELECT v, typeof(v) FROM t ORDER BY rowid").fetchall()
    assert sorted(map(str, stored(values))) == sorted(map(str, expected))


class Odd(str):
    """SQLite takes it, by its own class's rules; as JSON it would be a plain str."""


def test_values_and_records_that_do_not_fit_in_a_batch_are_committed_all_the_same(values: str) -> None:
    large = "x" * RECORD_LIMIT
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT 'by position' AS other").fetchone()
    assert group_commit._pack("INSERT INTO t VALUES (?)", row) is None  # in a batch it would be bound by name
    errors = call_at_once(values, ["leads", large, Odd("odd"), [1]])
    assert errors[:3] == [None] * 3
    assert isinstance(errors[3], sqlite3.Error)
    assert {value for value, _ in stored(values)} == {"leads", large, "odd"}


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("INSERT INTO t VALUES (:a)", {"": "ab", "a": 1}),
        ("INSERT INTO t VALUES (:1)", {"1": "b", 1: "a"}),
        ("INSERT INTO t VALUES (:1)", {1: "x"}),
        ("INSERT INTO t VALUES (:a)", {"a": 1, ("x",): 2}),
        ("INSERT INTO t VALUES (?)", ("\ud83d\ude00",)),
    ],
)
def test_parameters_are_bound_in_a_group_as_they_are_alone(sql: str, parameters: object, values: str) -> None:
    alone: type[BaseException | None] = type(None)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (v)")
        connection.execute("INSERT INTO t VALUES ('leads')")
        try:
            connection.execute(sql, parameters)  # type: ignore[arg-type]
        except Exception as error:
            alone = type(error)
        expected = connection.execute("SELECT v, typeof(v) FROM t ORDER BY rowid").fetchall()
    queue = Queue(values)
    assert queue.wait()
    leader = Caller(values, "INSERT INTO t VALUES ('leads')", (), 60.0)
    leader.start()
    batch = Path(f"{values}-batch")
    wait_until(partial(is_larger, batch, group_commit._HEADER.size), "the statement waits")
    follower = Caller(values, sql, parameters, 60.0)
    follower.start()
    follower.join(0.2)  # long enough to join the batch, if it does
    queue.close()
    for caller in (leader, follower):
        caller.join(60)
    assert (type(leader.error), type(follower.error)) == (type(None), alone)
    assert stored(values) == expected


def test_a_statement_that_fails_fails_only_its_own_call_and_as_it_would_alone(values: str) -> None:
    good = [("INSERT INTO t VALUES (?)", (number,)) for number in range(100)]
    bad: list[tuple[str, object]] = [
        ("INSERT INTO t VALUES (?)", (50,)),
        ("INSERT OR ROLLBACK INTO t VALUES (?)", (51,)),
        ("INSERT OR FAIL INTO t VALUES ('kept?'), (52)", ()),
        ("INSERT INTO nowhere VALUES (1)", ()),
        ("INSERT INTO t VALUES (?)", ()),
        ("INSERT INTO t VALUES (?)", (2**63,)),
        ("INSERT INTO t VALUES ('a'); DELETE FROM t", ()),
    ]
    expected = []
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (v UNIQUE)")
        connection.executemany("INSERT INTO t VALUES (?)", [(50,), (51,), (52,)])
        connection.commit()
        for sql, parameters in bad:
            with pytest.raises(Exception) as raised:  # noqa: PT011 whatever it is
                connection.execute(sql, parameters)  # type: ignore[arg-type]
            connection.rollback()
            expected.append((raised.type, str(raised.value)))
    errors = call_together(values, [*good, *bad])
    assert errors[: len(good)] == [None] * len(good)
    assert [(type(error), str(error)) for error in errors[len(good) :]] == expected
    assert {value for value, _ in stored(values)} == set(range(100))
    errors = call_together(values, [bad[0], ("INSERT INTO t VALUES (?)", ("next",))])  # now the leader's own fails
    assert [type(error) for error in errors] == [sqlite3.IntegrityError, type(None)]


def test_however_many_fail_the_others_are_executed_twice_and_no_oftener(
    values: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = []
    claim = Batch._claim

    def count_and_claim(self: Batch) -> list[tuple[int, bytes]]:
        rounds.append(1)
        return claim(self)

    monkeypatch.setattr(Batch, "_claim", count_and_claim)
    execute_grouped(values, "INSERT INTO t VALUES (1)")
    failing: list[tuple[str, object]] = [("INSERT INTO t VALUES (1)", ())] * 20
    errors = call_together(values, [("INSERT INTO t VALUES (?)", (0,)), *failing, ("INSERT INTO t VALUES (2)", ())])
    assert [type(error) for error in errors] == [type(None), *[sqlite3.IntegrityError] * 20, type(None)]
    assert {value for value, _ in stored(values)} == {0, 1, 2}
    assert len(rounds) == 2


def test_what_fails_only_beside_one_that_fails_is_committed_all_the_same(values: str) -> None:
    """The first leaves half of itself, which is undone; so nothing is wrong with the second."""
    execute_grouped(values, "INSERT INTO t VALUES (1)")
    calls: list[tuple[str, object]] = [("INSERT OR FAIL INTO t VALUES (2), (1)", ()), ("INSERT INTO t VALUES (2)", ())]
    errors = call_together(values, [("INSERT INTO t VALUES (0)", ()), *calls])
    assert [type(error) for error in errors] == [type(None), sqlite3.IntegrityError, type(None)]
    assert {value for value, _ in stored(values)} == {0, 1, 2}


def test_an_error_that_is_no_statements_ends_the_leaders_call_and_costs_no_other_row(
    values: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the handler of a signal may raise one, at any moment."""

    class Json:
        def decode(self, text: str) -> object:
            raise TimeoutError(text)

    errors: list[BaseException | None] = []
    with monkeypatch.context() as patch:
        patch.setattr("sqlite_writes.group_commit._FROM_JSON", Json())
        errors = call_together(values, [("INSERT INTO t VALUES (?)", (number,)) for number in range(3)])
    assert [type(error) for error in errors] == [TimeoutError, type(None), type(None)]
    assert {value for value, _ in stored(values)} == {1, 2}


def test_memory_that_one_statement_lacks_costs_no_other_row(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the leader's process; its own caller may have more."""
    decode = group_commit._FROM_JSON.decode

    class Json:
        def decode(self, text: str) -> object:
            if "[1]" in text:
                raise MemoryError
            return decode(text)

    monkeypatch.setattr("sqlite_writes.group_commit._FROM_JSON", Json())
    errors = call_together(values, [("INSERT INTO t VALUES (?)", (number,)) for number in range(3)])
    assert errors == [None] * 3
    assert {value for value, _ in stored(values)} == {0, 1, 2}


@pytest.mark.parametrize("sql", ["", "SELECT 1", "COMMIT", "PRAGMA synchronous=0", "CREATE TABLE x (y)", "-- \nINSERT"])
def test_other_statements_are_refused_in_one_line_that_names_them(sql: str, values: str) -> None:
    with pytest.raises(ValueError, match="does not begin with INSERT, REPLACE, UPDATE, DELETE or WITH") as raised:
        execute_grouped(values, sql)
    assert repr(sql) in str(raised.value)
    assert beside(values) == []


def test_a_leader_executes_no_other_statement_whoever_put_it_there(values: str) -> None:
    """As one could who may write the batch, and would have another's program attach that one's files."""
    other = f"{values}-other"

    def smuggle() -> None:
        with closing(Batch(values, "-batch", os.O_APPEND)) as batch:
            assert batch.header()[0] == b"o"
            creating = (f"ATTACH '{other}' AS other", "CREATE TABLE other.x (y)", "CREATE TABLE x (y)")
            for sql in (*creating, "INSERT INTO t VALUES ('smuggled')", 1):
                assert batch.add(json.dumps([sql, []]).encode())
            for no_statement in (b"", b"1", b"[" * 60_000, b"\xff"):
                assert batch.add(no_statement)

    assert (
        call_together(values, [("INSERT INTO t VALUES (?)", (number,)) for number in (1, 2)], 60.0, smuggle)
        == [None] * 2
    )
    assert {value for value, _ in stored(values)} == {1, 2, "smuggled"}
    assert not os.path.exists(other)
    with closing(sqlite3.connect(values)) as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'x'").fetchall() == []


def test_update_delete_and_replace_are_grouped_too(values: str) -> None:
    errors = call_together(
        values,
        [
            ("insert into t values (?)", (1,)),
            (" \n UPDATE t SET v = v + 1", ()),
            ("REPLACE INTO t VALUES (2)", ()),
            ("WITH x(a) AS (VALUES (3), (4)) INSERT INTO t SELECT a FROM x RETURNING v", ()),
            ("DELETE FROM t WHERE v = 4", ()),
        ],
    )
    assert errors == [None] * 5
    assert {value for value, _ in stored(values)} == {2, 3}


def test_nobody_waits_longer_than_the_timeout_and_what_was_withdrawn_is_never_committed(values: str) -> None:
    """The holder of the queue is somebody who does not let go."""
    queue = Queue(values)
    queue.wait()
    began = time.monotonic()
    callers = [Caller(values, "INSERT INTO t VALUES (?)", (number,), 0.5) for number in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert time.monotonic() - began < 30
    for caller in callers:
        assert isinstance(caller.error, sqlite3.OperationalError)
        assert str(caller.error).startswith("database is locked")
        assert error_name(caller.error) == "SQLITE_BUSY"
    queue.close()
    execute_grouped(values, "INSERT INTO t VALUES ('next')")
    assert stored(values) == [("next", "text")]


def test_a_statement_that_cannot_be_withdrawn_is_undecided(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_mark = Batch.set_mark

    def set_or_fail(self: Batch, mark: bytes, start: int = 0) -> None:
        if mark == b"w":
            raise OSError(errno.ENOSPC, "No space left on device")
        set_mark(self, mark, start)

    monkeypatch.setattr(Batch, "set_mark", set_or_fail)
    queue = Queue(values)
    assert queue.wait()
    leader, follower = (Caller(values, "INSERT INTO t VALUES (?)", (limit,), limit) for limit in (60.0, 0.5))
    leader.start()
    wait_until(partial(is_larger, Path(f"{values}-batch"), group_commit._HEADER.size), "the statement waits")
    follower.start()
    follower.join(60)
    assert isinstance(follower.error, UndecidedError)
    queue.close()
    leader.join(60)
    assert leader.error is None
    assert {value for value, _ in stored(values)} == {60.0, 0.5}


def test_behind_a_lock_that_is_never_free_nothing_gathers(values: str) -> None:
    queue = Queue(values)
    queue.wait()
    counts = []
    for number in range(10):
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            execute_grouped(values, "INSERT INTO t VALUES (?)", (number,), timeout=0.05)
        counts.append((threading.active_count(), len(os.listdir("/dev/fd"))))
    queue.close()
    assert counts[-1] == counts[0]
    execute_grouped(values, "INSERT INTO t VALUES ('next')")
    assert stored(values) == [("next", "text")]


def test_a_bell_of_another_kind_costs_time_and_no_row(values: str) -> None:
    Path(f"{values}-batch-bell").mkdir()
    errors = call_together(values, [("INSERT INTO t VALUES (?)", (number,)) for number in range(3)])
    assert errors == [None] * 3
    assert {value for value, _ in stored(values)} == {0, 1, 2}


def test_a_batch_damaged_between_two_attempts_to_commit_it_is_never_said_to_be_committed(
    values: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement fails, the leader begins anew, and finds a batch that is none: the others must not return."""
    damaged = threading.Event()
    set_mark = Batch.set_mark

    def damage_then_mark(self: Batch, mark: bytes, start: int = 0) -> None:
        set_mark(self, mark, start)
        if start and not damaged.is_set():
            damaged.set()
            os.pwrite(self.descriptor, b"?", 16)

    monkeypatch.setattr(Batch, "set_mark", damage_then_mark)
    with suppress(sqlite3.IntegrityError):
        execute_grouped(values, "INSERT INTO t VALUES (1)")
    errors = call_together(values, [("INSERT INTO t VALUES (?)", (number,)) for number in (2, 1, 3)])
    assert damaged.is_set()
    kept = {value for value, _ in stored(values)}
    for number, error in zip((2, 1, 3), errors):
        assert isinstance(error, (UndecidedError, sqlite3.IntegrityError)) or number in kept, (number, error)
    assert isinstance(errors[2], UndecidedError)


def test_a_leader_stopped_while_it_waits_delays_the_others_for_their_timeout_and_costs_no_row(group: Group) -> None:
    group.lead()
    group.stop("leader")
    group.queue.close()
    execute_grouped(group.database, INSERT, ("not stopped",), timeout=0.5)  # in the end it finds the queue free
    group.processes["leader"].send_signal(signal.SIGCONT)
    assert group.processes["leader"].communicate(timeout=60)[0] == "acknowledged leader"
    assert copies(group.database) == {"leader": 1, "not stopped": 1}


def test_a_leader_stopped_while_it_commits_leaves_its_followers_undecided_and_the_others_locked_out(
    group: Group,
) -> None:
    group.lead("with the statements read, stopped")
    caller = Caller(group.database, INSERT, ("follower",), 5.0)
    caller.start()
    wait_until(lambda: "follower" in group.waiting(), "the follower waits")
    group.queue.close()
    caller.join(60)
    assert isinstance(caller.error, UndecidedError)
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        execute_grouped(group.database, INSERT, ("another",), timeout=0.5)
    group.processes["leader"].send_signal(signal.SIGCONT)
    assert group.processes["leader"].communicate(timeout=60)[0] == "acknowledged leader"
    assert copies(group.database) == {"leader": 1, "follower": 1}  # it says undecided, and then it was committed


def damage(database: str, how: str) -> None:
    """Do to the batch what someone might who does not know what it is."""
    batch = Path(f"{database}-batch")
    content = batch.read_bytes()
    if how == "deleted":
        batch.unlink()
    elif how == "queue deleted":
        Path(f"{database}-queue").unlink()
    elif how == "emptied":
        os.truncate(batch, 0)
    elif how == "cut":
        os.truncate(batch, len(content) - 10)
    elif how == "appended to":
        with batch.open("ab") as file:
            file.write(b"\0garbage" * 1000)
    elif how == "overwritten":
        batch.write_bytes(b"garbage " * 1000)
    elif how == "another database's":
        batch.write_bytes(os.urandom(16) + content[16:])


@pytest.mark.parametrize(
    "how", ["deleted", "queue deleted", "emptied", "cut", "appended to", "overwritten", "another database's"]
)
def test_a_batch_damaged_while_statements_wait_there_loses_none_and_doubles_none(how: str, values: str) -> None:
    calls: list[tuple[str, object]] = [("INSERT INTO t VALUES (?)", (number,)) for number in range(5)]
    with closing(sqlite3.connect(values)) as connection:
        connection.execute("CREATE TABLE copies (v)")
        connection.execute("CREATE TRIGGER count AFTER INSERT ON t BEGIN INSERT INTO copies VALUES (new.v); END")
    errors = call_together(values, calls, meanwhile=lambda: damage(values, how))
    unharmed = how in ("deleted", "queue deleted", "appended to")
    for number, error in enumerate(errors):
        assert error is None or (isinstance(error, UndecidedError) and not unharmed and number > 0), (number, error)
    execute_grouped(values, "INSERT INTO t VALUES ('next')")
    found = [value for value, _ in stored(values)]
    acknowledged = [number for number, error in enumerate(errors) if error is None]
    assert set(acknowledged) | {"next"} <= set(found)
    with closing(sqlite3.connect(values)) as connection:
        assert len(connection.execute("SELECT * FROM copies").fetchall()) == len(found)
    assert all(path.stat().st_size < 20_000 for path in beside(values))


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"garbage " * 1000, os.urandom(16) + b"d" + b"\xff" * 8, os.urandom(16) + b"c" + b"\0" * 8],
)
@pytest.mark.parametrize("name", ["-queue", "-batch", "-commit"])
def test_what_lies_there_already_is_no_obstacle(name: str, content: bytes, values: str) -> None:
    Path(f"{values}{name}").write_bytes(content)
    assert call_at_once(values, [0, 1, 2, 3]) == [None] * 4
    assert {value for value, _ in stored(values)} == set(range(4))


def test_the_files_beside_the_database_have_its_permissions(values: str) -> None:
    os.chmod(values, 0o664)

    def have_them() -> bool:
        return [path.stat().st_mode & 0o777 for path in beside(values)] == 4 * [0o664]

    call_together(
        values,
        [("INSERT INTO t VALUES (?)", (1,))],
        meanwhile=lambda: wait_until(have_them, "the queue, the batch and the bell of each have them"),
    )


def test_a_program_that_changes_its_folder_writes_where_it_began(
    values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    namesake = str(other / os.path.basename(values))
    with closing(sqlite3.connect(namesake)) as connection:
        connection.execute("CREATE TABLE t (v)")
    queue = Queue(values)
    assert queue.wait()
    monkeypatch.chdir(os.path.dirname(values))
    callers = [Caller(os.path.basename(values), "INSERT INTO t VALUES (?)", (number,), 60.0) for number in range(3)]
    size = group_commit._HEADER.size
    for caller in callers:
        caller.start()
        wait_until(partial(is_larger, Path(f"{values}-batch"), size), "the statement waits")
        size = os.path.getsize(f"{values}-batch")
    monkeypatch.chdir(other)
    queue.close()
    for caller in callers:
        caller.join(60)
        assert caller.error is None
    assert {value for value, _ in stored(values)} == {0, 1, 2}
    assert stored(namesake) == []
    assert beside(namesake) == []


def left_claimed(database: str) -> Batch:
    """The batch of a leader that has claimed it, and not committed it: this process, until the batch is closed."""
    batch = Batch(database, "-batch", os.O_CREAT | os.O_APPEND)
    assert batch.begin()
    batch.set_mark(b"c")
    os.rename(batch.path, f"{database}-commit")
    return batch


def test_while_its_leader_lives_nobody_else_settles_a_batch(values: str) -> None:
    """Somebody deleted the queue's file, so that two are at its head."""
    with closing(left_claimed(values)) as batch:
        calls: list[tuple[str, object]] = [("INSERT INTO t VALUES (?)", (number,)) for number in range(2)]
        assert call_together(values, calls) == [None, None]
        assert batch.header()[0] == b"c"
    assert {value for value, _ in stored(values)} == {0, 1}


def test_an_interrupted_settling_leaves_the_batch_as_it_was(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commit has not yet overwritten what the dead leader may have written."""

    class Interrupted(sqlite3.Connection):
        def commit(self) -> None:
            raise KeyboardInterrupt

    left_claimed(values).close()
    with closing(Batch(values, "-commit")) as batch:
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Interrupted))
            with pytest.raises(KeyboardInterrupt):
                batch._settle(time.monotonic() + 60)
        assert batch.header()[0] == b"c"
        batch._settle(time.monotonic() + 60)
        assert batch.header()[0] == b"o"


def test_a_database_that_is_not_there_is_named_and_not_made(database: str) -> None:
    with pytest.raises(FileNotFoundError, match="No such file") as raised:
        execute_grouped(database, "INSERT INTO t VALUES (1)")
    assert database in str(raised.value)
    assert list(Path(database).parent.iterdir()) == []


def test_writers_that_know_nothing_of_the_queue_are_waited_for_and_wait(values: str) -> None:
    with closing(sqlite3.connect(values, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = wal")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            execute_grouped(values, "INSERT INTO t VALUES (1)", timeout=0.2)
        caller = Caller(values, "INSERT INTO t VALUES (2)", (), 60.0)
        caller.start()
        other.execute("INSERT INTO t VALUES (3)")
        other.execute("COMMIT")
        caller.join(60)
        assert caller.error is None
    assert {value for value, _ in stored(values)} == {2, 3}


def test_beside_writers_that_know_nothing_of_the_queue_the_timeout_is_kept(group: Group) -> None:
    """Where a statement, too, that only reads has to wait for them, and as long again."""
    with closing(sqlite3.connect(group.database, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = delete")
        other.execute("BEGIN EXCLUSIVE")
        caller = Caller(group.database, INSERT, ("x",), 4.0)
        group.queue.close()
        began = time.monotonic()
        caller.start()
        time.sleep(3)
        other.execute("COMMIT")
        other.execute("BEGIN IMMEDIATE")
        caller.join(60)
        assert 3 < time.monotonic() - began < 6
        assert isinstance(caller.error, sqlite3.OperationalError)


def test_queued_keeps_its_timeout_for_the_commit_as_well(database: str) -> None:
    """Which waits for readers, in delete mode, after BEGIN has waited for a writer."""
    settings = Settings(journal_mode="delete", transaction="immediate", queue="lock", busy_timeout=4.0)
    create_table(database, settings)
    insert_row(database, ("first",), settings)
    errors: list[BaseException] = []

    def insert() -> None:
        try:
            insert_row(database, ("second",), settings)
        except sqlite3.OperationalError as error:
            errors.append(error)

    with (
        closing(sqlite3.connect(database, isolation_level=None)) as writer,
        closing(sqlite3.connect(database, isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM messages").fetchall()
        writer.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=insert)
        began = time.monotonic()
        thread.start()
        time.sleep(3)
        writer.execute("ROLLBACK")
        thread.join(60)
        assert 3 < time.monotonic() - began < 6
    assert [error_name(error) for error in errors] == ["SQLITE_BUSY"]


def test_a_burst_of_each_queue_keeps_every_row(database: str) -> None:
    for settings in ("queued", "grouped"):
        create_table(database, settings)
        report = insert_rows_in_parallel(database, generate_example_rows(60), settings)
        assert (report.failed, report.lost, report.recovered, report.duplicated) == (0, 0, 0, 0), str(report)
        assert row_count(database) == 60


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 3e6])
def test_a_timeout_that_will_not_do_is_named(timeout: float, values: str) -> None:
    with pytest.raises(ValueError, match=f"^timeout {timeout!r} is not a number of seconds from 0 to"):
        execute_grouped(values, "INSERT INTO t VALUES (1)", timeout=timeout)


def test_ctrl_c_while_it_waits_withdraws_the_statement(group: Group) -> None:
    group.lead()
    group.follow(1)
    follower = next(message for message in group.processes if message != group.leader)
    group.processes[follower].send_signal(signal.SIGINT)
    _, err = group.processes.pop(follower).communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    assert group.go() == {"leader": "acknowledged"}
    assert copies(group.database) == {"leader": 1}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own that has 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a test that failed may have left it in use


def test_on_a_full_disk_each_call_says_so_and_afterwards_all_go_on(full_disk: Path) -> None:
    database = str(full_disk / "t.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE t (v)")
    call_at_once(database, [0, 1, 2])
    ballast = full_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    for error in call_at_once(database, list(range(3, 13))):
        assert isinstance(error, (OSError, sqlite3.OperationalError)), error
        assert re.search("No space left on device|full|disk I/O error|unable to open", str(error)), error
    ballast.unlink()
    assert call_at_once(database, list(range(13, 23))) == [None] * 10
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert {value for (value,) in connection.execute("SELECT v FROM t")} == {0, 1, 2, *range(13, 23)}


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"), reason="root may write everywhere")
def test_in_a_folder_that_cannot_be_written_the_error_names_the_file(values: str) -> None:
    folder = Path(values).parent
    script = (
        "import sys; from sqlite_writes import execute_grouped\n"
        "try: execute_grouped(sys.argv[1], 'INSERT INTO t VALUES (1)')\n"
        "except OSError as error: print(error)"
    )
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    for path in (folder, *folder.parents):
        if path.owner() != "root" or path == Path(path.anchor):
            break
        path.chmod(path.stat().st_mode | 0o055)
    if subprocess.run([*as_nobody, sys.executable, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("another user cannot start this Python")
    folder.chmod(0o555)
    try:
        done = subprocess.run(
            [*as_nobody, sys.executable, "-c", script, values],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o755)
    assert done.stdout == f"[Errno 13] Permission denied: '{values}-queue'\n", done.stderr
