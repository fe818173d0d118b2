"""Bursts: N processes insert one row each into the same file at the same moment.

One writer at a time holds SQLite's lock; the others sleep and try again, 1 ms at first and 100 ms in the end, until the
busy timeout. So the number that gets through is about the timeout divided by the time of a commit, and with 5 s the
failures begin near 500 workers: hence sizes on both sides of that. Counting errors is not enough: the naive way below
raises none and loses rows, which only a look into the table shows.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

from .common import BURSTS, SETTINGS, WORKERS, BurstClock, Report, database_path, mean, measured_once


class Burst:
    """As many processes as workers, started fresh, held at a gate and released at once, each with one row."""

    params = (WORKERS, SETTINGS)
    param_names = ("workers", "settings")

    # asv's own names: one call a sample, as many samples as bursts, no more than once.
    version = "1"
    timeout = 600.0
    number = 1
    rounds = 1
    repeat = BURSTS
    warmup_time = 0.0
    timer = BurstClock()

    def setup_cache(self) -> None:
        """Have asv run the whole class in one folder (see common)."""

    def setup(self, workers: int, settings: str) -> None:
        from sqlite_writes import SETTINGS as KNOWN

        if settings not in KNOWN:
            raise NotImplementedError(f"this commit has no settings {settings!r}")
        self.reports = measured_once(f"{workers} {settings}", lambda: _burst(workers, settings))

    def time_burst(self, workers: int, settings: str) -> None:
        self.timer.replay(self.reports)

    def track_failed_rows(self, workers: int, settings: str) -> float:
        return mean(self.reports, "failed")

    def track_lost_rows(self, workers: int, settings: str) -> float:
        return mean(self.reports, "lost")

    track_failed_rows.unit = track_lost_rows.unit = "rows per burst"  # type: ignore[attr-defined]


class NaiveBurst:
    """THE WRONG WAY, as a baseline: plain ``Pool(n).map`` by fork, connections left to the garbage collector, WAL.

    The second of two bursts in one process; the first is of 50 rows. On Python 3.11 and newer it raises nothing and
    loses most of its rows: why, stands in sqlite_writes/naive.py.
    """

    params = ([50, 250, 500],)
    param_names = ("workers",)

    version = "1"
    timeout = 600.0

    def setup_cache(self) -> None:
        """Have asv run the whole class in one folder (see common)."""

    def setup(self, workers: int) -> None:
        try:
            from sqlite_writes import naive  # noqa: F401
        except ImportError:
            raise NotImplementedError("this commit has no naive way") from None
        self.reports = measured_once(f"naive {workers}", lambda: _naive_burst(workers))

    def track_failed_rows(self, workers: int) -> float:
        return mean(self.reports, "failed")

    def track_lost_rows(self, workers: int) -> float:
        return mean(self.reports, "lost")

    track_failed_rows.unit = track_lost_rows.unit = "rows per burst"  # type: ignore[attr-defined]


class Library:
    """What the numbers were measured with."""

    version = "1"

    def track_sqlite_version(self) -> int:
        """SQLite's version as its own number, 3040001 for 3.40.1."""
        major, minor, patch = sqlite3.sqlite_version_info
        return 1_000_000 * major + 1000 * minor + patch

    track_sqlite_version.unit = "version number"  # type: ignore[attr-defined]


def _burst(workers: int, settings: str) -> Report:
    from sqlite_writes import create_table, generate_example_rows, insert_rows_in_parallel

    with database_path() as database:
        create_table(database, settings)
        return insert_rows_in_parallel(database, generate_example_rows(workers), settings).to_dict()


def _naive_burst(workers: int) -> Report:
    """A naive burst in a process of its own, so that each one finds the same past: one burst of 50."""
    with database_path() as database:
        script = (
            "import json, sys; from sqlite_writes import generate_example_rows; "
            "from sqlite_writes.naive import naive_burst; "
            "bursts = [naive_burst(sys.argv[1], generate_example_rows(int(count))) for count in sys.argv[2:]]; "
            "print(json.dumps(dict(zip(('failed', 'lost'), bursts[-1]))))"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, database, "50", str(workers)],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
    report: Report = json.loads(done.stdout)
    return report
