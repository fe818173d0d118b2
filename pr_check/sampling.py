"""Take samples of both sides, in random order, until the questions are decided or the time is over.

Asks the judge when to stop; knows nothing of findings and reports. What is flagged is sampled anew: screening and
confirmation never share a sample.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import judge
from .cells import COSTS, FAILURES, PROMISES, TIMES, Cell
from .errors import SetUpError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from .side import Answer, Side

# A change that is worth an alarm; a benchmark is decided once it surely changed by less. It is asked at several looks,
# and few pairs know their own spread badly: with 0.995, 2 of 59 changes by that much were taken for less.
TARGET = 1.05
SURELY = 0.999

# Looks at the accumulating pairs, and one more when the time is over. Each has its share of the screening's level, and
# each benchmark its share of that, so that neither looking often nor at many makes an alarm more likely.
LOOKS = (12, 24, 48, 96, 192, 384)
SCREENING_LEVEL = 0.05 / (len(LOOKS) + 1)
CONFIRMATION_LEVEL = 0.01
SMALLEST = 1.01  # a change that is smaller is not worth an alarm, however sure it is

# Pairs before anything is said of a benchmark's time.
FEWEST_PAIRS = LOOKS[0]

# So many benchmarks are brought to that number at a time, so that a short limit is enough for some.
AT_A_TIME = 3

# The time limit's shares. What is not needed for the big bursts or the confirmation is left to the times.
SHARE_OF_BIG_BURSTS = 0.2
SHARE_OF_CONFIRMATION = 0.25
LEAST_SECONDS = 15.0  # for each of the two, however short the limit is

# Bursts in which a failure is looked for again: one that occurs in 10% of them is seen 9 times or more in 99% of
# checks, and 9 to 0 is significant at the level of each look.
CONFIRMING_BURSTS = 200
LOOKS_AT_FAILURES = (8, 20, 50, CONFIRMING_BURSTS)
MOST_TIMEOUTS = 2

# What is exact elsewhere and varies, or fails now and then, is taken so often: that all runs of head exceed all of base
# is 1 in 12,870 by chance.
VARYING = 8


@dataclass
class Series:
    """The answers of both sides to the same questions, in pairs."""

    cell: Cell
    base: list[Answer] = field(default_factory=list)
    head: list[Answer] = field(default_factory=list)
    seconds: float = 0.0

    def times(self) -> tuple[list[float], list[float]]:
        """The seconds of the pairs in which both sides have any."""
        pairs = [
            (before["value"]["seconds"], after["value"]["seconds"])
            for before, after in zip(self.base, self.head)
            if "value" in before and "value" in after
        ]
        pairs = [(before, after) for before, after in pairs if before and after]
        return [before for before, _ in pairs], [after for _, after in pairs]

    def failed(self, how: Callable[[Answer], bool] | None = None) -> tuple[tuple[int, int], tuple[int, int]]:
        """In how many of how many samples something failed, at all or in that way, for base and head."""
        base, head = (
            (sum(map(how or has_failed, answers)), sum("not possible" not in answer for answer in answers))
            for answers in (self.base, self.head)
        )
        return base, head


def has_failed(answer: Answer) -> bool:
    """Whether rows failed, were lost or doubled, or there was no answer at all."""
    if "not possible" in answer:
        return False
    value = answer.get("value")
    return value is None or any(value.get(name) for name in ("failed", "lost", "duplicated", "miscounted"))


def has_failed_oddly(answer: Answer) -> bool:
    """Whether it failed, and not because rows found the database locked, as they do where there are too many."""
    errors = (answer.get("value") or {}).get("errors") or {}
    is_locked = bool(errors) and all(name.startswith("SQLITE_BUSY") for name in errors)
    is_miscounted = bool((answer.get("value") or {}).get("miscounted"))
    return has_failed(answer) and (is_miscounted or not is_locked)


# Two questions of a benchmark: whether it fails more often, and whether it does in another way. Where rows fail every
# time, only the second tells a change.
WAYS_TO_FAIL = (has_failed, has_failed_oddly)


@dataclass
class Evidence:
    """All that was sampled."""

    promises: list[Series] = field(default_factory=list)
    costs: list[Series] = field(default_factory=list)
    failures: list[Series] = field(default_factory=list)
    times: list[Series] = field(default_factory=list)
    confirmed_times: list[Series] = field(default_factory=list)
    confirmed_failures: list[Series] = field(default_factory=list)
    hangs: Series | None = None
    flagged: dict[str, float] = field(default_factory=dict)
    suspected: set[str] = field(default_factory=set)
    cut_short: set[str] = field(default_factory=set)
    control: list[float] = field(default_factory=list)
    durations: dict[str, float] = field(default_factory=dict)


class HeadHangsError(Exception):
    """Samples of the head do not end, and there is no point in waiting for more of them."""


class Sampling:
    """One check's sampling: two sides, a seeded order, and a moment on ``time.monotonic`` by which it ends."""

    def __init__(
        self, base: Side, head: Side, order: random.Random, until: float, progress: Callable[[str, float], None]
    ) -> None:
        self.base, self.head, self.order, self.until, self.progress = base, head, order, until, progress
        self.evidence = Evidence()
        self._started = time.monotonic()
        self._timeouts = {"base": 0, "head": 0}
        self._control = base.databases / "control"

    def run(self) -> Evidence:
        """Everything, the strongest evidence first; then anew what is flagged."""
        with contextlib.suppress(HeadHangsError):  # that is in the evidence
            self._run(self.until - self._started)
        return self.evidence

    def _run(self, limit: float) -> None:
        self.sample_exact()
        self._note_duration("exact costs and promises")
        self.sample_failures(time.monotonic() + SHARE_OF_BIG_BURSTS * limit)
        self._note_duration("bursts of many workers")
        self.sample_times(TIMES, max(self.until - SHARE_OF_CONFIRMATION * limit, time.monotonic() + LEAST_SECONDS))
        self._note_duration("times")
        self.until = max(self.until, time.monotonic() + LEAST_SECONDS)
        self.confirm()
        self._note_duration("confirmation")

    def _note_duration(self, what: str) -> None:
        so_far = sum(self.evidence.durations.values())
        self.evidence.durations[what] = time.monotonic() - self._started - so_far

    # ---------------------------------------------------------------------------------------- evidence that is exact

    def sample_exact(self) -> None:
        """Promises and costs, both sides at the same time: what is exact does not depend on who else runs."""
        for series, cells in ((self.evidence.promises, PROMISES), (self.evidence.costs, COSTS)):
            for cell in cells:
                one = Series(cell)
                series.append(one)
                self._add_both_at_once(one)
                # Is it the same every time, on each side? And where neither ended, does it hang?
                if one.base[0] != one.head[0] or "timed out" in one.base[0]:
                    self._add_both_at_once(one)
                    enough = is_exact if cells is COSTS else is_steady
                    while not enough(one) and len(one.base) < VARYING:
                        self._add_both_at_once(one)
                self.progress("exact costs and promises", 0.0)

    def _add_both_at_once(self, series: Series) -> None:
        for side in (self.base, self.head):
            side.send(series.cell.sample, series.cell.arguments)
        until = time.monotonic() + series.cell.deadline
        series.base.append(self.base.receive(until))
        series.head.append(self.head.receive(until))
        self._stop_if_it_hangs(series)

    # ------------------------------------------------------------------------------------------- evidence of failing

    def sample_failures(self, until: float) -> None:
        """The costly bursts, in turns, cheapest first, each at least begun while there is time."""
        self.evidence.failures = [Series(cell) for cell in FAILURES]
        for _ in range(len(LOOKS)):
            for series in self.evidence.failures:
                per_pair = _seconds_a_pair(series) if series.base else 0.0
                if time.monotonic() + per_pair < until:
                    self.add_pair(series)
                    self.progress("bursts of many workers", 0.0)

    # -------------------------------------------------------------------------------------------- evidence of taking

    def sample_times(self, cells: Iterable[Cell], until: float) -> None:
        """Pairs of a benchmark drawn at random, until all are decided."""
        self.evidence.times = [Series(cell) for cell in cells]
        open_series = list(self.evidence.times)
        questions = len(TIMES)
        while open_series and time.monotonic() < until:
            series = self._draw(open_series)
            self.add_pair(series)
            self._measure_control()
            self.progress("times", 1 - len(open_series) / len(self.evidence.times))
            decided = len(series.base) in LOOKS and self._is_decided(series, questions)
            if decided or self._is_impossible(series) or len(series.base) >= LOOKS[-1]:
                open_series.remove(series)
        for series in open_series:
            self._is_decided(series, questions)

    def _draw(self, open_series: list[Series]) -> Series:
        """One at random, a cheaper one more often; the cheapest first of those of which nothing can be said yet."""
        if unknown := [series for series in open_series if not series.base]:
            return self.order.choice(unknown)
        few = [series for series in open_series if len(series.base) < FEWEST_PAIRS]
        chosen = sorted(few, key=_seconds_a_pair)[:AT_A_TIME] or open_series
        return self.order.choices(chosen, [_seconds_a_pair(series) ** -0.5 for series in chosen])[0]

    def _is_decided(self, series: Series, questions: int) -> bool:
        """A look: whether it is flagged, or surely did not change by as much as the target."""
        base, head = series.times()
        if len(base) < FEWEST_PAIRS:
            return False
        if is_slower(judge.compare(base, head), SCREENING_LEVEL / questions):
            self.evidence.flagged[series.cell.name] = judge.compare(base, head).chance
            return True
        return judge.surely_below(base, head, TARGET, SURELY)

    def _is_impossible(self, series: Series) -> bool:
        return any("not possible" in answer for answer in (series.base[-1], series.head[-1]))

    # ------------------------------------------------------------------------------------------------- confirmation

    def confirm(self) -> None:
        """Sample anew what is flagged: times as often as their noise asks for, failures until they are decided."""
        suspects = [series for series in (*self.evidence.times, *self.evidence.failures) if is_suspect(series)]
        suspects.sort(key=_seconds_a_pair)
        self.evidence.suspected = {series.cell.name for series in suspects}
        slow = [series for series in self.evidence.times if series.cell.name in self.evidence.flagged]
        for series in suspects:
            self._confirm_failure(series, self.until if not slow else (time.monotonic() + self.until) / 2)
        wanted = {series.cell.name: _confirming_pairs(series) for series in slow}
        confirming = [Series(series.cell) for series in slow]
        self.evidence.confirmed_times = confirming
        while unfinished := [one for one in confirming if len(one.base) < wanted[one.cell.name]]:
            if time.monotonic() > self.until:
                self.evidence.cut_short |= {one.cell.name for one in unfinished}
                break
            self.add_pair(self.order.choice(unfinished))
            self.progress("confirmation", 0.0)

    def _confirm_failure(self, flagged: Series, until: float) -> None:
        series = Series(flagged.cell)
        self.evidence.confirmed_failures.append(series)
        while len(series.base) < CONFIRMING_BURSTS:
            if fails_always(flagged, series) or (len(series.base) in LOOKS_AT_FAILURES and fails_more(series)):
                return
            if time.monotonic() > until:
                self.evidence.cut_short.add(series.cell.name)
                return
            self.add_pair(series)
            self.progress("confirmation", 0.0)

    # -------------------------------------------------------------------------------------------------------- a pair

    def add_pair(self, series: Series) -> None:
        """One more sample of each side, in random order; of those of several parts, part by part, each in new order."""
        started = time.monotonic()
        sides = [(self.base, series.base), (self.head, series.head)]
        self.order.shuffle(sides)
        for side, answers in sides:
            answers.append(side.ask(series.cell.sample, series.cell.arguments, series.cell.deadline))
        while any("waits" in answers[-1] for _, answers in sides):
            self.order.shuffle(sides)
            for side, answers in sides:
                if "waits" in answers[-1]:
                    answers[-1] = side.go_on(series.cell.deadline)
        self._stop_if_it_hangs(series)
        series.seconds += time.monotonic() - started

    def _stop_if_it_hangs(self, series: Series) -> None:
        """Twice is enough: on the base there is nothing to compare with, and on the head nothing more to find out."""
        if series.base[-1].get("timed out"):
            self._timeouts["base"] += 1
        elif series.head[-1].get("timed out"):
            self._timeouts["head"] += 1
        if self._timeouts["base"] >= MOST_TIMEOUTS:
            raise SetUpError(f"{series.cell.name} hangs on the base: {series.base[-1]['error']}")
        if self._timeouts["head"] >= MOST_TIMEOUTS:
            self.evidence.hangs = series
            raise HeadHangsError

    def _measure_control(self) -> None:
        """The same work every time, of processor and disk, that no commit has a part in."""
        started = time.monotonic()
        sum(range(50_000))
        with self._control.open("wb") as file:
            file.write(bytes(4096))
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
        self.evidence.control.append(time.monotonic() - started)


def _seconds_a_pair(series: Series) -> float:
    return series.seconds / len(series.base)


def _confirming_pairs(series: Series) -> int:
    """As many as show the change, taken for smaller than it seemed: what is flagged was flagged with some luck."""
    base, head = series.times()
    effect = max(math.log(TARGET), 0.7 * math.log(judge.compare(base, head).factor))
    needed = judge.pairs_needed(base, head, effect, CONFIRMATION_LEVEL)
    return min(max(needed, 2 * FEWEST_PAIRS), LOOKS[-1])


def is_exact(series: Series) -> bool:
    """Whether each side gave the same answer every time."""
    return all(answer == answers[0] for answers in (series.base, series.head) for answer in answers)


def is_steady(series: Series) -> bool:
    """Whether each side gave values every time, or never."""
    return all(len({"value" in answer for answer in answers}) == 1 for answers in (series.base, series.head))


def is_slower(change: judge.Change, level: float) -> bool:
    """Whether it is slower, at that level, by more than its own noise and than what nobody cares for."""
    return change.chance < level and change.factor > max(change.floor, SMALLEST)


def is_suspect(series: Series) -> bool:
    """Whether head failed more often than base, or in a way that base did less often: once is enough to look again."""
    counts = [series.failed(how) for how in WAYS_TO_FAIL]
    return any(
        head_count > 0 and base_count > 0 and head / head_count > base / base_count
        for (base, base_count), (head, head_count) in counts
    )


def suspected_of(series: Series) -> Callable[[Answer], bool]:
    """In which way head fails more often than base: the one that is less likely by chance."""
    return min(WAYS_TO_FAIL, key=lambda how: judge.fails_more(*series.failed(how)))


def fails_more(series: Series) -> bool:
    """Whether head fails more often than base, sure enough for one of the looks at it and for as many questions."""
    questions = {counts for how in WAYS_TO_FAIL if (counts := series.failed(how))[1][0]}
    return any(
        judge.fails_more(*counts) < CONFIRMATION_LEVEL / len(LOOKS_AT_FAILURES) / len(questions) for counts in questions
    )


def fails_always(first: Series, fresh: Series) -> bool:
    """Whether head failed every time in one way, and base never, in at least three fresh samples too."""
    return len(fresh.base) >= 3 and any(
        all(base[0] == 0 and head[0] == head[1] for base, head in (first.failed(how), fresh.failed(how)))
        for how in WAYS_TO_FAIL
    )


def steal() -> tuple[int, int]:
    """Time that the machine under this one took, and all time, in ticks since it started; zeros where nobody tells."""
    try:
        with open("/proc/stat") as counters:
            ticks = [int(field) for field in counters.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return ticks[7], sum(ticks)
