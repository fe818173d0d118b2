"""``--prepare`` and ``--cleanup``: shell commands before and after each burst. Knows nothing of what a burst is."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .errors import CouldNotMeasure

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    It leads a session of its own. If we are interrupted, all of that is killed; a pipe would not end before the last of
    it, so what it prints goes into a file.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S602 the caller's own command
            command,
            shell=True,
            env={**os.environ, DATABASE: database},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        output.seek(0)
        lines = output.read().decode(errors="replace").strip().splitlines()
    if status:
        said = lines[-1] if lines else "it printed nothing"
        raise CouldNotMeasure(f"{option} {command!r} ended with status {status}: {said}")
