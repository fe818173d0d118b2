"""The axes of the suite, and the bursts that its benchmarks share; knows asv's rules, and no SQL.

asv starts a new process for every benchmark and parameter, and the many metrics of a burst come from the same bursts.
So the classes share one folder (``setup_cache``: asv makes it and runs all of them there). The first benchmark of a
cell runs the cell's bursts and leaves their reports in that folder, and the others read them. With ``asv run --bench``
only the selected cells run. In each of asv's rounds (``asv run -a rounds=3``) a cell has bursts of its own.

Counts are given to asv as means: a median is 0 when two bursts of five lose a row. Times are given as samples, a sample
a burst, so that asv knows their spread. Failed and lost rows are given as samples too: their range, and whether they
change, cannot be told from means. Lower is better in all that is judged: asv knows no other direction.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

# The same names for every commit: asv numbers the cells, and would mix them up if the list changed with the package.
# A commit that does not know a name, and a SQLite that cannot write so, show n/a there.
SETTINGS = ["default", "wal", "wal-normal", "patient", "queued", "grouped", "concurrent", "fair", "synced"]

# All but one, which hardly any SQLite can write by.
USUAL_SETTINGS = [name for name in SETTINGS if name != "concurrent"]

# 1 and 5: nobody waits long. 50 to 250: the usual worry, and where failures begin. 500, 1000: far beyond.
WORKERS = [1, 5, 50, 100, 250, 500, 1000]

# "disk" is the project's, "memory" is /dev/shm, where a sync costs nothing.
STORAGE = ["disk", "memory"]

# Bursts a cell. Not 6: two sets of 6 samples can never differ under asv's p < 0.002.
BURSTS = int(os.environ.get("SQLITE_WRITES_BURSTS", "5"))

Report = dict[str, Any]
Samples = float | dict[str, Any]


Benchmark = TypeVar("Benchmark", bound=Callable[..., object])


def unit(name: str) -> Callable[[Benchmark], Benchmark]:
    """Tell asv what a benchmark's number counts."""

    def mark(benchmark: Benchmark) -> Benchmark:
        benchmark.unit = name  # type: ignore[attr-defined]
        return benchmark

    return mark


@contextmanager
def database_path(storage: str = "disk") -> Iterator[str]:
    """A path for a new database, in a folder of its own that is removed afterwards; n/a where there is no such storage.

    The folder is on the project's disk, not in ``/tmp``, which on many machines is memory, where a sync costs nothing.
    ``SQLITE_WRITES_FOLDER`` names another place for it.
    """
    if storage == "disk":  # asv runs us elsewhere: a relative folder is meant to be in the project
        parent = Path(os.environ.get("ASV_CONF_DIR", "."), os.environ.get("SQLITE_WRITES_FOLDER", ".asv/databases"))
    else:
        parent = Path("/dev/shm")  # noqa: S108
    if storage == "memory" and not os.access(parent, os.W_OK | os.X_OK):
        raise NotImplementedError("this machine has no /dev/shm that can be written")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="sqlite-writes-") as folder:
        yield str(Path(folder, "messages.db"))


def setup(*parameters: object) -> None:
    """Have asv show n/a for a commit that would ignore the SQLite that this environment is about.

    Every module of benchmarks imports this: asv runs a module's ``setup`` before each of its benchmarks, and without
    parameters also before a ``setup_cache``, where it takes whatever is raised for a failure. So a benchmark that has
    no parameters calls ``skip_if_driver_is_ignored`` itself.
    """
    if parameters:
        skip_if_driver_is_ignored()


def skip_if_driver_is_ignored() -> None:
    """Have asv show n/a for a commit that does not know ``SQLITE_WRITES_DRIVER``, where that is set."""
    if os.environ.get("SQLITE_WRITES_DRIVER") and importlib.util.find_spec("sqlite_writes.driver") is None:
        raise NotImplementedError("this commit knows no SQLITE_WRITES_DRIVER")


# Where the package keeps what it exports, and what it does not.
_ROOMS = [
    "sqlite_writes",
    "sqlite_writes.table",
    "sqlite_writes.library",
    "sqlite_writes.writers.ours",
    "sqlite_writes.writers.warm_up",
    "sqlite_writes.writers.libraries",
    "sqlite_writes.scenarios.transaction",
    "sqlite_writes.scenarios.naive",
    "sqlite_writes.scenarios.cost",
    "sqlite_writes.scenarios.memory",
    "sqlite_writes.scenarios.power_loss.replay",
    # Older commits have these instead.
    "sqlite_writes.database",
    "sqlite_writes.naive",
    "sqlite_writes.cost",
    "sqlite_writes.memory",
]


def find(*names: str) -> Any:
    """Return what this commit's package has by one of these names, wherever it keeps it; n/a if it has none."""
    for room in _ROOMS:
        for name in names:
            found = getattr(_module(room), name, None)
            if found is not None:
                return found
    raise NotImplementedError(f"this commit has no {names[0]}")


def _module(name: str) -> Any:
    """Import the module; None if this commit does not have it. What it has and cannot import fails here."""
    folder, _, _ = name.rpartition(".")
    if folder and _module(folder) is None:
        return None
    return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None


def allow_many_descriptors() -> None:
    """Raise this process's limit, as far as it may: a ``multiprocessing.Pool`` keeps two for each worker."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def skip_unless_possible(settings: str) -> None:
    """Have asv show n/a for settings that this commit does not know, or that the linked SQLite cannot write by."""
    from sqlite_writes import SETTINGS as KNOWN

    if settings not in KNOWN:
        raise NotImplementedError(f"this commit has no settings {settings!r}")
    if settings == "concurrent":
        find("check_library")(settings)


def run_burst_alone(workers: int, settings: str, storage: str = "disk") -> Report:
    """One burst into a new table: the report."""
    from sqlite_writes import create_table, generate_example_rows, insert_rows_in_parallel

    with database_path(storage) as database:
        create_table(database, settings)
        report: Report = insert_rows_in_parallel(database, generate_example_rows(workers), settings).to_dict()
    return report


def run_burst(workers: int, settings: str, storage: str = "disk") -> Report:
    """One burst, and beside it rows one after another: the report, with contention factor.

    Of more than a hundred rows a hundred are written, and count as many times as it takes: each takes as long.
    """
    from sqlite_writes import create_table, generate_example_rows

    report = run_burst_alone(workers, settings, storage)
    try:
        insert_rows_one_after_another = find("insert_rows_one_after_another")
    except NotImplementedError:
        return report
    with database_path(storage) as database:
        create_table(database, settings)
        rows = min(workers, 100)
        alone = insert_rows_one_after_another(database, generate_example_rows(rows), settings) * workers / rows
    report["contention_factor"] = None if report["burst_time"] is None else report["burst_time"] / alone
    return report


def bursts(settings: str = "", at_most: int = 3, wanted: int | None = None) -> int:
    """How many a cell gets: fewer of what is costly or beside the main question, two of ``patient``, the costliest."""
    return min(BURSTS if wanted is None else wanted, 2 if settings == "patient" else at_most)


class Cell(list[Report]):
    """The reports of a cell that belong to one of asv's rounds; ``read_as`` finds out which.

    asv runs every benchmark once in a round, each in a new process, and does not say which round it is. So a benchmark
    that has read the newest reports before has come again: it measures new ones, and the others read those.
    """

    def __init__(self, file: Path, measure: Callable[[], list[Report]]) -> None:
        self.file = file.absolute()
        self._measure = measure
        self._read_here: dict[str, list[Report]] = {}
        if not self.file.exists():
            self._keep({"rounds": [measure()], "read": {}})
        super().__init__(self._kept()["rounds"][-1])

    def read_as(self, reader: str) -> list[Report]:
        """Return the reports of the round that this reader is in; the same ones throughout a process."""
        if reader not in self._read_here:
            kept = self._kept()
            place = kept["read"].get(reader, 0)
            if place == len(kept["rounds"]):
                kept["rounds"].append(self._measure())
            kept["read"][reader] = place + 1
            self._keep(kept)
            self._read_here[reader] = kept["rounds"][place]
        return self._read_here[reader]

    def _kept(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads(self.file.read_text())
        return kept

    def _keep(self, kept: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(kept))


def mean(reports: list[Report], name: str) -> float:
    """The mean over the bursts; n/a if the commit's reports lack the name."""
    values = _values(reports, "mean", name)
    return sum(values) / len(values)


def samples(reports: list[Report], *names: str) -> Samples:
    """One sample a burst, found in the report by the names; n/a if the commit's reports lack one of them."""
    values = _values(reports, "samples", *names)
    return math.nan if any(map(math.isnan, values)) else {"samples": values, "number": 1}


def _values(reports: list[Report], kind: str, *names: str) -> list[float]:
    """Return a value a burst. No two benchmarks of a class may read the same names as the same kind: see ``Cell``."""
    values = []
    for report in _of_this_round(reports, " ".join([kind, *names])):
        value: Any = report
        for name in names:
            value = None if value is None else value.get(name)
        values.append(math.nan if value is None else float(value))
    return values


def _of_this_round(reports: list[Report], reader: str) -> list[Report]:
    return reports.read_as(reader) if isinstance(reports, Cell) else reports


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
        seconds = _of_this_round(reports, "replay")[self._next % len(reports)]["burst_time"]
        if seconds is None:
            raise RuntimeError("no insert of this burst ended, so it has no time")
        self._now += seconds
        self._next += 1


class _Reports:
    """What the classes share whose benchmarks read the same reports of a cell; each has its own ``version``."""

    timeout = 600.0
    reports: list[Report]

    def setup_cache(self) -> None:
        """Do nothing, and so have asv run all of these classes in one folder."""

    def measured_once(self, cell: str, measure: Callable[[], Report], count: int) -> list[Report]:
        """Return the cell's reports: what an earlier benchmark left in this folder, or ``count`` new ones.

        asv calls ``setup`` again before each call that it times: a process stays with what it has read.
        """
        file = Path(f"{type(self).__name__} {cell}.json")
        known = getattr(self, "reports", None)
        if isinstance(known, Cell) and known.file == file.absolute():
            return known
        return Cell(file, lambda: [measure() for _ in range(count)])


class _Bursts(_Reports):
    """What the classes share that count the rows of bursts."""

    @unit("rows per burst")
    def track_failed_rows(self, *_parameters: object) -> float:
        return mean(self.reports, "failed")

    @unit("rows per burst")
    def track_lost_rows(self, *_parameters: object) -> float:
        return mean(self.reports, "lost")

    # Once more, a sample a burst: asv keeps them where it is told to (--record-samples), and shows their median.
    @unit("rows")
    def track_failed_rows_by_burst(self, *_parameters: object) -> Samples:
        return samples(self.reports, "failed")

    @unit("rows")
    def track_lost_rows_by_burst(self, *_parameters: object) -> Samples:
        return samples(self.reports, "lost")


class _TimedBursts(_Bursts):
    """What the classes share that time bursts as well: asv's own names, with one call a burst, and the replay."""

    number = 1
    rounds = 1
    warmup_time = 0.0
    timer = BurstClock()

    def use(self, reports: list[Report]) -> None:
        """Have every benchmark of the cell read these reports."""
        self.reports = reports
        self.repeat = len(reports)

    def time_burst(self, *_parameters: object) -> None:
        self.timer.replay(self.reports)
