"""The state of the model of the line: some writers, each with one row, and all that they share. Takes no step.

Times are kept as what they are compared for. Of whoever syncs: who has begun a turn since its descriptor was opened,
and who had left the line when its sync began. A set of writers is a number whose bits they are.
"""

from __future__ import annotations

from typing import NamedTuple

NOBODY = -1


class Writer(NamedTuple):
    """One writer: where it stands, and what it holds.

    at: away, waits, in turn, began, committed, looked, left, has lock, syncs, fails, notes, synced, acknowledged; or
        refused, failed, gone (killed), done.
    connected: whether it has a connection open.
    log: the log's file that it has open to sync; 0 for none.
    seen: who has begun a turn since that was opened, as bits.
    told: whether its next sync fails because another's has.
    epoch, frames, covered: of its sync: the log, how much was in it, and whom the sync covers.
    late: whether its turn began after a sync had failed.
    stopped: it takes no step any more, and keeps what it holds.
    """

    at: str = "away"
    connected: bool = False
    log: int = 0
    seen: int = 0
    told: bool = False
    epoch: int = 0
    frames: int = 0
    covered: int = 0
    late: bool = False
    stopped: bool = False


class Faults(NamedTuple):
    """How many of each may happen on the way; deletions are of the line's file."""

    kills: int = 0
    stops: int = 0
    failed_syncs: int = 0
    power_losses: int = 0
    checkpoints: int = 0
    deletions: int = 0


class World(NamedTuple):
    """All that is the same for all writers.

    turn: who has it. file, epoch: the log's file, 0 if there is none, and which of SQLite's logs is in it: it begins
        anew after a checkpoint. frames: the commits in it, in order: a writer, and what of it is on the disk: ``no``,
        ``yes``, or ``never``, since a sync of it has failed.
    database: whose rows are in the database itself, durable. left: who has left the line.
    note: whom the noted sync covers. stale: there is a note of before the power loss. lock: the file of the log and
        who has its lock. hole: the log that is noted to have one.
    has_failed: a sync has; unnoted: and that is not noted, or not any more.
    acknowledged: whose rows are. excused: those of them that ``Model.lost`` excepts.
    """

    writers: tuple[Writer, ...]
    faults: Faults
    turn: int = NOBODY
    file: int = 0
    epoch: int = 0
    frames: tuple[tuple[int, str], ...] = ()
    database: int = 0
    left: int = 0
    note: int = 0
    stale: bool = False
    lock: tuple[int, int] = (0, NOBODY)
    hole: int = 0
    has_failed: bool = False
    unnoted: bool = False
    acknowledged: int = 0
    excused: int = 0


def start(writers: int, faults: Faults) -> World:
    """Return the world in which nobody has come yet, and the database is there without a log."""
    return World((Writer(),) * writers, faults)


def recovered(world: World) -> list[int]:
    """Whose commits SQLite finds in the log at the least: a prefix of it."""
    found = []
    for number, state in world.frames:
        if state != "yes":
            break
        found.append(number)
    return found


def put(world: World, me: int, writer: Writer | None = None, **changes: object) -> World:
    """Return the world with that writer, or with its changes."""
    found = list(world.writers)
    found[me] = writer if writer is not None else found[me]._replace(**changes)  # type: ignore[arg-type]
    return world._replace(writers=tuple(found))


def spend(world: World, fault: str) -> World:
    """Return the world in which one such fault fewer may happen."""
    return world._replace(faults=world.faults._replace(**{fault: getattr(world.faults, fault) - 1}))


def connected(world: World, me: int) -> World:
    """Whoever opens a database in WAL mode makes its log if there is none."""
    if not world.file:
        world = world._replace(file=world.epoch + 1, epoch=world.epoch + 1, frames=())
    return put(world, me, connected=True)


def unlocked(world: World, me: int, at: str) -> World:
    """Return the world in which the writer stands there, without the log's lock if it had it."""
    after = world._replace(lock=(0, NOBODY)) if world.lock[1] == me else world
    return put(after, me, at=at)
