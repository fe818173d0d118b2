"""The commits between a good and a bad one, along the first parents. Knows git, and nothing of what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pr_check.commits import git
from pr_check.errors import SetUpError

if TYPE_CHECKING:
    from pathlib import Path

    from pr_check.suite import Suite

_FORMAT = "--format=%H%x00%an%x00%as%x00%P%x00%s"


@dataclass(frozen=True)
class Commit:
    """One commit, with what people know it by; its parents' hashes, the first one first."""

    hash: str
    author: str = ""
    date: str = ""
    parents: tuple[str, ...] = ()
    subject: str = ""

    def __str__(self) -> str:
        return f'{self.hash[:8]} "{self.subject}"'


@dataclass(frozen=True)
class History:
    """GOOD, and after it each commit that can change what is measured, in order.

    The last one has BAD's package. others: how many commits there are besides, which touch only docs, tests and such.
    """

    root: Path
    commits: tuple[Commit, ...]
    others: int = 0

    @property
    def last(self) -> int:
        """The index of the commit that is bad."""
        return len(self.commits) - 1


def history_between(suite: Suite, good: str, bad: str) -> History:
    """Return the commits after GOOD, up to BAD; ``SetUpError`` if they are not on one line of first parents.

    And if a part of the repository's history is missing.
    """
    root = suite.repository
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise SetUpError("this clone is shallow, and commits may be missing: git fetch --unshallow")
    first, last = _commit(root, "GOOD", good), _commit(root, "BAD", bad)
    if first == last:
        raise SetUpError(f"GOOD {good!r} and BAD {bad!r} are the same commit")
    if git(root, "rev-list", "--max-count=1", first, f"^{last}"):
        swapped = "; BAD comes before GOOD: swap them" if not git(root, "rev-list", "-1", last, f"^{first}") else ""
        raise SetUpError(f"GOOD {good!r} is not an ancestor of BAD {bad!r}{swapped}")
    line = _log(root, f"{first}..{last}")
    if line[0].parents[:1] != (first,):
        merge = _log(root, "--ancestry-path", f"{first}..{last}")[0]
        raise SetUpError(
            f"GOOD {good!r} came in with the merge {merge}: take {merge.hash[:8]}^ or {merge.hash[:8]} as GOOD, "
            "or a BAD before it"
        )
    touching = [commit for commit in line if _can_change(suite, commit)]
    (start,) = _log(root, "--max-count=1", first)
    return History(root, (start, *touching), len(line) - len(touching))


def _can_change(suite: Suite, commit: Commit) -> bool:
    """Say whether a commit changes what is installed; the benchmarks are always those of the work tree."""
    between = commit.parents[0], commit.hash
    changed, removed = (
        tuple(git(suite.repository, "diff", "--name-only", "-z", "--no-renames", *only, *between).split("\0")[:-1])
        for only in ((), ("--diff-filter=D",))
    )
    inside = suite.benchmarks_inside
    return any(not (inside and name.startswith(f"{inside}/")) for name in suite.measured(changed, removed))


def into_the_merge(root: Path, merge: Commit) -> tuple[str, str]:
    """Return GOOD and BAD of the commits that a merge brought."""
    return git(root, "merge-base", *merge.parents[:2])[:8], merge.parents[1][:8]


def _commit(root: Path, role: str, name: str) -> str:
    if name and not name.startswith("-"):
        try:
            return git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except SetUpError:
            pass
    raise SetUpError(f"{role} {name!r} is not a commit of this repository")


def _log(root: Path, *what: str) -> list[Commit]:
    """Return these commits along the first parents, the oldest first."""
    said = git(root, "-c", "log.showSignature=false", "log", "--first-parent", "--reverse", _FORMAT, *what)
    found = []
    for line in said.split("\n") if said else ():
        name, author, date, parents, subject = line.split("\0")
        found.append(Commit(name, author, date, tuple(parents.split()), subject))
    return found
