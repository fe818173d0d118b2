"""Writers in line who are killed, or interrupted, at random moments and at each step; and what must never be then.

``python -m tests.test_line_kills kills BURSTS SEED`` runs as many bursts, ``… signals COUNT SEED`` interrupts as often,
and prints what came of it.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import sys
import time
import uuid
from collections import Counter
from contextlib import ExitStack, closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import WriteLine, connect, create_table, insert_row, line, pool_map, write_turn
from sqlite_writes.table import count_copies
from sqlite_writes.writers import ours
from sqlite_writes.writers.warm_up import warm_up

from . import workers
from .conftest import run_script, scratch_folder, wait_until
from .line_tools import INSERT, LINUX, Child, came, descriptors

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")

WORKERS = 100
KILLED = 10
# Seconds for the next row, on a busy machine too: who is never called waits for a minute.
LONGEST = 20
BESIDE = {"messages.db", "messages.db-wal", "messages.db-shm", "messages.db-write-line"}


def faults_afterwards(database: str) -> list[str]:
    """What is wrong with a database that was left by those killed: a slow next row, a file too many, or damage."""
    began = time.monotonic()
    insert_row(database, (str(uuid.uuid4()),), "grouped")
    took = time.monotonic() - began
    found = [f"FAULT: the next row took {took:.1f} s"] * (took > LONGEST)
    found += [f"FAULT: {path.name}" for path in Path(database).parent.iterdir() if path.name not in BESIDE]
    with closing(sqlite3.connect(database)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            found.append("FAULT: integrity_check")
    return found


def burst_with_kills(database: str, chance: random.Random, longest: float) -> Counter[str]:
    """Insert a row from each worker, of which some are killed; what became of the rows, each fault by name."""
    delays = [chance.uniform(0, longest) for _ in range(KILLED)] + [None] * (WORKERS - KILLED)
    chance.shuffle(delays)
    items = [(str(uuid.UUID(int=chance.getrandbits(128))), delay) for delay in delays]
    insert = partial(workers.insert_or_be_killed, database)
    outcomes = pool_map(insert, items, warm_up=partial(warm_up, "grouped"))
    found: Counter[str] = Counter()
    for outcome, times in zip(outcomes, count_copies(database, [(message,) for message, _ in items])):
        if outcome.status == "returned":
            found["acknowledged" if times == 1 else f"FAULT: acknowledged and there {times} times"] += 1
        elif outcome.killed_by:
            name = ("killed", "killed, committed")[times] if times < 2 else f"FAULT: killed and there {times} times"
            found[name] += 1
        else:
            found[f"FAULT: {outcome.status} {outcome.exception!r}"] += 1
    found.update(faults_afterwards(database))
    return found


def bursts_with_kills(database: str, bursts: int, seed: int) -> Counter[str]:
    """The sum over many bursts into one table, the moments of the kills spread over longer and shorter times."""
    create_table(database, "grouped")
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    for _ in range(bursts):
        found += burst_with_kills(database, chance, chance.choice([0.0003, 0.001, 0.005, 0.03]))
    return found


def test_whoever_is_killed_at_whatever_moment_no_row_is_lost_or_there_twice(database: str) -> None:
    found = bursts_with_kills(database, bursts=4, seed=1)
    assert not [name for name in found if name.startswith("FAULT")], found
    assert found["killed"] + found["killed, committed"] > KILLED  # so that something was tried
    assert found["acknowledged"] >= 4 * (WORKERS - KILLED)


# The name of what a writer calls at that step, and whether its row is committed by then.
STEPS: dict[str, tuple[object, str, bool]] = {
    "before the line": (line._Place, "enter", False),
    "standing in line": (line._Place, "_head", False),
    "in the turn, before BEGIN": (ours, "_insert_explicitly", False),
    "after COMMIT, before it leaves": (line._Place, "leave", True),
    "after it has left, before it calls": (line._Place, "_call_the_next", True),
    "after it has called, before the sync": (line._Place, "sync", True),
    "in the sync": (line, "_sync", True),
    "after the sync, before its note": (line, "_sync", True),
}


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@LINUX
@pytest.mark.parametrize("step", STEPS)
def test_one_killed_at_any_step_costs_no_other_row_and_doubles_none(step: str, database: str) -> None:
    create_table(database, "grouped")
    owner, name, committed = STEPS[step]

    def insert_and_die(me: Child) -> None:
        act = getattr(owner, name)

        def sync_and_die(*arguments: object) -> None:
            act(*arguments)
            die()

        if "sync" in step:  # its own, whoever has synced meanwhile
            setattr(line._Place, "_is_synced", lambda *_: False)  # noqa: B010 mypy
        setattr(owner, name, sync_and_die if step.startswith("after the sync") else die)
        insert_row(database, ("killed",), "grouped")

    with ExitStack() as stack:
        with write_turn(database):
            killed = stack.enter_context(Child(insert_and_die))
            if "line" in step:
                assert killed.end() == -signal.SIGKILL
            else:
                wait_until(lambda: came(database) == 1, "it stands in line")
            here = came(database)
            others = []
            for number in range(3):
                insert = partial(insert_row, database, (f"other {number}",), "grouped")
                others.append(stack.enter_context(Child(lambda _, insert=insert: insert())))  # type: ignore[misc]
                wait_until(lambda number=number: came(database) == here + number + 1, "it waits")  # type: ignore[misc]
        assert [child.end() for child in (killed, *others)] == [-signal.SIGKILL, 0, 0, 0]
    messages = [("killed",), ("other 0",), ("other 1",), ("other 2",)]
    assert count_copies(database, messages) == [committed, 1, 1, 1]
    assert faults_afterwards(database) == []


def test_within_a_line_no_checkpoint_of_one_overlaps_a_commit_of_another(
    database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Which is what SQLite's WAL-reset bug takes (3.7.0 to 3.51.2): each COMMIT here ends with a checkpoint."""
    path = tmp_path_factory.mktemp("log") / "commits"
    create_table(database, "grouped")

    def work(me: Child) -> None:
        with closing(connect(database, "grouped")) as connection, WriteLine(database) as kept:
            connection.execute("PRAGMA wal_autocheckpoint = 1")
            for number in range(20):
                with kept.turn():
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute(INSERT, (f"{me.said} {number}",))
                    began = time.monotonic()
                    connection.execute("COMMIT")
                    ended = time.monotonic()
                with path.open("a") as log:
                    log.write(f"{began} {ended}\n")

    with ExitStack() as stack:
        children = [stack.enter_context(Child(work)) for _ in range(12)]
        assert [child.end() for child in children] == [0] * 12
    commits = sorted(tuple(map(float, text.split())) for text in path.read_text().splitlines())
    assert len(commits) == 240
    assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(commits))
    assert faults_afterwards(database) == []


class Interruption(BaseException):
    """What the handler of the signal raises."""


def interrupt(_: int, __: FrameType | None) -> None:
    raise Interruption


def calls_with_signals(database: str, count: int, seed: int) -> Counter[str]:
    """Interrupt calls as often, each at a random moment; what came of it, each fault by name.

    Warnings of files that are not closed are for the caller to ignore: what an interrupted call could not close, the
    interpreter closes.
    """
    create_table(database, "grouped")
    signal.signal(signal.SIGALRM, interrupt)
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    acknowledged: list[int] = []
    number = 0
    with closing(connect(database, "grouped")) as connection, WriteLine(database) as kept:
        connection.execute("SELECT * FROM messages").fetchall()
        before = descriptors()
        turns: list[Callable[[], object]] = [kept.turn, partial(write_turn, database)]
        for _ in range(count):
            turn = chance.choice(turns)
            try:
                until = time.monotonic() + 1
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.004))
                while time.monotonic() < until:
                    number += 1
                    with turn():  # type: ignore[attr-defined]
                        connection.execute(INSERT, (str(number),))
                    acknowledged.append(number)
                found["swallowed, in a destructor"] += 1
            except Interruption:
                found["interrupted"] += 1
            kept.close()
            if (left := descriptors()) != before:
                found["FAULT: a descriptor is left"] += 1
                before = left
            try:
                with write_turn(database, timeout=0):
                    pass
            except sqlite3.OperationalError as error:
                found[f"FAULT: {error}"] += 1
        counts = dict(connection.execute("SELECT msg, count(*) FROM messages GROUP BY msg"))
    found["acknowledged"] = len(acknowledged)
    found["FAULT: lost"] = sum(str(number) not in counts for number in acknowledged)
    found["FAULT: there twice"] = sum(copies > 1 for copies in counts.values())
    found.update(faults_afterwards(database))
    return +found


@LINUX
@pytest.mark.parametrize("fault", ["", "a descriptor is left"])
def test_signals_at_random_moments_leave_no_descriptor_and_the_turn_free(fault: str, database: str) -> None:
    script = f"from tests.test_line_kills import *; print(dict(calls_with_signals({database!r}, 300, 1)))"
    done = run_script(script, flags=("-W", "ignore::ResourceWarning"))
    assert done.stdout.startswith("{"), done.stderr
    assert "FAULT" not in (done.stdout if fault else done.stdout.replace("FAULT: a descriptor", "")), done.stdout
    assert "'interrupted'" in done.stdout


def by_hand(what: str, count: str, seed: str = "1") -> None:
    """Do as often what is asked for, and print what came of it."""
    act = {"kills": bursts_with_kills, "signals": calls_with_signals}[what]
    with scratch_folder() as folder:
        sys.stdout.write(f"{dict(act(f'{folder}/messages.db', int(count), int(seed)))}\n")


if __name__ == "__main__":
    # By its name, under which a worker finds what it is to do.
    import_module("tests.test_line_kills").by_hand(*sys.argv[1:])
