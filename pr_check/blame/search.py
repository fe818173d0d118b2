"""The search for the first bad commit, by verdicts on single ones. Knows no commits and no samples, only indexes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

# "unknown": it does not build or run, or was not decided: the search steps around it.
Verdict = Literal["good", "bad", "unknown"]


class Search:
    """Index 0 is good and the last is bad: between them each is good, then each is bad, as far as anybody can tell."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.verdicts: dict[int, Verdict] = {0: "good", last: "bad"}

    @property
    def good(self) -> int:
        """The last index that is known to be good."""
        return max(index for index, verdict in self.verdicts.items() if verdict == "good")

    @property
    def bad(self) -> int:
        """The first index after it that is known to be bad."""
        return min(index for index, verdict in self.verdicts.items() if verdict == "bad")

    @property
    def steps_left(self) -> int:
        """So many more verdicts at most, if none of them is unknown."""
        return math.ceil(math.log2(len(self._free()) + 1))

    def next(self) -> int | None:
        """Return the index to look at: the one farthest from all that were, so that one among broken ones is left soon.

        None if all between the good and the bad one are unknown.
        """
        low, high = self.good, self.bad
        seen = [index for index in self.verdicts if low <= index <= high]
        return max(self._free(), key=lambda index: min(abs(index - other) for other in seen), default=None)

    def _free(self) -> list[int]:
        return [index for index in range(self.good + 1, self.bad) if index not in self.verdicts]

    def run(self, judge: Callable[[int], Verdict]) -> None:
        """Ask for verdicts until nothing is left to look at."""
        while (index := self.next()) is not None:
            self.verdicts[index] = judge(index)

    def reopen(self) -> bool:
        """Forget the verdicts on the two at the end of the search, since one of them was wrong; the ends are kept."""
        doubtful = {self.good, self.bad} - {0, self.last}
        for index in doubtful:
            del self.verdicts[index]
        return bool(doubtful)
