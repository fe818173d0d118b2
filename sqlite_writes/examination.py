"""What a writer that is not ours does besides writing, seen in two processes that write one row each, alone.

The first writes and closes, and is watched: does it print, fork, or leave something open? The second is killed at the
very moment at which ``insert`` returns: what is acknowledged must be there. Knows no burst and no report.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from . import two_libraries
from .calls import TIME_ALONE, keep_quiet, prepare, what_happened
from .pool import Outcome, pool_map
from .writers.writer import InsertError, Writer, as_insert_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .table import Row

# Which of these files are SQLite's, and of which somebody holds the write lock? In a process of its own: to open and
# close a database file here would drop the locks that are looked for (https://sqlite.org/howtocorrupt.html, 2.2).
_WHO_IS_LOCKED = """\
import json, sqlite3, sys
answers = {}
for path in sys.argv[1:]:
    try:
        with open(path, "rb") as file:
            if file.read(16) != b"SQLite format 3\\0":
                continue
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        answers[path] = False
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        answers[path] = "locked" in str(error)
    except (OSError, sqlite3.Error):
        pass
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Watched:
    """What was seen of one that wrote a row and closed.

    error: what ``insert`` raised.
    printed: the first line that it printed.
    forked: it forked while a database was open.
    connected: the files that it opened through ``sqlite3``.
    locked: the databases whose write lock was held when ``insert`` had returned.
    left_open: the databases that were open when all was closed.
    twice: a sentence for each database that was open through two SQLite libraries at once.
    threads, children: what ran on then.
    """

    error: InsertError | None
    printed: str
    forked: bool
    connected: tuple[str, ...]
    locked: tuple[str, ...]
    left_open: tuple[str, ...]
    twice: tuple[str, ...]
    threads: int
    children: bool


@dataclass(frozen=True)
class Examination:
    """The two rows, what became of the processes that wrote them, and how many seconds each had."""

    closing_row: Row = field(default_factory=lambda: _new_row("closes"))
    killed_row: Row = field(default_factory=lambda: _new_row("killed"))
    closing: Outcome[Watched] | None = None
    killed: Outcome[None] | None = None
    limit: float = TIME_ALONE

    def without_own(self, rows: list[Row]) -> list[Row]:
        """The rows without the two of the examination."""
        return [row for row in rows if not _is_like(row, self.closing_row) and not _is_like(row, self.killed_row)]

    def remarks(self, rows: list[Row], workers: int, lost: int) -> list[str]:
        """Say in words what was seen; ``rows``: all that are there; ``lost``: of a burst of so many ``workers``."""
        if self.closing is None or self.killed is None:
            return []
        if self.closing.result is None:
            return [f"alone, too, insert {what_happened(self.closing, self.limit)}"]
        seen = self.closing.result
        found = [*seen.twice]
        is_kept = any(_is_like(row, self.closing_row) for row in rows)
        if seen.error is not None:
            found.append(f"alone, too, insert fails: {seen.error}")
        elif not is_kept:
            where = f"; it opened {', '.join(seen.connected)}" if seen.connected else ""
            found.append(
                "alone, too, its row is not there afterwards: it does not commit, "
                f"or it writes where rows() does not read{where}"
            )
        elif (
            not found
            and self.killed.killed_by == signal.SIGKILL
            and not any(_is_like(row, self.killed_row) for row in rows)
        ):
            found.append(
                "a row is gone when its process is killed as soon as insert has returned: it returns before it commits"
            )
        elif lost:
            found.append(
                f"alone it keeps its row, and of {workers} at one moment {lost} were lost without an error: "
                "insert hides an error such as database is locked, or a connection is shared by several processes"
            )
        found += [f"insert leaves a transaction open: it has returned, and {path} is locked" for path in seen.locked]
        found += [
            f"it leaves {path} open: close the connection (`with sqlite3.connect(…)` alone does not)"
            for path in seen.left_open
        ]
        if seen.forked:
            found.append(
                "it forks while the database is open: no connection may be carried across a fork "
                "(https://sqlite.org/howtocorrupt.html, section 2.6)"
            )
        if seen.children:
            found.append("it leaves a process running")
        if seen.threads:
            found.append(f"it leaves {seen.threads} thread{'s' * (seen.threads > 1)} running")
        if seen.printed:
            found.append(f"it prints: {seen.printed}")
        return found


def examine(writer: Writer, database: str, rows: Sequence[Row], *, start_method: str, deadline: float) -> Examination:
    """Have two processes write a row each, one after the other; none if the writer's rows are no strings."""
    if not any(isinstance(value, str) for (value,) in rows):
        return Examination()
    examination = Examination()
    limit = min(deadline, TIME_ALONE)
    (closing,) = pool_map(
        partial(_watch, writer, database),
        [examination.closing_row],
        start_method=start_method,
        deadline=limit,
        warm_up=partial(prepare, writer),
    )
    (killed,) = pool_map(
        partial(_be_killed, writer, database), [examination.killed_row], start_method=start_method, deadline=limit
    )
    return Examination(examination.closing_row, examination.killed_row, closing, killed, limit)


@dataclass(frozen=True)
class _Heard:
    """What Python's audit hooks tell of a process: databases that it opens, and what is open while it forks."""

    process: int
    before: list[str]
    connected: list[str] = field(default_factory=list)
    forks: list[list[str]] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take note; this is the hook."""
        if event == "sqlite3.connect":
            with suppress(Exception):
                self.connected.append(os.path.realpath(os.fsdecode(arguments[0])))
        elif event == "os.fork" and os.getpid() == self.process:
            self.forks.append(_new_files(self.before))


def _watch(writer: Writer, database: str, row: Row) -> Watched:
    """Write the row and close, and look at this process before, meanwhile and afterwards."""
    import tempfile

    before = _open_files()
    threads = threading.active_count()
    heard = _Heard(os.getpid(), before)
    locked: list[str] = []
    twice: list[str] = []
    databases: set[str] = set()
    error = None
    with tempfile.TemporaryFile() as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        sys.addaudithook(heard)
        try:
            with writer.open(database) as insert:
                insert(row)
                answers = _locks([*heard.connected, os.path.realpath(database), *_new_files(before)])
                databases, locked = set(answers), [path for path, is_locked in answers.items() if is_locked]
                twice = [two_libraries.in_words(path) for path in answers if two_libraries.both_have_open(path)]
        except BaseException as reason:
            error = as_insert_error(reason)
        if os.getpid() != heard.process:
            os._exit(0)  # a copy of us that the writer has forked
        left_open = [path for path in _new_files(before) if path in databases]
        with suppress(Exception):
            sys.stdout.flush()
        output.seek(0)
        printed = output.read(1000).decode(errors="replace").strip().partition("\n")[0]
    return Watched(
        error,
        printed[:200],
        any(path in databases for paths in heard.forks for path in paths),
        tuple(dict.fromkeys(heard.connected)),
        tuple(locked),
        tuple(dict.fromkeys(left_open)),
        tuple(twice),
        max(threading.active_count() - threads, 0),
        _has_children(),
    )


def _be_killed(writer: Writer, database: str, row: Row) -> None:
    """Write the row, and end at once when it is acknowledged, as by a power switch for this process."""
    keep_quiet()
    with writer.open(database) as insert:
        insert(row)
        os.kill(os.getpid(), signal.SIGKILL)


def _locks(paths: list[str]) -> dict[str, bool]:
    """Which of the paths are SQLite databases, and whether somebody holds the write lock."""
    answer = subprocess.run(
        [sys.executable, "-I", "-c", _WHO_IS_LOCKED, *dict.fromkeys(paths)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=TIME_ALONE,
        check=False,
    )
    locks: dict[str, bool] = json.loads(answer.stdout or b"{}")
    return locks


def _open_files() -> list[str]:
    """The files that this process has open, each as often as it has; none where the system does not tell."""
    files = []
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # the listing's own
                files.append(os.readlink(f"/proc/self/fd/{name}"))
    return [path for path in files if path.startswith("/") and not path.startswith(("/dev/", "/proc/"))]


def _new_files(before: list[str]) -> list[str]:
    files = _open_files()
    for path in before:
        if path in files:
            files.remove(path)
    return files


def _has_children() -> bool:
    """Whether a child of this process still runs."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
        return True
    return False


def _is_like(row: Row, own: Row) -> bool:
    """Whether it is that row of the examination, or what a writer has made of it."""
    return str(row[0])[:8] == str(own[0])[:8]


def _new_row(fate: str) -> Row:
    return (f"{uuid.uuid4()} of the examination: {fate}",)
