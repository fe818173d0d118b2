"""Have processes write rows through any writer, and record their system calls. Knows nothing of what a disk keeps."""

from __future__ import annotations

import hashlib
import os
import re
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlite_writes.pool import pool_map
from sqlite_writes.scenarios.strace import can_trace, run_traced
from sqlite_writes.writers.names import AnyWriter, resolve_writer
from sqlite_writes.writers.ours import Ours
from sqlite_writes.writers.warm_up import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_writes.writers.writer import Writer

# A question mark: not every machine has the call.
_CALLS = (
    "openat,write,pwrite64,lseek,?unlink,?unlinkat,?rename,?renameat,?renameat2,?truncate,ftruncate,fsync,fdatasync"
)

# A sync takes a while, so that others commit meanwhile and share the next one; in microseconds.
SLOW_SYNCS = "fsync,fdatasync:delay_enter=2000"

# So many processes write, until so many rows of each are acknowledged.
WORKERS, ROWS = 8, 4

# What is beside a database and means nothing after a power loss: SQLite's index of the log, and our line.
_NOT_KEPT = ("-shm", "-write-line")

_SQLITE = b"SQLite format 3\0"
ROW = re.compile(rb"row (\d+\.\d+):([0-9a-f]{16})")


class Call(NamedTuple):
    """A system call that is entered, or left; its arguments in strace's words, and when left its result."""

    is_entered: bool
    process: str
    name: str
    arguments: str
    result: int

    @property
    def texts(self) -> list[bytes]:
        """The strings among its arguments."""
        return [_decoded(text) for text in re.findall(rf'"{_HEX}"', self.arguments)]

    @property
    def named(self) -> list[str]:
        """The paths among its arguments, each from the folder that the call names for it."""
        if "at" not in self.name:
            return [text.decode() for text in self.texts]
        pairs = re.findall(rf'<{_HEX}>, "{_HEX}"', self.arguments)
        return [os.path.join(_decoded(folder), _decoded(text)).decode() for folder, text in pairs]

    @property
    def path(self) -> str | None:
        """That of the descriptor which is its first argument, unless its file has been deleted."""
        found = re.match(rf"\d+<{_HEX}>(\(deleted\))?", self.arguments)
        return None if found is None or found[2] else _decoded(found[1]).decode()

    @property
    def descriptor(self) -> tuple[str, str]:
        """The process, and the number that is the call's first argument, or of ``openat`` its result."""
        number = str(self.result) if self.name == "openat" else re.split(r"\D", self.arguments, maxsplit=1)[0]
        return self.process, number

    @property
    def last_number(self) -> int:
        """Its last argument."""
        return int(self.arguments.rsplit(",", 1)[1])


_HEX = r"((?:\\x[0-9a-f]{2})*)"


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class Recording:
    """What was there before, what processes did, and what they said of each row, in order.

    main: the path of SQLite's file. said: ``"acknowledged 3.0"``, or ``"failed 3.0: OSError 5"``.
    """

    main: str
    contents: dict[str, bytes]
    calls: list[Call]
    said: list[str]

    @property
    def acknowledged(self) -> list[str]:
        """The names of the rows that were acknowledged."""
        return [words.partition(" ")[2] for words in self.said if words.startswith("acknowledged ")]

    @property
    def failed(self) -> dict[str, str]:
        """Why the others failed, by their names."""
        return dict(words.partition(" ")[2].partition(": ")[::2] for words in self.said if words.startswith("failed "))


def row_text(name: str) -> str:
    """Return what is written for that row: its name, and a digest that shows whether it was altered."""
    return f"row {name}:{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def record(
    writer: AnyWriter,
    database: str,
    *,
    workers: int = WORKERS,
    rows: int = ROWS,
    attempts: int | None = None,
    keep_open: bool = True,
    inject: str = SLOW_SYNCS,
    more_calls: str = "",
) -> Recording:
    """Have the writer make its table, and so many processes write rows at one moment; what they did.

    rows: how many each is to get acknowledged, in so many attempts, or as many as it writes unless ``attempts`` is
        given. An attempt is a row of its own.
    keep_open: over one connection that each keeps; else with one for each row.
    inject: what strace is to do to calls, as its ``inject=`` has it. more_calls: names of calls to record besides.

    ``NotImplementedError`` if there is no strace, if the writer cannot write here, or if it makes no SQLite file.
    """
    if not can_trace():
        raise NotImplementedError("strace is not installed, or may not trace")
    writer = resolve_writer(writer)
    (outcome,) = pool_map(writer.create, [database], deadline=60.0)
    if outcome.status != "returned":
        raise outcome.exception or ChildProcessError(f"create of {writer}: {outcome.status}")
    main = sqlite_file(database)
    contents = {str(path): path.read_bytes() for path in _files(database)}
    log = f"{database}.strace"
    options = ["--seccomp-bpf", "-y", "-xx", "-s", "1000000", "-e", f"trace={_CALLS}{more_calls and ',' + more_calls}"]
    options += ["-e", f"inject={inject}"] if inject else []
    try:
        said = run_traced(
            _write_rows, writer, database, workers, rows, attempts or rows, keep_open, options=options, log=log
        )
        return Recording(main, contents, list(_calls(Path(log).read_text().splitlines())), said.splitlines())
    finally:
        Path(log).unlink(missing_ok=True)


def is_kept(path: str) -> bool:
    """Whether what is in the file means anything after a power loss."""
    return not any(part in os.path.basename(path) for part in _NOT_KEPT)


def sqlite_file(database: str) -> str:
    """Return the path of SQLite's file, where the database is one or a folder with one; else it is not for us."""
    mains = [str(path) for path in _files(database) if path.read_bytes().startswith(_SQLITE)]
    if len(mains) != 1:
        raise NotImplementedError(f"{len(mains)} SQLite files were made, not one")
    return mains[0]


def _files(database: str) -> list[Path]:
    """The writer's files: the database and what begins with its name, or those in its folder."""
    path = Path(database)
    found = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}*")
    return [file for file in found if file.is_file() and is_kept(str(file))]


def _calls(lines: list[str]) -> Iterator[Call]:
    begun: dict[str, str] = {}
    for text in lines:
        process, rest = text.split(maxsplit=1)
        resumed = re.match(r"<\.\.\. \w+ resumed>", rest)
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest = rest[: -len("<unfinished ...>")].rstrip()
            name, _, arguments = rest.partition("(")
            yield Call(True, process, name, arguments.rstrip(",) "), 0)
            continue
        if resumed:
            rest = begun.pop(process) + rest[resumed.end() :]
        whole = re.match(r"(\w+)\((.*)\) += (-?\d+)", rest)
        if whole:
            if not resumed:
                yield Call(True, process, whole[1], whole[2], 0)
            yield Call(False, process, whole[1], whole[2], int(whole[3]))


def warm(writer: Writer) -> None:
    """Have it import what its first insert would import, and leave nothing open that a fork could carry along."""
    if isinstance(writer, Ours):
        warm_up(writer.settings)
    else:
        getattr(writer, "warm_up", bool)()


def _write_rows(writer: Writer, database: str, workers: int, rows: int, attempts: int, keep_open: bool) -> None:
    """Fork the workers, open one gate for all, and wait for them; called in a fresh process."""
    warm(writer)
    gate, opener = os.pipe()
    children = []
    for number in range(workers):
        if child := os.fork():
            children.append(child)
            continue
        status = 1
        try:
            os.close(opener)
            _work(writer, database, [f"{number}.{attempt}" for attempt in range(attempts)], rows, gate, keep_open)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(opener)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise ChildProcessError("a process that writes has failed")


def _work(writer: Writer, database: str, names: list[str], rows: int, gate: int, keep_open: bool) -> None:
    waiting = iter(names)
    left = rows
    os.read(gate, 1) if not keep_open else None
    while left:
        name = next(waiting, None)
        if name is None:
            return
        try:
            with writer.open(database) as insert:
                os.read(gate, 1)
                left -= _attempt(insert, name)
                while keep_open and left and (name := next(waiting, None)):
                    left -= _attempt(insert, name)
        except Exception as error:  # of opening, or of closing
            _say(f"failed {name}: {type(error).__name__} {error}")
            time.sleep(0.001)


def _attempt(insert: Callable[[tuple[str]], object], name: str) -> bool:
    try:
        insert((row_text(name),))
    except Exception as error:
        _say(f"failed {name}: {type(error).__name__} {error.errno if isinstance(error, OSError) else error}")
        time.sleep(0.001)
        return False
    _say(f"acknowledged {name}")
    return True


def _say(words: str) -> None:
    os.write(1, f"{' '.join(words.split())}\n".encode())
