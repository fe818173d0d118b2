"""Statistical inference: pure functions from numbers to numbers. Knows not where the numbers come from.

Times are compared by paired ranks (Wilcoxon), counts by Fisher's exact test, many questions at once by Holm. All tests
are one-sided: only what got worse is an alarm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

# How sure the interval of a change and the change that "would have been noticed" are.
CONFIDENCE = 0.95
POWER = 0.95


@dataclass(frozen=True)
class Ratio:
    """By what factor head takes longer than base, from pairs.

    count: of the pairs. factor, low, high: the Hodges-Lehmann estimate of head ÷ base, and its 95% interval.
    p_value: that of Wilcoxon's signed-rank test, that head is not slower.
    floor: the factor that the pairs show against each other, by the same estimate: below it nothing counts.
    """

    count: int
    factor: float
    low: float
    high: float
    p_value: float
    floor: float


def compare(base: Sequence[float], head: Sequence[float]) -> Ratio:
    """Compare paired times; both need the same number, at least one, all above 0."""
    ratios = log_ratios(base, head)
    factor, low, high = map(math.exp, hodges_lehmann(ratios, CONFIDENCE))
    return Ratio(len(ratios), factor, low, high, p_value_of_slower(ratios), math.exp(noise_floor(ratios)))


def log_ratios(base: Sequence[float], head: Sequence[float]) -> list[float]:
    """Return the logarithm of head ÷ base for each pair: the same change whichever of the two is the larger."""
    return [math.log(after / before) for before, after in zip(base, head, strict=True)]


def p_value_of_slower(ratios: Sequence[float]) -> float:
    """Return the chance of ratios so far above 0 if head is no slower, by Wilcoxon's test: exact up to 50 pairs."""
    if not any(ratios):
        return 1.0
    exact = len(ratios) <= 50 and len({abs(ratio) for ratio in ratios}) == len(ratios) and all(ratios)
    return float(stats.wilcoxon(ratios, alternative="greater", method="exact" if exact else "asymptotic").pvalue)


def hodges_lehmann(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Return the median of the values' Walsh averages, the centre that belongs to Wilcoxon's test, and its interval.

    With too few values for that confidence the interval is from the least to the largest average.
    """
    count = len(values)
    array = np.asarray(values)
    averages = np.sort((array[:, None] + array[None, :])[np.triu_indices(count)] / 2)
    # The ranks of the interval's ends, by the signed-rank statistic's normal approximation (Hollander & Wolfe, 3.3).
    middle, deviation = count * (count + 1) / 4, math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    outside = max(math.floor(middle - stats.norm.ppf((1 + confidence) / 2) * deviation), 0)
    return float(np.median(averages)), float(averages[outside]), float(averages[len(averages) - 1 - outside])


def noise_floor(ratios: Sequence[float]) -> float:
    """Return the difference that noise alone produces, estimated from neighbouring pairs.

    Whatever head's change is, both have it. A difference of two spreads more than one of them does, by the root of 2.
    Not base against the next base: these are seconds apart, and the disk's pace between them is not the pairs' noise.
    """
    differences = [(one - other) / math.sqrt(2) for one, other in zip(ratios[::2], ratios[1::2])]
    return abs(hodges_lehmann(differences, CONFIDENCE)[0]) if differences else 0.0


def smallest_detectable_factor(base: Sequence[float], head: Sequence[float], level: float) -> float:
    """Return by what factor head would have had to be slower to be noticed at that level, with a power of 95%.

    Tried out: the ratios' deviations from their centre are drawn anew 400 times, with a larger and larger effect, until
    Wilcoxon's test sees it in 95% of them. Few pairs know their own spread badly, so it is taken for as large as it is
    with a confidence of 80%. Infinite if so few can never reach that level.
    """
    ratios = np.asarray(log_ratios(base, head))
    count = len(ratios)
    critical = _critical_rank_sum(count, level)
    if critical > count * (count + 1) / 2:
        return math.inf
    caution = math.sqrt((count - 1) / float(stats.chi2.ppf(0.2, count - 1)))
    deviations = caution * (ratios - hodges_lehmann(ratios.tolist(), CONFIDENCE)[0])
    draws = np.random.default_rng(count).choice(deviations, (400, count))
    low, high = 0.0, 2 * float(np.abs(deviations).max()) + 0.001
    while high - low > 0.001:
        effect = (low + high) / 2
        shifted = draws + effect
        ranks = np.abs(shifted).argsort(axis=1).argsort(axis=1) + 1
        if np.mean((ranks * (shifted > 0)).sum(axis=1) >= critical) >= POWER:
            high = effect
        else:
            low = effect
    return math.exp(high)


def _critical_rank_sum(count: int, level: float) -> float:
    """Return the least sum of positive ranks whose chance is below the level: exact up to 50 pairs, then nearly."""
    if count > 50:
        middle, deviation = count * (count + 1) / 4, math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
        return float(middle + stats.norm.isf(level) * deviation)
    ways = np.zeros(count * (count + 1) // 2 + 1)
    ways[0] = 1
    for rank in range(1, count + 1):
        ways[rank:] += ways[:-rank].copy()
    chances = np.cumsum(ways[::-1])[::-1] / ways.sum()  # of at least so much
    return int(np.argmax(np.append(chances, 0.0) < level))


def pairs_needed(base: Sequence[float], head: Sequence[float], effect: float, level: float) -> int:
    """Return how many pairs as noisy as these show a log-ratio of that size at that level, with a power of 99.98%.

    Of 99% in truth, tried out on the noise of measured pairs: few of them know their own spread badly.
    """
    ratios = log_ratios(base, head)
    _, low, high = hodges_lehmann(ratios, CONFIDENCE)
    deviation = (high - low) / 2 / float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(len(ratios))
    return math.ceil((float(stats.norm.isf(level) + stats.norm.ppf(0.9998)) * deviation / effect) ** 2)


def surely_below(base: Sequence[float], head: Sequence[float], factor: float, confidence: float) -> bool:
    """Say whether the change is below that factor with that (one-sided) confidence."""
    return hodges_lehmann(log_ratios(base, head), 2 * confidence - 1)[2] < math.log(factor)


def p_value_of_failing_more(base: tuple[int, int], head: tuple[int, int]) -> float:
    """Return the chance of so many more failures, k of n, on the head if both fail alike: Fisher's exact test."""
    (base_failed, base_count), (head_failed, head_count) = base, head
    table = [[head_failed, head_count - head_failed], [base_failed, base_count - base_failed]]
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def adjust_for_all_questions(p_values: Sequence[float]) -> list[float]:
    """Return each p-value adjusted for all the questions that were asked with it (Holm, 1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min((len(p_values) - rank) * p_values[index], 1.0))
        adjusted[index] = largest
    return adjusted
