"""Take samples of both sides, in random order, until the questions are decided or the time is over.

Asks the rules when to stop; knows nothing of findings and reports. What is flagged is sampled anew: screening and
confirmation never share a sample.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from . import inference, rules
from .errors import SetUpError
from .evidence import Evidence, Pairs

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .plan import Plan
    from .side import Side


class HeadHangsError(Exception):
    """Samples of the head do not end, and there is no point in waiting for more of them."""


class Sampling:
    """One check's sampling: two sides, a plan, a seeded order, and when to end, as ``time.monotonic`` has it."""

    def __init__(
        self,
        base: Side,
        head: Side,
        plan: Plan,
        order: random.Random,
        until: float,
        progress: Callable[[str, float], None] = lambda _what, _done: None,
    ) -> None:
        self.base, self.head, self.plan, self.order, self.until, self.progress = (
            base,
            head,
            plan,
            order,
            until,
            progress,
        )
        self.evidence = Evidence()
        self._started = time.monotonic()
        self._timeouts = {"base": 0, "head": 0}
        self._control = base.databases / "control"

    def run(self) -> Evidence:
        """Take everything, the strongest evidence first; then anew what is flagged."""
        limit = self.until - self._started
        with suppress(HeadHangsError):  # that is in the evidence
            self.sample_exact()
            self._note_duration("exact costs and promises")
            self.sample_failures(time.monotonic() + self.plan.big_bursts * limit)
            self._note_duration("bursts of many workers")
            least = time.monotonic() + self.plan.least_seconds
            self.sample_times(max(self.until - self.plan.confirmation * limit, least))
            self._note_duration("times")
            self.until = max(self.until, time.monotonic() + self.plan.least_seconds)
            self.confirm()
            self._note_duration("confirmation")
        return self.evidence

    def _note_duration(self, what: str) -> None:
        so_far = sum(self.evidence.durations.values())
        self.evidence.durations[what] = time.monotonic() - self._started - so_far

    def sample_exact(self) -> None:
        """Take promises and costs, both sides at the same time: what is exact does not depend on who else runs."""
        for found, benchmarks, is_enough in (
            (self.evidence.promises, self.plan.promises, Pairs.is_steady),
            (self.evidence.costs, self.plan.costs, Pairs.is_exact),
        ):
            for benchmark in benchmarks:
                pairs = Pairs(benchmark)
                found.append(pairs)
                self._add_both_at_once(pairs)
                # Is it the same every time, on each side? And where neither ended, does it hang?
                if pairs.base[0] != pairs.head[0] or "timed out" in pairs.base[0]:
                    self._add_both_at_once(pairs)
                    while not is_enough(pairs) and len(pairs.base) < self.plan.varying:
                        self._add_both_at_once(pairs)
                self.progress("exact costs and promises", 0.0)

    def _add_both_at_once(self, pairs: Pairs) -> None:
        for side in (self.base, self.head):
            side.send(pairs.benchmark.sample, pairs.benchmark.arguments)
        until = time.monotonic() + pairs.benchmark.deadline
        pairs.base.append(self.base.receive(until))
        pairs.head.append(self.head.receive(until))
        self._stop_if_it_hangs(pairs)

    def sample_failures(self, until: float) -> None:
        """Take the costly bursts, in turns, cheapest first, each at least begun while there is time."""
        self.evidence.failures = [Pairs(benchmark) for benchmark in self.plan.failures]
        for _ in self.plan.looks:
            for pairs in self.evidence.failures:
                if time.monotonic() + (pairs.seconds_each if pairs.base else 0.0) < until:
                    self.add_pair(pairs)
                    self.progress("bursts of many workers", 0.0)

    def sample_times(self, until: float) -> None:
        """Take pairs of a benchmark drawn at random, until all are decided."""
        self.evidence.times = [Pairs(benchmark) for benchmark in self.plan.times]
        undecided = list(self.evidence.times)
        while undecided and time.monotonic() < until:
            pairs = self._draw(undecided)
            self.add_pair(pairs)
            self._measure_control()
            self.progress("times", 1 - len(undecided) / len(self.evidence.times))
            is_decided = len(pairs.base) in self.plan.looks and self._is_decided(pairs)
            is_impossible = any("not possible" in reply for reply in (pairs.base[-1], pairs.head[-1]))
            if is_decided or is_impossible or len(pairs.base) >= self.plan.looks[-1]:
                undecided.remove(pairs)
        for pairs in undecided:
            self._is_decided(pairs)

    def _draw(self, undecided: list[Pairs]) -> Pairs:
        """Draw one at random, a cheaper one more often; the cheapest first of those of which nothing is known yet."""
        if unknown := [pairs for pairs in undecided if not pairs.base]:
            return self.order.choice(unknown)
        few = [pairs for pairs in undecided if len(pairs.base) < self.plan.fewest_pairs]
        chosen = sorted(few, key=lambda pairs: pairs.seconds_each)[: self.plan.at_a_time] or undecided
        return self.order.choices(chosen, [pairs.seconds_each**-0.5 for pairs in chosen])[0]

    def _is_decided(self, pairs: Pairs) -> bool:
        """Take a look: say whether it is flagged now, or surely did not change by as much as the target."""
        base, head = pairs.times()
        if len(base) < self.plan.fewest_pairs:
            return False
        if rules.is_slower(inference.compare(base, head), self.plan.screening_level, self.plan):
            self.evidence.flagged.append(pairs.benchmark.name)
            return True
        return inference.surely_below(base, head, self.plan.target, self.plan.surely)

    def confirm(self) -> None:
        """Sample anew what is flagged: times as often as their noise asks for, failures until they are decided."""
        suspects = [pairs for pairs in (*self.evidence.times, *self.evidence.failures) if pairs.is_suspect()]
        slow = [pairs for pairs in self.evidence.times if pairs.benchmark.name in self.evidence.flagged]
        for pairs in sorted(suspects, key=lambda pairs: pairs.seconds_each):
            self._confirm_failure(pairs, self.until if not slow else (time.monotonic() + self.until) / 2)
        wanted = {pairs.benchmark.name: rules.confirming_pairs(pairs, self.plan) for pairs in slow}
        self.evidence.confirmed_times = fresh = [Pairs(pairs.benchmark) for pairs in slow]
        while unfinished := [pairs for pairs in fresh if len(pairs.base) < wanted[pairs.benchmark.name]]:
            if time.monotonic() > self.until:
                self.evidence.cut_short |= {pairs.benchmark.name for pairs in unfinished}
                break
            self.add_pair(self.order.choice(unfinished))
            self.progress("confirmation", 0.0)

    def _confirm_failure(self, suspect: Pairs, until: float) -> None:
        fresh = Pairs(suspect.benchmark)
        self.evidence.confirmed_failures.append(fresh)
        looks = self.plan.bursts_again
        while len(fresh.base) < looks[-1]:
            is_sure = len(fresh.base) in looks and rules.surely_fails_more(fresh, self.plan)
            if is_sure or rules.always_fails(suspect, fresh):
                return
            if time.monotonic() > until:
                self.evidence.cut_short.add(fresh.benchmark.name)
                return
            self.add_pair(fresh)
            self.progress("confirmation", 0.0)

    def add_pair(self, pairs: Pairs) -> None:
        """Take one more sample of each side, in random order; one of several parts part by part, each in new order."""
        started = time.monotonic()
        benchmark = pairs.benchmark
        sides = [(self.base, pairs.base), (self.head, pairs.head)]
        self.order.shuffle(sides)
        for side, replies in sides:
            replies.append(side.ask(benchmark.sample, benchmark.arguments, benchmark.deadline))
        while any("waits" in replies[-1] for _, replies in sides):
            self.order.shuffle(sides)
            for side, replies in sides:
                if "waits" in replies[-1]:
                    replies[-1] = side.go_on(benchmark.deadline)
        self._stop_if_it_hangs(pairs)
        pairs.seconds += time.monotonic() - started

    def _stop_if_it_hangs(self, pairs: Pairs) -> None:
        """Stop soon: on the base there is nothing to compare with, and on the head nothing more to find out."""
        if pairs.base[-1].get("timed out"):
            self._timeouts["base"] += 1
        elif pairs.head[-1].get("timed out"):
            self._timeouts["head"] += 1
        if self._timeouts["base"] >= self.plan.most_timeouts:
            raise SetUpError(f"{pairs.benchmark.name} hangs on the base: {pairs.base[-1]['error']}")
        if self._timeouts["head"] >= self.plan.most_timeouts:
            self.evidence.hangs = pairs
            raise HeadHangsError

    def _measure_control(self) -> None:
        """Do the same work every time, of processor and disk, that no commit has a part in."""
        started = time.monotonic()
        sum(range(50_000))
        with self._control.open("wb") as file:
            file.write(bytes(4096))
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
        self.evidence.control.append(time.monotonic() - started)
