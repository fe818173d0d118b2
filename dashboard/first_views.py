"""What the pages of others open with: only benchmarks that have a number, and of each a view in which it has one.

asv's page draws the first eight combinations of parameters, and asv-tachyon's page takes the first value of each
selector. Both may have been measured nowhere. Knows asv's graphs, and no page of ours.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from .history import graph_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asv.graph import Graph, GraphSet

    from .history import History

# asv's own number of lines in one picture.
MOST_LINES = 8

Parameters = dict[str, str | None]


def keep_measured(benchmarks: dict[str, Any], graphs: GraphSet, preferred: History | None) -> tuple[Parameters, int]:
    """Have asv list only what has a number, each with its first view: it writes its index from these benchmarks.

    Return the environment that is shown first, as asv's parameters, and how many benchmarks have no number.
    """
    measured = graphs_by_benchmark(graphs)
    environment = first_environment(measured, preferred)
    empty = [name for name in benchmarks if name not in measured]
    for name in empty:
        del benchmarks[name]
    for name, described in benchmarks.items():
        view = first_view(described, measured[name], environment)
        # asv-tachyon takes a tracked number for better when it is higher, unless it is told.
        benchmarks[name] = {**described, "first_view": view, "less_is_better": True}
    return environment, len(empty)


def graphs_by_benchmark(graphs: GraphSet) -> dict[str, list[Graph]]:
    """Return the graphs of each benchmark that have a number; asv's summaries are none."""
    found: dict[str, list[Graph]] = {}
    for _path, graph in graphs:
        if "summary" not in graph.params and numbers_of(graph):
            found.setdefault(graph.benchmark_name, []).append(graph)
    return found


def numbers_of(graph: Graph) -> dict[int, list[int]]:
    """Return the commits at which there is a number, by the place of the parameters among all combinations."""
    found: dict[int, list[int]] = {}
    for revision, value, _weight in graph.get_data():
        for place, number in enumerate(value if isinstance(value, list) else [value]):
            if number is not None and not math.isnan(number):
                found.setdefault(place, []).append(revision)
    return found


def first_environment(measured: Mapping[str, list[Graph]], preferred: History | None) -> Parameters:
    """Return asv's parameters of the environment that is shown first: the preferred one, or that with most numbers.

    The preferred one may have several, as where the machine has got another kernel: that with most numbers too.
    """
    every = [graph.params for graph in itertools.chain.from_iterable(measured.values())]
    ours = preferred.graphs if preferred else set()
    unique = [parameters for place, parameters in enumerate(every) if every.index(parameters) == place]
    return max(unique, key=lambda one: (graph_key(one) in ours, every.count(one)), default={})


def first_view(described: Mapping[str, Any], graphs: list[Graph], environment: Parameters) -> dict[str, list[str]]:
    """Return what asv's page shows of a benchmark at first, as the parameters of its address.

    One environment, and at most eight lines: over the commits where there are several, or else over the parameter that
    has most values with a number.
    """
    graph = next((one for one in graphs if one.params == environment), graphs[0])
    view = {name: [_address_text(value)] for name, value in graph.params.items()}
    names, values = described["param_names"], described["params"]
    combinations = list(itertools.product(*map(range, map(len, values))))
    numbers = numbers_of(graph)
    cells = [combinations[place] for place in numbers if place < len(combinations)]
    if not values or not cells:
        return view
    along = _axis(cells) if len(set(itertools.chain.from_iterable(numbers.values()))) < 2 else None
    if along is not None:
        view["x-axis"] = [names[along]]
    for axis, chosen in _lines(cells, along).items():
        view[f"p-{names[axis]}"] = [values[axis][place] for place in chosen]
    return view


def _axis(cells: list[tuple[int, ...]]) -> int | None:
    """Return the parameter that has most values with a number; None if none has two."""
    counts = [len(set(of_axis)) for of_axis in zip(*cells)]
    return counts.index(max(counts)) if max(counts) > 1 else None


def _lines(cells: list[tuple[int, ...]], along: int | None) -> dict[int, list[int]]:
    """Return the values of each parameter that are drawn: all that have numbers, as long as the lines are few.

    Where there are too many, it is the value with most numbers, and of these the last: the largest burst.
    """
    chosen: dict[int, list[int]] = {}
    lines = 1
    axes = range(len(cells[0]))
    for axis in sorted(axes, key=lambda axis: (axis == along, -axis)):
        here = sorted({cell[axis] for cell in cells})
        if axis != along and lines * len(here) > MOST_LINES:
            counts = [sum(cell[axis] == place for cell in cells) for place in here]
            here = [max(zip(counts, here))[1]]
        lines *= len(here)
        chosen[axis] = here
    return dict(sorted(chosen.items()))


def _address_text(value: str | None) -> str:
    """Return a value as asv writes it into an address."""
    return "[none]" if value is None else str(value)
