"""System calls that fail, one after another: strace has the kernel's answer be an error where SQLite or the line asks.

Each process writes some rows and says of each whether it was acknowledged. What it calls for the files of the database
is traced; every so many calls of a kind fail, so that in a run of many rows each place in a transaction is met.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from sqlite_writes import create_table, insert_row, row_count

from .conftest import PROJECT
from .test_line_kills import BESIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None or not sys.platform.startswith("linux"), reason="needs strace"
)

SUFFIXES = ("", "-wal", "-shm", "-journal", "-write-line", "-notes")

# Writes rows over one connection that is kept, then over one for each, and notes each before and after; no traceback.
WRITER = """
import os, sqlite3, sys
from sqlite_writes import insert_row, open_writer
database, settings, count, notes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def note(mark, number):
    os.writev(notes, [b"%s%d " % (mark, number)])  # a call that never fails here

def write(number, insert):
    note(b"+", number)
    try:
        insert((str(number),))
    except (sqlite3.Error, OSError) as error:
        note(b"!", number)
        print(number, type(error).__name__, error)
    else:
        note(b"=", number)

number = 0
while number < count:
    try:
        with open_writer(database, settings) as insert:
            while number < count:
                number += 1
                write(number, insert)
    except (sqlite3.Error, OSError) as error:
        print("open", type(error).__name__, error)
        number += 1
for number in range(count + 1, 2 * count + 1):
    write(number, lambda row: insert_row(database, row, settings))
print("done")
"""

ROWS = 12

WRITES = "write,pwrite64,pwritev2,ftruncate,fallocate"
SYNCS = "fsync,fdatasync"

# The calls, the error, and which of them fail: the first one, or from the first on every so many.
FAULTS = [
    (SYNCS, "EIO", "2"),
    (WRITES, "ENOSPC", "12"),
    ("pread64,read", "EIO", "9"),
    (SYNCS, "EIO", "1+"),
    (SYNCS, "EIO", "1+3"),
    (WRITES, "ENOSPC", "1+5"),
    (WRITES, "ENOSPC", "3+7"),
    (WRITES, "EIO", "2+5"),
    ("pread64,read", "EIO", "1+11"),
    ("openat", "EMFILE", "1+3"),
    ("unlink,unlinkat", "EIO", "1+2"),
    (f"{WRITES},pread64,openat,flock", "EINTR", "1+3"),
]


class Run(NamedTuple):
    """What a process said of its rows, and which of its calls failed, by the file."""

    acknowledged: set[int]
    failed: set[int]
    said: str
    injected: Counter[str]
    trace: str


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """The path of a database; what lies beside it afterwards is what may."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "messages.db"
    yield str(path)
    assert {there.name for there in path.parent.iterdir()} <= BESIDE | {f"{path.name}-journal"}


def write_with(fault: tuple[str, str, str], database: str, settings: str, suffixes: tuple[str, ...] = SUFFIXES) -> Run:
    """Have a process write, with that fault in its system calls for the database's files, or those of these names."""
    calls, error, when = fault
    log, noted = Path(database).parent.parent / "strace", Path(f"{database}-notes")
    paths = [option for suffix in suffixes for option in ("-P", database + suffix)]
    traced = f"trace={WRITES},{SYNCS},openat,pread64,read,flock,unlink,unlinkat,writev"
    inject = ["-e", f"inject={calls}:error={error}:when={when}"]
    with noted.open("ab") as notes:
        writer = [sys.executable, "-c", WRITER, database, settings, str(ROWS), str(notes.fileno())]
        done = subprocess.run(
            ["strace", "-f", "-y", "-o", str(log), *paths, "-e", traced, *inject, *writer],
            env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
            pass_fds=[notes.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.endswith("done\n"), done.stdout + done.stderr
    trace = log.read_text()
    said = noted.read_text().split()
    noted.unlink()
    injected = Counter(
        "".join(re.findall(r"messages\.db(-[a-z-]+)?", line)[:1])
        for line in trace.splitlines()
        if line.endswith("(INJECTED)")
    )
    numbers = {mark: {int(note[1:]) for note in said if note[0] == mark} for mark in "=!"}
    return Run(numbers["="], numbers["!"], done.stdout, injected, trace)


@pytest.mark.parametrize("settings", ["default", "wal", "synced", "grouped"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0].partition(',')[0]} {fault[1]} {fault[2]}")
def test_no_row_is_acknowledged_and_gone_or_there_twice(
    fault: tuple[str, str, str], settings: str, database: str
) -> None:
    """And the file is whole, the next one can write, no traceback was printed, and nothing lies about."""
    create_table(database, settings)
    run = write_with(fault, database, settings)
    assert sum(run.injected.values()) > 0 or settings == "default" or "unlink" in fault[0]
    with closing(sqlite3.connect(database)) as connection:
        there = Counter(int(value) for (value,) in connection.execute("SELECT msg FROM messages"))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert run.acknowledged <= set(there), run.said
    assert max(there.values(), default=1) == 1, run.said
    if fault[1] == "EINTR":
        assert not run.failed, run.said
    if "+" not in fault[2] and fault[0] != SYNCS:  # after a failed sync the log has a hole until a checkpoint mends it
        assert len(run.failed) <= 1, run.said  # what it leaves is rolled back, and the next row goes in
    insert_row(database, ("next",), settings)
    assert row_count(database) == sum(there.values()) + 1


@pytest.mark.parametrize("settings", ["default", "wal", "synced", "grouped"])
def test_a_row_whose_sync_fails_is_not_acknowledged(settings: str, database: str) -> None:
    """The syncs of a checkpoint are another matter: there are none while the connection is kept."""
    create_table(database, settings)
    run = write_with((SYNCS, "EIO", "2+2"), database, settings)
    kept = run.trace.partition(f"+{ROWS} ")[0]
    rows = re.split(r'"\+(?=\d+ ")', kept)[1:]
    assert len(rows) >= ROWS - 2
    failing = {int(re.match(r"\d+", row)[0]) for row in rows if "(INJECTED)" in row}  # type: ignore[index]
    assert failing
    assert not failing & run.acknowledged, run.said


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_line_that_cannot_take_its_notes_fails_no_row(error: str, database: str) -> None:
    """Only time depends on what stands in the line's file, once it is made; each row then syncs by itself."""
    create_table(database, "grouped")
    insert_row(database, ("first",), "grouped")
    run = write_with((WRITES, error, "1+"), database, "grouped", ("-write-line",))
    assert set(run.injected) == {"-write-line"}
    assert run.acknowledged == set(range(1, 2 * ROWS + 1)), run.said
