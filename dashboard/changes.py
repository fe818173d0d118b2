"""What got worse, and at which commit: asv's regressions, and what asv leaves out; knows no HTML.

asv leaves out a benchmark that begins to fail itself, and its thresholds are relative, so that failed rows that leave 0
depend on the noise around them. Both are found here by comparing each commit with the one measured before it.
"""

from __future__ import annotations

import html
import json
import urllib.parse
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from asv.feed import FeedEntry, write_atom
from asv.util import human_value

from .answer import EVERY_BENCHMARK, NAIVE_BURST, number_of_rows
from .limits import COUNTS, failures, graph_key, zeros
from .results import entry_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from asv.graph import GraphSet

    from .limits import Commit, Series, Transition
    from .results import Parameters, Value


@dataclass(frozen=True)
class Change:
    """Something that got worse at a commit; ``previous`` is the one at which it was measured before."""

    what: str
    series: Series
    benchmark: str
    commit: Commit
    previous: Commit
    before: str
    after: str

    @property
    def since(self) -> Commit | None:
        """The commit that it was measured at before, if others lie between: then it may be any of them."""
        return self.previous if self.commit.revision - self.previous.revision > 1 else None

    @property
    def where(self) -> str:
        """Python, SQLite and machine; another SQLite than before may be what changed it."""
        return self.series.name(self.commit.revision, self.previous.revision)

    @property
    def address(self) -> str:
        """Where the first page shows that commit in that environment."""
        return view_address(self.series, self.commit.hash)


def view_address(series: Series, commit: str) -> str:
    """The address of a view of the first page, relative to the site."""
    view = {"machine": series.machine, "environment": series.environment, "commit": commit}
    return f"index.html#{urllib.parse.urlencode(view)}"


def find_changes(
    all_series: list[Series], commits: list[Commit], known: Mapping[str, Any], graphs: GraphSet, html_dir: Path
) -> list[Change]:
    """Everything that got worse, newest commit first, and of one commit failures and rows before the rest."""
    by_revision = {commit.revision: commit for commit in commits}
    found = [change for series in all_series for change in _left_out(series, by_revision)]
    told = {(change.series.folder, change.benchmark, change.commit) for change in found}
    found += [
        change
        for change in _regressions(all_series, by_revision, known, graphs, html_dir)
        if (change.series.folder, change.benchmark, change.commit) not in told
    ]
    return sorted(found, key=lambda change: change.commit.revision, reverse=True)


def _left_out(series: Series, commits: Mapping[int, Commit]) -> Iterator[Change]:
    """Benchmarks that began to fail, and counts of rows that left 0."""
    histories: dict[tuple[str, Parameters], list[tuple[int, Value | None]]] = {}
    for revision, measurement in sorted(series.measurements.items()):
        for name, cells in measurement.values.items():
            for parameters, value in cells.items():
                histories.setdefault((name, parameters), []).append((revision, value))
    broken: dict[tuple[str, int, int], list[Parameters]] = {}
    for (name, parameters), history in histories.items():
        for revision, since, _, after in failures(history):
            if after == "failed":
                broken.setdefault((name, since, revision), []).append(parameters)
        if name.endswith(COUNTS) and not name.startswith(f"{NAIVE_BURST}."):
            begun = [change for change in zeros(history) if change[3]]
            if begun:
                yield _rows_begun(series, name, parameters, commits, begun)
    unbuilt: dict[int, int] = {}
    for (name, since, revision), places in broken.items():
        if series.measurements[revision].answer.broken == [EVERY_BENCHMARK]:  # one line, not one for each
            unbuilt[revision] = max(since, unbuilt.get(revision, since))
            continue
        entry = name if len(places) == len(series.measurements[revision].values[name]) else None
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield Change(
            "benchmark began to fail",
            series,
            entry or f"{entry_name(name, places[0])}{more}",
            commits[revision],
            commits[since],
            "a number",
            "failed",
        )
    for revision, since in unbuilt.items():
        at, previous = commits[revision], commits[since]
        yield Change("benchmark began to fail", series, EVERY_BENCHMARK, at, previous, "numbers", "failed")


def _rows_begun(
    series: Series,
    name: str,
    parameters: Parameters,
    commits: Mapping[int, Commit],
    begun: list[Transition],
) -> Change:
    """The newest commit at which a count of rows left 0; near the limit that happens again and again."""
    revision, since, before, after = begun[-1]
    rows = name.rpartition(".track_")[2].replace("_", " ")
    earlier = f" (as at {len(begun) - 1} commits before)" if len(begun) > 1 else ""
    shown = [value if isinstance(value, str) else number_of_rows(value) for value in (before, after)]
    return Change(
        f"{rows} where there were none{earlier}",
        series,
        entry_name(name, parameters),
        commits[revision],
        commits[since],
        shown[0],
        shown[1],
    )


def _regressions(
    all_series: list[Series],
    commits: Mapping[int, Commit],
    known: Mapping[str, Any],
    graphs: GraphSet,
    html_dir: Path,
) -> Iterator[Change]:
    """What asv found, from the file that it has just published."""
    owners = {key: series for series in all_series for key in series.graphs}
    parameters = {f"{path}.json": graph.params for path, graph in graphs}
    stored = json.loads((html_dir / "regressions.json").read_text(encoding="utf-8"))
    for entry, path, _unique, _place, _last, _best, jumps in stored["regressions"]:
        series = owners.get(graph_key(parameters[path]))
        unit = known[entry.partition("(")[0]].get("unit", "")
        for first, at, before, after in jumps:
            if series is not None and at in series.measurements:
                before_it = (
                    first
                    if first in series.measurements
                    else max((r for r in series.measurements if r < at), default=at)
                )
                yield Change(
                    "regression",
                    series,
                    entry,
                    commits[at],
                    commits[before_it],
                    human_value(before, unit),
                    human_value(after, unit),
                )


def write_feed(path: Path, changes: list[Change], project: str) -> None:
    """All of them as an Atom feed; an entry's id stays the same from one publish to the next."""
    entries = []
    for change in changes:
        when = datetime.fromtimestamp(change.commit.date / 1000, timezone.utc)
        since = f"after {change.since.hash[:8]}, at " if change.since else ""
        text = (
            f"{change.before} → {change.after}, {since}{change.commit.hash[:8]} “{change.commit.subject}”"
            f" ({change.where})"
        )
        entries.append(
            FeedEntry(
                f"{change.what}: {change.benchmark}",
                when,
                change.address,
                html.escape(text),
                [change.what.partition(" (")[0], change.benchmark, change.series.folder, change.commit.hash],
                when,
            )
        )
    write_atom(
        str(path),
        entries,
        author="sqlite-writes",
        title=f"{project}: what got worse",
        address=f"{project}.asv",
        updated=None if entries else datetime.now(timezone.utc),
    )
