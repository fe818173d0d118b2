"""Stop the holder of the write lock for a second, and see who shows it: ``python -m experiments.stalled_holder``.

Knows the settings of ours only; their names may follow. 50 inserts a second arrive at random for 20 s. One stops itself
(SIGSTOP) while it holds the lock, and the line if there is one. The same is measured with an open loop, and with a
closed one: four callers, who wait for their answer before they begin to wait for their next moment.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlite_writes import SETTINGS, connect, create_table, generate_example_rows, open_writer, pool_map, write_turn
from sqlite_writes.fresh_burst import fresh_database
from sqlite_writes.rate import measure_rate, quantile
from sqlite_writes.table import read_rows
from sqlite_writes.writers.warm_up import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_writes.table import Row
    from sqlite_writes.writers.writer import Insert

RATE, SECONDS, CALLERS = 50.0, 20.0, 4
FOLDER = Path(".asv")


@dataclass(frozen=True)
class StopsOnce:
    """Writes as the settings say; the first insert after some seconds stops its process for a second in the midst.

    after: seconds from the making of the table.
    """

    settings: str
    after: float

    def create(self, database: str) -> None:
        """Make the table, and write down when."""
        create_table(database, self.settings)
        Path(f"{database}-made").write_text(str(time.monotonic()))

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Give the function that inserts."""
        with open_writer(database, self.settings) as insert:
            yield partial(self._insert, database, insert)

    def _insert(self, database: str, insert: Insert, row: Row) -> None:
        if time.monotonic() > float(Path(f"{database}-made").read_text()) + self.after:
            with suppress(FileExistsError):
                os.close(os.open(f"{database}-stopped", os.O_CREAT | os.O_EXCL))
                stop_with_the_lock(database, self.settings)
        insert(row)

    def rows(self, database: str) -> list[Row]:
        """Read every row."""
        return read_rows(database)

    def warm_up(self) -> None:
        """Load all that an insert takes."""
        warm_up(self.settings)


def stop_with_the_lock(database: str, settings: str) -> None:
    """Take the line, if there is one, and the write lock; be stopped for a second; give them back."""
    with ExitStack() as held:
        if SETTINGS[settings].line:
            held.enter_context(write_turn(database))
        connection = held.enter_context(closing(connect(database, settings)))
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        with subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {os.getpid()}"]):
            os.kill(os.getpid(), signal.SIGSTOP)
        connection.execute("ROLLBACK")


def call_again_and_again(writer: StopsOnce, database: str, seed: int) -> list[float]:
    """Insert for as long as the run lasts, at random moments, and return each insert time: a closed loop."""
    moments = random.Random(seed)
    times = []
    until = time.monotonic() + SECONDS
    for row in generate_example_rows(int(RATE * SECONDS)):
        time.sleep(moments.expovariate(RATE / CALLERS))
        began = time.monotonic()
        if began > until:
            break
        with writer.open(database) as insert:
            insert(row)
        times.append(time.monotonic() - began)
    return times


def closed_loop(writer: StopsOnce) -> list[float]:
    """Run the closed loop, and return all insert times, ascending."""
    with fresh_database(FOLDER) as database:
        writer.create(database)
        outcomes = pool_map(partial(call_again_and_again, writer, database), range(CALLERS), warm_up=writer.warm_up)
    for outcome in outcomes:
        if outcome.exception is not None:
            raise outcome.exception
    return sorted(seconds for outcome in outcomes for seconds in outcome.result or [])


def main(names: list[str]) -> None:
    """Print a table for each writer."""
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        writer = StopsOnce(name, after=6.0)
        wide = measure_rate(writer, RATE, SECONDS, directory=FOLDER, seed=1)
        narrow = measure_rate(writer, RATE, SECONDS, directory=FOLDER, seed=1, workers=CALLERS)
        for what, times in {
            f"from the moment due, {wide.workers} workers": wide.latencies,
            "from the beginning, one caller in the same run": wide.closed_loop,
            f"from the moment due, {narrow.workers} workers": narrow.latencies,
            f"from the beginning, {narrow.workers} workers": narrow.insert_times,
            f"a closed loop of {CALLERS} callers": closed_loop(writer),
        }.items():
            p50, p99, slowest = (1000 * quantile(times, share) for share in (0.5, 0.99, 1))
            slow = sum(seconds > 0.1 for seconds in times)
            sys.stdout.write(
                f"| {name} | {what} | {len(times)} | {p50:.1f} ms | {p99:.0f} ms | {slowest:.0f} ms | {slow} |\n"
            )
        for report in (wide, narrow):
            sys.stdout.write(f"{name}, {report.workers} workers: {report.wrong or 'no row went wrong'}\n")


if __name__ == "__main__":
    main(sys.argv[1:] or ["default", "wal", "grouped"])
