"""The axes of the suite, and the bursts that its benchmarks share; knows asv's rules, and no SQL.

asv starts a new process for every benchmark and parameter, and failed rows, lost rows and times all come from the same
bursts. So a class of benchmarks names one folder (``setup_cache``: asv makes it and runs all of the class there), the
first benchmark of a cell runs the cell's bursts and leaves their reports in that folder, and the others read them.
A selection by ``asv run --bench`` runs the selected cells alone.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Iterator

# The same names for every commit: asv numbers the cells, and would mix them up if the list changed with the package.
# A commit that does not know a name shows n/a there.
SETTINGS = ["default", "wal", "wal-normal", "patient"]

# 1 and 5: nobody waits long. 50 to 250: the usual worry. 500: where failures begin. 1000: twice that.
WORKERS = [1, 5, 50, 100, 250, 500, 1000]

# Bursts a cell. Not 6: two sets of 6 samples can never differ under asv's p < 0.002.
BURSTS = int(os.environ.get("SQLITE_WRITES_BURSTS", "5"))

Report = dict[str, Any]


@contextmanager
def database_path() -> Iterator[str]:
    """A path for a new database, in a folder of its own that is removed afterwards.

    The folder is on the project's disk, not in ``/tmp``, which on many machines is memory, where a sync costs nothing.
    ``SQLITE_WRITES_FOLDER`` names another place.
    """
    default = Path(os.environ.get("ASV_CONF_DIR", ".")) / ".asv" / "databases"
    parent = Path(os.environ.get("SQLITE_WRITES_FOLDER", default))
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield str(Path(folder, "messages.db"))


def measured_once(cell: str, measure: Callable[[], Report]) -> list[Report]:
    """The cell's reports: what an earlier benchmark left in this folder, or ``BURSTS`` new ones."""
    kept = Path(f"{cell}.json")
    if not kept.exists():
        kept.write_text(json.dumps([measure() for _ in range(BURSTS)]))
    reports: list[Report] = json.loads(kept.read_text())
    return reports


def mean(reports: list[Report], name: str) -> float:
    """The mean over the bursts: unlike the median, not 0 if one burst of them all had failures."""
    return float(sum(report[name] for report in reports)) / len(reports)


class BurstClock:
    """A timer for asv that stands still except for the burst times measured already: each call replays one.

    asv would time the whole call, with the start of the processes; the burst time is from the first worker's start to
    the last worker's end, by the clock that they share.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._next = 0

    def __call__(self) -> float:
        return self._now

    def replay(self, reports: list[Report]) -> None:
        """Move on by the next report's burst time."""
        self._now += reports[self._next % len(reports)]["burst_time"]
        self._next += 1
