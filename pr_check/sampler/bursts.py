"""One side's sampler: takes one sample after another, each in a process of its own; knows nothing of the other side.

Run by the interpreter of that side's environment, so it is written for Python 3.9 and the standard library, and imports
``sqlite_writes`` from the environment and ``benchmarks`` from the folder that it is given. It reads one request a line,
as JSON, and answers with one line; a sample of several parts says before each that it waits, and goes on at an empty
line. It opens no database itself: each sample's process is forked from it, and leaves nothing behind that a later one
could find.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import mmap
import os
import platform
import re
import select
import signal
import statistics
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import replace
from functools import partial
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from typing import TextIO

Sample = dict[str, Any]
Span = tuple[float, float]

# How long a writer of ours waits for a lock that somebody holds: long enough to tell it from not waiting at all.
HELD = 0.3

# So many rows come while somebody has the turn, and for so many seconds the next one is waited for.
TOGETHER = 8
PATIENCE = 1.0

# Seconds that a sync of rows that wait together takes longer, as on a slow disk, so that the others come meanwhile.
SYNC = 0.005

# Bytes kept of what an insert raised.
NOTE = 1024

# Seconds for one burst of several, fewer than a sample's deadline: a worker that hangs is a row that failed.
LONGEST_BURST = 20.0

# Seconds after which the kernel ends a sample that nobody waits for any more: more than any is waited for.
LONGEST_SAMPLE = 900


def burst(workers: int, settings: str, storage: str, deadline: float) -> Sample:
    """One burst, checked against the table by the package's report and, independently of it, here."""
    from benchmarks.common import database_path
    from sqlite_writes import create_table, generate_example_rows, insert_rows_in_parallel

    rows = generate_example_rows(workers)
    with database_path(storage) as database:
        create_table(database, settings)
        # From this process, which has opened nothing since it was forked: that spares a start of Python a sample.
        report = insert_rows_in_parallel(database, rows, settings, start_method="fork", deadline=deadline)
        copies = _copies(database)
    counts = _counts(rows, [outcome.status == "returned" for outcome in report.outcomes], copies)
    return {
        "seconds": report.burst_time,
        **counts,
        "errors": report.errors,
        "miscounted": (report.failed, report.lost) != (counts["failed"], counts["lost"]),
        "traceback": next((_end_of(outcome.traceback) for outcome in report.outcomes if outcome.traceback), ""),
    }


def bursts(workers: int, settings: str, storage: str, count: int) -> Generator[None, None, Sample]:
    """So many bursts by the same workers, each a part, after one that is not timed: the geometric mean of their times.

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
            note = name + _end_of(traceback.format_exc()).encode(errors="replace")[len(name) - NOTE :]
            notes[NOTE * number : NOTE * number + len(note)] = note
        finally:
            clock[3 * number + 1] = time.monotonic()

    with database_path(storage) as database:
        create_table(database, settings)
        with _gated(workers, 1 + count, insert) as open_gate:
            open_gate()
            for _ in range(count):
                yield
                open_gate()
        copies = _copies(database)
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
        **_counts(rows, returned, copies),
        "errors": Counter(name or "process ended" for name, _, _ in said),
        "traceback": next((text for _, _, text in said if text), ""),
    }


@contextlib.contextmanager
def _gated(workers: int, parts: int, work: Callable[[int], None]) -> Iterator[Callable[[], None]]:
    """Processes that work at the same moment, and sleep at a gate before each part and after the last.

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
        if not select.select([ends[0][0]], [], [], LONGEST_BURST)[0]:
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


def _counts(rows: Sequence[tuple[str]], returned: Sequence[bool], copies: dict[str, int]) -> Sample:
    """What became of the rows, by who returned and what is in the table."""
    found = [copies.get(message, 0) for (message,) in rows]
    return {
        "attempted": len(rows),
        "failed": returned.count(False),
        "lost": sum(ok and not count for ok, count in zip(returned, found)),
        "recovered": sum(bool(count) and not ok for ok, count in zip(returned, found)),
        "duplicated": sum(count > 1 for count in found),
    }


def sequence(rows: int, settings: str, storage: str) -> Sample:
    """One process inserts rows one after another, nobody beside it; the first into the new table is not timed."""
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
        kept = _copies(database)
    lost = sum(message not in kept for (message,) in (first, *others))
    duplicated = sum(count > 1 for count in kept.values())
    return {"seconds": seconds, "attempted": 1 + rows, "failed": 0, "lost": lost, "duplicated": duplicated}


def suite(benchmark: str, parameters: list[Any]) -> Sample:
    """The one report that a class of the suite makes for these parameters.

    In a folder of its own, because the suite leaves reports in the current one, and reads those that it finds there.
    """
    from benchmarks.common import database_path

    module, name = benchmark.split(".")
    cell = getattr(importlib.import_module(f"benchmarks.{module}"), name)()
    with database_path() as database:
        os.chdir(os.path.dirname(database))
        cell.setup(*parameters)
        report: Sample = cell.reports[0]
        os.chdir("/")
    return report


def promises(settings: str) -> Sample:
    """What an insert promises, each as a fact that is the same every time: read back, or provoked."""
    from benchmarks.common import database_path
    from sqlite_writes import SETTINGS, create_table, error_name, generate_example_rows, insert_row

    own, driver = SETTINGS[settings], _driver()
    rows = generate_example_rows(3)
    facts: Sample = {}
    with database_path() as database:
        folder = os.path.dirname(database)
        create_table(database, settings)
        insert_row(database, rows[0], settings)
        recorded: list[Any] = []
        with _recorded_connections(driver, recorded) as syncs:
            insert_row(database, rows[1], settings)
            facts["connections left open"] = sum(not connection.is_closed for connection in recorded)
        facts["descriptors left open"] = _open_files(folder)
        facts["files left beside the database"] = sorted(
            name[len("messages.db") :] for name in os.listdir(folder) if name != "messages.db"
        )
        # Read when a connection is closed: one that was left open says nothing of them.
        closed = [connection for connection in recorded if connection.synchronous is not None]
        facts["synchronous"] = min((_level(one.synchronous, one.committed, syncs) for one in closed), default=None)
        facts["busy timeout"] = min((connection.busy_timeout for connection in closed), default=None)
        facts["statements"] = [
            re.sub(r"'[^']*'|\d+", "?", statement) for connection in recorded for statement in connection.statements
        ]
        connection = driver.connect(database, isolation_level=None)
        try:
            (facts["journal mode"],) = connection.execute("PRAGMA journal_mode").fetchone()
            schema = connection.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'messages' ORDER BY 1")
            facts["schema"] = [sql for (sql,) in schema]
            # Somebody holds the lock for longer than we want to wait: it must be said, in time, and nothing written.
            connection.execute("BEGIN IMMEDIATE")
            refused: list[Any] = []
            with _recorded_connections(driver, refused):
                facts["error behind a lock"], facts["wait for a lock"] = _refusal(
                    lambda: insert_row(database, rows[2], replace(own, busy_timeout=HELD)), error_name
                )
                facts["connections left open by a refused insert"] = sum(not one.is_closed for one in refused)
            connection.execute("ROLLBACK")
        finally:
            connection.close()
        if getattr(own, "line", False) or getattr(own, "queue", "none") != "none":  # as it was called before
            with _held_turn(database):
                facts["error in line"], facts["wait in line"] = _refusal(
                    lambda: insert_row(database, rows[2], replace(own, busy_timeout=HELD)), error_name
                )
            facts.update(_waiting_together(database, settings))
        copies = _copies(database)
        facts["rows kept of 2"] = sum(copies.get(message, 0) == 1 for (message,) in rows[:2])
        facts["rows written by a refused insert"] = copies.get(rows[2][0], 0)
    return facts


def accounting() -> Sample:
    """Whether a burst's report counts right: rows that a trigger drops or doubles, and rows that nobody could write."""
    from benchmarks.common import database_path
    from sqlite_writes import Settings, create_table, generate_example_rows, insert_rows_in_parallel

    driver, facts = _driver(), {}
    for what, action in (
        ("dropped", "BEFORE INSERT ON messages BEGIN SELECT RAISE(IGNORE); END"),
        ("doubled", "AFTER INSERT ON messages BEGIN INSERT INTO messages (msg) VALUES (new.msg); END"),
        ("refused", ""),
    ):
        with database_path() as database:
            create_table(database)
            connection = driver.connect(database, isolation_level=None)
            try:
                connection.execute(f"CREATE TRIGGER t {action}" if action else "BEGIN IMMEDIATE")
                if action:
                    connection.close()
                report = insert_rows_in_parallel(
                    database, generate_example_rows(3), Settings(busy_timeout=0.0), deadline=60.0
                )
            finally:
                connection.close()
        counted = {name: getattr(report, name) for name in ("failed", "lost", "recovered", "duplicated")}
        try:
            report.raise_for_failures()
            counted["raises"] = False
        except RuntimeError:
            counted["raises"] = True
        if action:  # a burst of three with a timeout of 0 may meet locks of its own
            del counted["failed"]
            counted["lost"] = counted["lost"] + report.failed if what == "dropped" else counted["lost"]
            counted["duplicated"] = counted["duplicated"] + (report.failed if what == "doubled" else 0)
        facts[f"three rows {what}, as counted"] = counted
    return facts


def identity() -> Sample:
    """What is measured, with what, and which benchmarks there are, as asv itself finds them."""
    import sqlite_writes

    driver = _driver()
    listed = io.StringIO()
    from asv_runner.discovery import list_benchmarks

    list_benchmarks(os.path.dirname(importlib.import_module("benchmarks").__file__ or ""), listed)
    return {
        "package": sqlite_writes.__file__,
        "python": platform.python_version(),
        "sqlite": driver.sqlite_version,
        "benchmarks": {
            found["name"]: [found.get("version", ""), found.get("params", [])]
            for found in json.loads(listed.getvalue())
        },
    }


SAMPLES: dict[str, Callable[..., Sample | Generator[None, None, Sample]]] = {
    function.__name__: function for function in (burst, bursts, sequence, suite, promises, accounting, identity)
}


def _driver() -> Any:
    """The module through which this commit reaches SQLite: one file must not be opened through two libraries."""
    try:
        return importlib.import_module("sqlite_writes.driver").sqlite3
    except ImportError:
        return importlib.import_module("sqlite3")


def _copies(database: str) -> dict[str, int]:
    connection = _driver().connect(database)
    try:
        return dict(connection.execute("SELECT msg, count(*) FROM messages GROUP BY msg"))
    finally:
        connection.close()


@contextlib.contextmanager
def _recorded_connections(driver: Any, recorded: list[Any], longer: float = 0.0) -> Iterator[list[Span]]:
    """Have every connection that this process makes meanwhile remember what it was told and how it wrote.

    Gives the spans of the write-ahead log's syncs that Python does in this process meanwhile, each so many seconds
    longer than it is. Those that SQLite does are not among them.
    """
    plain: Any = driver.Connection
    syncs: list[Span] = []
    plain_syncs = {name: function for name, function in vars(os).items() if name in ("fsync", "fdatasync")}

    def noted(sync: Callable[[int], None], descriptor: int) -> None:
        began = time.monotonic()
        sync(descriptor)
        path = f"/proc/self/fd/{descriptor}"
        if not os.path.exists(path) or os.readlink(path).endswith("-wal"):
            time.sleep(longer)
            syncs.append((began, time.monotonic()))

    class Recorded(plain):  # type: ignore[misc]
        is_closed = False
        synchronous: int | None = None
        busy_timeout: float | None = None
        committed = 0.0

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.statements: list[str] = []
            self.set_trace_callback(self.hear)
            recorded.append(self)

        def hear(self, statement: str) -> None:
            self.statements.append(statement)
            if statement == "COMMIT":
                self.committed = time.monotonic()

        def close(self) -> None:
            self.set_trace_callback(None)
            with contextlib.suppress(driver.Error):
                (self.synchronous,) = plain.execute(self, "PRAGMA synchronous").fetchone()
                (milliseconds,) = plain.execute(self, "PRAGMA busy_timeout").fetchone()
                self.busy_timeout = round(milliseconds / 500) / 2  # after a wait in line what is left of it
            self.is_closed = True
            super().close()

    connect = driver.connect

    def prepared(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **{"factory": Recorded, **named})
        return connection

    vars(driver)["connect"] = prepared
    vars(os).update({name: partial(noted, sync) for name, sync in plain_syncs.items()})
    try:
        yield syncs
    finally:
        vars(driver)["connect"] = connect
        vars(os).update(plain_syncs)


def _level(synchronous: int, committed: float, syncs: Iterable[Span], returned: float = float("inf")) -> int:
    """The level at which a row is synced when its insert returns: NORMAL with a sync after the commit is FULL."""
    is_synced = any(committed < began and ended <= returned for began, ended in syncs)
    return 2 if synchronous == 1 and is_synced else synchronous


def _open_files(folder: str) -> int:
    """How many descriptors of this process are files in the folder; 0 where ``/proc`` does not tell."""
    count = 0
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith(folder)
    return count


def _refusal(insert: Callable[[], object], error_name: Callable[[BaseException], str]) -> tuple[str, float]:
    """What an insert raised that cannot be done, and after how many seconds, to a tenth."""
    started = time.monotonic()
    try:
        insert()
        said = "no error"
    except Exception as error:
        said = error_name(error)
    return said, round(time.monotonic() - started, 1)


def _waiting_together(database: str, settings: str) -> Sample:
    """What becomes of rows that come while somebody has the turn: do they share a sync, and does one not wait."""
    from sqlite_writes import generate_example_rows, insert_row, pool_map

    connection = _driver().connect(database)  # while it is open, nobody takes the WAL away
    try:
        connection.execute("SELECT count(*) FROM messages").fetchall()
        before = _commits_in_wal(database)
        come, here = os.pipe()
        with _held_turn(database) as let_go:

            def insert(row: Any) -> tuple[list[tuple[int, float]], list[Span], float, int]:
                os.write(here, b".")
                recorded: list[Any] = []
                with _recorded_connections(_driver(), recorded, SYNC) as syncs:
                    insert_row(database, row, settings)
                    returned = time.monotonic()
                    writes = [(one.synchronous, one.committed) for one in recorded if one.synchronous is not None]
                    return writes, syncs, returned, sum(not one.is_closed for one in recorded)

            def release() -> None:
                for _ in range(TOGETHER):  # so long as all of them come within the sample's deadline
                    if select.select([come], [], [], PATIENCE)[0]:
                        os.read(come, 1)
                time.sleep(2 * HELD)
                let_go()

            releasing = threading.Thread(target=release)
            releasing.start()
            outcomes = pool_map(insert, generate_example_rows(TOGETHER), start_method="fork")
            releasing.join()
        os.close(come)
        os.close(here)
        last = max(one.ended or 0 for one in outcomes)
        said = [one.result for one in outcomes if one.result is not None]
        syncs = [span for _, spans, _, _ in said for span in spans]
        # One's sync may be for others too, so all are looked at. A commit at FULL is a sync by SQLite.
        levels = [_level(*written, syncs, returned) for writes, _, returned, _ in said for written in writes]
        is_full = any(synchronous > 1 for writes, *_ in said for synchronous, _ in writes)
        commits = _commits_in_wal(database) - before
        return {
            "synchronous of rows that wait together": min(levels, default=None),
            "connections left open by rows that wait together": sum(left for *_, left in said),
            "rows that wait together have a sync each": len(syncs) + is_full * commits >= TOGETHER,
            "rows acknowledged before their turn": sum((one.ended or 0) < let_go() for one in outcomes),
            "seconds until all had their turn": round(5 * (last - let_go())) / 5,
        }
    finally:
        connection.close()


def _commits_in_wal(database: str) -> int:
    """How many frames of the WAL end a transaction (https://sqlite.org/fileformat2.html#the_write_ahead_log)."""
    with contextlib.suppress(FileNotFoundError), open(f"{database}-wal", "rb") as file:
        data = file.read()
        size = 24 + int.from_bytes(data[8:12], "big")
        frames = [data[start : start + 24] for start in range(32, len(data) - size + 1, size)]
        return sum(frame[8:16] == data[16:24] and any(frame[4:8]) for frame in frames)
    return 0


@contextlib.contextmanager
def _held_turn(database: str) -> Iterator[Callable[[], float]]:
    """Have the turn, as a writer does; gives a function that ends it, once, and says when that was."""
    moments: list[float] = []
    with contextlib.ExitStack() as turn:

        def let_go() -> float:
            if not moments:
                moments.append(time.monotonic())
                turn.close()
            return moments[0]

        try:
            from sqlite_writes import write_turn
        except ImportError:
            turn.enter_context(_held_queue(database))
        else:
            turn.enter_context(write_turn(database))
        yield let_go


@contextlib.contextmanager
def _held_queue(database: str) -> Iterator[None]:
    """The same in commits that had a queue in place of the line, and no function for it."""
    import fcntl

    descriptor = os.open(f"{database}-queue", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        with contextlib.suppress(OSError):  # nobody listens
            bell = os.open(f"{database}-queue-bell", os.O_WRONLY | os.O_NONBLOCK)
            os.write(bell, b"!")
            os.close(bell)
    finally:
        os.close(descriptor)


def _end_of(text: str) -> str:
    """The last lines, without the folder of the sample's database, which has another name each time."""
    folder = rf"{re.escape(os.environ['SQLITE_WRITES_FOLDER'])}/[^/]+/"
    return "\n".join(re.sub(folder, "", text).rstrip().splitlines()[-8:])


def _take(request: dict[str, Any], wait: Callable[[], object]) -> dict[str, Any]:
    """The answer to a request: a value; or why it is not possible here; or the end of a traceback."""
    settings = request["arguments"].get("settings")
    try:
        if settings is not None:
            from benchmarks.common import skip_unless_possible

            skip_unless_possible(settings)
        value = SAMPLES[request["sample"]](**request["arguments"])
        return {"value": _last_of(value, wait) if isinstance(value, GeneratorType) else value}
    except NotImplementedError as reason:
        return {"not possible": str(reason)}
    except BaseException as error:
        full = getattr(error, "errno", None) == 28 or "disk is full" in str(error)
        return {"error": _end_of(traceback.format_exc()), "disk is full": full}


def _last_of(parts: Generator[None, None, Sample], wait: Callable[[], object]) -> Sample:
    """What the generator returns, after a wait before each of its parts."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            sample: Sample = end.value
            return sample
        wait()


def _take_in_a_new_process(request: dict[str, Any], answers: TextIO) -> None:
    """Hand on the answers of a process of its own; if that ends without a result, say so in its place."""
    result, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(LONGEST_SAMPLE)
            os.close(result)
            with os.fdopen(answer, "w") as pipe:

                def wait() -> None:
                    _write(pipe, {"waits": True})
                    os.read(0, 1)

                _write(pipe, _take(request, wait))
        finally:
            os._exit(0)
    os.close(answer)
    has_result = False
    with os.fdopen(result) as pipe:
        while not has_result and (line := pipe.readline()).endswith("\n"):
            found = json.loads(line)
            has_result = "waits" not in found
            _write(answers, found)
    _, status = os.waitpid(pid, 0)
    if not has_result:
        _write(answers, {"error": f"the process of the sample ended without a result (wait status {status})"})


def _write(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a benchmark prints is no answer
    sys.path.insert(0, sys.argv[1])
    problem = None
    try:
        importlib.import_module("benchmarks.common")
        importlib.import_module("sqlite_writes")
    except Exception:
        problem = {"error": _end_of(traceback.format_exc())}
    for line in requests:
        if problem:
            _write(answers, problem)
        elif line.strip():  # else the sample that was to go on is no more
            _take_in_a_new_process(json.loads(line), answers)


if __name__ == "__main__":
    main()
