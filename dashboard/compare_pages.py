"""The Compare pages: a page for each two environments of a machine, at the newest commit that both have measured.

It knows which pairs there are and what each page is called. The words are in page/compare.html.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from .comparison import Comparison, add_rounds, compare, label_of, read_rounds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from asv.config import Config
    from jinja2 import Environment

    from .history import History

FIRST_PAGE = "compare.html"


class Pair(NamedTuple):
    """Two environments, the older Python first, and the address of their page."""

    comparison: Comparison
    page: str


class MachinePairs(NamedTuple):
    """Every two environments of a machine; ``labels`` are those that can be compared with another, in order."""

    machine: str
    labels: dict[str, str]
    pairs: dict[tuple[str, str], Pair]

    @property
    def first(self) -> Pair:
        """What is shown first: most rounds, or else the two plain Pythons that are farthest apart."""

        def rank(place: int) -> tuple[int, bool, int, int]:
            of = every[place].comparison
            plain = not of.first.driver and not of.second.driver
            return of.rounds, plain, -order.index(of.first.folder), order.index(of.second.folder)

        every, order = list(self.pairs.values()), list(self.labels)
        return every[max(range(len(every)), key=rank)]


def find_pairs(
    config: Config, histories: list[History], benchmarks: Mapping[str, Any], revisions: Mapping[str, int]
) -> list[MachinePairs]:
    """Compare every two environments that have measured one commit; by machine, those without a pair left out."""
    rounds = read_rounds(config, benchmarks, revisions)
    every = add_rounds(histories, rounds)
    found = []
    for machine in dict.fromkeys(history.machine for history in every):
        here = [history for history in every if history.machine == machine]
        pairs = dict[tuple[str, str], Pair]()
        for first, second in itertools.combinations(here, 2):
            both = first.measurements.keys() & second.measurements.keys()
            if not both:
                continue
            comparison = compare(first, second, max(both), rounds, benchmarks)
            if comparison.rows:
                page = f"compare-{first.folder}-{second.folder}.html"
                pairs[first.folder, second.folder] = Pair(comparison, page)
        named = {folder for pair in pairs for folder in pair}
        if pairs:
            labels = {history.folder: _label(history, here) for history in here if history.folder in named}
            found.append(MachinePairs(machine, labels, pairs))
    return found


def _label(history: History, others: list[History]) -> str:
    """Return its short name, or its whole one where another has the same."""
    label = label_of(history)
    return label if [label_of(other) for other in others].count(label) == 1 else history.environment


def write_compare_pages(
    html_dir: Path, machines: list[MachinePairs], templates: Environment, common: dict[str, Any]
) -> None:
    """Write a page for each pair, and the first one's again under the name that the navigation has."""
    template = templates.get_template(FIRST_PAGE)
    shown = machines[0].first if machines else None
    (html_dir / FIRST_PAGE).write_text(template.render(machines=machines, shown=shown, **common), encoding="utf-8")
    for pair in (pair for machine in machines for pair in machine.pairs.values()):
        page = template.render(machines=machines, shown=pair, **common)
        (html_dir / pair.page).write_text(page, encoding="utf-8")
