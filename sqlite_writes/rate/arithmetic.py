"""What to expect of inserts that arrive at random, so many a second, each under way for so long. Arithmetic only.

The arrivals are a Poisson process: any number of callers, none of whom knows of another. Calls that a clock starts at
the same second are none: they are a burst. Two inserts meet if both are under way at one moment.
"""

from __future__ import annotations

import math


def chance_of_meeting(rate: float, insert_time: float) -> float:
    """The chance that an insert meets at least one other.

    rate: inserts a second. insert_time: seconds that each is under way.

    It meets all that begin in the ``insert_time`` before it begins, and in the one that it takes.
    """
    _check(rate, insert_time)
    return -math.expm1(-2 * rate * insert_time)


def meetings(rate: float, insert_time: float, seconds: float) -> float:
    """The number of pairs to expect in so many seconds whose two inserts meet."""
    _check(rate, insert_time)
    return rate * seconds * rate * insert_time


def chance_of_finding(rate: float, insert_time: float, others: int) -> float:
    """The chance that an insert, when it begins, finds at least so many others under way.

    How many are under way is Poisson distributed, and who arrives at random sees what is there on average. This holds
    for insert times of any distribution with that mean (the queue M/G/∞), as long as nobody waits for another.
    """
    _check(rate, insert_time)
    if others < 0:
        raise ValueError(f"others {others!r} is not a whole number of 0 or more")
    mean = rate * insert_time
    if others == 0:
        return 1.0
    if mean == 0:
        return 0.0
    if others <= mean:  # most of the distribution is above: sum what is below
        return 1 - sum(_poisson(mean, count) for count in range(others))
    total, count = 0.0, others
    while True:
        term = _poisson(mean, count)
        total += term
        count += 1
        if term <= total * 1e-17:  # each term is smaller than the last by mean / count < 1
            return total


def seconds_between(rate: float, insert_time: float, together: int = 2) -> float:
    """The seconds, on average, from one moment at which so many are under way at once to the next; may be infinite."""
    chance = chance_of_finding(rate, insert_time, together - 1)
    return 1 / (rate * chance) if rate * chance > 0 else math.inf


def at_most(failed: int, tried: int) -> float:
    """The share that fails at most, with 95% confidence, when so many of the tried have failed (Clopper-Pearson)."""
    if failed >= tried:
        return 1.0
    low, high = failed / tried, 1.0
    for _ in range(60):
        share = (low + high) / 2
        seen = sum(_binomial(tried, count, share) for count in range(failed + 1))
        low, high = (share, high) if seen > 0.05 else (low, share)
    return high


def _poisson(mean: float, count: int) -> float:
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def _binomial(tried: int, count: int, share: float) -> float:
    if share in (0.0, 1.0):
        return float(count == tried * share)
    ways = math.lgamma(tried + 1) - math.lgamma(count + 1) - math.lgamma(tried - count + 1)
    return math.exp(ways + count * math.log(share) + (tried - count) * math.log1p(-share))


def _check(rate: float, insert_time: float) -> None:
    if not (0 < rate < math.inf and 0 <= insert_time < math.inf):
        raise ValueError(f"rate {rate!r} or insert time {insert_time!r} is not a number above 0")
