"""The caller holds a connection while its processes write: our way and the naive way, by Python.

A forked worker inherits SQLite's belief about the locks of the process that it was forked from. Ours are not forked
from the caller. The naive way's are, and from Python 3.11 on its caller holds a connection without knowing: it loses
most of the rows of a burst of 500, and no worker sees an error (scenarios/naive.py in the package). On 3.10 none.
"""

from __future__ import annotations

import json
import subprocess
import sys

from .common import (
    BURSTS,
    Report,
    _Bursts,
    allow_many_descriptors,
    bursts,
    database_path,
    find,
    setup,
)

WORKERS = [50, 250, 500]


class HeldConnection(_Bursts):
    """Our way: a burst while the calling process has read the file, in WAL mode, and keeps its connection open."""

    params = (WORKERS,)
    param_names = ("workers",)

    version = "1"

    check_samples = ({"kind": "failure", "method": "check_burst", "params": [50], "deadline": 60},)

    def check_burst(self, workers: int) -> Report:
        return _burst_beside_a_connection(workers)

    def setup(self, workers: int) -> None:
        self.reports = self.measured_once(f"held {workers}", lambda: _burst_beside_a_connection(workers), bursts())


class NaiveBurst(_Bursts):
    """THE WRONG WAY, as a baseline: a plain ``Pool(n)`` by fork, connections left to the garbage collector, WAL.

    The second of two bursts in one process; the first is of 250 rows, into a file of its own.
    """

    params = (WORKERS,)
    param_names = ("workers",)

    version = "4"

    def setup(self, workers: int) -> None:
        find("naive_burst")
        # It loses rows every time: to see that takes no more bursts than these.
        self.reports = self.measured_once(f"naive {workers}", lambda: _naive_burst(workers), (BURSTS + 1) // 2)


def _burst_beside_a_connection(workers: int) -> Report:
    from sqlite_writes import Settings, create_table, generate_example_rows, insert_rows_in_parallel

    connect = find("connect")
    settings = Settings(journal_mode="wal", busy_timeout=60)
    with database_path() as database:
        create_table(database, settings)
        held = connect(database, settings)
        try:
            held.execute("SELECT * FROM messages").fetchall()
            return insert_rows_in_parallel(database, generate_example_rows(workers), settings).to_dict()
        finally:
            held.close()


def _naive_burst(workers: int) -> Report:
    """A naive burst in a process of its own, so that each one finds the same past: one burst of 250."""
    script = (
        "import json, sys; from sqlite_writes import generate_example_rows; "
        f"from {find('naive_burst').__module__} import naive_burst; "
        "bursts = [naive_burst(sys.argv[1] + str(place), generate_example_rows(int(n))) "
        "for place, n in enumerate(sys.argv[2:])]; "
        "print(json.dumps(dict(zip(('failed', 'lost'), bursts[-1]))))"
    )
    allow_many_descriptors()
    with database_path() as database:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, database, "250", str(workers)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    report: Report = json.loads(done.stdout)
    return report
