"""One burst in a fresh database, in a fresh folder that is removed afterwards, whatever happens.

Knows neither how many bursts are made, nor what is made of their reports.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from .burst import insert_rows_in_parallel
from .calls import create_table_of
from .folders import fresh_folder
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
    with fresh_folder(directory) as folder:
        yield os.path.join(folder, "writes.db")


def _is_full(error: BaseException | None) -> bool:
    """Whether the system, not SQLite, refused a row because the disk is full; a writer's error is words only."""
    return error is not None and (
        getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)
    )
