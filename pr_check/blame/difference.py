"""What tells GOOD from BAD, and which of the two a commit is like. Pure: takes numbers, knows no processes and no git.

Three kinds, each as strong as the samples allow. An exact value, or a failure that always comes: one sample decides.
What fails or exceeds a threshold now and then: Wald's sequential test of the two rates. Times: paired with samples of
GOOD, by Wilcoxon's test against half of the difference.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scipy import stats

from pr_check import inference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The pairs at which times are looked at: fewer than ten can never be sure enough.
LOOKS = (10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320)

# The chance of a wrong word at one look. A step has several looks, and a wrong one is noticed when the commit that was
# found is compared with its parent.
LEVEL = 0.002
ENDS_LEVEL = 0.0005

# So many samples of each end are the same before a value counts as exact, and before equal ends count as no difference.
EXACT = 3
EQUAL = 40

# A slowdown that is surely below this factor is not searched for: each step would take hours.
SMALLEST = 1.02

# How sure the bounds of the two rates are, by Clopper and Pearson.
_SIDE = 0.9

# A value that is no sample's: whatever is above it has failed.
_ABOVE_ALL = sys.float_info.max

# No pair of times has a ratio beyond it: counts that are paired may be 0.
_LEAST = 1e-9


class NothingToFindError(Exception):
    """GOOD and BAD do not differ, or BAD is the better one."""


@dataclass(frozen=True)
class Events:
    """A sample above the threshold is an event: rare in good commits, frequent in bad ones."""

    threshold: float
    rare: float
    frequent: float
    is_exact: bool = False

    is_paired = False
    most = LOOKS[-1]

    def decide(self, _reference: Sequence[float], step: Sequence[float]) -> Literal["good", "bad"] | None:
        """Return which rate the samples of a step have, or None while they may have either."""
        events = self.events(step)
        weight = events * math.log(self.frequent / self.rare)
        weight += (len(step) - events) * math.log((1 - self.frequent) / (1 - self.rare))
        if abs(weight) < -math.log(LEVEL):
            return None
        return "bad" if weight > 0 else "good"

    def confirm(self, parent: Sequence[float], found: Sequence[float]) -> bool | None:
        """Say whether fresh samples tell the found commit from its parent, or None while they do not say."""
        if self.is_exact:
            if self.events(parent) or self.events(found) < len(found):
                return False
            return True if len(found) >= EXACT else None
        before, after = self.decide((), parent), self.decide((), found)
        if before == "bad" or after == "good":
            return False
        return True if before and after else None

    def events(self, values: Sequence[float]) -> int:
        """Return how many of the values are events."""
        return sum(value > self.threshold for value in values)

    def describe(self, _reference: Sequence[float], step: Sequence[float], show: Callable[[float], str]) -> str:
        """Say what a step's samples showed."""
        if len(set(step)) == 1:
            return f"{show(step[0])}{f' in {len(step)} samples' if len(step) > 1 else ''}"
        events = self.events(step)
        if self.threshold == _ABOVE_ALL:
            return f"{events} of {len(step)} samples fail"
        return f"{events} of {len(step)} samples above {show(self.threshold)}"


@dataclass(frozen=True)
class Slower:
    """Samples are paired with those of GOOD: ``effect`` is the logarithm of BAD ÷ GOOD."""

    effect: float

    is_exact = False
    is_paired = True
    most = LOOKS[-1]

    def decide(self, reference: Sequence[float], step: Sequence[float]) -> Literal["good", "bad"] | None:
        """Return on which side of half of the difference the pairs are, or None while they may be on either.

        What surely has a part of the difference, and not the whole, is bad: a part came with it, or before it.
        """
        if len(step) not in LOOKS:
            return None
        ratios = log_ratios(reference, step)
        if _surely_above(self.effect / 2, ratios):
            return "bad"
        if _surely_below(self.effect / 2, ratios):
            return "good"
        has_a_part = _surely_above(self.effect / 4, ratios) and _surely_below(3 * self.effect / 4, ratios)
        return "bad" if has_a_part else None

    def confirm(self, parent: Sequence[float], found: Sequence[float]) -> bool | None:
        """Say whether the found commit is slower than its parent, or not by a quarter of the whole difference.

        A quarter, because the difference may have come with several commits.
        """
        if len(found) not in LOOKS:
            return None
        ratios = log_ratios(parent, found)
        if _surely_above(0.0, ratios):
            return True
        return False if _surely_below(self.effect / 4, ratios) else None

    def describe(self, reference: Sequence[float], step: Sequence[float], _show: Callable[[float], str]) -> str:
        """Say what a step's samples showed."""
        if not step:
            return "no pair"
        factor = math.exp(inference.hodges_lehmann(log_ratios(reference, step), inference.CONFIDENCE)[0])
        return f"{len(step)} pairs, ratio {factor:.2f}"


Difference = Events | Slower


def log_ratios(before: Sequence[float], after: Sequence[float]) -> list[float]:
    """Return the logarithm of after ÷ before for each pair."""
    return inference.log_ratios(*([max(value, _LEAST) for value in values] for values in (before, after)))


def _surely_above(effect: float, ratios: Sequence[float]) -> bool:
    return inference.p_value_of_slower([ratio - effect for ratio in ratios]) < LEVEL


def _surely_below(effect: float, ratios: Sequence[float]) -> bool:
    return inference.p_value_of_slower([effect - ratio for ratio in ratios]) < LEVEL


def compare_ends(
    good: Sequence[float], bad: Sequence[float], show: Callable[[float], str], is_last: bool
) -> Difference | None:
    """Return what tells GOOD from BAD by as many samples of each; None while it is not sure.

    Infinity stands for a sample that failed. ``NothingToFindError`` if there is no difference, or BAD is better; when
    this is the last look, also if there is none to be seen.
    """
    if len(good) < EXACT:
        return None
    if len(set(good)) == len(set(bad)) == 1:
        (before, after) = good[0], bad[0]
        if before < after:
            threshold = (before + after) / 2 if math.isfinite(after) else _ABOVE_ALL
            return Events(threshold, rare=0.001, frequent=0.999, is_exact=True)
        if before > after:
            raise NothingToFindError(f"BAD is better: {show(after)}, where GOOD has {show(before)}")
        difference = None
        is_last = is_last or len(good) >= EQUAL
    else:
        is_positive = all(0 < value < math.inf for value in (*good, *bad))
        difference = (_compare_times if is_positive else _compare_events)(good, bad, show, is_last)
    if difference is None and is_last:
        if len(good) < LOOKS[0] or _may_differ(good, bad):
            raise NothingToFindError(
                f"not sure whether GOOD and BAD differ, a longer time may tell: {_side_by_side(good, bad, show)}"
            )
        raise NothingToFindError(f"no difference between GOOD and BAD: {_side_by_side(good, bad, show)}")
    return difference


def _compare_times(
    good: Sequence[float], bad: Sequence[float], show: Callable[[float], str], is_last: bool
) -> Slower | None:
    if len(good) not in LOOKS and not (is_last and len(good) > LOOKS[0]):
        return None
    ratios = log_ratios(good, bad)
    effect, low, _ = inference.hodges_lehmann(ratios, inference.CONFIDENCE)
    # Half of the difference is what steps are judged by: it is to be known well. With a looser rule, 4 of 50 drawn
    # histories had a step that was near half of what had seemed to be the whole.
    if inference.p_value_of_slower(ratios) < ENDS_LEVEL and (low > 2 / 3 * effect or is_last):
        return Slower(effect)
    if inference.p_value_of_slower([-ratio for ratio in ratios]) < ENDS_LEVEL:
        raise NothingToFindError(f"BAD is better: {_side_by_side(good, bad, show)}")
    if inference.surely_below(good, bad, SMALLEST, 0.999):
        raise NothingToFindError(f"no difference between GOOD and BAD: {_side_by_side(good, bad, show)}")
    return None


def _compare_events(
    good: Sequence[float], bad: Sequence[float], show: Callable[[float], str], is_last: bool
) -> Events | None:
    """Take the threshold that tells the two apart best."""
    count = len(good)
    if count not in (8, *LOOKS) and not is_last:
        return None
    values = sorted({*good, *bad})
    best = (1.0, 0.0, 0, 0)
    for below, above in itertools.pairwise(values):
        threshold = (below + above) / 2 if math.isfinite(above) else _ABOVE_ALL
        before, after = (sum(value > threshold for value in side) for side in (good, bad))
        if inference.p_value_of_failing_more((after, count), (before, count)) < ENDS_LEVEL:
            raise NothingToFindError(f"BAD is better: {_side_by_side(good, bad, show)}")
        p_value = inference.p_value_of_failing_more((before, count), (after, count))
        best = min(best, (p_value, threshold, before, after))
    p_value, threshold, before, after = best
    if p_value >= ENDS_LEVEL:
        return None
    # Steps are judged by rates that are nearer to each other than these: GOOD and BAD were told apart with some luck.
    rare = float(stats.beta.ppf(_SIDE, before + 1, count - before))
    frequent = float(stats.beta.ppf(1 - _SIDE, after, count - after + 1))
    is_known_well = frequent - rare >= (after - before) / count / 2
    return Events(threshold, rare, frequent) if is_known_well or (is_last and frequent > rare) else None


def _may_differ(good: Sequence[float], bad: Sequence[float]) -> bool:
    """Say whether the times may be others, though not surely enough to blame anybody."""
    if not all(0 < value < math.inf for value in (*good, *bad)):
        return False
    _, low, high = inference.hodges_lehmann(log_ratios(good, bad), inference.CONFIDENCE)
    return low > 0 or high < 0


def _side_by_side(good: Sequence[float], bad: Sequence[float], show: Callable[[float], str]) -> str:
    if len({*good, *bad}) == 1:
        return f"{show(good[0])} in {len(good)} samples of each"
    texts = " and ".join(f"{show(min(side))} to {show(max(side))}" for side in (good, bad))
    if all(0 < value < math.inf for value in (*good, *bad)):
        factor, low, high = map(math.exp, inference.hodges_lehmann(log_ratios(good, bad), inference.CONFIDENCE))
        return f"{texts} in {len(good)} pairs, a ratio of {factor:.3f} (95%: {low:.3f} to {high:.3f})"
    return f"{texts} in {len(good)} samples of each"
