"""Which two commits are compared, and what changed between them; knows git, and nothing of what is measured."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import SetUpError

# What is installed and run: a change elsewhere cannot change a result.
PACKAGE = ("sqlite_writes/",)
BENCHMARKS = ("benchmarks/",)
BUILD = ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "asv.conf.json")

# The build reads it, and nothing depends on what it says: but it has to be there.
READ_BY_BUILD = "README.md"

# What would have git take another repository for that of the current folder, as in its own hooks.
GIT_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
                 "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE")  # fmt: skip

MAIN_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


@dataclass(frozen=True)
class Comparison:
    """Two commits of one repository, the files that differ between them, and what the commits' authors accept.

    changed: the names of all of these files. removed: of those that the head has no more.
    """

    root: Path
    base: str
    head: str
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    messages: str

    @property
    def measurable(self) -> tuple[str, ...]:
        """Those of the changed files that can change a result."""
        return tuple(
            name
            for name in self.changed
            if name.startswith((*PACKAGE, *BENCHMARKS))
            or name in BUILD
            or (name == READ_BY_BUILD and name in self.removed)
        )

    def read(self, path: str) -> str:
        """Return the head's version of a file."""
        return git(self.root, "show", f"{self.head}:{path}")


def git(folder: Path, *arguments: str) -> str:
    """Return what git says; ``SetUpError`` with the first line of its error if it fails."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise SetUpError(f"git does not start: {error}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise SetUpError(f"git {arguments[0]}: {said[0]}")
    return done.stdout.rstrip("\n")


def find_comparison(folder: Path, base: str | None, head: str) -> Comparison:
    """Resolve the two commits; the base is the merge base with the main branch unless it is given.

    ``SetUpError`` for what is no repository, a shallow clone, an unknown commit, no main branch, or changes in the
    work tree to what would be measured: asv measures commits, so they would not be in the result.
    """
    root = Path(git(folder, "rev-parse", "--show-toplevel"))
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise SetUpError("this clone is shallow, and the base may not be in it: git fetch --unshallow")
    head_commit = _commit(root, head)
    base_commit = _merge_base(root, head, head_commit) if base is None else _commit(root, base)
    if head_commit == _commit(root, "HEAD"):
        _refuse_uncommitted(root)
    changed, removed = (
        git(root, "diff", "--name-only", "-z", "--no-renames", *only, base_commit, head_commit).split("\0")[:-1]
        for only in ((), ("--diff-filter=D",))
    )
    messages = git(root, "log", "--format=%B", f"{base_commit}..{head_commit}")
    return Comparison(root, base_commit, head_commit, tuple(changed), tuple(removed), messages)


def _commit(root: Path, name: str) -> str:
    if name.startswith("-"):
        raise SetUpError(f"{name!r} is no name of a commit")
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except SetUpError:
        raise SetUpError(f"{name!r} is not a commit of this repository") from None


def _merge_base(root: Path, head: str, head_commit: str) -> str:
    for name in MAIN_BRANCHES:
        try:
            main_commit = _commit(root, name)
        except SetUpError:
            continue
        try:
            return git(root, "merge-base", main_commit, head_commit)
        except SetUpError:
            raise SetUpError(f"{name} and {head!r} have no commit in common: name the base") from None
    raise SetUpError(f"there is no main branch ({', '.join(MAIN_BRANCHES)}) to compare with: name the base")


def _refuse_uncommitted(root: Path) -> None:
    dirty = git(root, "status", "--porcelain", "--no-renames", "--", *PACKAGE, *BENCHMARKS, *BUILD).splitlines()
    if dirty:
        more = f" and {len(dirty) - 1} more" if len(dirty) > 1 else ""
        raise SetUpError(f"{dirty[0][3:]}{more}: uncommitted changes would not be measured; commit or stash them")


@dataclass(frozen=True)
class AcceptedCost:
    """A line ``Accept-Cost: metric +amount reason``: that metric may rise by at most that amount, for that reason."""

    metric: str
    amount: float
    reason: str


# The amount with or without separators of thousands; a decimal comma is none, and refused.
_AMOUNT = r"[+-](?:\d{1,3}(?:[,_]\d{3})+|\d+)(?:\.\d+)?"
_ACCEPTED = re.compile(rf"Accept-Cost:[ \t]*(\w+)[ \t]+({_AMOUNT})[ \t]+(\S.*)")


def accepted_costs(text: str) -> list[AcceptedCost]:
    """Return the accepted costs in this text; ``SetUpError`` for a line that does not fit."""
    found = []
    for line in re.findall(r"^Accept-Cost:.*$", text.replace("\r", ""), re.MULTILINE):
        match = _ACCEPTED.fullmatch(line)
        if match is None:
            raise SetUpError(f"{line[:100]!r} is not of the form 'Accept-Cost: bytes_written +4096 the reason'")
        metric, amount, reason = match.groups()
        found.append(AcceptedCost(metric, float(amount.replace(",", "").replace("_", "")), reason.strip()))
    return found
