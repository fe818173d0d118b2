"""``--prepare`` and ``--cleanup``: shell commands before and after each burst. Knows nothing of what a burst is."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .errors import CouldNotMeasure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# How the commands learn where the burst's database is.
DATABASE = "SQLITE_WRITES_DATABASE"


@contextmanager
def commands_around(prepare: str | None, cleanup: str | None, database: str) -> Iterator[None]:
    """Run the one before, the other afterwards, also after an error; ``CouldNotMeasure`` if one fails."""
    if prepare is not None:
        _run("--prepare", prepare, database)
    try:
        yield
    finally:
        if cleanup is not None:
            _run("--cleanup", cleanup, database)


def _run(option: str, command: str, database: str) -> None:
    """Run it to its end; what it leaves running in the background is not waited for.

    It leads a process group of its own. If we are interrupted, all of that is killed; a pipe would not end before the
    last of it, so what it prints goes into a file.
    """
    with tempfile.TemporaryFile() as output:
        pid = 0
        # A Ctrl-C comes after the start, not in the midst of it: else the process's number would be lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            try:
                pid = _start(command, database, output.fileno(), mask)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _, status = os.waitpid(pid, 0)
        except BaseException:
            if pid:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            raise
        output.seek(0)
        lines = output.read().decode(errors="replace").strip().splitlines()
    if status:
        said = lines[-1] if lines else "it printed nothing"
        raise CouldNotMeasure(f"{option} {command!r} ended with status {os.waitstatus_to_exitcode(status)}: {said}")


def _start(command: str, database: str, output: int, mask: Iterable[int]) -> int:
    """Start a shell with the command, and return its process id; ``mask``: the signals that it has blocked."""
    return os.posix_spawn(
        "/bin/sh",
        ["/bin/sh", "-c", command],
        {**os.environ, DATABASE: database},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setpgroup=0,
        setsigmask=mask,
        setsigdef=[signal.SIGPIPE],  # which Python ignores
    )
