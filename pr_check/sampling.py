"""Take samples of both sides, in random order, until the questions are decided or the time is over.

Asks the rules when to stop; knows nothing of findings and reports. What is flagged is sampled anew: screening and
confirmation never share a sample.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from . import inference, rules
from .choose import USUAL_PAIRS, anew, most_telling, often
from .evidence import Evidence, Pairs, has_failed
from .side import LONGEST_START, Side
from .turns import HeadHangsError, Turns

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from .plan import Benchmark, Plan
    from .side import Reply


# Seconds that a benchmark has to end, when the time is nearly over.
LEAST = 5.0

UNTIMED = "there was no time to time it"


class Sampling(Turns):
    """One check's sampling: two sides, a plan, a seeded order, and when to end, as ``time.monotonic`` has it.

    before: the base with its own benchmarks, if they are not the head's.
    touches: says whether a change can touch a benchmark that executes these files.
    is_never_judged: says so of a benchmark's name; it is run once all the same.
    """

    def __init__(
        self,
        base: Side,
        head: Side,
        plan: Plan,
        order: random.Random,
        until: float,
        *,
        before: Side | None = None,
        touches: Callable[[Iterable[str]], bool] = lambda _files: True,
        is_never_judged: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        super().__init__(base, head, plan, order)
        self.until, self.before, self.touches, self.is_never_judged = until, before, touches, is_never_judged
        self._started = time.monotonic()
        self._round: list[Pairs] = []
        self._differing: list[Pairs] = []

    def run(self) -> Evidence:
        """Take everything, the strongest evidence first; then anew what is flagged."""
        limit, plan = self.until - self._started, self.plan
        with suppress(HeadHangsError):  # that is in the evidence
            self.sample_facts()
            self._note_duration("facts")
            if self._is_head_broken():
                return self.evidence
            self.sample_failures(time.monotonic() + plan.big_bursts * limit)
            self._note_duration("bursts of many workers")
            self.sample_once(time.monotonic() + max(plan.once_each * limit, plan.least_seconds))
            self._note_duration("each once")
            if not self._is_head_broken():
                least = time.monotonic() + plan.least_seconds
                until = max(self.until - plan.confirmation * limit, least)
                self.choose_times(until)
                self.sample_times(until, until + (self.until - until) * plan.left_to_times)
                self._note_duration("times")
            self.until = max(self.until, time.monotonic() + plan.least_seconds)
            self.confirm()
            self._note_duration("confirmation")
        return self.evidence

    def _is_head_broken(self) -> bool:
        """Say whether nothing of the head runs that does on the base: there is no point in timing that."""
        sampled = [*self.evidence.facts, *self.evidence.once]
        works = [
            [any("error" not in reply for reply in replies) for replies in (one.base, one.head)] for one in sampled
        ]
        self.evidence.is_head_broken = any(base for base, _ in works) and not any(head for _, head in works)
        return self.evidence.is_head_broken

    def _note_duration(self, what: str) -> None:
        so_far = sum(self.evidence.durations.values())
        self.evidence.durations[what] = time.monotonic() - self._started - so_far

    def sample_facts(self) -> None:
        """Take facts, both sides at the same time: what is exact does not depend on who else runs."""
        for benchmark in self.plan.facts:
            pairs = Pairs(benchmark)
            self.evidence.facts.append(pairs)
            self.add_facts(pairs)
            # Is it the same every time, on each side? And where neither ended, does it hang?
            if pairs.base[0] != pairs.head[0] or "timed out" in pairs.base[0]:
                self.add_facts(pairs)
                while not rules.is_known(pairs) and len(pairs.base) < self.plan.varying:
                    self.add_facts(pairs)
            self.progress("facts", 0.0)

    def sample_failures(self, until: float) -> None:
        """Take bursts of many workers, in turns: each once however short the time, then so often as there is time."""
        self.evidence.failures = [Pairs(benchmark) for benchmark in self.plan.failures]
        while self.evidence.failures:
            for pairs in self.evidence.failures:
                if pairs.base and time.monotonic() + pairs.seconds_each > until:
                    return
                self.add_pair(pairs)
                self.progress("bursts of many workers", 0.0)

    def sample_once(self, until: float) -> None:
        """Run each benchmark as asv does; with more parameters what the change can touch, while there is time."""
        declaring = {one.group for one in (*self.plan.times, *self.plan.failures, *self.plan.facts)}
        ran: set[str] = set()
        for benchmark in self.plan.once:
            left = until - time.monotonic()
            is_timed = benchmark.owner not in declaring and not self.is_never_judged(benchmark.name)
            is_more = benchmark.group in ran
            if is_more and (left <= 0 or not is_timed or benchmark.group not in self.evidence.touched):
                continue
            if left <= 0:
                self.evidence.left_out.setdefault(benchmark.group, "there was no time to run it")
                continue
            pairs = self._run_once(benchmark, max(left, LEAST))
            if pairs is not None:
                ran.add(benchmark.group)
                self._note_once(pairs, is_timed)
            self.progress("each benchmark once", 0.0)
        for name in ran:
            self.evidence.left_out.pop(name, None)
        for pairs in sorted(self._differing, key=lambda pairs: pairs.seconds_each):
            self._sample_value(pairs, until + self.plan.least_seconds)

    def _run_once(self, benchmark: Benchmark, left: float) -> Pairs | None:
        """Return a pair of it, or nothing if neither side ends in the time that is left or allowed."""
        pairs = Pairs(benchmark)
        of_base = self.add_both_at_once(pairs, min(benchmark.deadline, left))
        hangs = ["timed out" in reply for reply in (pairs.base[0], pairs.head[0])]
        if any(hangs) and left < benchmark.deadline:
            if not hangs[0] and of_base < self.plan.may_hang * left:
                self.evidence.hanging[benchmark.name] = (of_base, left)
            self.evidence.left_out[benchmark.group] = f"it did not end in the {left:.0f} s that were left"
            self.evidence.needed += 2 * benchmark.deadline
            return None
        if hangs == [False, True]:
            self.stop_if_it_hangs(pairs)
        elif hangs[0]:
            self.evidence.left_out[benchmark.group] = f"it does not end within {benchmark.deadline:.0f} s on the base"
            return None
        return pairs

    def _note_once(self, pairs: Pairs, is_timed: bool) -> None:
        """Keep it; ask the base's own benchmarks where both fail; note what the change can touch, and what differs."""
        benchmark, replies = pairs.benchmark, (pairs.base[0], pairs.head[0])
        self.evidence.once.append(pairs)
        if all(map(has_failed, replies)):
            self.evidence.before[benchmark.name] = self._ask_before(benchmark) if self.before else replies[0]
        values = [reply["value"] for reply in replies if "value" in reply]
        if self.touches({file for value in values for file in value.pop("files", ())}):
            self.evidence.touched.add(benchmark.group)
        if len(values) < 2 or not is_timed:
            return
        often_sampled = Pairs(often(pairs), expected=pairs.seconds)
        is_time = benchmark.unit.startswith("seconds") and min(value.get("tracked", 0.0) for value in values) > 0
        if is_time or all(value.get("seconds") for value in values):
            self.evidence.candidates.append(often_sampled)
        elif values[0] != values[1]:
            self._differing.append(often_sampled)

    def _ask_before(self, benchmark: Benchmark) -> Reply:
        """Return what the base's own benchmarks say."""
        assert self.before is not None  # noqa: S101
        if self.before.load(benchmark.module):
            self.before.receive(time.monotonic() + LONGEST_START)
        again = anew(benchmark)
        return self.before.ask(again.sample, again.arguments, again.deadline)

    def _sample_value(self, pairs: Pairs, until: float) -> None:
        """Take a tracked value that differs until it is plain that it varies, or that it does not."""
        self.evidence.values.append(pairs)
        while rules.needs_another(pairs, self.plan):
            if time.monotonic() > until:
                self.evidence.cut_short.add(pairs.benchmark.name)
                return
            self.add_pair(pairs)
            self.progress("values that differ", 0.0)
        if rules.is_measurement(pairs):
            self.evidence.values.remove(pairs)
            self.evidence.candidates.append(Pairs(pairs.benchmark, expected=pairs.seconds_each))

    def choose_times(self, until: float) -> None:
        """Choose what is timed: of what was declared or has run, what is most telling, as much as there is time for."""
        declared = [Pairs(benchmark) for benchmark in self.plan.times]
        self.order.shuffle(declared)
        for pairs in declared:
            if time.monotonic() < until or pairs is declared[0]:
                self.add_pair(pairs)
        touched = self.evidence.touched | {pairs.benchmark.group for pairs in declared}
        candidates = [*(one for one in declared if one.base), *self.evidence.candidates]
        ordered = most_telling(candidates, touched)
        left = self.plan.first_look * (until - time.monotonic())
        # Of more benchmarks each needs more pairs, so that it can be told from chance.
        chosen = max((self._affordable(ordered, look, left) for look in self.plan.looks), key=len, default=[])
        for pairs in ordered:
            if pairs not in chosen:
                self.evidence.needed += USUAL_PAIRS * (
                    pairs.seconds_each + self.loading.get(pairs.benchmark.module, 0.0)
                )
                self.evidence.left_out.setdefault(pairs.benchmark.shown, UNTIMED)
        self.evidence.left_out |= {pairs.benchmark.name: UNTIMED for pairs in declared if not pairs.base}
        for pairs in chosen:
            self.evidence.left_out.pop(pairs.benchmark.shown, None)
        self.evidence.times = chosen
        self.plan = replace(self.plan, times=tuple(pairs.benchmark for pairs in chosen))

    def _affordable(self, ordered: list[Pairs], look: int, left: float) -> list[Pairs]:
        """Return those that there is time to look at after so many pairs, and few enough for that to tell anything."""
        chosen: list[Pairs] = []
        loaded: set[str] = set()
        for pairs in ordered:
            if len(chosen) >= self.plan.most_questions(look):
                break
            module = pairs.benchmark.module if pairs.benchmark.is_fresh else ""
            loading = self.loading.get(module, 0.0) if module not in loaded else 0.0
            needed = (look - len(pairs.base)) * (pairs.seconds_each + loading)
            if needed <= left or not chosen:
                chosen.append(pairs)
                loaded.add(module)
                left -= needed
        return chosen

    def sample_times(self, until: float, longest: float = 0.0) -> None:
        """Take pairs, in rounds of a random order, until all are decided; longer while nothing is to be confirmed."""
        self.evidence.times = self.evidence.times or [Pairs(benchmark) for benchmark in self.plan.times]
        undecided = list(self.evidence.times)
        is_calm = not any(rules.is_suspect(pairs, self.plan) for pairs in self._with_failures())
        while undecided and time.monotonic() < (
            max(until, longest) if is_calm and not self.evidence.flagged else until
        ):
            pairs = self._draw(undecided)
            self.add_pair(pairs)
            self.measure_control()
            self.progress("times", 1 - len(undecided) / len(self.evidence.times))
            is_decided = len(pairs.base) in self.plan.looks and self._is_decided(pairs)
            is_impossible = any("not possible" in reply for reply in (pairs.base[-1], pairs.head[-1]))
            if is_decided or is_impossible or len(pairs.base) >= self.plan.looks[-1]:
                undecided.remove(pairs)
        for pairs in undecided:
            self._is_decided(pairs)

    def _draw(self, undecided: list[Pairs]) -> Pairs:
        """Draw one of a round: of a few at a time until their first look, the most telling first; then of all."""
        self._round = [pairs for pairs in self._round if pairs in undecided]
        if not self._round:
            few = [pairs for pairs in undecided if len(pairs.base) < self.plan.fewest_pairs]
            # A new interpreter imports a module once for all of a round that are in it.
            is_fresh = bool(few) and few[0].benchmark.is_fresh
            together = (
                [pairs for pairs in few if pairs.benchmark.module == few[0].benchmark.module] if is_fresh else few
            )
            self._round = together[: self.plan.at_a_time * (1 + 2 * is_fresh)] or list(undecided)
            self.order.shuffle(self._round)
        return self._round.pop()

    def _is_decided(self, pairs: Pairs) -> bool:
        """Take a look: say whether it is flagged now, or surely did not change by as much as the target."""
        base, head = pairs.times()
        if len(base) < self.plan.fewest_pairs:
            return False
        if rules.is_slower(inference.compare(base, head), self.plan.screening_level, self.plan):
            self.evidence.flagged.append(pairs.benchmark.name)
            return True
        return inference.surely_below(base, head, self.plan.target, self.plan.surely)

    def _with_failures(self) -> tuple[Pairs, ...]:
        return (*self.evidence.once, *self.evidence.times, *self.evidence.failures)

    def confirm(self) -> None:
        """Sample anew what is flagged: times as often as their noise asks for, failures until they are decided."""
        suspects = [pairs for pairs in self._with_failures() if rules.is_suspect(pairs, self.plan)]
        slow = [pairs for pairs in self.evidence.times if pairs.benchmark.name in self.evidence.flagged]
        for pairs in sorted(suspects, key=lambda pairs: pairs.seconds_each):
            self._confirm_failure(pairs, self.until if not slow else (time.monotonic() + self.until) / 2)
        self.evidence.confirmed_times = fresh = [Pairs(one.benchmark, expected=one.seconds_each) for one in slow]
        self._confirm_times(fresh, [rules.confirming_pairs(one, self.plan) for one in slow])
        for pairs in fresh:
            one = pairs.benchmark
            if not one.is_declared and pairs.times()[0]:
                asked = {name: one.arguments[name] for name in ("benchmark", "index")}
                base, head = (side.ask("profile", asked, one.deadline) for side in (self.base, self.head))
                self.evidence.profiles[one.name] = (base, head)

    def _confirm_times(self, fresh: list[Pairs], wanted: list[int]) -> None:
        """Take so many fresh pairs of each, in rounds of those that there is time to finish, the quickest first."""
        unfinished = list(zip(fresh, wanted))
        while unfinished:
            left = self.until - time.monotonic()
            unfinished.sort(key=lambda one: self._seconds_for(*one))
            so_far = accumulate(self._seconds_for(*one) for one in unfinished)
            together = [one for one, seconds in zip(unfinished, so_far) if seconds < left] or unfinished[:1]
            self.order.shuffle(together)
            for pairs, _ in together:
                if time.monotonic() < self.until:
                    self.add_pair(pairs)
                    self.progress("confirmation", 0.0)
            unfinished = [(pairs, enough) for pairs, enough in unfinished if len(pairs.base) < enough]
            if time.monotonic() >= self.until:
                self.evidence.cut_short |= {pairs.benchmark.name for pairs, _ in unfinished}
                return

    def _seconds_for(self, pairs: Pairs, enough: int) -> float:
        """About how long it takes until there are so many pairs, with what a new interpreter imports for each."""
        loading = self.loading.get(pairs.benchmark.module, 0.0) if pairs.benchmark.is_fresh else 0.0
        return (enough - len(pairs.base)) * (pairs.seconds_each + loading)

    def _confirm_failure(self, suspect: Pairs, until: float) -> None:
        fresh = Pairs(anew(suspect.benchmark))
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
