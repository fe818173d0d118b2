"""A burst as asv benchmarks, for another project's suite: its subclass names a writer. Imports no asv, knows no SQL.

asv starts a process for every benchmark and parameter, and all metrics of a cell are to come from the same bursts. So
the first benchmark of a cell runs them and leaves their reports, as JSON, in the folder that asv makes for
``setup_cache``; the others read them. In each of asv's rounds (``asv run -a rounds=3``) there are new ones.
"""

from __future__ import annotations

import json
import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .burst import insert_rows_in_parallel
from .calls import create_table_of
from .driver import sqlite3
from .folders import fresh_folder
from .table import generate_example_rows
from .writers.names import AnyWriter, resolve_writer
from .writers.writer import Functions, Named, WriterError, load

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is kept of a burst's report, beside a quantile.
_KEPT = ("failed", "lost", "altered", "duplicated", "recovered", "burst_time", "slowest")

# asv shows NaN as n/a.
Samples = float | dict[str, Any]

_Kept = dict[str, float | None]

Benchmark = TypeVar("Benchmark", bound=Callable[..., object])


def _unit(name: str) -> Callable[[Benchmark], Benchmark]:
    """Tell asv what a benchmark's number counts."""

    def mark(benchmark: Benchmark) -> Benchmark:
        benchmark.unit = name  # type: ignore[attr-defined]
        return benchmark

    return mark


class Burst(ABC):
    """As many processes as workers insert one row each, at the same moment, through the writer that a subclass names.

    writer: what ``insert_rows_in_parallel`` takes. Best is ``package.module:name``: it is imported at each commit
        anew, and a commit that lacks it is n/a. What is imported at the top of a benchmark module has to be there at
        every commit. A writer may stand in the suite itself, where it is the working tree's at every commit.
    params: the numbers of workers, as asv wants them: a list in a list.
    bursts: how many bursts a cell gets, unless ``SQLITE_WRITES_BURSTS`` says so. Not 6: two sets of 6 samples never
        differ under asv's p < 0.002.
    deadline: seconds after which a burst's workers that have not ended are killed.
    version: asv discards a series when it changes. Ours stays; set your own when your writer means something else.

    Counts are means over the bursts, times are samples, one a burst. Lower is better in all of them. The database is
    new for each burst, in ``.asv/databases`` beside ``asv.conf.json`` or in the folder ``SQLITE_WRITES_FOLDER``: not in
    ``/tmp``, which on many machines is memory, where a sync costs nothing.

    asv collects every class that a benchmark module has, imported ones too, and passes over abstract ones. So this one
    is abstract, until a subclass says what ``writer`` is.
    """

    params: list[Any] = [[5, 50, 200]]  # noqa: RUF012 asv reads it, nobody changes it
    param_names: list[str] = ["workers"]  # noqa: RUF012 the same
    bursts = 3
    deadline = 60.0
    version = "1"
    # Of one benchmark, in seconds. The first of a cell runs all bursts of it.
    timeout = 900.0

    @property
    @abstractmethod
    def writer(self) -> AnyWriter:
        """A subclass sets it."""

    def __init_subclass__(cls) -> None:
        """Refuse at once what asv would pass over in silence, or could never find different."""
        super().__init_subclass__()
        if cls.writer is Burst.writer and not cls.__name__.startswith("_"):
            raise TypeError(f'{cls.__name__} has no writer: add a line such as writer = "package.module:name" to it')
        if not isinstance(cls.bursts, int) or cls.bursts < 1 or cls.bursts == 6:
            raise ValueError(
                f"bursts {cls.bursts!r} of {cls.__name__} is not a number of 1 or more, or it is 6, "
                "and asv never finds a difference between two sets of 6 samples: take 5 or 7"
            )

    def setup_cache(self) -> None:  # noqa: B027 it acts by being there
        """Do nothing, and so have asv run all benchmarks of all subclasses in one folder."""

    def setup(self, workers: int) -> None:
        """Run the cell's bursts, or read the reports of them. A commit without the writer is n/a."""
        _show_suite_to_fresh_processes(type(self).__module__)
        _skip_if_missing(self.writer)
        self.workers = workers
        self._reports_of(1)

    def _read(self, name: str) -> list[float | None]:
        """Return one of the numbers of each burst, of the round that asv is in.

        asv runs a benchmark once in a round, and does not say which round it is: it is counted here.
        """
        counted = Path(f"{self._cell} {name}.rounds")
        number = int(counted.read_text()) + 1 if counted.exists() else 1
        counted.write_text(str(number))
        return [report[name] for report in self._reports_of(number)]

    @property
    def _cell(self) -> str:
        # asv gives all subclasses of all modules the same folder.
        return f"{type(self).__module__}.{type(self).__qualname__} {self.workers}"

    def _reports_of(self, number: int) -> list[_Kept]:
        """Return the reports of that round's bursts, which its first benchmark runs."""
        kept = Path(f"{self._cell} {number}.json")
        if not kept.exists():
            kept.write_text(json.dumps("the same bursts were ended before they were done, in an earlier benchmark"))
            try:
                kept.write_text(json.dumps(self._measure(self.workers)))
            except BaseException:  # n/a, or nothing that is known to happen again
                kept.unlink()
                raise
        found: list[_Kept] | str = json.loads(kept.read_text())
        if isinstance(found, str):
            _fail(found)
        return found

    def _measure(self, workers: int) -> list[_Kept] | str:
        """Return a report for each burst, or in one line why there is none."""
        reports = []
        try:
            for _ in range(int(os.environ.get("SQLITE_WRITES_BURSTS", self.bursts))):
                with _new_database() as database:
                    create_table_of(self.writer, database)
                    report = insert_rows_in_parallel(
                        database, generate_example_rows(workers), self.writer, deadline=self.deadline
                    )
                    reports.append({name: getattr(report, name) for name in _KEPT} | {"p99": report.quantile(0.99)})
                    # asv shows it with --show-stderr.
                    sys.stderr.writelines(f"{line}\n" for line in [str(report).splitlines()[0], *report.remarks])
        except (WriterError, OSError, ValueError, RuntimeError, sqlite3.Error) as error:
            if isinstance(error, NotImplementedError):
                raise
            return str(error) if isinstance(error, WriterError) else f"{type(error).__name__}: {error}"
        return reports

    @_unit("rows per burst")
    def track_failed_rows(self, *_parameters: object) -> float:
        """Rows whose insert raised, was killed or ran out of time."""
        return self._mean("failed")

    @_unit("rows per burst")
    def track_lost_rows(self, *_parameters: object) -> float:
        """Rows whose insert returned, and that are not there. Must be 0."""
        return self._mean("lost")

    @_unit("rows per burst")
    def track_altered_rows(self, *_parameters: object) -> float:
        """Rows that are there with another value than was given. Must be 0."""
        return self._mean("altered")

    @_unit("rows per burst")
    def track_duplicated_rows(self, *_parameters: object) -> float:
        """Rows that are there more than once. Must be 0."""
        return self._mean("duplicated")

    @_unit("rows per burst")
    def track_recovered_rows(self, *_parameters: object) -> float:
        """Rows whose insert did not return, and that are there all the same."""
        return self._mean("recovered")

    @_unit("seconds")
    def track_burst_time(self, *_parameters: object) -> Samples:
        """From the first worker's start to the last one's end."""
        return self._samples("burst_time")

    @_unit("seconds")
    def track_slowest_insert(self, *_parameters: object) -> Samples:
        """The longest insert of a burst."""
        return self._samples("slowest")

    @_unit("seconds")
    def track_p99_insert(self, *_parameters: object) -> Samples:
        """The insert time that 99 of 100 inserts did not exceed."""
        return self._samples("p99")

    def _mean(self, name: str) -> float:
        """A median would be 0 when one burst of three loses a row. asv prints all digits that there are."""
        values = self._read(name)
        return round(sum(value or 0 for value in values) / len(values), 4)

    def _samples(self, name: str) -> Samples:
        """One sample a burst, so that asv knows the spread; n/a if no insert of a burst ended."""
        values = self._read(name)
        return math.nan if None in values else {"samples": values, "number": 1}


@contextmanager
def _new_database() -> Iterator[str]:
    """A path for a new database, in a folder of its own that is removed afterwards."""
    project = os.environ.get("ASV_CONF_DIR", ".")  # asv runs us elsewhere
    parent = Path(project, os.environ.get("SQLITE_WRITES_FOLDER", ".asv/databases"))
    parent.mkdir(parents=True, exist_ok=True)
    with fresh_folder(parent) as folder:
        yield str(Path(folder, "burst.db"))


def _show_suite_to_fresh_processes(module: str) -> None:
    """Have fresh processes import the suite's own modules, and nothing else of the folder that the suite is in.

    asv itself imports them with an importer of its own, which no other process has, because beside the suite often lies
    the working tree's package, which must not be taken for the commit's.
    """
    package = module.partition(".")[0]
    folder = next(iter(getattr(sys.modules[package], "__path__", ())), None)
    alone = Path("suite").absolute()
    if folder is not None and str(alone) not in sys.path:
        alone.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            Path(alone, package).symlink_to(folder)
        sys.path.insert(0, str(alone))


def _skip_if_missing(given: AnyWriter) -> None:
    """Have asv show n/a for a commit that lacks a name of the writer. What it has and cannot import fails."""
    try:
        writer = resolve_writer(given)
    except (ValueError, WriterError) as error:
        _fail(str(error))
    names = [writer.name] if isinstance(writer, Named) else []
    if isinstance(writer, Functions):
        parts = (writer.insert, writer.rows_there, writer.create_table)
        names = [part for part in parts if isinstance(part, str)]
    for name in names:
        try:
            load(name)
        except WriterError as error:
            missing = error.__cause__
            module = f"{name.partition(':')[0]}."
            if missing is None or (isinstance(missing, ModuleNotFoundError) and module.startswith(f"{missing.name}.")):
                raise NotImplementedError(str(error)) from None
            _fail(str(error))


def _fail(reason: str) -> NoReturn:
    """End this benchmark in one line, where asv would print a traceback through its own modules."""
    sys.exit(f"sqlite-writes: {' '.join(reason.split())}")
