"""Visit everything that can happen in the model of the line, and tell the shortest way to a broken promise.

Knows the model's steps, not what they mean. Two promises are checked in every state: power lost now takes no
acknowledged row, and no writer that is neither killed nor stopped is left without a step before its end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .steps import Model
from .world import NOBODY, Faults, World, Writer, start

if TYPE_CHECKING:
    from collections.abc import Callable

ENDED = ("done", "refused", "gone")

# Without these rules somebody looks at what ``reduced`` leaves out.
LOOKED_AT = {"only a sync that began after the commit covers it", "believe no note of before the power loss"}

# Where one stands that may yet look whether another's sync covers it.
ASKING = ("away", "waits", "in turn", "began", "committed", "looked", "left", "has lock")

# Name, faults, and where the writers connect.
SCENARIOS = {
    "no fault": (Faults(checkpoints=1), "before"),
    "one killed, power lost on the way": (Faults(kills=1, power_losses=1), "before"),
    "one stopped": (Faults(stops=1), "before"),
    "a sync fails, one killed": (Faults(kills=1, failed_syncs=1), "before"),
    "a sync fails, the line's file is deleted": (Faults(failed_syncs=1, deletions=1), "before"),
    "connections within the turn": (Faults(checkpoints=1), "within"),
    "connections within the turn, one killed, power lost on the way": (Faults(kills=1, power_losses=1), "within"),
    "one connection kept open, the others within the turn": (Faults(), "mixed"),
}

# What breaks without these takes three writers; where it does, so that nobody has to look for it.
THREE_WRITERS = {
    "sync no file that was removed": "connections within the turn",
    "only a descriptor from before the turn is told of all errors": "a sync fails, one killed",
}


@dataclass
class Search:
    """What came of it. broken: the promise that does not hold, and path the steps to there; empty if both hold."""

    states: int
    steps: int
    seconds: float
    broken: str = ""
    path: tuple[str, ...] = ()


def search(writers: int, faults: Faults, connects: str = "before", without: frozenset[str] = frozenset()) -> Search:
    """Visit every state, the nearest first, until a promise is broken.

    Of states that differ only in which writer is which, or in what nobody will look at again, one is visited.
    """
    began = time.monotonic()
    model, first = Model(without, connects), start(writers, faults)
    alike = {"mixed": writers - 1}.get(connects, writers)
    merge = (lambda world: world) if without & LOOKED_AT else partial(reduced, alike=alike)
    came: dict[World, World | None] = {first: None}
    frontier, steps = [first], 0
    while frontier:
        following = []
        for world in frontier:
            taken = list(model.steps(world))
            if _broken(model, world, bool(taken)):
                path, there = _path(model, came, world, merge)
                broken = _broken(model, there, bool(taken))
                return Search(len(came), steps, time.monotonic() - began, broken, path)
            for _, _, after in (*taken, *model.faults(world)):
                steps += 1
                if (known := merge(after)) not in came:
                    came[known] = world
                    following.append(known)
        frontier = following
    return Search(len(came), steps, time.monotonic() - began)


def _broken(model: Model, world: World, goes_on: bool) -> str:
    if lost := model.lost(world):
        names = [number for number in range(len(world.writers)) if lost >> number & 1]
        return f"power lost now takes the acknowledged row of {' and '.join(map(str, names))}"
    if not goes_on and any(one.at not in ENDED and not one.stopped for one in world.writers):
        waiting = [number for number, one in enumerate(world.writers) if one.at not in ENDED and not one.stopped]
        return f"{' and '.join(map(str, waiting))} waits for ever"
    return ""


def reduced(world: World, alike: int = 0) -> World:
    """Return the state without what nobody will look at again; the last so many writers are interchangeable."""
    asking = sum(1 << number for number, one in enumerate(world.writers) if one.at in ASKING)
    writers = [_without_the_past(one, asking) for one in world.writers]
    world = world._replace(writers=tuple(writers), left=world.left & asking, note=world.note & asking)
    fixed = len(writers) - alike
    places = {number: place for place, (number, _) in enumerate(world.frames)}

    def looks(number: int) -> tuple[object, ...]:
        one = writers[number]
        bits = [found >> number & 1 for found in (world.note, world.left, world.database, world.acknowledged)]
        mine = (world.turn == number, world.lock[1] == number, places.get(number, -1), world.excused >> number & 1)
        return (one._replace(seen=0, covered=0), *bits, *mine)

    order = [*range(fixed), *sorted(range(fixed, len(writers)), key=looks)]
    return world if order == sorted(order) else _renumbered(world, order)


def _without_the_past(one: Writer, asking: int) -> Writer:
    if one.at in ASKING:
        return one._replace(seen=one.seen & asking)
    if one.at in ("syncs", "fails", "notes"):
        return one._replace(seen=one.seen & asking, covered=one.covered & asking)
    return one._replace(seen=0, told=False, epoch=0, frames=0, covered=0)


def _renumbered(world: World, order: list[int]) -> World:
    new = {old: place for place, old in enumerate(order)} | {NOBODY: NOBODY}

    def bits(found: int) -> int:
        return sum(1 << new[old] for old in order if found >> old & 1)

    return world._replace(
        writers=tuple(
            world.writers[old]._replace(seen=bits(world.writers[old].seen), covered=bits(world.writers[old].covered))
            for old in order
        ),
        turn=new[world.turn],
        frames=tuple((new[number], state) for number, state in world.frames),
        database=bits(world.database),
        left=bits(world.left),
        note=bits(world.note),
        lock=(world.lock[0], new[world.lock[1]]),
        acknowledged=bits(world.acknowledged),
        excused=bits(world.excused),
    )


def _path(
    model: Model, came: dict[World, World | None], world: World, merge: Callable[[World], World]
) -> tuple[tuple[str, ...], World]:
    """Walk again, so that each writer keeps its number, along the states that stand for those on the way."""
    told = []
    stations = [world]
    while (before := came[stations[-1]]) is not None:
        stations.append(before)
    *_, here = stations
    for station in stations[-2::-1]:
        steps = (*model.steps(here), *model.faults(here))
        who, what, here = next(step for step in steps if merge(step[2]) == station)
        told.append(what if who == NOBODY else f"{who} {what}")
    return tuple(told), here


def counterexample(rule: str) -> tuple[str, Search]:
    """Return a scenario that breaks a promise without the rule, with as few writers as that takes."""
    writers, names = (3, [THREE_WRITERS[rule]]) if rule in THREE_WRITERS else (2, list(SCENARIOS))
    for name in names:
        found = search(writers, *SCENARIOS[name], frozenset({rule}))
        if found.broken:
            return f"{name}, {writers} writers", found
    raise LookupError(f"nothing breaks without {rule!r}")
