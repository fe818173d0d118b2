"""One side's sampler: takes one sample after another, each in a process of its own; knows nothing of the other side.

Run by the interpreter of that side's environment, so it is written for Python 3.9 and the standard library, and imports
``sqlite_writes`` from the environment and ``benchmarks`` from the folder that it is given. It reads one request a line,
as JSON, and answers with one line. It opens no database itself: each sample's process is forked from it, and leaves
nothing behind that a later one could find.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import platform
import re
import sys
import threading
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

Sample = dict[str, Any]

# How long a writer of ours waits for a lock that somebody holds: long enough to tell it from not waiting at all.
HELD = 0.3

# So many rows come while somebody holds the queue.
TOGETHER = 8


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
    returned = [outcome.status == "returned" for outcome in report.outcomes]
    found = [copies.get(message, 0) for (message,) in rows]
    return {
        "seconds": report.burst_time,
        "attempted": len(rows),
        "failed": returned.count(False),
        "lost": sum(ok and not count for ok, count in zip(returned, found)),
        "recovered": sum(bool(count) and not ok for ok, count in zip(returned, found)),
        "duplicated": sum(count > 1 for count in found),
        "errors": report.errors,
        "miscounted": (report.failed, report.lost) != (returned.count(False), sum(map(_lost, returned, found))),
        "traceback": next((_end_of(outcome.traceback) for outcome in report.outcomes if outcome.traceback), ""),
    }


def _lost(returned: bool, copies: int) -> bool:
    return returned and not copies


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
        with _recorded_connections(driver, recorded):
            insert_row(database, rows[1], settings)
            facts["connections left open"] = sum(not connection.is_closed for connection in recorded)
        facts["descriptors left open"] = _open_files(folder)
        facts["files left beside the database"] = sorted(
            name[len("messages.db") :] for name in os.listdir(folder) if name != "messages.db"
        )
        facts["synchronous"] = min((connection.synchronous for connection in recorded), default=None)
        facts["busy timeout"] = min((connection.busy_timeout for connection in recorded), default=None)
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
            facts["error behind a lock"], facts["wait for a lock"] = _refusal(
                lambda: insert_row(database, rows[2], replace(own, busy_timeout=HELD)), error_name
            )
            connection.execute("ROLLBACK")
        finally:
            connection.close()
        if getattr(own, "queue", "none") != "none":
            with _held_queue(database):
                facts["error behind a queue"], facts["wait for a queue"] = _refusal(
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


SAMPLES: dict[str, Callable[..., Sample]] = {
    function.__name__: function for function in (burst, sequence, suite, promises, accounting, identity)
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
def _recorded_connections(driver: Any, recorded: list[Any]) -> Iterator[None]:
    """Have every connection that this process makes meanwhile remember what it was told and how it wrote."""
    plain: Any = driver.Connection

    class Recorded(plain):  # type: ignore[misc]
        is_closed = False
        synchronous: int | None = None
        busy_timeout: int | None = None

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.statements: list[str] = []
            self.set_trace_callback(self.statements.append)
            recorded.append(self)

        def close(self) -> None:
            self.set_trace_callback(None)
            with contextlib.suppress(driver.Error):
                (self.synchronous,) = plain.execute(self, "PRAGMA synchronous").fetchone()
                (milliseconds,) = plain.execute(self, "PRAGMA busy_timeout").fetchone()
                self.busy_timeout = round(milliseconds / 1000)  # what is left of it, a millisecond more or less
            self.is_closed = True
            super().close()

    connect = driver.connect

    def prepared(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **{"factory": Recorded, **named})
        return connection

    vars(driver)["connect"] = prepared
    try:
        yield
    finally:
        vars(driver)["connect"] = connect


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
    """What becomes of rows that come while somebody holds the queue: how many commits, and does one not wait."""
    from functools import partial

    from sqlite_writes import generate_example_rows, insert_row, pool_map

    connection = _driver().connect(database)  # while it is open, nobody takes the WAL away
    try:
        connection.execute("SELECT count(*) FROM messages").fetchall()
        before = _commits_in_wal(database)
        with _held_queue(database) as let_go:
            releasing = threading.Timer(2 * HELD, let_go)
            releasing.start()
            insert = partial(insert_row, database, settings=settings)
            outcomes = pool_map(insert, generate_example_rows(TOGETHER), start_method="fork")
            releasing.join()
        last = max(one.ended or 0 for one in outcomes)
        return {
            f"commits of {TOGETHER} rows that wait together": _commits_in_wal(database) - before,
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
def _held_queue(database: str) -> Iterator[Callable[[], float]]:
    """Hold the queue as a writer does; gives a function that lets go of it, once, and says when that was."""
    import fcntl

    descriptor = os.open(f"{database}-queue", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    moments: list[float] = []

    def let_go() -> float:
        if not moments:
            moments.append(time.monotonic())
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            with contextlib.suppress(OSError):  # nobody listens
                bell = os.open(f"{database}-queue-bell", os.O_WRONLY | os.O_NONBLOCK)
                os.write(bell, b"!")
                os.close(bell)
        return moments[0]

    try:
        yield let_go
    finally:
        os.close(descriptor)


def _end_of(text: str) -> str:
    """The last lines, without the folder of the sample's database, which has another name each time."""
    folder = rf"{re.escape(os.environ['SQLITE_WRITES_FOLDER'])}/[^/]+/"
    return "\n".join(re.sub(folder, "", text).rstrip().splitlines()[-8:])


def _take(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request: a value; or why it is not possible here; or the end of a traceback."""
    settings = request["arguments"].get("settings")
    try:
        if settings is not None:
            from benchmarks.common import skip_unless_possible

            skip_unless_possible(settings)
        return {"value": SAMPLES[request["sample"]](**request["arguments"])}
    except NotImplementedError as reason:
        return {"not possible": str(reason)}
    except BaseException as error:
        full = getattr(error, "errno", None) == 28 or "disk is full" in str(error)
        return {"error": _end_of(traceback.format_exc()), "disk is full": full}


def _take_in_a_new_process(request: dict[str, Any]) -> dict[str, Any]:
    result, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(result)
            with os.fdopen(answer, "w") as pipe:
                pipe.write(json.dumps(_take(request)) + "\n")
        finally:
            os._exit(0)
    os.close(answer)
    with os.fdopen(result) as pipe:
        line = pipe.readline()
    _, status = os.waitpid(pid, 0)
    if not line.endswith("\n"):
        return {"error": f"the process of the sample ended without a result (wait status {status})"}
    answered: dict[str, Any] = json.loads(line)
    return answered


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
        answers.write(json.dumps(problem or _take_in_a_new_process(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
