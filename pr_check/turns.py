"""Take one sample of both sides: at once, or in turns, with a deadline. Knows not which samples are worth taking."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from .errors import SetUpError
from .evidence import Evidence
from .side import LONGEST_START

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .evidence import Pairs
    from .plan import Benchmark, Plan
    from .side import Side


class HeadHangsError(Exception):
    """Samples of the head do not end, and there is no point in waiting for more of them."""


class Turns:
    """Two sides, whose samples are added to pairs in a seeded order.

    loading: the seconds of each module's import, of both sides at the same time.
    """

    def __init__(self, base: Side, head: Side, plan: Plan, order: random.Random) -> None:
        self.base, self.head, self.plan, self.order = base, head, plan, order
        self.progress: Callable[[str, float], None] = lambda _what, _done: None
        self.evidence = Evidence()
        self.loading: dict[str, float] = {}
        self._timeouts = {"base": 0, "head": 0}
        self._control = base.databases / "control"

    def add_both_at_once(self, pairs: Pairs, deadline: float) -> float:
        """Take one more sample of each side, both at the same time, and wait for them so many seconds.

        Returns the seconds until the base's came.
        """
        self._prepare(pairs.benchmark)
        started = time.monotonic()
        for side in (self.base, self.head):
            side.send(pairs.benchmark.sample, pairs.benchmark.arguments)
        until = time.monotonic() + deadline
        pairs.base.append(self.base.receive(until))
        of_base = time.monotonic() - started
        pairs.head.append(self.head.receive(until))
        pairs.seconds += time.monotonic() - started
        return of_base

    def add_facts(self, pairs: Pairs) -> None:
        """Take facts once more; what is exact does not depend on who else runs."""
        self.add_both_at_once(pairs, pairs.benchmark.deadline)
        self.stop_if_it_hangs(pairs)

    def _prepare(self, benchmark: Benchmark) -> None:
        """Have both samplers there, started at the same time, before one of them takes a sample."""
        started = time.monotonic()
        sides = (self.base, self.head)
        for side in sides:
            side.prepare(benchmark.name if benchmark.is_fresh else "")
        loading = [side for side in sides if side.load(benchmark.module)]
        for side in loading:
            side.receive(time.monotonic() + LONGEST_START)
        if loading:
            self.loading[benchmark.module] = time.monotonic() - started

    def add_pair(self, pairs: Pairs) -> None:
        """Take one more sample of each side, in random order; one of several parts part by part, each in new order."""
        benchmark = pairs.benchmark
        self._prepare(benchmark)
        started = time.monotonic()
        sides = [(self.base, pairs.base), (self.head, pairs.head)]
        self.order.shuffle(sides)
        for side, replies in sides:
            replies.append(side.ask(benchmark.sample, benchmark.arguments, benchmark.deadline))
        while any("waits" in replies[-1] for _, replies in sides):
            self.order.shuffle(sides)
            for side, replies in sides:
                if "waits" in replies[-1]:
                    replies[-1] = side.go_on(benchmark.deadline)
        self.stop_if_it_hangs(pairs)
        pairs.seconds += time.monotonic() - started

    def stop_if_it_hangs(self, pairs: Pairs) -> None:
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

    def measure_control(self) -> None:
        """Do the same work every time, of processor and disk, that no commit has a part in."""
        started = time.monotonic()
        sum(range(50_000))
        with self._control.open("wb") as file:
            file.write(bytes(4096))
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
        self.evidence.control.append(time.monotonic() - started)
