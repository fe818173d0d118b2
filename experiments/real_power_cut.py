"""Cut a real file system off from its disk while processes write, and count the acknowledged rows that are gone.

``python experiments/real_power_cut.py {ext4,xfs} ROUNDS SETTINGS...``, as root, on Linux. The file system is made in a
file under /var/tmp, and shuts itself down without writing its log: what no sync has made sure is not there afterwards.
Knows nothing of a disk that loses what it has confirmed, and the file that stands for the disk loses nothing.

The shutdown takes a moment, in which a sync may be told that all is well when it is not: so a row that is acknowledged
after the shutdown was asked for is counted apart. When power fails, nobody is told anything any more.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlite_writes import create_table, open_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = 20
SECONDS = 0.5
IMAGE_BYTES = 512 << 20

# _IOR('X', 125, __u32), in the kernel's ext4.h and xfs_fs.h; 2 is "do not flush the log first".
FS_IOC_GOINGDOWN = 0x8004587D
NOLOGFLUSH = 2

MKFS = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}


class Round(NamedTuple):
    """What became of one power cut: the rows by their fate, and the processes that had to be killed.

    lost: of those acknowledged before the shutdown was asked for; lost_late: of those acknowledged after.
    """

    acknowledged: int
    lost: int
    late: int
    lost_late: int
    recovered: int
    doubled: int
    stuck: int
    integrity: str

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:6} acknowledged, {self.lost:4} lost; after the cut {self.late:3}, "
            f"{self.lost_late} lost; {self.recovered:3} recovered, "
            f"{self.doubled} doubled, {self.stuck} processes stuck, integrity {self.integrity}"
        )


def run(*command: str) -> str:
    """What the command prints; ``CalledProcessError`` if it fails."""
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def loop_device(image: Path) -> Iterator[str]:
    """A block device whose content is the file."""
    with image.open("xb") as file:
        file.truncate(IMAGE_BYTES)
    device = run("losetup", "--find", "--show", str(image)).strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextmanager
def mounted(device: str, folder: Path) -> Iterator[None]:
    """The device's file system, mounted there; at the end taken off, even if someone has it open."""
    run("mount", device, str(folder))
    try:
        yield
    finally:
        for patience in range(20):
            with suppress(subprocess.CalledProcessError):
                run("umount", *(["--lazy"] if patience == 19 else []), str(folder))
                break
            time.sleep(0.1)


def write_until_it_fails(database: str, settings: str, name: str, gate: int, notes: int) -> NoReturn:
    """What a forked process does: insert rows until the file system is gone, and note each that is acknowledged."""
    try:
        with open_writer(database, settings) as insert:
            os.read(gate, 1)  # ends when the parent closes the other end
            for number in range(1_000_000):
                row = f"{name}-{number}"
                insert((row,))
                os.write(notes, f"{row} {time.monotonic()}\n".encode())
    finally:
        os._exit(0)


def write_and_cut(folder: Path, database: str, settings: str, notes: int) -> tuple[float, int]:
    """Have all processes write for a while, then cut the power; when that was, and how many did not end after it."""
    gate, opener = os.pipe()
    pids = []
    try:
        for number in range(PROCESSES):
            pid = os.fork()
            if not pid:
                os.close(opener)
                write_until_it_fails(database, settings, f"row-{number}", gate, notes)
            pids.append(pid)
        time.sleep(0.3)
        os.close(opener)
        opener = -1
        time.sleep(SECONDS)
        root = os.open(folder, os.O_RDONLY)
        try:
            cut = time.monotonic()
            fcntl.ioctl(root, FS_IOC_GOINGDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(root)
        until = time.monotonic() + 20
        while pids and time.monotonic() < until:
            pids = [pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0] == 0]
            time.sleep(0.01)
        return cut, len(pids)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(gate)
        if opener >= 0:
            os.close(opener)


def one_round(device: str, folder: Path, outside: Path, settings: str, number: int) -> Round:
    """Write, cut the power, mount again, and compare the table with the notes."""
    database = str(folder / f"{settings}-{number}.db")
    noted = outside / f"{settings}-{number}.notes"
    notes = os.open(noted, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND)
    try:
        with mounted(device, folder):
            create_table(database, settings)
            os.sync()  # the empty table is no part of the question
            cut, stuck = write_and_cut(folder, database, settings, notes)
    finally:
        os.close(notes)
    moments = {row: float(moment) for row, moment in map(str.split, noted.read_text().splitlines())}
    before = {row for row, moment in moments.items() if moment < cut}
    with mounted(device, folder):
        with closing(sqlite3.connect(database)) as connection:
            ((integrity,), *_) = connection.execute("PRAGMA integrity_check").fetchall()
            there = [row for (row,) in connection.execute("SELECT msg FROM messages")]
        for path in folder.glob(f"{settings}-{number}.db*"):
            path.unlink()
    found, late = set(there), set(moments) - before
    fates = (before, before - found, late, late - found, found - set(moments))
    counts = [len(fate) for fate in fates]
    return Round._make([*counts, len(there) - len(found), stuck, integrity])


def table(kind: str, rounds: dict[str, list[Round]]) -> str:
    """The sums over all rounds, a line for each of the settings, in Markdown."""
    lines = [
        (
            "| file system | settings | rounds | acknowledged | lost | rounds with losses "
            "| acknowledged after the cut | lost | doubled | not intact |"
        ),
        f"|{'---|' * 10}",
    ]
    for settings, found in rounds.items():
        with_losses = sum(one.lost > 0 for one in found)
        sums = [len(found), sum(one.acknowledged for one in found), sum(one.lost for one in found), with_losses]
        sums += [sum(one.late for one in found), sum(one.lost_late for one in found)]
        sums += [sum(one.doubled for one in found), sum(one.integrity != "ok" for one in found)]
        lines.append(f"| {kind} | {settings} | {' | '.join(f'{one:,}' for one in sums)} |")
    return "\n".join(lines)


def interrupt_once(*_: object) -> NoReturn:
    """End the program, and let nothing interrupt its tidying up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(kind: str, count: int, names: list[str]) -> None:
    """Run all rounds, the settings in turn, and print what was found, even if it was interrupted."""
    rounds: dict[str, list[Round]] = {settings: [] for settings in names}
    folder_of_all = tempfile.TemporaryDirectory(prefix="power-cut-", dir="/var/tmp")
    try:
        with folder_of_all as name, loop_device(Path(name, "image")) as device:
            run(*MKFS[kind], device)
            folder = Path(name, "mounted")
            folder.mkdir()
            for number in range(count):
                for settings in names:
                    found = one_round(device, folder, Path(name), settings, number)
                    rounds[settings].append(found)
                    sys.stdout.write(f"{kind} {settings:10} round {number + 1:3}: {found}\n")
                    sys.stdout.flush()
    finally:
        sys.stdout.write(f"{table(kind, rounds)}\n")


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in MKFS or os.geteuid():
        sys.exit(__doc__)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt_once)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
