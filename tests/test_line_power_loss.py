"""Power losses at every moment of recorded writes, and syncs that fail: no acknowledged row may be gone.

Knows of a disk only that it keeps, drops or tears what is not synced yet. The names of files are taken for sure: that a
log's creation is lost and its content is not, no disk here will show. ``-shm`` is made anew, as after any power loss.
``python -m tests.test_line_power_loss replay N SEED SETTINGS [FAULT]`` replays N states by hand; FAULT is strace's
``inject=``, as in ``fdatasync:error=EIO:when=5``, instead of slow syncs.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sqlite_writes import WriteLine, connect, create_table, line, write_turn
from sqlite_writes.table import INSERT_ROW

from .conftest import PROJECT, scratch_folder
from .test_cost import STRACE

SEED = 1
STATES = {"grouped": 4_000, "queued": 400, "synced": 400}
STATES_OF_A_MOMENT = 10
ROWS = {"kept open": 8 * 4, "opened for each": 8 * 2}

# Slow syncs, so that many wait for one.
SLOW = "fdatasync:delay_enter=3000"

# Processes at one gate; each row that is acknowledged is written to stdout.
WRITERS = """
import os, sys, traceback
from contextlib import contextmanager
from sqlite_writes import insert_row, open_writer
from sqlite_writes import connect

database, settings, how, writers = sys.argv[1:]
gate, opener = os.pipe()

def attempt(insert, name):
    try:
        insert((name,))
    except OSError as error:
        os.write(1, f"failed {name}: {type(error).__name__} {error.errno}\\n".encode())
    except Exception as error:
        os.write(1, f"failed {name}: {type(error).__name__} {error}\\n".encode())
    else:
        os.write(1, f"acknowledged {name}\\n".encode())

def write(number):
    os.close(opener)
    if how == "kept open":
        with open_writer(database, settings) as insert:
            os.read(gate, 1)
            for row in range(4):
                attempt(insert, f"row {number}.{row}")
    else:
        os.read(gate, 1)
        for row in range(2):
            attempt(lambda values: insert_row(database, values, settings), f"row {number}.{row}")

for number in range(int(writers)):
    if not os.fork():
        try:
            write(number)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
os.close(opener)
assert [os.wait()[1] for _ in range(int(writers))] == [0] * int(writers)
"""

HEX = r"((?:\\x[0-9a-f]{2})*)"


@dataclass(eq=False)
class Change:
    """A write to a file, or with no data its truncation; ``done`` when the system call has ended."""

    start: int
    data: bytes | None
    done: bool = False

    def apply(self, content: bytearray, fate: random.Random | None = None) -> None:
        """Do it to the content; with a fate torn, by sectors or by pages: a beginning of it, or any part of it."""
        if self.data is None:
            del content[self.start :]
            return
        size = fate.choice((512, 4096)) if fate else len(self.data) or 1
        edges = [0, *range(size - self.start % size, len(self.data), size), len(self.data)]
        parts = list(itertools.pairwise(edges))
        if fate:
            parts = parts[: fate.randrange(len(parts) + 1)] if fate.random() < 0.5 else parts
            parts = [part for part in parts if fate.random() < 0.5] if fate.random() < 0.5 else parts
        for first, end in parts:
            content.extend(bytes(max(self.start + end - len(content), 0)))
            content[self.start + first : self.start + end] = self.data[first:end]


@dataclass(eq=False)
class DiskFile:
    """What is sure to be in a file, and what was done to it since, in order."""

    sure: bytearray
    changes: list[Change] = field(default_factory=list)

    def sync(self, covered: list[Change]) -> None:
        """Make sure of the changes that a sync covers."""
        for change in covered:
            if change in self.changes:  # not synced by another meanwhile
                change.apply(self.sure)
        self.changes = [change for change in self.changes if change not in covered]

    def forget(self, covered: list[Change]) -> None:
        """What a failed sync leaves: they are in memory, no later sync writes them, and nobody knows what is there."""
        self.changes = [change for change in self.changes if change not in covered]

    def after_power_loss(self, chance: random.Random, keep: float) -> bytes:
        """One of the contents that may be found: each change kept, dropped or torn."""
        content = bytearray(self.sure)
        for change in self.changes:
            if chance.random() < keep:
                change.apply(content)
            elif change.data and chance.random() < 0.5:
                change.apply(content, chance)
        return bytes(content)


class Disk:
    """The database and its log, as recorded system calls leave them, and the rows acknowledged so far."""

    def __init__(self, database: str) -> None:
        self.paths = (database, f"{database}-wal", f"{database}-journal")
        self.files = {path: DiskFile(bytearray(Path(path).read_bytes())) for path in self.paths if Path(path).exists()}
        self.acknowledged: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._begun: dict[str, list[Change]] = {}

    def begin(self, process: str, call: str, arguments: str) -> bool:
        """A system call is entered; whether that may change what a power loss leaves."""
        texts = decoded(f'"{HEX}"', arguments)
        if call == "write" and texts and texts[0].startswith(b"acknowledged "):
            self.acknowledged |= {text.partition(" ")[2] for text in texts[0].decode().splitlines()}
            return True
        file = self._file(arguments)
        if file is None:
            return False
        if call in ("pwrite64", "ftruncate"):
            start = int(arguments.rsplit(",", 1)[1])
            change = Change(start, texts[0] if call == "pwrite64" else None)
            file.changes.append(change)
            self._begun[process] = [change]
            return True
        if call in ("fsync", "fdatasync"):
            self._begun[process] = [change for change in file.changes if change.done]
        elif call not in ("openat", "unlink"):
            raise NotImplementedError(call)
        return False

    def end(self, process: str, call: str, arguments: str, result: int) -> bool:
        """It is left; whether that may change what a power loss leaves."""
        begun = self._begun.pop(process, [])
        if call in ("openat", "unlink"):
            path = decoded(f'"{HEX}"', arguments)[0].decode()
            if path not in self.paths or result < 0:
                return False
            if call == "unlink":
                del self.files[path]
            elif "O_CREAT" in arguments:
                self.files.setdefault(path, DiskFile(bytearray()))
            return True
        file = self._file(arguments)
        if file is None:
            return False
        if call in ("fsync", "fdatasync"):
            self.counts["syncs" if result == 0 else "failed syncs"] += 1
            (file.sync if result == 0 else file.forget)(begun)
            return True
        for change in begun:
            change.done = True
            assert result == len(change.data or b""), (call, result)
        return False

    def _file(self, arguments: str) -> DiskFile | None:
        """The file that the call's descriptor is of, unless it has been deleted."""
        found = re.match(rf"\d+<{HEX}>(\(deleted\))?", arguments)
        if found is None or found[2]:
            return None
        return self.files.get(bytes.fromhex(found[1].replace("\\x", "")).decode())


def decoded(pattern: str, arguments: str) -> list[bytes]:
    """The strings that strace -xx wrote."""
    return [bytes.fromhex(text.replace("\\x", "")) for text in re.findall(pattern, arguments)]


def record(database: str, settings: str, how: str, fault: str = "", writers: int = 8) -> tuple[Disk, list[str], str]:
    """The disk before, strace's lines of processes that write, and what they said."""
    create_table(database, settings)
    disk = Disk(database)
    log = Path(f"{database}.strace")
    traced = "trace=openat,unlink,write,pwrite64,ftruncate,fsync,fdatasync"
    command = ["strace", "-f", "-y", "-xx", "-s", "100000", "-e", traced, "-o", str(log)]
    command += ["-e", f"inject={fault}"] if fault else []
    said = subprocess.run(
        [*command, sys.executable, "-c", WRITERS, database, settings, how, str(writers)],
        check=True,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    return disk, log.read_text().splitlines(), said.stdout


def events(lines: list[str]) -> list[tuple[bool, str, str, str, int]]:
    """What strace saw, in order: whether a call is entered or left; its process, name, arguments and result."""
    begun: dict[str, str] = {}
    found = []
    for text in lines:
        process, rest = text.split(maxsplit=1)
        resumed = re.match(r"<\.\.\. \w+ resumed>", rest)
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest = rest[: -len("<unfinished ...>")].rstrip()
            call, _, arguments = rest.partition("(")
            found.append((True, process, call, arguments.rstrip(",) "), 0))
            continue
        if resumed:
            rest = begun.pop(process) + rest[resumed.end() :]
        whole = re.match(r"(\w+)\((.*)\) += (-?\d+)", rest)
        if whole:
            if not resumed:
                found.append((True, process, whole[1], whole[2], 0))
            found.append((False, process, whole[1], whole[2], int(whole[3])))
    return found


def faults_of(files: dict[str, bytes], acknowledged: set[str], folder: str) -> list[str]:
    """What is wrong with the database when it is opened with these files."""
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    for path, content in files.items():
        Path(folder, Path(path).name).write_bytes(content)
    with closing(sqlite3.connect(f"{folder}/messages.db", isolation_level=None)) as connection:
        try:
            found = dict(connection.execute("SELECT msg, count(*) FROM messages GROUP BY msg").fetchall())
            intact = connection.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.Error as error:
            return [f"cannot be read: {error}"]
    faults = [f"{row} lost" for row in acknowledged - set(found)]
    faults += [f"{row} there {copies} times" for row, copies in found.items() if copies != 1]
    return faults + ([] if intact == [("ok",)] else [f"integrity_check: {intact}"])


def replay(
    database: str, settings: str, how: str, states: int, seed: int, fault: str = "", writers: int = 8
) -> Counter[str]:
    """Record and replay until so many states have been seen; how many of them had a fault, by the fault's kind."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    while counts["states"] < states:
        counts["recordings"] += 1
        counts += replay_once(f"{database}-{counts['recordings']}", settings, how, chance, fault, writers)
    return counts


def replay_once(folder: str, settings: str, how: str, chance: random.Random, fault: str, writers: int) -> Counter[str]:
    """The same for one recording, in a folder of its own: at each moment the different ones among some states."""
    os.mkdir(folder)
    disk, lines, said = record(f"{folder}/messages.db", settings, how, fault, writers)
    counts: Counter[str] = Counter()
    memory = "/dev/shm"  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as after:
        for is_begun, process, call, arguments, result in events(lines):
            changed = disk.begin(process, call, arguments) if is_begun else disk.end(process, call, arguments, result)
            if not changed:
                continue
            counts["moments"] += 1
            seen = set()
            for _ in range(STATES_OF_A_MOMENT):
                keep = chance.choice((0.0, 0.5, 0.9, 1.0, chance.random()))
                files = {path: file.after_power_loss(chance, keep) for path, file in disk.files.items()}
                state = tuple(files.values())
                if state in seen:
                    continue
                seen.add(state)
                counts["states"] += 1
                faults = faults_of(files, disk.acknowledged, after)
                counts["states with a loss"] += any(found.endswith(" lost") for found in faults)
                counts["states with another fault"] += any(not found.endswith(" lost") for found in faults)
    counts["acknowledged"] = len(disk.acknowledged)
    counts["failed"] = said.count("failed row")
    return counts + disk.counts


@STRACE
@pytest.mark.parametrize("how", ROWS)
@pytest.mark.parametrize("settings", STATES)
def test_a_power_loss_at_any_moment_takes_no_acknowledged_row_and_doubles_none(
    settings: str, how: str, database: str
) -> None:
    states = STATES[settings] // 2
    found = replay(database, settings, how, states, SEED, SLOW)
    assert found["acknowledged"] == found["recordings"] * ROWS[how], found
    assert found["states with a loss"] == found["states with another fault"] == 0, found
    assert found["states"] >= states, found


@STRACE
def test_wal_normal_is_seen_to_lose_rows_in_the_same_replay(database: str) -> None:
    """So the test above would notice."""
    found = replay(database, "wal-normal", "kept open", 200, SEED)
    assert found["states with a loss"] > 20, found
    assert found["states with another fault"] == 0, found


@STRACE
@pytest.mark.parametrize("number", [1, 3, 4, 6])
def test_a_failed_sync_is_an_error_of_the_call_that_it_was_for_and_of_those_after_it(
    number: int, database: str
) -> None:
    """SQLite syncs a new log's header, which fails the transaction, and its folder; the third sync is ours.

    After that the log has a hole, until a checkpoint; SQLite begins a log anew whose header it could not sync.
    """
    _, _, said = record(database, "grouped", "kept open", f"fdatasync:error=EIO:when={number}", writers=1)
    found = dict(text.partition(" ")[2].partition(": ")[::2] for text in said.splitlines())
    fails = (
        ["OperationalError disk I/O error", "", "", ""]
        if number == 1
        else (number - 3) * [""] + 4 * [f"OSError {errno.EIO}"]
    )
    assert found == {f"row 0.{row}": error for row, error in enumerate(fails[:4])}
    with closing(sqlite3.connect(database)) as connection:
        rows = [row for (row,) in connection.execute("SELECT msg FROM messages ORDER BY rowid")]
    assert rows == [f"row 0.{row}" for row in range(4) if number > 1 or row]


@STRACE
@pytest.mark.parametrize("settings", ["queued", "grouped"])
def test_whoever_comes_after_a_failed_sync_is_not_acknowledged_while_the_log_has_a_hole(
    settings: str, database: str
) -> None:
    """SQLite itself takes the commit back, and the next one writes the same place in the log again."""
    found = replay(database, settings, "kept open", 20, SEED, "fdatasync:error=EIO:when=3", writers=1)
    assert found["failed syncs"] == found["recordings"] > 0, found
    assert found["states with a loss"] == found["states with another fault"] == 0, found


class Writing:
    """One's place in the line, with a connection of its own, and the parts of a turn one by one."""

    def __init__(self, database: str) -> None:
        self.place = line._Place(database)
        self.connection = connect(database, "grouped")
        self.connection.execute("SELECT * FROM messages").fetchall()  # so that there is a log

    def write(self) -> None:
        """A turn with a row, without the sync after it."""
        self.place.enter(time.monotonic() + 10)
        self.connection.execute(INSERT_ROW, ("row",))
        self.place.leave()

    def descriptor(self) -> int:
        """That of the log."""
        assert self.place.log.file is not None
        return self.place.log.file.fileno()

    def sync_while_waited_for(self, waiter: Writing) -> tuple[BaseException | None, BaseException | None]:
        """Sync after the other has begun to wait for that; what came of ours, and of the other's."""
        waits = threading.Event()
        look = waiter.place._note

        def tell_and_look() -> tuple[float, float, float]:
            waits.set()
            return look()

        waiter.place._note = tell_and_look  # type: ignore[method-assign]
        with ThreadPoolExecutor() as pool:
            fcntl.flock(self.descriptor(), fcntl.LOCK_EX)
            try:
                other = pool.submit(waiter.place.sync)
                assert waits.wait(10)
                ours = pool.submit(self.place._sync_and_note).exception(10)
            finally:
                fcntl.flock(self.descriptor(), fcntl.LOCK_UN)
            return ours, other.exception(10)

    def close(self) -> None:
        """Close all."""
        self.place.close()
        self.connection.close()


@dataclass
class Syncs:
    """Stands in for the sync: which descriptors it was called for, and whether it is to fail."""

    fails: bool = False
    calls: list[int] = field(default_factory=list)

    def __call__(self, descriptor: int) -> None:
        """Count it."""
        self.calls.append(descriptor)
        if self.fails:
            raise OSError(errno.EIO, "as if the disk had failed")


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    """Syncs that are only counted; and whoever waits for one has all the time there is."""
    found = Syncs()
    monkeypatch.setattr(line, "_sync", found)
    monkeypatch.setattr(line, "_PATIENCE", 60)
    return found


def note_in(database: str) -> bytes:
    return Path(f"{database}-write-line").read_bytes()[line._NOTE_AT :][: line._NOTE.size + 4]


def test_no_note_is_written_after_a_failed_sync_and_the_error_is_raised(database: str, syncs: Syncs) -> None:
    create_table(database, "grouped")
    with closing(connect(database, "grouped")) as connection, WriteLine(database) as in_line:
        with in_line.turn(10):
            connection.execute(INSERT_ROW, ("first",))
        noted = note_in(database)
        assert any(noted)
        syncs.fails = True

        def write() -> None:
            with in_line.turn(10):
                connection.execute(INSERT_ROW, ("second",))

        with pytest.raises(OSError, match="as if the disk had failed"):
            write()
        assert note_in(database) == noted
        assert len(syncs.calls) == 2
        assert connection.execute("SELECT msg FROM messages").fetchall() == [("first",), ("second",)]


@pytest.mark.parametrize("fails", [False, True])
def test_whoever_waits_for_anothers_sync_returns_by_it_only_if_it_succeeds(
    fails: bool, database: str, syncs: Syncs
) -> None:
    """Linux tells a failure to each descriptor that was open, so the sync of whoever has waited fails too."""
    create_table(database, "grouped")
    with closing(Writing(database)) as one, closing(Writing(database)) as other:
        one.write()
        other.write()
        syncs.fails = fails
        found = one.sync_while_waited_for(other)
        assert [type(error) for error in found] == ([OSError, OSError] if fails else [type(None)] * 2)
        assert syncs.calls == ([one.descriptor(), other.descriptor()] if fails else [one.descriptor()])


def test_a_sync_by_a_descriptor_opened_after_ones_turn_began_covers_nothing_of_ours(
    database: str, syncs: Syncs
) -> None:
    """It may not have been told of a failure in between."""
    create_table(database, "grouped")
    with closing(Writing(database)) as one, closing(Writing(database)) as late:
        one.write()
        late.write()
        assert late.sync_while_waited_for(one) == (None, None)
        assert syncs.calls == [late.descriptor(), one.descriptor()]


def test_what_the_block_raises_does_not_hide_that_its_sync_failed(database: str, syncs: Syncs) -> None:
    create_table(database, "grouped")
    syncs.fails = True

    def write() -> None:
        with closing(connect(database, "grouped")) as connection, write_turn(database):
            connection.execute(INSERT_ROW, ("row",))
            raise KeyError

    with pytest.raises(OSError, match="as if the disk had failed") as caught:
        write()
    assert isinstance(caught.value.__context__, KeyError)


if __name__ == "__main__":
    _, _, number, seed, settings, *fault = sys.argv
    for how in ROWS:
        with scratch_folder() as folder:
            counted = replay(f"{folder}/messages.db", settings, how, int(number) // 2, int(seed), (fault or [SLOW])[0])
            sys.stdout.write(f"{settings}, {how}: {dict(counted)}\n")
