"""One burst in a fresh database, in a fresh folder that is removed afterwards, whatever happens.

Knows neither how many bursts are made, nor what is made of their reports.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import tempfile
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from .burst import insert_rows_in_parallel
from .calls import create_table_of
from .kept_open import insert_rows_kept_open
from .table import generate_example_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from .driver import Database
    from .report import BurstReport
    from .writers.names import AnyWriter

    # What is done around a burst: entered with the database's path before the table is made, left after the check.
    Around = Callable[[str], AbstractContextManager[object]]

# How the folder of a burst's database begins.
FOLDER_PREFIX = ".sqlite-writes-"


def run_burst(
    writer: AnyWriter,
    workers: int,
    *,
    directory: Database,
    rows_each: int | None = None,
    around: Around | None = None,
    deadline: float | None = None,
) -> BurstReport:
    """Make one burst with a fresh database in a fresh folder of the directory, and remove both.

    rows_each: how many rows each process inserts over one connection that it keeps; one, and a connection for it, if
        that is None.
    around: what to do before and after it.
    All else is as in ``insert_rows_in_parallel``. Raises ``OSError`` if a row was refused because the disk is full:
    that says nothing about the writer.
    """
    with fresh_database(directory) as database, (around or nullcontext)(database):
        create_table_of(writer, database)
        if rows_each is None:
            report = insert_rows_in_parallel(database, generate_example_rows(workers), writer, deadline=deadline)
        else:
            rows = generate_example_rows(workers * rows_each)
            report = insert_rows_kept_open(database, rows, writer, workers=workers, deadline=deadline)
    if "SQLITE_FULL" in report.errors or any(_is_full(outcome.exception) for outcome in report.outcomes):
        raise OSError(errno.ENOSPC, f"no space left on the disk of {os.fspath(directory)!r}")
    return report


@contextmanager
def fresh_database(directory: Database) -> Iterator[str]:
    """Give the path of a database that does not exist, in a folder that is made for it and removed afterwards."""
    folder = ""
    try:
        with _signals_blocked():  # else a Ctrl-C would lose the folder's name
            folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=os.path.abspath(os.fspath(directory)))
        yield os.path.join(folder, "writes.db")
    finally:
        with _signals_blocked():
            if folder:
                shutil.rmtree(folder, ignore_errors=True)


def _is_full(error: BaseException | None) -> bool:
    """Whether the system, not SQLite, refused a row because the disk is full; a writer's error is words only."""
    return error is not None and (
        getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)
    )


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
