"""A repository with result files that asv's own classes write, to publish without measuring; knows no page."""

from __future__ import annotations

import html
import itertools
import json
import math
import os
import re
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asv.results import Results
from asv.runner import BenchmarkResult

from dashboard.limits_data import LEADING

from .conftest import PROJECT
from .publish_worker import publish

if TYPE_CHECKING:
    from datetime import datetime

# To import asv and the pages takes longer than to publish so little: each process is forked from one that has.
FRESH = get_context("forkserver")
FRESH.set_forkserver_preload([publish.__module__])

WORKERS = ["50", "250", "500"]
SETTINGS = ["'default'", "'wal'", "'concurrent'"]
NAN = math.nan

# Of libraries.Libraries: settings of ours, libraries, of which one is made up, and stores of another kind.
LIBRARY_WORKERS = ["50", "200"]
WRITERS = [repr(name) for name in ("default", "made-up", "sqlalchemy-core", "made-up-in-turn", "lmdb", "postgresql")]
LIBRARY_METRICS = (
    *("track_failed_rows", "track_lost_rows", "track_altered_rows", "track_duplicated_rows"),
    *("time_burst", "track_slowest_insert"),
)

Numbers = dict[tuple[str, ...], Any]

PARAMETERS: dict[str, list[list[str]]] = {
    **{f"burst.Burst.{name}": [WORKERS, SETTINGS] for name in LEADING},
    "caller.NaiveBurst.track_failed_rows": [["500"]],
    "caller.NaiveBurst.track_lost_rows": [["500"]],
    "cost.Library.track_sqlite_version": [],
    "pool.Pool.track_memory": [],
}
LIBRARY_PARAMETERS = {f"libraries.Libraries.{name}": [LIBRARY_WORKERS, WRITERS] for name in LIBRARY_METRICS}


def describe(parameters: dict[str, list[list[str]]]) -> dict[str, dict[str, Any]]:
    """Benchmarks as asv writes them down."""
    return {
        name: {
            "name": name,
            "code": "",
            "params": of_name,
            "param_names": ["workers", "settings"][: len(of_name)],
            "type": "time" if ".time_" in name else "track",
            "unit": "ratio" if name.endswith("factor") else "rows per burst" if name.endswith("rows") else "seconds",
            "version": "1",
            "timeout": 60.0,
            "setup_cache_key": None,
        }
        for name, of_name in parameters.items()
    }


BENCHMARKS = describe(PARAMETERS)
WITH_LIBRARIES = describe({**PARAMETERS, **LIBRARY_PARAMETERS})


@dataclass
class Project:
    """A repository with commits, and asv's results for them; ``publish`` runs plain asv in it."""

    folder: Path
    commits: list[str] = field(default_factory=list)
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=lambda: BENCHMARKS)

    def __post_init__(self) -> None:
        self.results.mkdir(parents=True)
        self.git("init", "-q")
        (self.results / "benchmarks.json").write_text(json.dumps({"version": 2, **self.benchmarks}))
        configuration = json.loads((PROJECT / "asv.conf.json").read_text())
        configuration |= {"plugins": [".dashboard.pages"], "show_commit_url": "https://example.org/c/"}
        (self.folder / "asv.conf.json").write_text(json.dumps(configuration))

    @property
    def results(self) -> Path:
        """Where asv keeps its results."""
        return self.folder / ".asv" / "results"

    @property
    def html(self) -> Path:
        """Where asv publishes to."""
        return self.folder / ".asv" / "html"

    def git(self, *arguments: str, **more: str) -> str:
        """What git says."""
        names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **names, **more},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self, subject: str = "Change something") -> str:
        """An empty commit, an hour after the one before."""
        date = f"{1_700_000_000 + 3600 * len(self.commits)} +0000"
        self.git(*("commit", "-q", "--allow-empty", "-m", subject), GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def measure(
        self,
        numbers: dict[str, Numbers] | None = None,
        machine: str = "vm",
        python: str = "3.12",
        environment: str = "",
        required: dict[str, str] | None = None,
        record_samples: bool = False,
        driver: str = "",
        started: datetime | None = None,
    ) -> Path:
        """Store a result: per benchmark, a number, None (failed), NaN or a list of samples for each parameters.

        Parameters that are not named are n/a. Without numbers, all is well; without a start, it was just now.
        """
        described = {"machine": machine, "os": "Linux", "arch": "x86_64", "cpu": "", "ram": "1"}
        (self.results / machine).mkdir(exist_ok=True)
        (self.results / machine / "machine.json").write_text(json.dumps({**described, "version": 1}))
        date = 1000 * int(self.git("log", "-1", "--format=%ct"))
        name = f"virtualenv-py{python}{environment}"
        requirements = {f"pip+{distribution}": version for distribution, version in (required or {}).items()}
        parameters = {**described, "python": python, **requirements}
        variables = {"SQLITE_WRITES_DRIVER": driver} if driver else {}
        result = Results(parameters, requirements, self.commits[-1], date, python, name, variables)
        for name, cells in (all_well() if numbers is None else numbers).items():
            combinations = list(itertools.product(*self.benchmarks[name]["params"]))
            assert set(cells) <= set(combinations), name
            given = [cells.get(combination, NAN) for combination in combinations]
            sampled = [value if isinstance(value, list) else None for value in given]
            plain = [value if not isinstance(value, list) else 0 for value in given]
            counts = [None if value is None else 1 for value in sampled]
            measured = BenchmarkResult(plain, sampled, counts, 0, "", None)
            result.add_result(self.benchmarks[name], measured, started, record_samples=record_samples)
        result.save(str(self.results))
        return Path(self.results, result._filename)

    def publish(self) -> None:
        """Run plain asv publish."""
        process = FRESH.Process(target=publish, args=(str(self.folder),))
        process.start()
        process.join()
        assert process.exitcode == 0

    def json(self, path: str) -> Any:
        """A file of the Limits page's data."""
        return json.loads((self.html / "limits" / path).read_text())

    def case_json(self, workers: int, settings: str) -> Any:
        """The history of one case, where there is one environment."""
        cases = [json.loads(file.read_text()) for file in (self.html / "limits").glob("*/case-*")]
        return next(case for case in cases if (case["workers"], case["settings"]) == (workers, settings))

    def first_page(self) -> str:
        """The HTML of the first page, with its text as people read it, and each run of spaces as one."""
        return re.sub(r"\s+", " ", html.unescape((self.html / "index.html").read_text()))

    def banner(self) -> list[str]:
        """The lines of the warnings on the first page."""
        return re.findall(r"<li>(.*?)</li>", self.first_page().partition("<h1")[0])

    def feed_titles(self) -> list[str | None]:
        """The titles of the feed's entries."""
        return [title.text for title in ET.parse(self.html / "regressions.xml").iterfind("{*}entry/{*}title")]


def rows(default: float | None = 0.0, wal: float | None = 0.0, at: str = "500") -> Numbers:
    """Counts of rows: 0 everywhere, but with default settings and with WAL at one size; concurrent is n/a."""
    cells: Numbers = {(workers, settings): 0.0 for workers in WORKERS for settings in SETTINGS[:2]}
    return {**cells, (at, "'default'"): default, (at, "'wal'"): wal}


def all_well(**but: Numbers) -> dict[str, Numbers]:
    """All numbers, good ones but for those of the burst that are given by the end of their names."""
    given = {
        "track_failed_rows": rows(),
        "track_lost_rows": rows(),
        "track_recovered_rows": rows(),
        "track_duplicated_rows": rows(),
        "time_burst": {cell: [0.5 + place / 7, 0.6, 0.7, 0.8, 0.9] for place, cell in enumerate(rows())},
        "track_contention_factor": {cell: [2.5, 3.5 + place] for place, cell in enumerate(rows())},
        "track_slowest_insert": {cell: [0.0004, 0.0005, 0.00062] for cell in rows()},
        "track_p99_insert": {cell: [0.0003, 0.0004, 0.00052] for cell in rows()},
        **but,
    }
    return {**{f"burst.Burst.{name}": cells for name, cells in given.items()}, **beside_the_bursts()}


def libraries(failed: Numbers | None = None, seconds: dict[str, float] | None = None) -> dict[str, Numbers]:
    """All numbers of the libraries: no row failed, and a burst took half a second, but where something else is given.

    The made-up library in turn, LMDB and PostgreSQL are n/a unless failed rows of theirs are given.
    """
    usual: Numbers = {(workers, writer): 0.0 for workers in LIBRARY_WORKERS for writer in WRITERS[:3]}
    cells: Numbers = {**usual, **(failed or {})}
    zeros = {cell: None if value is None else 0.0 for cell, value in cells.items()}
    times = {cell: [(seconds or {}).get(cell[1], 0.5)] for cell, value in cells.items() if value is not None}
    given = {
        **dict.fromkeys(("track_lost_rows", "track_altered_rows", "track_duplicated_rows"), zeros),
        "track_failed_rows": cells,
        "time_burst": times,
        "track_slowest_insert": times,
    }
    return {f"libraries.Libraries.{name}": of for name, of in given.items()} | {
        "cost.Library.track_sqlite_version": {(): 3040001}
    }


def beside_the_bursts() -> dict[str, Numbers]:
    """The naive way, which loses rows by design, and benchmarks that work."""
    return {
        "caller.NaiveBurst.track_failed_rows": {("500",): 0.0},
        "caller.NaiveBurst.track_lost_rows": {("500",): 485.5},
        "cost.Library.track_sqlite_version": {(): 3040001},
        "pool.Pool.track_memory": {(): 7.0},
    }


def nothing_built() -> dict[str, Numbers]:
    """Every benchmark failed."""
    return {name: dict.fromkeys(itertools.product(*parameters)) for name, parameters in PARAMETERS.items()}
