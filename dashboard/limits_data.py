"""The data of the Limits page: every burst by machine, environment and commit, as JSON; knows no HTML.

What a view needs is a file of its own, so that a page loads little however long the history is:
``limits/index.json`` says which commits and environments there are, ``limits/HISTORY/COMMIT.json`` has the numbers of
one commit, and ``limits/HISTORY/case-N.json`` the history of one line of its table. A value is what
``Value.to_json`` gives, or null where nothing was measured.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .alarms import alarms_of
from .answer import answer_of
from .results import BURST, BY_BURST, MUST_BE_ZERO, NAIVE_BURST, way_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .changes import Judged, Name
    from .history import Commit, History
    from .results import Parameters

Json = dict[str, Any]

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
NOT_DRAWN = ("track_recovered_rows", "track_duplicated_rows")


@dataclass(frozen=True)
class Case:
    """A line of the table: one size of burst under one settings, or of the naive way, which is the baseline."""

    workers: int
    settings: str
    benchmark: str
    parameters: Parameters

    @property
    def baseline(self) -> bool:
        """The naive way: the wrong way, to compare with."""
        return self.benchmark == NAIVE_BURST

    def to_json(self) -> Json:
        """Return what the page shows in front of the numbers."""
        return {"workers": self.workers, "settings": self.settings, "baseline": self.baseline}


def cases_of(benchmarks: Mapping[str, Any]) -> list[Case]:
    """Return the lines of the table: settings in the suite's order, each by workers, and the baseline last."""
    cases = []
    for benchmark in (BURST, NAIVE_BURST):
        described = benchmarks.get(f"{benchmark}.track_failed_rows")
        every = itertools.product(*described["params"]) if described else ()
        cases += [Case(*way_of(parameters), benchmark, parameters) for parameters in every]
    order = list(dict.fromkeys(case.settings for case in cases))
    return sorted(cases, key=lambda case: (case.baseline, order.index(case.settings), case.workers))


def metrics_of(benchmarks: Mapping[str, Any]) -> list[Json]:
    """Return the columns of the table: the leading ones first, with their units."""
    names = [name.removeprefix(f"{BURST}.") for name in benchmarks if name.startswith(f"{BURST}.")]
    names = [name for name in names if not name.endswith(BY_BURST)]  # the same rows again
    names.sort(key=lambda name: (list(LEADING).index(name) if name in LEADING else len(LEADING), name))
    return [
        {
            "name": name,
            "label": LEADING.get(name, name.removeprefix("track_").replace("_", " ")),
            "unit": benchmarks[f"{BURST}.{name}"].get("unit", ""),
            "drawn": name in LEADING and name not in NOT_DRAWN,
            "must_be_zero": MUST_BE_ZERO.fullmatch(f"{BURST}.{name}") is not None,
        }
        for name in names
    ]


def commit_json(history: History, commit: Commit, cases: list[Case], metrics: list[Json]) -> Json:
    """Return all numbers of one commit in one environment, and what they say."""
    measurement = history.measurements[commit.revision]
    values = {}
    for metric in metrics:
        of_cases = [measurement.values.get(f"{case.benchmark}.{metric['name']}", {}) for case in cases]
        found = [of.get(case.parameters) for of, case in zip(of_cases, cases)]
        values[metric["name"]] = [value and value.to_json(metric["unit"]) for value in found]
    answer, alarms = answer_of(measurement.values), alarms_of(measurement)
    return {
        "machine": history.machine,
        "environment": history.environment,
        "python": history.python,
        "sqlite": history.sqlite(commit.revision),
        "bugs": [bug._asdict() for bug in history.bugs(commit.revision)],
        "commit": commit.hash,
        "result": f"{history.machine}/{measurement.file.rpartition('/')[2]}",
        "headline": answer.headline(),
        "baseline": answer.baseline(),
        "alarms": alarms.rows,
        "broken": alarms.failed,
        "cases": [case.to_json() for case in cases],
        "values": values,
    }


def case_json(
    history: History, case: Case, commits: list[Commit], metrics: list[Json], judged: Mapping[Name, Judged]
) -> Json:
    """Return the history of one case: its numbers at each commit that was measured, and where they changed."""
    places = {commit.revision: place for place, commit in enumerate(commits)}
    values, changes = {}, {}
    for metric in metrics:
        name = f"{case.benchmark}.{metric['name']}"
        of = judged.get((history.folder, name, case.parameters))
        if of is None:
            continue
        values[metric["name"]] = [value and value.to_json(metric["unit"]) for _revision, value in of.timeline]
        changes[metric["name"]] = [
            {
                "commit": places[change.revision],
                "since": places[change.since] if change.revision - change.since > 1 else None,
                "before": of.text(change.before),
                "after": of.text(change.after),
                "how_sure": change.how_sure,
            }
            for change in of.transitions
        ]
    return {
        "machine": history.machine,
        "environment": history.environment,
        **case.to_json(),
        "commits": [places[revision] for revision in sorted(history.measurements)],
        "values": values,
        "changes": changes,
    }


def write_data(
    folder: Path,
    histories: list[History],
    commits: list[Commit],
    benchmarks: Mapping[str, Any],
    judged: Mapping[Name, Judged],
) -> Json:
    """Write the files of commits and cases, and return what the index says of them."""
    cases, metrics = cases_of(benchmarks), metrics_of(benchmarks)
    for history in histories:
        place = folder / history.folder
        place.mkdir(parents=True)
        for commit in commits:
            if commit.revision in history.measurements:
                write_json(place / f"{commit.hash}.json", commit_json(history, commit, cases, metrics))
        for number, case in enumerate(cases):
            write_json(place / f"case-{number}.json", case_json(history, case, commits, metrics, judged))
    places = {commit.revision: place for place, commit in enumerate(commits)}
    return {
        "commits": [asdict(commit) for commit in commits],
        "metrics": metrics,
        "histories": [
            {
                "folder": history.folder,
                "machine": history.machine,
                "environment": history.environment,
                "python": history.python,
                "argument": history.argument,
                "sqlite": history.sqlite(history.newest_revision),
                "commits": [places[revision] for revision in sorted(history.measurements)],
                "newest": places[history.newest_revision],
            }
            for history in histories
        ],
    }


def write_json(path: Path, content: Json | list[Any]) -> None:
    """Write it compactly, and never NaN, which no browser reads."""
    path.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False), encoding="utf-8")
