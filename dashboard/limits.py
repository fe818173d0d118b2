"""The data of the Limits page: every cell of the bursts by machine, environment and commit; knows no HTML.

What a view needs is a file of its own, so that a page loads a few kilobytes however long the history is:
``limits/index.json`` says which commits and environments there are, ``limits/SERIES/COMMIT.json`` has the numbers of
one commit, and ``limits/SERIES/cell-N.json`` the history of one cell. A number is a number, or with its interval
[number, low, high], or "failed", or "n/a"; what was not measured is null.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asv.results import Results, iter_results_paths
from asv.util import UserError

from .answer import (
    BURST,
    EVERY_BENCHMARK,
    NAIVE,
    NAIVE_BURST,
    UNKNOWN_SQLITE,
    Answer,
    read_answer,
    warnings_of,
)
from .results import Parameters, Value, Values, read_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asv.config import Config
    from asv.graph import GraphSet

# A step is (first revision, one past the last, value, smallest value, error), as asv detects them.
Step = tuple[int, int, float, float, float]
Json = dict[str, Any]

# A cell's values by revision, oldest first; and a change: (revision, revision of the value before, before, after).
History = list[tuple[int, "Value | None"]]
Transition = tuple[int, int, "float | str", "float | str"]

# The numbers that come first in the table, with their names; the others follow under asv's names.
LEADING = {
    "track_failed_rows": "failed rows",
    "track_lost_rows": "lost rows",
    "track_recovered_rows": "recovered rows",
    "track_duplicated_rows": "duplicated rows",
    "time_burst": "burst time",
    "track_contention_factor": "contention factor",
    "track_slowest_insert": "slowest insert",
    "track_p99_insert": "p99 insert",
}
COUNTS = ("_failed_rows", "_lost_rows", "_recovered_rows", "_duplicated_rows")


@dataclass(frozen=True)
class Commit:
    """A commit that has results: asv's number for its place in the history, and what people know it by."""

    revision: int
    hash: str
    date: int
    subject: str
    url: str | None

    def to_json(self) -> Json:
        """What the page shows of it; the date in milliseconds."""
        return {"hash": self.hash, "date": self.date, "subject": self.subject, "url": self.url}


@dataclass
class Measurement:
    """One result file: what one machine and environment gave for one commit; the date in milliseconds."""

    file: str
    commit: str
    date: int
    values: dict[str, Values]
    answer: Answer

    @property
    def has_bursts(self) -> bool:
        """Whether the question is answered by it: the naive way alone answers another one."""
        return bool(self.answer.cells.keys() - {NAIVE})


@dataclass
class Series:
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
    def newest_revision(self) -> int:
        """Of the newest commit whose bursts it has measured, or of the newest if there is none."""
        return max([revision for revision, of in self.measurements.items() if of.has_bursts] or self.measurements)

    @property
    def newest(self) -> Measurement:
        """The measurement of that commit."""
        return self.measurements[self.newest_revision]

    def sqlite(self, revision: int) -> str:
        """Which SQLite it wrote with at that commit, and through which module."""
        version = self.measurements[revision].answer.sqlite
        return f"{version} ({self.driver})" if self.driver else version

    def name(self, revision: int, since: int | None = None) -> str:
        """What people call it at that commit; a SQLite that is another than at an earlier one is told."""
        sqlite = self.sqlite(revision)
        before = sqlite if since is None else self.sqlite(since)
        if before != sqlite and not any(version.startswith(UNKNOWN_SQLITE) for version in (before, sqlite)):
            sqlite = f"{before} → {sqlite}"
        return f"Python {self.python}, {sqlite}, on {self.machine}"


def standing(all_series: list[Series]) -> Iterator[tuple[Series, int, list[str], list[str]]]:
    """What is known last of every number, as alarms and what is broken, by series and revision; newest first.

    So a newer commit of which only a part was measured takes back nothing of the rest; and an environment that is named
    anew, because it requires another runner, takes back what it measures of the same machine, Python and SQLite.
    """
    told = set[tuple[str, str, str, str, Parameters]]()
    every = [(revision, series) for series in all_series for revision in series.measurements]
    for revision, series in sorted(every, key=lambda item: -item[0]):
        measurement = series.measurements[revision]
        same = (series.machine, series.python, series.driver)
        known = [
            (name, parameters, value)
            for name, cells in measurement.values.items()
            for parameters, value in cells.items()
            if value.measured or value.failed
        ]
        fresh: dict[str, Values] = {}
        for name, parameters, value in known:
            if (*same, name, parameters) not in told:
                fresh.setdefault(name, {})[parameters] = value
        if fresh and (sum(map(len, fresh.values())) == len(known) or measurement.answer.broken == [EVERY_BENCHMARK]):
            yield series, revision, measurement.answer.alarms, measurement.answer.broken
        else:
            yield series, revision, *warnings_of(fresh, measurement.values)
        told.update((*same, name, parameters) for name, parameters, _ in known)


def graph_key(parameters: Mapping[str, str | None]) -> frozenset[tuple[str, str]]:
    """What tells asv's graphs apart, except the branch; asv fills in what a result lacks with None."""
    return frozenset((key, value) for key, value in parameters.items() if value and key != "branch")


def read_series(
    config: Config, known: Mapping[str, Any], revisions: Mapping[str, int]
) -> tuple[list[Series], list[str]]:
    """Every result of these revisions, machines by name, oldest Python first; and the files that cannot be read."""
    found: dict[tuple[str, str], Series] = {}
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
        machine = result.params["machine"]
        series = found.setdefault(
            (machine, result.env_name), Series(machine, result.env_name, result._python, _driver(result))
        )
        values = read_values(result, known)
        series.measurements[revision] = Measurement(
            result._filename, result.commit_hash, result.date, values, read_answer(result, values)
        )
        environment = {f"env-{name}": value for name, value in result.env_vars.items()}
        series.graphs.add(graph_key({**result.params, **environment}))
    return sorted(found.values(), key=_order), sorted(unreadable)


def _driver(result: Results) -> str:
    """The DB-API module that the environment installs, beside asv's own runner; empty for the standard library's."""
    required = {name.removeprefix("pip+"): version for name, version in result._requirements.items()}
    drivers = [f"{name} {version}".strip() for name, version in required.items() if name != "asv_runner"]
    return ", ".join(drivers)


def _order(series: Series) -> tuple[str, list[int], str]:
    return series.machine, [int(part) for part in series.python.split(".") if part.isdigit()], series.environment


def read_commits(config: Config, repository: Path, all_series: list[Series]) -> list[Commit]:
    """The commits that have results, oldest first, with their subjects as git has them."""
    measured = {revision: measurement for series in all_series for revision, measurement in series.measurements.items()}
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
    show = config.show_commit_url.strip("#")
    return [
        Commit(revision, of.commit, of.date, subjects.get(of.commit, ""), show + of.commit if show else None)
        for revision, of in sorted(measured.items(), key=lambda item: item[0])
    ]


class Steps:
    """Where asv saw a benchmark's level change, by series, benchmark and place among the parameters."""

    def __init__(self, graphs: GraphSet) -> None:
        self._graphs: dict[tuple[str, frozenset[tuple[str, str]]], Any] = {}
        for _path, graph in graphs:
            if "summary" not in graph.params:
                self._graphs.setdefault((graph.benchmark_name, graph_key(graph.params)), graph)

    def of(self, series: Series, name: str, place: int) -> list[Step]:
        """The steps of one cell, oldest first."""
        steps: list[Step] = []
        for key in series.graphs:
            graph = self._graphs.get((name, key))
            if graph is not None:
                steps += graph.get_steps() if graph.scalar_series else graph.get_steps()[place]
        return sorted(steps)


@dataclass(frozen=True)
class Row:
    """A line of the table: a cell of the bursts, or of the naive way, which is the baseline."""

    workers: int
    settings: str
    benchmark: str
    parameters: tuple[str, ...]
    place: int

    @property
    def baseline(self) -> bool:
        """The naive way: the wrong way, to compare with."""
        return self.benchmark == NAIVE_BURST


def rows_of(known: Mapping[str, Any]) -> list[Row]:
    """The lines of the table: settings in the suite's order, each by workers, and the baseline last."""
    rows = []
    for benchmark in (BURST, NAIVE_BURST):
        described = known.get(f"{benchmark}.track_failed_rows")
        for place, parameters in enumerate(itertools.product(*described["params"]) if described else ()):
            settings = parameters[1].strip("'") if len(parameters) > 1 else NAIVE
            rows.append(Row(int(parameters[0]), settings, benchmark, parameters, place))
    order = list(dict.fromkeys(row.settings for row in rows))
    return sorted(rows, key=lambda row: (row.baseline, order.index(row.settings), row.workers))


def metrics_of(known: Mapping[str, Any]) -> list[Json]:
    """The columns of the table: the leading ones first, with their units."""
    names = [name.removeprefix(f"{BURST}.") for name in known if name.startswith(f"{BURST}.")]
    names.sort(key=lambda name: (list(LEADING).index(name) if name in LEADING else len(LEADING), name))
    return [
        {
            "name": name,
            "label": LEADING.get(name, name.removeprefix("track_").replace("_", " ")),
            "unit": known[f"{BURST}.{name}"].get("unit", ""),
        }
        for name in names
    ]


def commit_json(series: Series, commit: Commit, rows: list[Row], metrics: list[Json]) -> Json:
    """All numbers of one commit in one environment, and what they say."""
    measurement = series.measurements[commit.revision]
    values = {
        metric["name"]: [
            None if value is None else value.to_json()
            for row in rows
            for value in [measurement.values.get(f"{row.benchmark}.{metric['name']}", {}).get(row.parameters)]
        ]
        for metric in metrics
    }
    answer = measurement.answer
    return {
        "machine": series.machine,
        "environment": series.environment,
        "python": series.python,
        "sqlite": series.sqlite(commit.revision),
        "commit": commit.hash,
        "result": f"{series.machine}/{measurement.file.rpartition('/')[2]}",
        "headline": answer.headline(),
        "baseline": answer.baseline(),
        "alarms": answer.alarms,
        "broken": answer.broken,
        "cells": [[row.workers, row.settings] for row in rows],
        "values": values,
    }


def cell_json(series: Series, row: Row, commits: list[Commit], metrics: list[Json], steps: Steps) -> Json:
    """The history of one cell: its numbers at each commit that was measured, and where they changed."""
    places = {c.revision: place for place, c in enumerate(commits) if c.revision in series.measurements}
    values, changes = {}, {}
    for metric in metrics:
        name = f"{row.benchmark}.{metric['name']}"
        history = [
            (revision, series.measurements[revision].values.get(name, {}).get(row.parameters)) for revision in places
        ]
        if any(value is not None for _revision, value in history):
            values[metric["name"]] = [None if value is None else value.to_json() for _revision, value in history]
            changed = changes_of(name, history, steps.of(series, name, row.place))
            changes[metric["name"]] = [
                {
                    "commit": places[at],
                    "since": places[since] if at - since > 1 else None,
                    "before": before,
                    "after": after,
                }
                for at, since, before, after in changed
                if at in places and since in places
            ]
    return {
        "machine": series.machine,
        "environment": series.environment,
        "workers": row.workers,
        "settings": row.settings,
        "commits": list(places.values()),
        "values": values,
        "changes": changes,
    }


def changes_of(name: str, history: History, steps: list[Step]) -> list[Transition]:
    """Where a cell changed, oldest first.

    Where asv sees its level change, and, since asv's levels hide both, where it begins or ceases to fail itself and
    where a count of rows becomes more than 0 or 0 again.
    """
    found: dict[int, Transition] = {
        after[0]: (after[0], before[1] - 1, before[2], after[2])
        for before, after in itertools.pairwise(steps)
        if before[2] != after[2]
    }
    for change in (*failures(history), *(zeros(history) if name.endswith(COUNTS) else ())):
        found[change[0]] = change
    return [change for _, change in sorted(found.items())]


def failures(history: History) -> Iterator[Transition]:
    """Where a benchmark begins or ceases to fail itself."""
    known = [(revision, value) for revision, value in history if value is not None and (value.measured or value.failed)]
    for (since, before), (revision, after) in itertools.pairwise(known):
        if before.failed != after.failed:
            old, new = ("failed" if value.number is None else value.number for value in (before, after))
            yield revision, since, old, new


def zeros(history: History) -> Iterator[Transition]:
    """Where a count leaves 0 or comes back to it; a benchmark that fails itself in between says nothing of that."""
    known = [(revision, value.number) for revision, value in history if value is not None and value.measured]
    for (since, before), (revision, after) in itertools.pairwise(known):
        if before is not None and after is not None and bool(before) != bool(after):
            yield revision, since, before, after


def write_data(
    folder: Path, all_series: list[Series], commits: list[Commit], known: Mapping[str, Any], steps: Steps
) -> Json:
    """Write the files of commits and cells, and give what the index says of them."""
    rows, metrics = rows_of(known), metrics_of(known)
    for series in all_series:
        place = folder / series.folder
        place.mkdir(parents=True)
        for commit in commits:
            if commit.revision in series.measurements:
                write_json(place / f"{commit.hash}.json", commit_json(series, commit, rows, metrics))
        for number, row in enumerate(rows):
            write_json(place / f"cell-{number}.json", cell_json(series, row, commits, metrics, steps))
    return {
        "commits": [commit.to_json() for commit in commits],
        "metrics": metrics,
        "series": [
            {
                "folder": series.folder,
                "machine": series.machine,
                "environment": series.environment,
                "python": series.python,
                "sqlite": series.sqlite(series.newest_revision),
                "commits": [n for n, commit in enumerate(commits) if commit.revision in series.measurements],
                "newest": next(n for n, commit in enumerate(commits) if commit.revision == series.newest_revision),
            }
            for series in all_series
        ],
    }


def write_json(path: Path, content: Json | list[Any]) -> None:
    """Compact, and never NaN, which no browser reads."""
    path.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False), encoding="utf-8")
