"""Where a number changed, and what got worse at which commit; knows no page.

asv finds regressions. It leaves out a benchmark that begins to fail itself. Its thresholds are relative, so failed rows
that leave 0 depend on the noise around them. Both are found here: each commit is compared with the one measured before.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .alarms import EVERY_BENCHMARK
from .history import graph_key
from .results import NAIVE_BURST, Value, entry_name, number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from asv.graph import Graph, GraphSet

    from .history import History, Measurement, Timeline
    from .results import Parameters

COUNTS = ("_failed_rows", "_lost_rows", "_recovered_rows", "_altered_rows", "_duplicated_rows")

# A step is (first revision, one past the last, value, smallest value, error), as asv detects them.
Step = tuple[int, int, float, float, float]

# A benchmark, and what tells its graphs apart.
GraphName = tuple[str, frozenset[tuple[str, str]]]


class Transition(NamedTuple):
    """A number that changed; ``since`` is the revision of the value before. None is a benchmark that failed."""

    revision: int
    since: int
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Worsening:
    """Something that got worse at a revision; ``since`` is the one at which it was measured before."""

    what: str
    history: History
    benchmark: str
    revision: int
    since: int
    before: str
    after: str

    @property
    def measurement(self) -> Measurement:
        """Where it showed."""
        return self.history.measurements[self.revision]

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the others, today and when it is published again."""
        return self.benchmark, self.history.folder, self.measurement.commit


def steps_of(graphs: Mapping[GraphName, Graph], history: History, name: str, place: int) -> list[Step]:
    """Return where asv saw the level of one set of parameters change, oldest first; its place is among all of them."""
    steps: list[Step] = []
    for key in history.graphs:
        graph = graphs.get((name, key))
        if graph is not None:
            steps += graph.get_steps() if graph.scalar_series else graph.get_steps()[place]
    return sorted(steps)


def transitions(name: str, timeline: Timeline, steps: list[Step]) -> list[Transition]:
    """Return where a number changed, oldest first.

    That is where asv sees its level change. Levels hide two things, which are added: where a benchmark begins or ceases
    to fail itself, and where a count of rows leaves 0 or comes back to it.
    """
    found = {
        after[0]: Transition(after[0], before[1] - 1, before[2], after[2])
        for before, after in itertools.pairwise(steps)
        if before[2] != after[2]
    }
    for transition in (*_failures(timeline), *(_zeros(timeline) if name.endswith(COUNTS) else ())):
        found[transition.revision] = transition
    return [transition for _, transition in sorted(found.items())]


def _failures(timeline: Timeline) -> Iterator[Transition]:
    """Yield where a benchmark begins or ceases to fail itself."""
    known = [(revision, value) for revision, value in timeline if value is not None and value.known]
    for (since, before), (revision, after) in itertools.pairwise(known):
        if before.failed != after.failed:
            yield Transition(revision, since, before.number, after.number)


def _zeros(timeline: Timeline) -> Iterator[Transition]:
    """Yield where a count leaves 0 or comes back to it; a failure in between says nothing of that."""
    known = [(revision, value.number) for revision, value in timeline if value is not None and value.measured]
    for (since, before), (revision, after) in itertools.pairwise(known):
        if bool(before) != bool(after):
            yield Transition(revision, since, before, after)


def find_worsenings(
    histories: list[History], benchmarks: Mapping[str, Any], graphs: GraphSet, html_dir: Path
) -> list[Worsening]:
    """Return everything that got worse, newest commit first, and of one commit failures and rows before the rest."""
    regressions = _regressions(histories, benchmarks, graphs, html_dir)
    ours = ((*_begun_failures(history), *_begun_rows(history)) for history in histories)
    found: dict[tuple[str, str, str], Worsening] = {}
    for worsening in (*itertools.chain.from_iterable(ours), *regressions):
        found.setdefault(worsening.key, worsening)
    return sorted(found.values(), key=lambda worsening: worsening.revision, reverse=True)


def _timelines(history: History) -> Iterator[tuple[str, Parameters, Timeline]]:
    """Yield every benchmark with each set of its parameters, and its timeline."""
    every = dict.fromkeys(
        (name, parameters)
        for measurement in history.measurements.values()
        for name, cells in measurement.values.items()
        for parameters in cells
    )
    for name, parameters in every:
        yield name, parameters, history.timeline(name, parameters)


def _begun_failures(history: History) -> Iterator[Worsening]:
    """Yield the benchmarks that began to fail; a commit at which all of them fail is one line."""
    what = "benchmark began to fail"
    for since, revision in itertools.pairwise(sorted(history.measurements)):
        if history.measurements[revision].all_failed and not history.measurements[since].all_failed:
            yield Worsening(what, history, EVERY_BENCHMARK, revision, since, before="numbers", after="failed")
    begun: dict[tuple[str, int, int], list[Parameters]] = {}
    for name, parameters, timeline in _timelines(history):
        for revision, since, _, after in _failures(timeline):
            if after is None and not history.measurements[revision].all_failed:
                begun.setdefault((name, revision, since), []).append(parameters)
    for (name, revision, since), failed in begun.items():
        benchmark = name
        if len(failed) < len(history.measurements[revision].values[name]):
            benchmark = entry_name(name, failed[0]) + (f" and {len(failed) - 1} more" if len(failed) > 1 else "")
        yield Worsening(what, history, benchmark, revision, since, before="a number", after="failed")


def _begun_rows(history: History) -> Iterator[Worsening]:
    """Yield the newest commit at which each count of rows left 0: near the limit that happens again and again."""
    for name, parameters, timeline in _timelines(history):
        if not name.endswith(COUNTS) or name.startswith(f"{NAIVE_BURST}."):
            continue
        begun = [transition for transition in _zeros(timeline) if transition.after]
        if begun:
            earlier = f" (as at {len(begun) - 1} commits before)" if len(begun) > 1 else ""
            newest = begun[-1]
            yield Worsening(
                what=f"{name.rpartition('.track_')[2].replace('_', ' ')} where there were none{earlier}",
                history=history,
                benchmark=entry_name(name, parameters),
                revision=newest.revision,
                since=newest.since,
                before=Value(newest.before).text("rows"),
                after=Value(newest.after).text("rows"),
            )


def _regressions(
    histories: list[History], benchmarks: Mapping[str, Any], graphs: GraphSet, html_dir: Path
) -> Iterator[Worsening]:
    """Yield what asv found, from the file that it has just published."""
    owners = {key: history for history in histories for key in history.graphs}
    parameters = {f"{path}.json": graph.params for path, graph in graphs}
    stored = json.loads((html_dir / "regressions.json").read_text(encoding="utf-8"))
    for entry, path, _unique, _place, _last, _best, jumps in stored["regressions"]:
        history = owners.get(graph_key(parameters[path]))
        unit = benchmarks[entry.partition("(")[0]].get("unit", "")
        for first, at, before, after in jumps:
            if history is None or at not in history.measurements:
                continue
            earlier = [revision for revision in history.measurements if revision < at]
            yield Worsening(
                what="regression",
                history=history,
                benchmark=entry,
                revision=at,
                since=first if first in history.measurements else max(earlier, default=at),
                before=number_text(before, unit),
                after=number_text(after, unit),
            )
