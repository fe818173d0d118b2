"""Everything that asv has stored, by machine, environment and commit; knows no page, and judges nothing."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asv.results import Results, iter_results_paths
from asv.util import UserError

from asv_plugins.pythons import python_order
from sqlite_writes.library import bugs_of

from .results import BURST, LIBRARY_BURST, Values, read_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asv.config import Config
    from asv.repo import Repo

    from sqlite_writes.library import KnownBug

    from .results import Parameters, Value

SQLITE_VERSION = "cost.Library.track_sqlite_version"
UNKNOWN_SQLITE = "SQLite of unknown version"

# What asv installs everywhere, as ``plain_name`` has it.
RUNNER = "asv-runner"

# What one benchmark gave with one set of parameters, by revision, oldest first; None where it was not measured.
Timeline = list[tuple[int, "Value | None"]]


@dataclass(frozen=True)
class Commit:
    """A commit that has results: asv's number for its place among all, its date in milliseconds, its subject."""

    revision: int
    hash: str
    date: int
    subject: str
    url: str | None

    @property
    def short(self) -> str:
        """The hash as people write it."""
        return self.hash[:8]


@dataclass(frozen=True)
class Measurement:
    """One result file: what one machine and environment gave for one commit; the commit's date in milliseconds.

    ``measured`` is when its newest number was taken, in milliseconds; 0 if that is not known. ``required`` is what the
    environment installed: versions by the names of distributions, as ``plain_name`` has them.
    """

    file: str
    commit: str
    date: int
    values: dict[str, Values]
    required: dict[str, str] = field(default_factory=dict)
    measured: int = 0

    @property
    def sqlite(self) -> str:
        """The SQLite that wrote, from the number that the suite tracks."""
        value = self.values.get(SQLITE_VERSION, {}).get(())
        if value is None or value.number is None or not value.measured:
            return UNKNOWN_SQLITE
        number = int(value.number)
        return f"SQLite {number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"

    @property
    def has_bursts(self) -> bool:
        """Whether it answers the question: the naive way alone answers another one."""
        return self._knows(BURST)

    @property
    def has_libraries(self) -> bool:
        """Whether bursts went through other people's libraries."""
        return self._knows(LIBRARY_BURST)

    @property
    def all_failed(self) -> bool:
        """Whether every benchmark failed itself, as when the package cannot be built."""
        return len(self.values) > 1 and all(value.failed for cells in self.values.values() for value in cells.values())

    def _knows(self, benchmark: str) -> bool:
        return any(value.known for value in self.values.get(f"{benchmark}.track_failed_rows", {}).values())


@dataclass
class History:
    """All measurements of one machine in one environment, by revision; ``graphs`` are asv's names for it."""

    machine: str
    environment: str
    python: str
    driver: str
    measurements: dict[int, Measurement] = field(default_factory=dict)
    graphs: set[frozenset[tuple[str, str]]] = field(default_factory=set)

    @property
    def folder(self) -> str:
        """A name for its files that no machine's or environment's name can break."""
        return hashlib.sha256(f"{self.machine}\0{self.environment}".encode()).hexdigest()[:12]

    @property
    def argument(self) -> str:
        """What make takes for it: the Python where the environment has nothing else, or the environment's name."""
        plain = set(self.newest.required) <= {RUNNER}
        return self.python if plain and not self.driver else self.environment

    @property
    def only_libraries(self) -> bool:
        """Whether it is about other people's libraries: it measured them, and no burst by settings."""
        every = self.measurements.values()
        return any(of.has_libraries for of in every) and not any(of.has_bursts for of in every)

    @property
    def newest_revision(self) -> int:
        """Of the newest commit whose bursts it has measured, or of the newest if there is none."""
        return max([revision for revision, of in self.measurements.items() if of.has_bursts] or self.measurements)

    @property
    def newest(self) -> Measurement:
        """The measurement of that commit."""
        return self.measurements[self.newest_revision]

    def sqlite(self, revision: int) -> str:
        """Return which SQLite it wrote with at that commit, and through which module."""
        version = self.measurements[revision].sqlite
        return f"{version} ({self.driver})" if self.driver else version

    def bugs(self, revision: int) -> list[KnownBug]:
        """Return what is known to be wrong with that SQLite, by its version."""
        version = self.measurements[revision].sqlite
        return [] if version == UNKNOWN_SQLITE else bugs_of(version.removeprefix("SQLite "))

    def name(self, revision: int, since: int | None = None) -> str:
        """Return a readable name at that commit; with ``since``, show `old → new` if SQLite changed."""
        sqlite = self.sqlite(revision)
        before = sqlite if since is None else self.sqlite(since)
        if before != sqlite and not any(version.startswith(UNKNOWN_SQLITE) for version in (before, sqlite)):
            sqlite = f"{before} → {sqlite}"
        return f"Python {self.python}, {sqlite}, on {self.machine}"

    def timeline(self, name: str, parameters: Parameters) -> Timeline:
        """Return what a benchmark gave with these parameters at each commit that was measured."""
        return [
            (revision, measurement.values.get(name, {}).get(parameters))
            for revision, measurement in sorted(self.measurements.items())
        ]


def read_histories(
    config: Config, benchmarks: Mapping[str, Any], revisions: Mapping[str, int]
) -> tuple[list[History], list[str]]:
    """Read the results of these revisions, by hash: machines by name, oldest Python first; and the unreadable files."""
    found: dict[tuple[str, str], History] = {}
    unreadable = []
    for folder, file, of_machine in iter_results_paths(config.results_dir):
        try:
            result = Results.load(str(Path(folder, file)), machine_name=of_machine)
        except UserError:  # cut short, by a full disk for instance
            unreadable.append(f"{of_machine}/{file}")
            continue
        revision = revisions.get(result.commit_hash)
        if revision is None:
            continue
        machine, environment = result.params["machine"], result.env_name
        history = found.setdefault(
            (machine, environment), History(machine, environment, result._python, _driver(result))
        )
        history.measurements[revision] = Measurement(
            result._filename,
            result.commit_hash,
            result.date,
            read_values(result, benchmarks),
            _required(result),
            max((started for started in result.started_at.values() if started), default=0),
        )
        variables = {f"env-{name}": value for name, value in result.env_vars.items()}
        history.graphs.add(graph_key({**result.params, **variables}))
    return sorted(found.values(), key=_order), sorted(unreadable)


def shown_revisions(config: Config, repo: Repo, revisions: Mapping[str, int]) -> dict[str, int]:
    """Return those of the branches. As in asv's own graphs, other commits are no part of this history."""
    shown = {commit for branch in config.branches for commit in repo.get_branch_commits(branch)}
    return {commit: revision for commit, revision in revisions.items() if commit in shown}


def graph_key(parameters: Mapping[str, str | None]) -> frozenset[tuple[str, str]]:
    """Return what tells asv's graphs apart, except the branch; asv fills in what a result lacks with None."""
    return frozenset((key, value) for key, value in parameters.items() if value and key != "branch")


def plain_name(distribution: str) -> str:
    """Return a distribution's name as installers compare them, without asv's prefix and without extras."""
    return re.sub(r"[-_.]+", "-", distribution.removeprefix("pip+").partition("[")[0]).lower()


def _required(result: Results) -> dict[str, str]:
    return {plain_name(name): version for name, version in result._requirements.items()}


def _driver(result: Results) -> str:
    """Return the DB-API module that the environment installs to write with; empty for the standard library's."""
    if "SQLITE_WRITES_DRIVER" not in result.env_vars:
        return ""
    required = {name.removeprefix("pip+"): version for name, version in result._requirements.items()}
    drivers = [f"{name} {version}".strip() for name, version in required.items() if name != "asv_runner"]
    return ", ".join(drivers)


def _order(history: History) -> tuple[str, tuple[int, ...], bool, str]:
    return history.machine, *python_order(history.python), history.environment


def read_commits(config: Config, repository: Path, histories: list[History]) -> list[Commit]:
    """Return the commits that have results, oldest first, with their subjects as git has them."""
    measured = {
        revision: measurement for history in histories for revision, measurement in history.measurements.items()
    }
    log = subprocess.run(
        ["git", "log", "--no-walk", "--ignore-missing", "--stdin", "--format=%H %s"],
        input="\n".join(measurement.commit for measurement in measured.values()),
        cwd=repository,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    # Neither the feed's XML nor a terminal takes what controls one.
    said = re.sub(r"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", log.stdout)
    subjects = dict(line.partition(" ")[::2] for line in said.split("\n"))
    show = config.show_commit_url if config.show_commit_url.startswith(("https://", "http://")) else ""
    return [
        Commit(revision, of.commit, of.date, subjects.get(of.commit, ""), show + of.commit if show else None)
        for revision, of in sorted(measured.items(), key=lambda item: item[0])
    ]
