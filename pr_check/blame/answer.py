"""What a blame says in the end. Knows no processes: one answer, its words and its exit status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .history import Commit

FOUND, BETWEEN, NOTHING = 0, 1, 3


@dataclass
class Answer:
    """The last good and the first bad commit, and what was seen of them.

    between: those in the middle, each with the reason why it was not judged. doubt: why the two are not enough for an
    answer. into: GOOD and BAD of the commits that a merge brought.
    """

    metric: str
    good: Commit
    bad: Commit
    count: int
    between: list[tuple[Commit, str]] = field(default_factory=list)
    doubt: str = ""
    before: str = ""
    after: str = ""
    evidence: str = ""
    into: tuple[str, str] | None = None

    @property
    def status(self) -> int:
        """The command's exit status."""
        return BETWEEN if self.doubt or self.between else FOUND

    def lines(self) -> list[str]:
        """Return the answer, its first line the commit."""
        found = [f"{self.metric}: {self.before} → {self.after}"] if self.before else []
        if self.status == BETWEEN:
            return [
                f"between {self.good} and {self.bad}",
                *(f"  not judged: {commit}: {reason}" for commit, reason in self.between),
                *([f"  {self.doubt}"] if self.doubt else []),
                *(f"  {line}" for line in (*found, f"see them: git log --patch {self._range()}")),
            ]
        lines = [
            str(self.bad),
            f"  by {self.bad.author} on {self.bad.date}, one of {self.count} commits that could be it",
            *(f"  {line}" for line in found),
            f"  sure: {self.evidence}",
            f"  see it: git show {self.bad.hash[:8]}",
        ]
        if self.into:
            lines += [
                "  it is a merge; to look into the commits that it brought:",
                f'  make blame METRIC="{self.metric}" GOOD={self.into[0]} BAD={self.into[1]}',
            ]
        return lines

    def _range(self) -> str:
        return f"{self.good.hash[:8]}..{self.bad.hash[:8]}"
