"""The model of the line and the sync after it: it keeps its promises, needs each of its rules, and the code follows it.

``python -m experiments.line_model`` visits more, and prints the counterexamples (docs/durability.md).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from experiments.line_model.paths import is_path, record_line
from experiments.line_model.search import SCENARIOS, counterexample, reduced, search
from experiments.line_model.steps import RULES, Model
from experiments.line_model.world import Faults, start
from sqlite_writes import SETTINGS, line
from sqlite_writes.writers.ours import Ours

from .conftest import STRACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_writes.writers.ours import TracedInsert

# Those with connections within the turn, or without the line's file, have the most states: two writers, below.
QUICK = [name for name, (faults, connects) in SCENARIOS.items() if connects == "before" and not faults.deletions]
ALL_FAULTS = Faults(kills=1, stops=1, failed_syncs=1, power_losses=1, checkpoints=1, deletions=1)


@pytest.mark.parametrize("scenario", QUICK)
def test_three_writers_lose_no_acknowledged_row_and_none_waits_for_ever(scenario: str) -> None:
    found = search(3, *SCENARIOS[scenario])
    assert found.broken == ""
    assert found.states > 10_000


@pytest.mark.parametrize("connects", ["before", "within", "mixed"])
def test_nor_do_two_with_every_fault_on_the_way(connects: str) -> None:
    """Where the line's file is deleted, two may have the turn at once, and one may open a log too late to be told."""
    found = search(2, ALL_FAULTS if connects == "before" else ALL_FAULTS._replace(deletions=0), connects)
    assert found.broken == ""
    assert found.states > 5_000


@pytest.mark.parametrize("rule", RULES)
def test_without_each_of_the_rules_a_promise_is_broken(rule: str) -> None:
    _, found = counterexample(rule)
    waits = rule in ("sync alone when nothing is heard", "the kernel frees the lock of whoever is killed")
    assert found.broken.endswith("waits for ever") if waits else "takes the acknowledged row" in found.broken
    assert found.path


@pytest.mark.parametrize("connects", ["before", "within"])
def test_the_states_that_are_visited_stand_for_all_there_are(connects: str) -> None:
    faults = Faults(kills=1, failed_syncs=1)
    model, every, left = Model(frozenset(), connects), set(), [start(2, faults)]
    while left:
        world = left.pop()
        if world not in every:
            every.add(world)
            left += [after for _, _, after in (*model.steps(world), *model.faults(world))]
    visited = search(2, faults, connects).states
    assert len({reduced(world, 2) for world in every}) == visited < len(every)


@STRACE
@pytest.mark.parametrize("keep_open", [True, False])
@pytest.mark.parametrize("slow", [0, 2_000, 60_000])
def test_what_recorded_writers_do_is_a_path_of_the_model(keep_open: bool, slow: int, database: str) -> None:
    """With syncs so slow that some give up waiting for another's, too."""
    recording, shown = record_line(
        "grouped", database, keep_open=keep_open, inject=f"fdatasync:delay_enter={slow}" if slow else ""
    )
    assert len(recording.acknowledged) == 3
    assert len(shown) > 15
    assert is_path(shown) == ""


def believe_any_note(self: line._Place, committed: float) -> bool:
    return self._note()[1] > 0


@dataclass(frozen=True)
class BelievesAnyNote(Ours):
    """A line whose writers take any noted sync for one that covers them."""

    @contextmanager
    def open(self, database: str) -> Iterator[TracedInsert]:  # type: ignore[override]
        """As ours, in a process that is recorded."""
        line._Place._is_synced = believe_any_note  # type: ignore[method-assign]
        with super().open(database) as insert:
            yield insert


@STRACE
@pytest.mark.parametrize(
    "writer", [replace(SETTINGS["grouped"], sync_after=False), BelievesAnyNote(SETTINGS["grouped"])], ids=["", "any"]
)
def test_what_breaks_a_rule_is_no_path_of_the_model(writer: Ours, database: str) -> None:
    """It returns without a sync, or after one that began before its commit."""
    _, shown = record_line(writer, database, keep_open=True, inject="fdatasync:delay_enter=2000")
    assert "returns" in is_path(shown)
