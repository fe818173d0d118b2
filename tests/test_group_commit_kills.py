"""Bursts of ``grouped`` in which workers are killed at random moments; and power losses at every moment.

``python -m tests.test_group_commit_kills BURSTS SEED`` runs as many bursts, and prints what became of the rows.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from sqlite_writes import create_table, insert_row, pool_map
from sqlite_writes.database import count_rows, warm_up

from .conftest import PROJECT, Living, scratch_folder, wait_until_stopped
from .test_cost import STRACE
from .test_group_commit import Group, copies
from .workers import insert_or_be_killed

WORKERS = 100
KILLED = 10


def burst_with_kills(database: str, chance: random.Random, longest: float) -> Counter[str]:
    """Insert a row from each worker, of which some are killed; what became of the rows, each fault by name."""
    delays = [chance.uniform(0, longest) for _ in range(KILLED)] + [None] * (WORKERS - KILLED)
    chance.shuffle(delays)
    items = [(str(uuid.UUID(int=chance.getrandbits(128))), delay) for delay in delays]
    insert = partial(insert_or_be_killed, database, "grouped")
    outcomes = pool_map(insert, items, warm_up=partial(warm_up, "grouped"))
    found: Counter[str] = Counter()
    for outcome, times in zip(outcomes, count_rows(database, [(message,) for message, _ in items])):
        if outcome.status == "returned":
            found["acknowledged" if times == 1 else f"FAULT: acknowledged and there {times} times"] += 1
        elif outcome.killed_by:
            found[
                ("killed", "killed, recovered")[times] if times < 2 else f"FAULT: killed and there {times} times"
            ] += 1
        else:
            found[f"FAULT: {outcome.status} {outcome.exception!r}"] += 1
    insert_row(database, (str(uuid.UUID(int=chance.getrandbits(128))),), "grouped")
    for path in Path(database).parent.iterdir():
        if path.name.startswith("messages.db-") and path.name not in ("messages.db-wal", "messages.db-shm"):
            known = path.name.endswith(("-queue", "-queue-bell", "-batch", "-batch-bell", "-commit"))
            if not known or path.stat().st_size > WORKERS * 256:
                found[f"FAULT: {path.name} of {path.stat().st_size} bytes"] += 1
    return found


def bursts_with_kills(database: str, bursts: int, seed: int) -> Counter[str]:
    """The sum over many bursts into one table, the moments of the kills spread over longer and shorter times."""
    create_table(database, "grouped")
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    for _ in range(bursts):
        found += burst_with_kills(database, chance, chance.choice([0.0003, 0.001, 0.005, 0.03]))
    with closing(sqlite3.connect(database)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            found["FAULT: integrity_check"] += 1
    return found


def test_whoever_is_killed_at_whatever_moment_no_row_is_lost_or_there_twice(database: str) -> None:
    found = bursts_with_kills(database, bursts=8, seed=1)
    assert not [name for name in found if name.startswith("FAULT")], found
    assert found["killed"] + found["killed, recovered"] > KILLED  # so that something was tried
    assert found["acknowledged"] >= 8 * (WORKERS - KILLED)


HEX = r"((?:\\x[0-9a-f]{2})*)"


def decoded(pattern: str, arguments: str) -> list[bytes]:
    """The strings that strace -xx wrote."""
    return [bytes.fromhex(text.replace("\\x", "")) for text in re.findall(pattern, arguments)]


class Disk:
    """The files of a folder as recorded system calls leave them: those written, and those sure to survive a power loss.

    Sure is what was there at a file's last sync. Whether an unlink or a rename survives is ``sure_of_names``.
    """

    def __init__(self, folder: Path, sure_of_names: bool) -> None:
        self.folder = str(folder)
        self.sure_of_names = sure_of_names
        self.written = {str(path): bytearray(path.read_bytes()) for path in folder.iterdir()}
        self.sure = {path: bytes(content) for path, content in self.written.items()}

    def apply(self, call: str, arguments: str, result: int) -> None:
        """Do what the system call did."""
        paths = [path.decode() for path in decoded(f"<{HEX}>", arguments) if path.startswith(self.folder.encode())]
        texts = decoded(f'"{HEX}"', arguments)
        if call == "openat":
            path = texts[0].decode()
            if path.startswith(self.folder) and "O_CREAT" in arguments and result >= 0:
                self.written.setdefault(path, bytearray())
        elif call in ("unlink", "rename") and result == 0:
            path = texts[0].decode()
            content = self.written.pop(path, None)
            if call == "rename" and content is not None:
                self.written[texts[1].decode()] = content
            if self.sure_of_names:
                self.sure.pop(path, None)
        elif paths and paths[0] in self.written:
            content = self.written[paths[0]]
            if call in ("pwrite64", "write"):
                start = int(arguments.rsplit(",", 1)[1]) if call == "pwrite64" else len(content)
                content[start : start + result] = texts[0][:result]
            elif call == "ftruncate":
                del content[int(arguments.rsplit(",", 1)[1]) :]
            elif call in ("fsync", "fdatasync"):
                self.sure[paths[0]] = bytes(content)


def recorded_calls(log: Path) -> list[tuple[str, str, int]]:
    """The system calls in strace's log, in the order in which they were done: name, arguments, result."""
    begun: dict[str, str] = {}
    calls = []
    for line in log.read_text().splitlines():
        process, rest = line.split(maxsplit=1)
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest[: -len("<unfinished ...>")]
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>", rest)
        if resumed:
            rest = begun.pop(process) + rest[resumed.end() :]
        whole = re.match(r"(\w+)\((.*)\) += (-?\d+)", rest)
        if whole:
            calls.append((whole[1], whole[2], int(whole[3])))
    return calls


def rows_after_power_loss(files: dict[str, bytes], folder: Path) -> dict[str, int]:
    """How often each row is there when the database is opened with these files; and after one more insert."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in files.items():
        if not path.endswith("-shm"):  # it is made anew
            Path(folder, Path(path).name).write_bytes(content)
    insert_row(folder / "messages.db", ("next",), "grouped")
    with closing(sqlite3.connect(folder / "messages.db")) as connection:
        return dict(connection.execute("SELECT msg, count(*) FROM messages GROUP BY msg"))


NORMAL = """
from tests.grouped import do_not_sync
do_not_sync()
"""
INSERT = """
import os, sys
from sqlite_writes import insert_row
insert_row(sys.argv[1], (sys.argv[2],), "grouped")
os.write(1, b"acknowledged " + sys.argv[2].encode())
"""
EIGHT = 'for n in 1 2 3 4 5 6 7 8; do "$0" -c "$1" "$2" "row $n" & done; wait'

WITH_A_LEADER_THAT_DIES = """
import sys
from tests.grouped import UNSYNCED
from tests.test_group_commit import Group
group = Group(sys.argv[2])
group.lead(UNSYNCED)
group.follow(3, "", sys.argv[1])
group.go()
"""


def faults_after_power_losses(folder: Path, command: list[str], sure_of_names: bool, rows: int = 8) -> list[str]:
    """A command on a database, under strace; power fails after each call that changes what is sure to survive."""
    real = folder / "real"
    real.mkdir()
    database = real / "messages.db"
    create_table(database, "grouped")
    disk = Disk(real, sure_of_names)
    log = folder / "strace"
    traced = "trace=openat,unlink,rename,write,pwrite64,ftruncate,fsync,fdatasync"
    strace = ["strace", "-f", "-y", "-xx", "-s", "100000", "-e", traced, "-o", str(log)]
    with closing(sqlite3.connect(database)) as other:
        other.execute("SELECT * FROM messages").fetchall()  # so that no close is the last, which syncs once more
        subprocess.run(
            [*strace, *command, str(database)],
            check=True,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    acknowledged: set[str] = set()
    before: tuple[dict[str, bytes], set[str]] | None = None
    faults = []
    for call, arguments, result in recorded_calls(log):
        acknowledged |= {
            text.decode().partition(" ")[2]
            for text in decoded(f'"{HEX}"', arguments)
            if text.startswith(b"acknowledged ")
        }
        disk.apply(call, arguments, result)
        if (disk.sure, acknowledged) == before:
            continue
        before = (dict(disk.sure), set(acknowledged))
        for files in (disk.sure, {path: bytes(content) for path, content in disk.written.items()}):
            found = rows_after_power_loss(files, folder / "after")
            faults += [f"{row} lost" for row in acknowledged - set(found)]
            faults += [f"{row} {copies} times" for row, copies in found.items() if copies != 1]
    assert len(acknowledged) == rows
    return faults


@STRACE
@pytest.mark.parametrize("sure_of_names", [True, False])
def test_a_power_loss_at_any_moment_takes_no_acknowledged_row_and_doubles_none(
    sure_of_names: bool, tmp_path: Path
) -> None:
    command = ["sh", "-c", EIGHT, sys.executable, INSERT]
    assert faults_after_power_losses(tmp_path, command, sure_of_names) == []


@STRACE
def test_a_commit_without_its_sync_is_seen_to_lose_rows_in_a_power_loss(tmp_path: Path) -> None:
    """So the test above would notice."""
    command = ["sh", "-c", EIGHT, sys.executable, NORMAL + INSERT]
    assert any(fault.endswith("lost") for fault in faults_after_power_losses(tmp_path, command, True))


@STRACE
@pytest.mark.parametrize("without", ["", "what a dead leader wrote is settled by a commit"])
def test_rows_that_their_leader_did_not_live_to_sync_are_acknowledged_when_they_are(
    without: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WITH_A_LEADER_THAT_DIES, without]
    assert bool(faults_after_power_losses(tmp_path, command, True, rows=3)) == bool(without)


HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT * FROM messages").fetchall()
print("holds", flush=True)
time.sleep(600)
"""


class KilledInItsSync:
    """A leader killed in the sync of its commit: it has written all, and the WAL's index has nothing of it.

    Whoever makes the index anew finds it committed; that happens when the last who has the database open is killed.
    """

    def __init__(self, database: str, followers: list[str], without: str = "") -> None:
        create_table(database, "grouped")
        self.holder = subprocess.Popen([sys.executable, "-c", HOLD, database], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "holds\n"
        earlier = Group(database, "earlier ")  # so that the WAL and the table of the identity are there
        earlier.lead()
        earlier.follow(1)
        assert earlier.go() == dict.fromkeys(earlier.processes, "acknowledged")
        group = Group(database)
        sync = ("-e", "inject=fsync,fdatasync:signal=SIGKILL:when=1")
        group.lead("", without, ("strace", "-f", "-o", os.devnull, "-e", "trace=fsync,fdatasync", *sync))
        for step in followers:
            group.follow(1, step, without)
        group.queue.close()
        group.processes.pop("leader").communicate(timeout=60)
        self.followers = group.processes

    def let_the_index_be_made_anew(self) -> None:
        """Kill the last who has the database open."""
        self.holder.kill()
        self.holder.communicate()

    def wait_until_stopped(self, follower: str) -> None:
        """Wait until it has stopped itself."""
        wait_until_stopped(self.followers[follower].pid)

    def go_on(self, follower: str) -> None:
        """Have a follower that has stopped itself go on, and see that it acknowledges its row."""
        self.followers[follower].send_signal(signal.SIGCONT)
        assert self.followers[follower].communicate(timeout=60)[0] == f"acknowledged {follower}"


@STRACE
@pytest.mark.parametrize("without", ["", "what a dead leader wrote is settled by a commit"])
def test_what_a_leader_killed_in_its_sync_has_written_does_not_come_back(
    without: str, database: str, marked: Living
) -> None:
    killed = KilledInItsSync(database, ["with its fate known, stopped"], without)
    (follower,) = killed.followers
    killed.wait_until_stopped(follower)
    killed.let_the_index_be_made_anew()
    killed.go_on(follower)
    found = copies(database)
    assert (found[follower] == 1) == (not without), found
    assert ("leader" in found) == bool(without), found


@STRACE
@pytest.mark.parametrize("step", ["in settling", "in settling, the batch marked too early"])
def test_whoever_is_killed_in_settling_it_leaves_it_to_the_next(step: str, database: str, marked: Living) -> None:
    killed = KilledInItsSync(database, ["before it asks, stopped", step])
    follower, settling = killed.followers
    killed.followers[settling].communicate(timeout=60)
    killed.wait_until_stopped(follower)
    killed.let_the_index_be_made_anew()
    killed.go_on(follower)
    assert (copies(database)[follower] == 1) == (step == "in settling"), copies(database)


if __name__ == "__main__":
    with scratch_folder() as folder:
        sys.stdout.write(
            f"{dict(bursts_with_kills(f'{folder}/messages.db', int(sys.argv[1]), seed=int(sys.argv[2])))}\n"
        )
