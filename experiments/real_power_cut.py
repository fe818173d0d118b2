"""Cut a real file system off from its disk while processes write, and count the acknowledged rows that are gone.

``python -m experiments.real_power_cut {ext4,xfs} ROUNDS WRITER…``, as root, on Linux; a writer is the name of settings
or of a library. The file system is made in a file under /var/tmp, and shuts itself down without writing its log: what
no sync has made sure is not there afterwards. Knows nothing of a disk that loses what it has confirmed, and the file
that stands for the disk loses nothing.

The shutdown takes a moment, in which a sync may be told that all is well when it is not: so a row that is acknowledged
after the shutdown was asked for is counted apart. When power fails, nobody is told anything any more.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from sqlite_writes import error_name, pool_map
from sqlite_writes.scenarios.power_loss.recording import row_text, sqlite_file, warm
from sqlite_writes.scenarios.power_loss.replay import find_rows
from sqlite_writes.writers.names import resolve_writer

from .power_loss import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_writes.writers.writer import Writer

PROCESSES = 20

# The cut comes when so many rows are acknowledged, and after so many seconds at the earliest and at the latest.
ROWS = 200
EARLIEST, LATEST = 0.15, 10.0
NOTE = "{} {:017.6f}\n"  # a row and its moment
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
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


def why_not(kind: str) -> str:
    """Why no such file system can be made and mounted here; nothing if it can."""
    if sys.platform != "linux" or os.geteuid():
        return "only root mounts file systems, and this is for Linux"
    if shutil.which(MKFS[kind][0]) is None:
        return f"{MKFS[kind][0]} is not installed"
    try:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as name, loop_device(Path(name, "image")) as device:
            run(*MKFS[kind], device)
            with mounted(device, Path(name)):
                pass
    except (OSError, subprocess.CalledProcessError) as error:
        return f"it cannot be mounted: {getattr(error, 'stderr', '') or error}".strip()
    return ""


@contextmanager
def loop_device(image: Path) -> Iterator[str]:
    """A block device whose content is the file."""
    with image.open("xb") as file:
        file.truncate(IMAGE_BYTES)
    try:
        yield run("losetup", "--find", "--show", str(image)).strip()
    finally:
        for line in run(
            "losetup", "--associated", str(image)
        ).splitlines():  # even if it was interrupted as it was made
            run("losetup", "--detach", line.partition(":")[0])


@contextmanager
def mounted(device: str, folder: Path) -> Iterator[None]:
    """The device's file system, mounted there; at the end taken off, even if someone has it open."""
    try:
        run("mount", device, str(folder))
        yield
    finally:
        for patience in range(20):
            # Not is_mount: XFS answers nothing at all any more once it is shut down.
            if f" {folder} " not in Path("/proc/mounts").read_text():
                break
            with suppress(subprocess.CalledProcessError):
                run("umount", *(["--lazy"] if patience == 19 else []), str(folder))
                break
            time.sleep(0.1)


def write_until_it_fails(database: str, writer: Writer, name: str, ready: int, gate: int, notes: int) -> NoReturn:
    """What a forked process does: insert rows until the file system is gone, and note each that is acknowledged.

    Where it finds the database locked, it goes on with another row.
    """
    numbers = iter(range(1_000_000))
    try:
        os.write(ready, b"x")
        os.read(gate, 1)  # ends when the parent closes the other end
        while True:
            with suppress_locked(), writer.open(database) as insert:
                for number in numbers:
                    row = f"{name}.{number}"
                    with suppress_locked():
                        insert((row_text(row),))
                        os.write(notes, NOTE.format(row, time.monotonic()).encode())
    finally:
        os._exit(0)


@contextmanager
def suppress_locked() -> Iterator[None]:
    """Wait a moment, and go on, where the database is locked."""
    try:
        yield
    except Exception as error:
        if not error_name(error).startswith("SQLITE_BUSY") and "locked" not in str(error):
            raise
        time.sleep(0.001)


def write_and_cut(folder: Path, database: str, writer: Writer, notes: int) -> tuple[float, int]:
    """Have all processes write for a while, then cut the power; when that was, and how many did not end after it."""
    gate, opener = os.pipe()
    ready, says_ready = os.pipe()
    pids = []
    try:
        for number in range(PROCESSES):
            pid = os.fork()
            if not pid:
                os.close(opener)
                write_until_it_fails(database, writer, str(number), says_ready, gate, notes)
            pids.append(pid)
        os.close(says_ready)
        left = PROCESSES
        while left and (said := os.read(ready, left)):
            left -= len(said)
        os.close(opener)
        opener = -1
        began = time.monotonic()
        enough = ROWS * len(NOTE.format("0.0", 0))
        while time.monotonic() < began + (EARLIEST if os.fstat(notes).st_size >= enough else LATEST):
            time.sleep(0.01)
        root = os.open(folder, os.O_RDONLY)
        try:
            cut = time.monotonic()
            fcntl.ioctl(root, FS_IOC_GOINGDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(root)
        until = time.monotonic() + 3
        while pids and time.monotonic() < until:
            pids = [pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0] == 0]
            time.sleep(0.01)
        return cut, len(pids)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for descriptor in {ready, gate, opener} - {-1}:
            os.close(descriptor)


def one_round(device: str, folder: Path, outside: Path, name: str, number: int) -> Round:
    """Write, cut the power, mount again, and compare the table with the notes."""
    writer, database = resolve_writer(name), str(folder / f"{name}-{number}.db")
    noted = outside / f"{name}-{number}.notes"
    notes = os.open(noted, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND)
    try:
        with mounted(device, folder):
            (outcome,) = pool_map(writer.create, [database])
            if outcome.exception is not None:
                raise outcome.exception
            main = sqlite_file(database)
            warm(writer)  # once for all rounds, as imports are; the workers are forked from here
            os.sync()  # the empty table is no part of the question
            cut, stuck = write_and_cut(folder, database, writer, notes)
    finally:
        os.close(notes)
    moments = {row: float(moment) for row, moment in map(str.split, noted.read_text().splitlines())}
    noted.unlink()
    before = {row for row, moment in moments.items() if moment < cut}
    with mounted(device, folder):
        answer = find_rows(main)
        for path in folder.glob(f"{name}-{number}.db*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    there = [] if isinstance(answer, str) else [row for row, _ in answer]
    found, late = set(there), set(moments) - before
    fates = (before, before - found, late, late - found, found - set(moments))
    counts = [len(fate) for fate in fates]
    return Round._make([*counts, len(there) - len(found), stuck, answer if isinstance(answer, str) else "ok"])


def table(kind: str, rounds: dict[str, list[Round]]) -> str:
    """The sums over all rounds, a line for each of the writers, in Markdown."""
    lines = [
        (
            "| file system | writer | cuts | acknowledged | lost | cuts with losses | most lost "
            "| acknowledged after the cut | lost | doubled | not intact |"
        ),
        f"| --- | --- |{' ---: |' * 9}",
    ]
    for name, found in rounds.items():
        lost = [one.lost for one in found]
        sums = [
            len(found),
            sum(one.acknowledged for one in found),
            sum(lost),
            sum(map(bool, lost)),
            max(lost, default=0),
        ]
        sums += [sum(one.late for one in found), sum(one.lost_late for one in found)]
        sums += [sum(one.doubled for one in found), sum(one.integrity != "ok" for one in found)]
        lines.append(f"| {kind} | `{name}` | {' | '.join(f'{one:,}' for one in sums)} |")
    return "\n".join(lines)


def interrupt_once(*_: object) -> NoReturn:
    """End the program, and let nothing interrupt its tidying up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(kind: str, count: int, names: list[str], parent: str = "/var/tmp") -> dict[str, list[Round]]:  # noqa: S108 a disk, where /tmp may be memory
    """Run all rounds, the writers in turn, and print what was found, even if it was interrupted."""
    rounds: dict[str, list[Round]] = {name: [] for name in names}
    folder_of_all = tempfile.TemporaryDirectory(prefix="power-cut-", dir=parent)
    try:
        with folder_of_all as outside, loop_device(Path(outside, "image")) as device:
            run(*MKFS[kind], device)
            folder = Path(outside, "mounted")
            folder.mkdir()
            for number, name in itertools.product(range(count), names):
                if name not in rounds:
                    continue
                try:
                    found = one_round(device, folder, Path(outside), name, number)
                except NotImplementedError as error:
                    sys.stderr.write(f"{name}: not measured: {error}\n")
                    del rounds[name]
                else:
                    rounds[name].append(found)
                    sys.stderr.write(f"{kind} {name:10} round {number + 1:3}: {found}\n")
    finally:
        sys.stdout.write(f"{table(kind, rounds)}\n")
    return rounds


if __name__ == "__main__":
    _, kind, count, *names = [*sys.argv, "", ""]
    names = [name for name in names if name]
    if kind not in MKFS or not count.isdecimal() or not names or not set(names) <= set(NAMES):
        sys.exit(__doc__)
    if why := why_not(kind):
        sys.exit(f"no power cut here: {why}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt_once)
    main(kind, int(count), names)
