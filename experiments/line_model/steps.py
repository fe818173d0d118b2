"""The steps of the line and the sync after it, and every fault between them, each of them one change of the world.

Knows neither files nor SQLite: what it takes for granted of both stands with the step that needs it. A step is what
sqlite_writes/line.py does between two moments at which another process can notice. ``RULES`` are what the promise rests
on; the model is run without one to see what breaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .world import NOBODY, World, Writer, connected, put, recovered, spend, unlocked

if TYPE_CHECKING:
    from collections.abc import Iterator

# What docs/group_commit.md promises by; the name of each, and what the code does otherwise when it is taken away.
RULES = {
    "sync before you return": "an insert returns when it has left the line",
    "sync the log that is there at the end of the turn": "the log is not looked at again before the line is left",
    "sync no file that was removed": "a log that is no longer there is synced, and the sync is noted",
    "only a sync that began after the commit covers it": "any noted sync is believed",
    "the commit's moment is after it": "a commit's moment is that at which its turn began",
    "a sync's moment is before it": "a sync's moment is that at which it ended",
    "note a sync when it has ended": "a sync is noted when it begins",
    "only a descriptor from before the turn is told of all errors": "it does not matter when a descriptor was opened",
    "open the log before the transaction": "the log is opened at the end of the turn only",
    "note a hole": "a sync that failed is not noted",
    "believe no note of before the power loss": "a note is believed whenever it was written",
    "sync alone when nothing is heard": "whoever waits for another's sync waits for ever",
    "the kernel frees the lock of whoever is killed": "a killed process keeps its turn",
    "a checkpoint syncs": "a checkpoint syncs neither the log nor the database (synchronous=OFF)",
}

# Who did what, and how the world is then. A fault has no actor.
Step = tuple[int, str, World]
LIVE = ("waits", "in turn", "began", "committed", "looked", "left", "has lock", "syncs", "fails", "notes", "synced")


class Model:
    """The steps that may come next, with some of the rules taken away.

    connects: ``"before"`` its turn, as our own writers do, or ``"within"`` it, as a library does that is called there,
        and may be closed there too; ``"mixed"``: the first writer before, the others within.
    """

    def __init__(self, without: frozenset[str] = frozenset(), connects: str = "before") -> None:
        if unknown := without - set(RULES):
            raise ValueError(f"{sorted(unknown)} are no rules; those are {', '.join(RULES)}")
        self.without = without
        self.connects = connects

    def steps(self, world: World) -> Iterator[Step]:
        """Give every step that somebody may take."""
        for number, writer in enumerate(world.writers):
            if not writer.stopped:
                for name, after in self._steps_of(world, number, writer):
                    yield number, name, after

    def faults(self, world: World) -> Iterator[Step]:
        """Give every fault that may still happen."""
        left = world.faults
        for number, writer in enumerate(world.writers):
            if left.kills and writer.at in LIVE:
                yield number, "is killed", self._killed(world, number, writer)
            if left.stops and writer.at in LIVE and not writer.stopped:
                yield number, "is stopped", put(spend(world, "stops"), number, writer._replace(stopped=True))
        if left.deletions:
            # Those who have the turn or wait in the old one go on there; who comes now makes a new file.
            unnoted = world.unnoted or world.hole > 0
            after = spend(world, "deletions")._replace(turn=NOBODY, note=0, hole=0, unnoted=unnoted)
            yield NOBODY, "the line's file is deleted", after
        if left.power_losses:
            for kept in range(len(recovered(world)), len(world.frames) + 1):
                yield NOBODY, f"power is lost, {kept} commits of the log are there", self._without_power(world, kept)

    def lost(self, world: World) -> int:
        """Return whose acknowledged rows a power loss would take now, as bits.

        At the least, SQLite finds what was synced, up to the first commit that was not. docs/group_commit.md names one
        exception: as long as whoever was told of a failed sync has not noted it, because it was killed or held up, or
        where that note was deleted, nobody can tell those whose turn begins after the failure.
        """
        found = world.database | world.excused
        for number in recovered(world):
            found |= 1 << number
        return world.acknowledged & ~found

    def _steps_of(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        by_place = {
            "away": self._comes,
            "waits": self._takes_its_turn,
            "in turn": self._begins_its_turn,
            "began": self._commits,
            "committed": self._looks_again,
            "looked": self._leaves,
            "left": self._waits_for_a_sync,
            "has lock": self._syncs_for_all,
            "syncs": self._ends_its_sync,
            "fails": self._notes_a_hole,
            "notes": self._notes,
            "synced": self._returns,
            "acknowledged": self._closes,
            "failed": self._closes,
        }
        yield from by_place[my.at](world, me, my) if my.at in by_place else ()

    def _comes(self, world: World, me: int, _: Writer) -> Iterator[tuple[str, World]]:
        came = world if self._is_within(me) else connected(world, me)
        yield "comes", put(self._looked(came, me, early=True), me, at="waits")

    def _takes_its_turn(self, world: World, me: int, _: Writer) -> Iterator[tuple[str, World]]:
        if world.turn == NOBODY:
            yield "takes its turn", put(world._replace(turn=me), me, at="in turn")
        elif world.writers[world.turn].stopped:
            yield "gives up", put(world, me, at="refused")

    def _begins_its_turn(self, world: World, me: int, _: Writer) -> Iterator[tuple[str, World]]:
        begun = self._looked(world, me, early=True)
        writers = [one._replace(seen=one.seen | 1 << me) if one.log else one for one in begun.writers]
        writers[me] = writers[me]._replace(at="began", late=world.has_failed)
        yield "begins", begun._replace(writers=tuple(writers))

    def _commits(self, world: World, me: int, _: Writer) -> Iterator[tuple[str, World]]:
        """SQLite syncs the first page of a log that it begins, and the log's name in the folder.

        It begins a log anew once all of it is in the database.
        """
        ready = connected(world, me) if self._is_within(me) else world
        written = ready._replace(frames=(*ready.frames, (me, "no")))
        if ready.frames and all(ready.database >> number & 1 for number, _ in ready.frames):
            written = ready._replace(frames=((me, "no"),), epoch=ready.epoch + 1)
        yield "commits", put(written, me, at="committed")

    def _looks_again(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        if world.faults.checkpoints:
            yield "checkpoints", spend(self._checkpointed(world), "checkpoints")
        if my.connected and self._is_within(me):
            yield "closes early", self._closed(world, me)
        yield "looks again", put(self._looked(world, me, early=False), me, at="looked")

    def _leaves(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        after = world._replace(turn=NOBODY) if world.turn == me else world
        at = "left" if my.log and "sync before you return" not in self.without else "synced"
        yield "leaves the line", put(after._replace(left=world.left | 1 << me), me, at=at)

    def _waits_for_a_sync(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        file, owner = world.lock
        is_covered = self._is_covered(world, me)
        if is_covered:
            yield "is covered", put(world, me, at="synced")
        # Even if it is covered: the note may come between its look at it and its try of the lock.
        if owner == NOBODY or file != my.log:
            yield "locks the log", put(world._replace(lock=(my.log, me)), me, at="has lock")
        elif not is_covered and "sync alone when nothing is heard" not in self.without:
            yield from self._begins_its_sync(world, me, my)

    def _syncs_for_all(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        if self._is_covered(world, me):
            yield "is covered", unlocked(world, me, "synced")
        else:
            yield from self._begins_its_sync(world, me, my)

    def _ends_its_sync(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        if my.told:
            yield "sync fails", put(world, me, at="fails", told=False)
            return
        yield "sync ends", self._synced(world, me, "yes", "notes")
        if world.faults.failed_syncs and any(state == "no" for _, state in world.frames[: my.frames]):
            failed = self._synced(spend(world, "failed_syncs"), me, "never", "fails")
            yield "sync fails", failed._replace(has_failed=True, unnoted=True)

    def _notes_a_hole(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        # The log is named as it is now, whether or not it has begun anew since.
        name = world.epoch if my.log == world.file else my.epoch
        noted = world if "note a hole" in self.without else world._replace(hole=name)
        yield "notes a hole", unlocked(noted._replace(unnoted=False), me, "failed")

    def _notes(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        covered = my.covered
        if "a sync's moment is before it" in self.without:
            covered = self._whom_it_covers(world, my)
        yield "notes", unlocked(world._replace(note=covered, stale=False), me, "synced")

    def _returns(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        if world.hole == world.epoch and my.log == world.file != 0:
            yield "is told of a hole", put(world, me, at="failed")
            return
        excused = 1 << me if my.late and world.unnoted else 0
        after = world._replace(acknowledged=world.acknowledged | 1 << me, excused=world.excused | excused)
        yield "returns", put(after, me, at="acknowledged")

    def _closes(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        closed = self._closed(world, me) if my.connected else world
        yield "closes", put(closed, me, at="done", log=0, seen=0, told=False)

    def _is_within(self, me: int) -> bool:
        return self.connects == "within" or (self.connects == "mixed" and me > 0)

    def _begins_its_sync(self, world: World, me: int, my: Writer) -> Iterator[tuple[str, World]]:
        if my.log != world.file and "sync no file that was removed" not in self.without:
            yield "finds the log gone", unlocked(world, me, "synced")
            return
        is_there = my.log == world.file
        covered = self._whom_it_covers(world, my)
        after = world
        if "note a sync when it has ended" in self.without:
            after = world._replace(note=covered, stale=False)
        frames = len(world.frames) if is_there else 0
        yield "sync begins", put(after, me, at="syncs", epoch=world.epoch, frames=frames, covered=covered)

    def _is_covered(self, world: World, me: int) -> bool:
        if "only a sync that began after the commit covers it" in self.without and world.note:
            return True
        if world.stale:
            return "believe no note of before the power loss" in self.without
        return bool(world.note >> me & 1)

    def _whom_it_covers(self, world: World, my: Writer) -> int:
        begun = my.seen
        if "only a descriptor from before the turn is told of all errors" in self.without:
            begun = (1 << len(world.writers)) - 1
        committed = world.left
        if "the commit's moment is after it" in self.without:
            for number, writer in enumerate(world.writers):
                committed |= (writer.at in ("began", "committed", "looked")) << number
        return begun & committed

    def _looked(self, world: World, me: int, *, early: bool) -> World:
        rule = "open the log before the transaction" if early else "sync the log that is there at the end of the turn"
        my = world.writers[me]
        if rule in self.without or my.log == world.file:
            return world
        return put(world, me, log=world.file, seen=0, told=False)

    def _checkpointed(self, world: World) -> World:
        """It syncs the log, copies it as it is in memory, and syncs the database."""
        if "a checkpoint syncs" in self.without:
            return world
        rows = world.database
        for number, _ in world.frames:
            rows |= 1 << number
        frames = tuple((number, "yes" if state == "no" else state) for number, state in world.frames)
        return world._replace(database=rows, frames=frames)

    def _closed(self, world: World, me: int) -> World:
        """The last connection of all checkpoints, and removes the log."""
        world = put(world, me, connected=False)
        if not world.file or any(writer.connected for writer in world.writers):
            return world
        return self._checkpointed(world)._replace(file=0, frames=())

    def _synced(self, world: World, me: int, state: str, at: str) -> World:
        """A sync makes sure of what was there when it began; one that fails is told once to each open descriptor."""
        my = world.writers[me]
        after = put(world, me, at=at)
        if my.epoch != world.epoch or my.log != world.file:
            return after
        frames = tuple(
            (number, state if old == "no" and place < my.frames else old)
            for place, (number, old) in enumerate(world.frames)
        )
        if state == "never":
            writers = [
                one._replace(told=True) if one.log == my.log and number != me else one
                for number, one in enumerate(after.writers)
            ]
            after = after._replace(writers=tuple(writers))
        return after._replace(frames=frames)

    def _killed(self, world: World, me: int, my: Writer) -> World:
        """SQLite rolls back; a connection that is killed removes no log."""
        after = put(spend(world, "kills"), me, Writer("gone", late=my.late))
        if "the kernel frees the lock of whoever is killed" in self.without:
            return after
        return after._replace(
            turn=NOBODY if world.turn == me else world.turn,
            lock=(0, NOBODY) if world.lock[1] == me else world.lock,
        )

    def _without_power(self, world: World, kept: int) -> World:
        """What is there is durable. Whoever has not come yet comes after it."""
        writers = [
            one if one.at in ("away", "refused", "done") else Writer("gone", late=one.late) for one in world.writers
        ]
        return spend(world, "power_losses")._replace(
            writers=tuple(writers),
            turn=NOBODY,
            frames=tuple((number, "yes") for number, _ in world.frames[:kept]),
            note=0,
            stale=bool(world.note) or world.stale,
            lock=(0, NOBODY),
            has_failed=False,
        )
