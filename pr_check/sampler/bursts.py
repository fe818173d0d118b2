"""Bursts and sequences of inserts, timed and checked against the table. Knows nothing of the other side."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import select
import signal
import statistics
import time
import traceback
from collections import Counter
from typing import TYPE_CHECKING

from .outcomes import copies_in, counts, end_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from .outcomes import Sample

# Bytes kept of what an insert raised.
NOTE = 1024

# Seconds for one burst of several, fewer than a sample's deadline: a worker that hangs is a row that failed.
LONGEST_BURST = 20.0


def burst(workers: int, settings: str, storage: str, deadline: float) -> Sample:
    """Run one burst, checked against the table by the package's report and, independently of it, here."""
    from benchmarks.common import database_path
    from sqlite_writes import create_table, generate_example_rows, insert_rows_in_parallel

    rows = generate_example_rows(workers)
    with database_path(storage) as database:
        create_table(database, settings)
        # From this process, which has opened nothing since it was forked: that spares a start of Python a sample.
        report = insert_rows_in_parallel(database, rows, settings, start_method="fork", deadline=deadline)
        copies = copies_in(database)
    counted = counts(rows, [outcome.status == "returned" for outcome in report.outcomes], copies)
    return {
        "seconds": report.burst_time,
        **counted,
        "errors": report.errors,
        "miscounted": (report.failed, report.lost) != (counted["failed"], counted["lost"]),
        "traceback": next((end_of(outcome.traceback) for outcome in report.outcomes if outcome.traceback), ""),
    }


def bursts(workers: int, settings: str, storage: str, count: int) -> Generator[None, None, Sample]:
    """Run so many bursts by the same workers, each a part, after one that is not timed.

    The time is the geometric mean of theirs.
    A start of the workers takes longer than a burst, and a disk's pace changes from one tenth of a second to the next:
    so both sides' workers are there at the same time, asleep but for their own bursts, which follow one another.
    """
    from benchmarks.common import database_path
    from sqlite_writes import create_table, error_name, generate_example_rows, insert_row

    rows = generate_example_rows(workers * (1 + count))
    # Shared with the workers. For each row: when its insert was called, when it ended, whether it returned; its error.
    clock = memoryview(mmap.mmap(-1, 8 * 3 * len(rows))).cast("d")
    notes = mmap.mmap(-1, NOTE * len(rows))

    def insert(number: int) -> None:
        clock[3 * number] = time.monotonic()
        try:
            insert_row(database, rows[number], settings)
            clock[3 * number + 2] = 1
        except Exception as error:
            name = f"{error_name(error)}\n".encode()
            note = name + end_of(traceback.format_exc()).encode(errors="replace")[len(name) - NOTE :]
            notes[NOTE * number : NOTE * number + len(note)] = note
        finally:
            clock[3 * number + 1] = time.monotonic()

    with database_path(storage) as database:
        create_table(database, settings)
        with gated(workers, 1 + count, insert) as open_gate:
            open_gate()
            for _ in range(count):
                yield
                open_gate()
        copies = copies_in(database)
    returned = [bool(done) for done in clock[2::3]]
    said = [
        notes[NOTE * number : NOTE * (number + 1)].rstrip(b"\0").decode(errors="replace").partition("\n")
        for number, done in enumerate(returned)
        if not done
    ]
    moments = [clock[first : first + 3 * workers] for first in range(3 * workers, len(clock), 3 * workers)]
    return {
        # A worker that was killed, by us or another, has no end.
        "seconds": statistics.geometric_mean(max(part[1::3]) - min(part[0::3]) for part in moments)
        if all(clock[1::3])
        else None,
        **counts(rows, returned, copies),
        "errors": Counter(name or "process ended" for name, _, _ in said),
        "traceback": next((text for _, _, text in said if text), ""),
    }


@contextlib.contextmanager
def gated(
    workers: int, parts: int, work: Callable[[int], None], longest: float = LONGEST_BURST
) -> Iterator[Callable[[], None]]:
    """Have processes work at the same moment, and sleep at a gate before each part and after the last.

    Gives what opens the next gate and returns when all have done the part; of part p, worker w has number
    ``p * workers + w``. A pipe is a gate: its readers wake up when the last of its other ends is closed. Not the
    package's pool, whose workers have one part, and whose code is another in each commit.
    """
    gates, ends = [os.pipe() for _ in range(parts + 1)], [os.pipe() for _ in range(parts)]
    opened = mmap.mmap(-1, 1)  # so many of the gates: they open too if we die
    pids: list[int] = []

    def live(worker: int) -> None:
        for _, opens in gates:
            os.close(opens)
        for part, (_, done) in enumerate(ends):
            os.read(gates[part][0], 1)
            if opened[0] <= part:
                return
            work(part * workers + worker)
            os.close(done)
        os.read(gates[parts][0], 1)

    def open_gate() -> None:
        opened[0] += 1
        os.close(gates.pop(0)[1])
        if not select.select([ends[0][0]], [], [], longest)[0]:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        os.read(ends.pop(0)[0], 1)

    gc.freeze()  # a collection in a worker would copy the pages that it shares
    try:
        for worker in range(workers):
            pid = os.fork()
            if pid == 0:
                try:
                    live(worker)
                finally:
                    os._exit(0)
            pids.append(pid)
        for _, done in ends:
            os.close(done)
        yield open_gate
    finally:
        for _, opens in gates:
            os.close(opens)
        for pid in pids:
            os.waitpid(pid, 0)


def sequence(rows: int, settings: str, storage: str) -> Sample:
    """Insert rows one after another, nobody beside us; the first into the new table is not timed."""
    from benchmarks.common import database_path
    from sqlite_writes import create_table, generate_example_rows, insert_row

    first, *others = generate_example_rows(1 + rows)
    with database_path(storage) as database:
        create_table(database, settings)
        insert_row(database, first, settings)
        started = time.monotonic()
        for row in others:
            insert_row(database, row, settings)
        seconds = time.monotonic() - started
        kept = copies_in(database)
    lost = sum(message not in kept for (message,) in (first, *others))
    duplicated = sum(count > 1 for count in kept.values())
    return {"seconds": seconds, "attempted": 1 + rows, "failed": 0, "lost": lost, "duplicated": duplicated}
