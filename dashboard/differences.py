"""Which differences between two environments are real, by their numbers; knows no asv, no commit and no page.

An exact cost needs one number. What varies needs rounds: one run of each environment, in random order. So the sample is
a run, and whatever slows the machine down for a minute or an hour is in both. Samples of one run do not do: two runs of
the same thing differ by more than their bursts do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Two environments that are the same show something real in one table of a thousand.
LEVEL = 0.001

# exact: the same in every run. zero: rows that must not be. count: rows. measured: anything else, as times.
Kind = Literal["exact", "zero", "count", "measured"]
Word = Literal["real", "within the noise", "same", "not enough samples"]


class Question(NamedTuple):
    """One number of two environments: what it gave in each round, or in one run."""

    kind: Kind
    first: tuple[float, ...]
    second: tuple[float, ...]

    @property
    def settled(self) -> Word | None:
        """The answer that needs no statistics; None if chance has to be asked.

        Lost, altered and doubled rows must be 0. Where one environment has any and the other has none, that is real.
        """
        if len({*self.first, *self.second}) == 1:
            return "same"
        if self.kind == "exact" and len(set(self.first)) == len(set(self.second)) == 1:
            return "real"
        if self.kind == "zero" and any(self.first) != any(self.second):
            return "real"
        return None

    @property
    def smallest_p_value(self) -> float:
        """The smallest that so many samples can give, when the two do not overlap."""
        ways = math.comb(len(self.first) + len(self.second), len(self.first))
        return min(self._tests * 2 / ways, 1.0)

    @property
    def p_value(self) -> float:
        """The chance of numbers so different, if the two environments are the same."""
        # asv loads the pages' plugin for whatever it does, and only this needs scipy.
        from scipy import stats

        ties = len({*self.first, *self.second}) < len(self.first) + len(self.second)
        method = "asymptotic" if ties else "exact"
        found = float(stats.mannwhitneyu(self.first, self.second, method=method).pvalue)
        if self._tests == 2:
            table = [[sum(map(bool, side)), sum(not rows for rows in side)] for side in (self.first, self.second)]
            found = min(found, float(stats.fisher_exact(table).pvalue))
        return min(self._tests * found, 1.0)

    @property
    def _tests(self) -> int:
        """Rows are asked twice: in how many rounds there are any (Fisher), and how many there are (Mann-Whitney)."""
        return 2 if self.kind in {"count", "zero"} else 1


def judge(questions: Sequence[Question]) -> list[Word]:
    """Return a word for each question of a table, in the order given.

    The table asks many questions, so each p-value is adjusted for all of them (Holm, 1979). A question that so few
    samples cannot answer is left out of that (Tarone, 1990), and its word is "not enough samples".
    """
    words: list[Word | None] = [question.settled for question in questions]
    open_ones = [place for place, word in enumerate(words) if word is None]
    asked = answerable({place: questions[place].smallest_p_value for place in open_ones})
    p_values = {place: questions[place].p_value for place in asked}
    real = surely_different(p_values)
    for place in open_ones:
        words[place] = "not enough samples" if place not in asked else "real" if place in real else "within the noise"
    return [word for word in words if word is not None]


def answerable(smallest: dict[int, float]) -> set[int]:
    """Return the questions whose smallest p-value is small enough, in a table of as many as are left."""
    for count in range(1, len(smallest) + 1):
        able = {place for place, p_value in smallest.items() if p_value <= LEVEL / count}
        if len(able) <= count:
            return able
    return set()


def surely_different(p_values: dict[int, float]) -> set[int]:
    """Return those that are real, by Holm's rule: from the smallest on, until one is too large for what is left."""
    found = set[int]()
    for place in sorted(p_values, key=p_values.__getitem__):
        if p_values[place] > LEVEL / (len(p_values) - len(found)):
            break
        found.add(place)
    return found


def rounds_needed(questions: int) -> int:
    """Return how many rounds answer so many questions of a table, where the two do not overlap."""
    count = 2
    while 4 / math.comb(2 * count, count) > LEVEL / max(questions, 1):
        count += 1
    return count
