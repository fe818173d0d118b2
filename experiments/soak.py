"""Write for many minutes, with random faults, over all settings and the libraries in turn, and check every row.

``make soak MINUTES=30``, or ``python -m experiments.soak MINUTES [SEED]``, on Linux. Each episode is a burst, or some
seconds of sustained writing, by processes of one writer, while one fault torments them. The table at the end counts by
fault and by writer. Status 0 if nothing was lost, duplicated, altered, damaged or left behind, else 1; 130 for Ctrl-C,
which prints the table so far. What a fault does is in soak_faults.py, how rows are checked in checker.py.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import astuple, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.checker import Counts, Notes
from experiments.soak_faults import FAULTS, FULL_DISK, full_disk, small_disk
from sqlite_writes import SETTINGS, create_table_of, pool_map
from sqlite_writes.calls import call_in_fresh_process, prepare
from sqlite_writes.fresh_burst import fresh_database
from sqlite_writes.library import check_library
from sqlite_writes.writers.libraries import IN_TURN, LIBRARIES
from sqlite_writes.writers.names import resolve_writer
from sqlite_writes.writers.writer import as_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from experiments.soak_faults import Fault
    from sqlite_writes.table import Row

PROJECT = Path(__file__).resolve().parent.parent

# Processes of a burst, and of sustained writing, and its seconds.
BURST, SUSTAINED, SECONDS = (20, 60), (4, 12), (0.5, 2.5)

# What may lie beside a database when all have ended: what it has itself, its line, and the journals of those killed.
BESIDE = ("", "-wal", "-shm", "-journal", "-write-line")

# Seconds that an episode may take beyond its own, and that reading a table may take, beside any load.
PATIENCE, READING = 90.0, 600.0

# Seconds between two lines of progress where it is no terminal.
_PAUSE = 30.0


@dataclass
class Totals:
    """The sums so far; ``reasons``: why rows failed."""

    by_fault: dict[str, Counts] = field(default_factory=dict)
    by_writer: dict[str, Counts] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    episodes: int = 0

    @property
    def all(self) -> Counts:
        """Everything."""
        return sum(self.by_fault.values(), Counts())

    def add(self, fault: str, writer: str, counts: Counts, reasons: Counter[str]) -> None:
        """Count one episode."""
        self.by_fault[fault] = self.by_fault.get(fault, Counts()) + counts
        self.by_writer[writer] = self.by_writer.get(writer, Counts()) + counts
        self.reasons += reasons
        self.episodes += 1

    def table(self) -> str:
        """Everything as plain text, and why rows failed most often."""
        head = [each.name for each in fields(Counts)]
        lines = [f"{'':24}" + "".join(f"{name:>13}" for name in head)]
        for title, counted in (("fault", self.by_fault), ("writer", self.by_writer), ("", {"all": self.all})):
            lines.append(f"{title:-<{24 + 13 * len(head)}}")
            lines += [
                f"{name:24}" + "".join(f"{count:13,}" for count in astuple(counts)) for name, counts in counted.items()
            ]
        return "\n".join([*lines, *(f"{count:8,} x {reason}" for reason, count in self.reasons.most_common(12))])


def writers_here(parent: Path) -> list[str]:
    """Return the writers of the soak that this machine has: all settings, and the libraries in turn."""
    found = []
    for name in [*SETTINGS, *(name for name, library in LIBRARIES.items() if library.style == IN_TURN)]:
        with suppress(NotImplementedError), fresh_database(parent) as database:
            if name in SETTINGS:
                check_library(name)
            create_table_of(name, database)
            found.append(name)
    return found


def names_for(me: str, seconds: float) -> Iterator[str]:
    """Give names of rows for so long, but one at least."""
    until, number = time.monotonic() + seconds, 0
    while number == 0 or time.monotonic() < until:
        yield f"{me}-{number}"
        number += 1


def work(writer: str, database: str, notes: str, pids: str, seconds: float, me: str) -> None:
    """What a worker does: write one row, or rows over what it keeps open for so many seconds."""
    Path(pids, str(os.getpid())).touch()
    with resolve_writer(writer).open(database) as insert:
        Notes(notes).write_rows(insert, names_for(me, seconds))


def read(writer: str, database: str) -> list[Row]:
    """Return every row, in a process of its own."""
    return as_rows(resolve_writer(writer).rows(database))


def episode(
    writer: str, fault: Fault, parent: Path, outside: Path, chance: random.Random
) -> tuple[Counts, Counter[str]]:
    """Have processes write with that fault, and say what became of their rows."""
    processes, seconds = chance.randint(*SUSTAINED), chance.uniform(*SECONDS)
    if chance.random() < 0.4:
        processes, seconds = chance.randint(*BURST), 0.0
    me = uuid.UUID(int=chance.getrandbits(128)).hex[:12]
    pids, notes = outside / f"{me}.pids", outside / f"{me}.notes"
    pids.mkdir()
    resolved = resolve_writer(writer)
    with fresh_database(parent) as database:
        call_in_fresh_process("create", resolved.create, database, deadline=READING)
        with fault(database, pids, chance):
            pool_map(
                partial(work, writer, database, str(notes), str(pids), seconds),
                [f"{me}-{number}" for number in range(processes)],
                deadline=seconds + PATIENCE,
                warm_up=partial(prepare, resolved),
            )
        rows = call_in_fresh_process("rows", partial(read, writer), database, deadline=READING)
        counts, reasons = Notes(str(notes)).check(rows, database)
        path = Path(database)
        left = {there.name for there in path.parent.iterdir()} - {path.name + suffix for suffix in BESIDE}
    shutil.rmtree(pids)
    notes.unlink(missing_ok=True)
    reasons.update({f"left beside the database: {name}": 1 for name in left})
    return counts + Counts(left=len(left)), reasons


def left_running(mark: str) -> int:
    """How many processes run that this one has started, by what stands in their environment."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found += mark.encode() in (folder / "environ").read_bytes()
    return found


def soak(totals: Totals, minutes: float, seed: int, folder: Path) -> None:
    """Have one episode after another, until the time is over."""
    chance, until, said = random.Random(seed), time.monotonic() + 60 * minutes, 0.0
    with small_disk(folder) as small:
        parent = folder / "databases"
        parent.mkdir()
        faults = {**FAULTS, **({FULL_DISK: full_disk} if small else {})}
        writers = writers_here(parent)
        while time.monotonic() < until:
            writer, fault = chance.choice(writers), chance.choice(list(faults))
            on = small if fault == FULL_DISK and small else parent
            counts, reasons = episode(writer, faults[fault], on, folder, chance)
            totals.add(fault, writer, counts, reasons)
            if counts.broken:
                sys.stderr.write(f"\nbroken: {writer} with {fault}: {counts}\n")
            so_far = totals.all
            line = (
                f"{max(until - time.monotonic(), 0) / 60:.1f} min left, {totals.episodes} episodes, "
                f"{so_far.acknowledged:,} rows acknowledged, {so_far.broken} broken"
            )
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{line} \033[K")
            elif time.monotonic() > said + _PAUSE:
                said = time.monotonic()
                sys.stderr.write(f"{line}\n")


def main(minutes: str = "30", seed: str = "") -> int:
    """Soak, print the table, and return the status."""
    mark = f"{uuid.uuid4()}"
    os.environ["SQLITE_WRITES_SOAK"] = mark
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
    chosen = int(seed) if seed else random.randrange(1 << 32)
    totals, status = Totals(), 0
    before = len(os.listdir("/dev/fd"))
    place = PROJECT / ".asv" / "databases"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        try:
            soak(totals, float(minutes), chosen, Path(folder))
        except KeyboardInterrupt:
            status = 130
        except Exception as error:
            status = 1
            sys.stderr.write(f"\nthe soak itself failed: {type(error).__name__}: {error}\n")
        behind = list(Path(folder).glob("databases/*"))
    time.sleep(0.2)  # those that were killed last
    left = left_running(mark) + len(behind) + len(os.listdir("/dev/fd")) - before
    sys.stdout.write(f"\n{totals.table()}\n{totals.episodes} episodes, seed {chosen}; left at the end: {left}\n")
    return 1 if totals.all.broken or left else status


if __name__ == "__main__":
    from experiments.soak import main as main_of_the_module  # by its name, under which a worker finds what it is to do

    sys.exit(main_of_the_module(*sys.argv[1:]))
