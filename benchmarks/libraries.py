"""Python's libraries under N processes at one moment: each as it comes, as it is advised, and within a turn.

Not measured by ``make bench``, since it needs an environment with all of the libraries: ``make libraries`` makes it.
Where a library is not installed, or a server is missing, its cells are n/a. The burst is that of ``Burst``: a process a
row, held at a gate and released at once; what a library takes to be imported is not in it.
"""

from __future__ import annotations

import importlib.metadata
from functools import partial

from .common import Report, Samples, _TimedBursts, bursts, database_path, find, mean, samples, setup, unit
from .durability import _Durability

# The usual worry, of which one burst is enough: there, who fails does so every time. And a number at which what fails,
# fails.
WORKERS = [50, 200]

# The same names for every commit: asv numbers the cells. Ours first, to compare with. New names go to the end.
WRITERS = [
    "default",
    "wal",
    "grouped",
    "sqlite3-autocommit",
    "sqlite3-autocommit-timeout",
    "sqlalchemy-core",
    "sqlalchemy-core-timeout",
    "sqlalchemy-core-in-turn",
    "sqlalchemy-orm",
    "sqlalchemy-orm-timeout",
    "sqlalchemy-orm-in-turn",
    "django",
    "django-reading",
    "django-immediate",
    "django-advised",
    "django-reading-in-turn",
    "peewee",
    "peewee-timeout",
    "peewee-advised",
    "peewee-in-turn",
    "sqlmodel",
    "sqlmodel-timeout",
    "sqlmodel-in-turn",
    "sqlite-utils",
    "sqlite-utils-timeout",
    "sqlite-utils-advised",
    "sqlite-utils-in-turn",
    "apsw",
    "apsw-timeout",
    "apsw-advised",
    "apsw-in-turn",
    "diskcache",
    "sqlitedict",
    "litequeue",
    "persist-queue",
    "huey",
    "lmdb",
    "json-lines",
    "postgresql",
    "django-timeout",
    "apsw-no-optimize",
    "apsw-no-optimize-timeout",
]


class Libraries(_TimedBursts):
    """A burst, written by a library's own way of writing one row."""

    params = (WORKERS, WRITERS)
    param_names = ("workers", "writer")

    version = "1"

    def setup(self, workers: int, writer: str) -> None:
        _skip_unless_installed(writer)
        measure = partial(_run_burst, workers, writer)
        self.use(self.measured_once(f"{workers} {writer}", measure, bursts(at_most=1 if workers == 50 else 3)))

    @unit("rows per burst")
    def track_altered_rows(self, workers: int, writer: str) -> float:
        return mean(self.reports, "altered")

    @unit("rows per burst")
    def track_duplicated_rows(self, workers: int, writer: str) -> float:
        return mean(self.reports, "duplicated")

    @unit("seconds")
    def track_slowest_insert(self, workers: int, writer: str) -> Samples:
        return samples(self.reports, "insert_time", "slowest")


class LibraryDurability(_Durability):
    """What a power loss takes of what a library has acknowledged; n/a for what is no SQLite file."""

    # A timeout has no part in what is kept.
    params = ([writer for writer in WRITERS if not writer.endswith("-timeout")],)

    version = "1"

    def setup(self, writer: str) -> None:
        _skip_unless_installed(writer)
        self.lose_power(writer)


def _skip_unless_installed(writer: str) -> None:
    """Have asv show n/a for a writer that this commit does not know, or whose library this environment lacks."""
    libraries = find("LIBRARIES")
    is_ours = writer in find("SETTINGS")
    if not is_ours and writer not in libraries:
        raise NotImplementedError(f"this commit has no writer {writer!r}")
    needed = {library.distribution for library in libraries.values()} if is_ours else {libraries[writer].distribution}
    if not any(_is_installed(distribution) for distribution in needed):
        raise NotImplementedError(f"{writer} needs {', '.join(needed)} here: make libraries installs it")


def _is_installed(distribution: str) -> bool:
    """Whether that is there; what Python brings needs one of the others, so that it is measured beside them only."""
    try:
        importlib.metadata.version(distribution or "SQLAlchemy")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _run_burst(workers: int, writer: str) -> Report:
    from sqlite_writes import generate_example_rows, insert_rows_in_parallel

    with database_path() as database:
        find("create_table_of")(writer, database)
        report: Report = insert_rows_in_parallel(database, generate_example_rows(workers), writer).to_dict()
    return report
