"""What got worse for other programs: an Atom feed, and the file that asv's page and asv-tachyon's read.

Both say what the first page says, and nothing else: what is not sure is in neither. Judges nothing.
"""

from __future__ import annotations

import itertools
import json
import urllib.parse
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from asv.feed import FeedEntry, write_atom

from .history import graph_key

if TYPE_CHECKING:
    from pathlib import Path

    from asv.graph import GraphSet
    from jinja2 import Environment

    from .changes import Judged, Worsening
    from .history import Commit, History

LIBRARIES = "libraries.html"


def view_address(history: History, commit: str) -> str:
    """Return the address of a view of the first page, or of the page of the libraries, relative to the site."""
    if history.only_libraries:
        return LIBRARIES
    view = {"machine": history.machine, "environment": history.environment, "commit": commit}
    return f"index.html#{urllib.parse.urlencode(view)}"


def write_feed(
    path: Path, project: str, worsenings: list[Worsening], commits: list[Commit], templates: Environment
) -> None:
    """Write them as an Atom feed; an entry's id stays the same from one publish to the next."""
    text = templates.get_template("feed_entry.html")
    by_revision = {commit.revision: commit for commit in commits}
    entries = [
        FeedEntry(
            f"{it.what}: {it.benchmark}",
            datetime.fromtimestamp(it.measurement.date / 1000, timezone.utc),
            link=view_address(it.history, it.measurement.commit),
            content=text.render(it=it, commits=by_revision),
            id_context=[it.what.partition(" (")[0], *it.key],
        )
        for it in worsenings
        if it.sure
    ]
    write_atom(
        str(path),
        entries,
        author="sqlite-writes",
        title=f"{project}: what got worse",
        address=f"{project}.asv",
        updated=None if entries else datetime.now(timezone.utc),
    )


def write_regressions(path: Path, worsenings: list[Worsening], graphs: GraphSet) -> None:
    """Write them as asv writes its regressions, over these: a line for each number, with all its steps.

    A line is the name, the graph's path, what tells the graph from others, the place among the parameters, the last and
    the best value, and the steps as (revision before, revision, value before, value).
    """
    every = {(of.benchmark_name, graph_key(of.params)): of for _, of in graphs if "summary" not in of.params}
    told = {name: len(values) > 1 for name, values in graphs.get_params().items()}
    lines: list[list[Any]] = []
    rising = sorted(
        (it for it in worsenings if it.sure and it.judged and it.transition),
        key=lambda it: (it.history.folder, it.benchmark),
    )
    for _, of_one in itertools.groupby(rising, key=lambda it: (it.history.folder, it.benchmark)):
        steps = list(of_one)
        judged = steps[0].judged
        graph = _graph_of(judged, every) if judged else None
        if judged is None or graph is None:
            continue
        numbers = [number for _, number in judged.numbers]
        different = {name: value for name, value in graph.params.items() if told[name]}
        jumps = [
            [None if it.revision - it.since == 1 else it.since, it.revision, it.transition.before, it.transition.after]
            for it in reversed(steps)
            if it.transition
        ]
        lines.append([judged.entry, f"{graph.path}.json", different, judged.place, numbers[-1], min(numbers), jumps])
    path.write_text(json.dumps({"regressions": lines}, separators=(",", ":")), encoding="utf-8")


def _graph_of(judged: Judged, every: dict[tuple[str, frozenset[tuple[str, str]]], Any]) -> Any:
    """Return asv's graph of it; of several, those of machines that were described anew, any."""
    return next((every[judged.name, key] for key in judged.history.graphs if (judged.name, key) in every), None)
