"""``--prepare`` and ``--cleanup``: shell commands before and after each burst. Knows nothing of what a burst is."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
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
    done = subprocess.run(  # noqa: S602 the caller's own command
        command,
        shell=True,
        env={**os.environ, DATABASE: database},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = (done.stdout.strip().splitlines() or ["it printed nothing"])[-1]
        raise CouldNotMeasure(f"{option} {command!r} ended with status {done.returncode}: {said}")
