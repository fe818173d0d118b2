"""Hold recorded runs of the real line to the model: what their system calls show must be one of the model's paths.

A call has its effect at some moment between its beginning and its end, and some steps of the model show in no call. So
all states are kept in which the model may be, as a checker of linearizability does; none left means that the code did
what the model does not allow. Knows the names of the files, and what line.py calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlite_writes import line
from sqlite_writes.scenarios.power_loss.recording import record

from .steps import Model
from .world import Faults, World, start

if TYPE_CHECKING:
    from sqlite_writes.scenarios.power_loss.recording import Call, Recording
    from sqlite_writes.writers.names import AnyWriter

# Steps that calls show: each takes effect while its call is under way.
SHOWN = {"takes its turn", "commits", "leaves the line", "locks the log", "sync ends", "sync fails", "notes"}

# Where a writer must stand as its call begins, where the step before shows in no other call.
STANDS = {"sync ends": ("syncs",), "sync fails": ("syncs",), "returns": ("acknowledged", "done")}


class Shown(NamedTuple):
    """What a call shows as it is entered, or left: the process, and the step."""

    is_entered: bool
    process: str
    step: str


def is_path(shown: list[Shown], faults: Faults = Faults()) -> str:  # noqa: B008 it is frozen
    """Return nothing if the model can do this too; else at which call it cannot."""
    model = Model()
    numbers: dict[str, int] = {}
    for call in shown:
        numbers.setdefault(call.process, len(numbers))
    under_way: dict[int, str] = {}
    states: set[tuple[World, frozenset[int]]] = {(start(len(numbers), faults), frozenset())}
    for place, call in enumerate(shown):
        me = numbers[call.process]
        if call.is_entered:
            states = _closure(model, states, under_way)
            if stands := STANDS.get(call.step):
                states = {(world, done) for world, done in states if world.writers[me].at in stands}
            if call.step in SHOWN:
                under_way[me] = call.step
        elif call.step in SHOWN:
            states = {(world, done - {me}) for world, done in _closure(model, states, under_way) if me in done}
            del under_way[me]
        if not states:
            return f"call {place} of {len(shown)}: writer {me} {call.step}"
    return ""


def _closure(
    model: Model, states: set[tuple[World, frozenset[int]]], under_way: dict[int, str]
) -> set[tuple[World, frozenset[int]]]:
    """Add every state to which steps lead that show in no call, or in one that is under way."""
    found, left = set(states), list(states)
    while left:
        world, done = left.pop()
        for who, step, after in model.steps(world):
            if step not in SHOWN:
                reached = (after, done)
            elif under_way.get(who) == step and who not in done:
                reached = (after, done | {who})
            else:
                continue
            if reached not in found:
                found.add(reached)
                left.append(reached)
    return found


def record_line(writer: AnyWriter, database: str, *, keep_open: bool, inject: str) -> tuple[Recording, list[Shown]]:
    """Record three processes that write one row each, and what their calls show."""
    recording = record(writer, database, workers=3, rows=1, keep_open=keep_open, inject=inject, more_calls="flock")
    return recording, shown_by(recording.calls, database)


def shown_by(calls: list[Call], database: str) -> list[Shown]:
    """Return what the calls show of the line of that database."""
    found: list[Shown] = []
    ours: set[tuple[str, str]] = set()  # descriptors of the log that are the line's, not SQLite's
    turns: set[str] = set()
    for place, call in enumerate(calls):
        if call.name == "openat" and not call.is_entered and call.result >= 0:
            ours.discard(call.descriptor)
            if call.named == [f"{database}-wal"] and "O_CREAT" not in call.arguments:
                ours.add(call.descriptor)
        step = _step(call, database, ours, turns, calls[place + 1 :])
        if step == "takes its turn" and not call.is_entered:
            turns.add(call.process)
        if step == "leaves the line" and not call.is_entered:
            turns.discard(call.process)
        if step:
            found.append(Shown(call.is_entered, call.process, step))
    return found


def _step(call: Call, database: str, ours: set[tuple[str, str]], turns: set[str], later: list[Call]) -> str:
    result = call.result if not call.is_entered else _result(call, later)
    step = ""
    if call.name == "write" and call.is_entered and call.texts and call.texts[0].startswith(b"acknowledged"):
        step = "returns"
    elif call.name == "flock" and result == 0:
        is_locking, is_line = "LOCK_EX" in call.arguments, call.path == f"{database}-write-line"
        if is_line:
            step = "takes its turn" if is_locking else "leaves the line" if call.process in turns else ""
        elif is_locking and call.descriptor in ours:
            step = "locks the log"
    elif call.name == "fdatasync" and call.descriptor in ours:
        step = "sync ends" if result == 0 else "sync fails"
    elif call.name == "pwrite64":
        if call.path == f"{database}-write-line" and call.last_number == line._NOTE_AT:
            step = "notes"
        elif call.path == f"{database}-wal" and _is_last_before_it_leaves(call, later):
            step = "commits"
    return step


def _result(call: Call, later: list[Call]) -> int:
    """Return the result of a call that is entered."""
    return next(other.result for other in later if other.process == call.process)


def _is_last_before_it_leaves(call: Call, later: list[Call]) -> bool:
    """Whether no later write to the log comes before the process gives up its lock."""
    own = (other for other in later if other.process == call.process and other.is_entered)
    for other in own:
        if other.name == "flock":
            return True
        if other.name == "pwrite64" and other.path == call.path:
            return False
    return False
