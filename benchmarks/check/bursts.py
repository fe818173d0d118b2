"""Bursts and sequences of inserts, timed and checked against the table. Knows nothing of another commit."""

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
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.common import database_path, find, skip_unless_possible

from .outcomes import copies_in, counts, end_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from .outcomes import Sample

# Bytes kept of what an insert raised.
NOTE = 1024

# Characters of the long row that is among those of every sample.
LONG = 70_000


class Moments(NamedTuple):
    """What became of one insert: moments on ``time.monotonic``, 0 where it did not get so far, and seconds."""

    called: float
    ended: float
    has_returned: float
    processor: float
    opened: float
    locked: float
    committed: float


COLUMNS = len(Moments._fields)

# Seconds for one burst of several, fewer than a sample's deadline: a worker that hangs is a row that failed.
LONGEST_BURST = 20.0


def burst(workers: int, settings: str, deadline: float) -> Sample:
    """Run one burst, checked against the table by the package's report and, independently of it, here."""
    skip_unless_possible(settings)
    from sqlite_writes import create_table, insert_rows_in_parallel

    rows = rows_and_a_long_one(workers)
    with database_path() as database:
        create_table(database, settings)
        # From this process, which has opened nothing since it was forked: that spares a start of Python a sample.
        report = insert_rows_in_parallel(database, rows, settings, start_method="fork", deadline=deadline)
        copies = copies_in(database)
    counted = counts(rows, [outcome.status == "returned" for outcome in report.outcomes], copies)
    reported = {name: getattr(report, name, counted[name]) for name in ("failed", "lost", "altered")}
    return {
        "seconds": report.burst_time,
        **counted,
        "errors": report.errors,
        "miscounted": any(counted[name] != value for name, value in reported.items()),
        "traceback": next((end_of(outcome.traceback) for outcome in report.outcomes if outcome.traceback), ""),
    }


def bursts(workers: int, settings: str, count: int) -> Generator[None, None, Sample]:
    """Run so many bursts by the same workers, each a part, after one that is not timed and has a long row.

    The time is the geometric mean of theirs.
    A start of the workers takes longer than a burst, and a disk's pace changes from one tenth of a second to the next:
    so both sides' workers are there at the same time, asleep but for their own bursts, which follow one another.
    """
    skip_unless_possible(settings)
    from sqlite_writes import create_table, error_name

    rows = rows_and_a_long_one(workers * (1 + count))
    # Shared with the workers: what Moments says of each row, and its error.
    clock = memoryview(mmap.mmap(-1, 8 * COLUMNS * len(rows))).cast("d")
    notes = mmap.mmap(-1, NOTE * len(rows))
    try:
        insert_row = find("trace_insert")
    except NotImplementedError:
        from sqlite_writes import insert_row

    def insert(number: int) -> None:
        row = COLUMNS * number
        clock[row] = time.monotonic()
        processor = time.thread_time()
        try:
            trace = insert_row(database, rows[number], settings)
            clock[row + 2] = 1
            if trace is not None:  # an early commit does not tell
                clock[row + 4], clock[row + 5], clock[row + 6] = trace.opened, trace.locked, trace.committed
        except Exception as error:
            name = f"{error_name(error)}\n".encode()
            note = name + end_of(traceback.format_exc()).encode(errors="replace")[len(name) - NOTE :]
            notes[NOTE * number : NOTE * number + len(note)] = note
        finally:
            clock[row + 1] = time.monotonic()
            clock[row + 3] = time.thread_time() - processor

    with database_path() as database:
        create_table(database, settings)
        with gated(workers, 1 + count, insert) as open_gate:
            open_gate()
            for _ in range(count):
                yield
                open_gate()
        copies = copies_in(database)
    moments = [Moments(*clock[first : first + COLUMNS]) for first in range(0, len(clock), COLUMNS)]
    said = [notes[NOTE * number : NOTE * (number + 1)].rstrip(b"\0") for number in range(len(rows))]
    return _sample(workers, moments, said, counts(rows, [bool(one.has_returned) for one in moments], copies))


def _sample(workers: int, moments: list[Moments], notes: list[bytes], counted: Sample) -> Sample:
    """Put together what came of all bursts, of which the first is not timed; ``notes``: what each insert raised."""
    parts = [moments[first : first + workers] for first in range(workers, len(moments), workers)]
    said = [note.decode(errors="replace").partition("\n") for note, one in zip(notes, moments) if not one.has_returned]
    return {
        # A worker that was killed, by us or another, has no end.
        "seconds": statistics.geometric_mean(
            max(one.ended for one in part) - min(one.called for one in part) for part in parts
        )
        if all(one.ended for one in moments)
        else None,
        **counted,
        "errors": Counter(name or "process ended" for name, _, _ in said),
        "traceback": next((text for _, _, text in said if text), ""),
        "spent": where_spent([one for part in parts for one in part if one.committed]),
    }


def where_spent(moments: list[Moments]) -> dict[str, float]:
    """Return where the time of an insert went, in seconds, on average."""
    if not moments:
        return {}
    every = {
        "opening the connection": [one.opened - one.called for one in moments],
        "in line or waiting for the lock": [one.locked - one.opened for one in moments],
        "with the lock held, and in the sync": [one.committed - one.locked for one in moments],
        "closing the connection": [one.ended - one.committed for one in moments],
        "of all that, on the processor": [one.processor for one in moments],
    }
    return {name: statistics.mean(seconds) for name, seconds in every.items()}


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


def sequence(settings: str, rows: int) -> Sample:
    """Insert rows one after another, nobody beside us; the first into the new table is long and not timed."""
    skip_unless_possible(settings)
    from sqlite_writes import create_table, insert_row

    every = rows_and_a_long_one(1 + rows)
    with database_path() as database:
        create_table(database, settings)
        insert_row(database, every[0], settings)
        started = time.monotonic()
        for row in every[1:]:
            insert_row(database, row, settings)
        seconds = time.monotonic() - started
        copies = copies_in(database)
    return {"seconds": seconds, **counts(every, [True] * len(every), copies)}


def rows_and_a_long_one(count: int) -> list[tuple[str]]:
    """Return so many rows, of which the first is longer than a page of the database."""
    from sqlite_writes import generate_example_rows

    (first,), *others = generate_example_rows(count)
    return [(first + "x" * LONG,), *others]
