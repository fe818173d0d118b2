"""Which two commits are compared, and what changed between them; knows git, and nothing of what is measured."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import SetUpError

if TYPE_CHECKING:
    from pathlib import Path

# What would have git take another repository for that of the current folder, as in its own hooks.
GIT_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
                 "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE")  # fmt: skip

# A fork's own main branch may be old: where there is the original, both are asked. The local one comes after them.
MAIN_BRANCHES = ("HEAD", "main", "master")
REMOTES = (("upstream/", "origin/"), ("",))

# Gives those of the changed files that may change a result; the second are those that the head has no more.
Measured = Callable[[tuple[str, ...], tuple[str, ...]], Iterator[str]]


@dataclass(frozen=True)
class Comparison:
    """Two commits of one repository, the files that differ between them, and what the commits' authors say.

    changed: the names of all of these files. measurable: of those that may change a result. notes: what there is to
    say of how the base was found.
    """

    root: Path
    base: str
    head: str
    changed: tuple[str, ...]
    measurable: tuple[str, ...]
    messages: str
    notes: tuple[str, ...] = ()

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


def find_comparison(
    root: Path, base: str | None, head: str, measured: Measured, *, as_given: bool = False
) -> Comparison:
    """Resolve the two commits; the base is where head has left the base or, without one, the main branch.

    as_given: compare with the base itself, wherever it is.

    ``SetUpError`` for a shallow clone or one without files, an unknown commit, no main branch, or changes in the work
    tree to what would be measured: asv measures commits, so they would not be in the result.
    """
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise SetUpError("this clone is shallow, and the base may not be in it: git fetch --unshallow")
    head_commit = _commit(root, head)
    if base is None:
        base_commit, notes = _leaves_main(root, head, head_commit)
    else:
        base_commit, notes = _commit(root, base), []
        common = base_commit if as_given else _merge_base(root, base, base_commit, head, head_commit)
        if common != base_commit:
            ahead = git(root, "rev-list", "--count", f"{common}..{base_commit}")
            notes.append(f"the base is {common[:8]}, where {head} leaves {base}: {base} is {ahead} commits further")
            base_commit = common
    _refuse_missing_files(root, base_commit, head_commit)
    if head_commit == _commit(root, "HEAD") and git(root, "rev-parse", "--is-bare-repository") == "false":
        _refuse_uncommitted(root, measured)
    changed, removed = (
        tuple(git(root, "diff", "--name-only", "-z", "--no-renames", *only, base_commit, head_commit).split("\0")[:-1])
        for only in ((), ("--diff-filter=D",))
    )
    messages = git(root, "log", "--format=%B", f"{base_commit}..{head_commit}")
    notes += _whose(root, base_commit, head_commit)
    return Comparison(
        root, base_commit, head_commit, changed, tuple(measured(changed, removed)), messages, tuple(notes)
    )


def _commit(root: Path, name: str) -> str:
    if name.startswith("-"):
        raise SetUpError(f"{name!r} is no name of a commit")
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except SetUpError:
        raise SetUpError(f"{name!r} is not a commit of this repository") from None


def _leaves_main(root: Path, head: str, head_commit: str) -> tuple[str, list[str]]:
    """Return the merge base with the main branch, of several the newest, and which one it was."""
    for remotes in REMOTES:
        named = ([remote + name for name in MAIN_BRANCHES if remote + name != "HEAD"] for remote in remotes)
        if found := dict(filter(None, (_first(root, names) for names in named))):
            bases = {name: _merge_base(root, name, commit, head, head_commit) for name, commit in found.items()}
            nearest = min(
                bases, key=lambda name: int(git(root, "rev-list", "--count", f"{bases[name]}..{head_commit}"))
            )
            return bases[nearest], [f"the base is where {head} leaves {nearest}"]
    raise SetUpError("there is no main branch (upstream/main, origin/main, main, …) to compare with: name the base")


def _first(root: Path, names: list[str]) -> tuple[str, str] | None:
    """Return the first of these branches that is there, with its commit."""
    for name in names:
        with suppress(SetUpError):
            return name, _commit(root, name)
    return None


def _merge_base(root: Path, name: str, commit: str, head: str, head_commit: str) -> str:
    try:
        return git(root, "merge-base", commit, head_commit)
    except SetUpError:
        raise SetUpError(f"{name} and {head!r} have no commit in common: name the base") from None


def _whose(root: Path, base: str, head: str) -> list[str]:
    """Say how old the base is, and how many of the commits that are judged are by others than the last one's author."""
    authors = git(root, "log", "--format=%ae", f"{base}..{head}").splitlines()
    others = sum(author != authors[0] for author in authors)
    date = git(root, "show", "--no-patch", "--format=%cs", base)
    plural = "s" if len(authors) != 1 else ""
    by = f", {others} of them by others than {authors[0]}: a stale base makes theirs yours" if others else ""
    return [f"{len(authors)} commit{plural} since the base of {date}{by}"] if authors else []


def _refuse_missing_files(root: Path, *commits: str) -> None:
    """Refuse a clone that has commits and not their files: asv's own clone of it could not be checked out."""
    listed = git(root, "rev-list", "--objects", "--missing=print", "--no-walk", *commits)
    missing = sum(line.startswith("?") for line in listed.splitlines())
    if missing:
        raise SetUpError(
            f"this clone lacks {missing} files of the two commits (git clone --filter): "
            "git config --unset remote.origin.partialclonefilter && git fetch --refetch"
        )


def _refuse_uncommitted(root: Path, measured: Measured) -> None:
    status = git(root, "status", "--porcelain", "--no-renames", "-z", "--untracked-files=all").split("\0")[:-1]
    modified = tuple(line[3:] for line in status if not line.startswith("??"))
    # A new file counts beside files of the project; elsewhere it is somebody's own.
    folders = {name.rpartition("/")[0] for name in git(root, "ls-files", "-z").split("\0")}
    new = tuple(
        name for line in status if line.startswith("??") and (name := line[3:]).rpartition("/")[0] in folders - {""}
    )
    dirty = sorted(measured(modified + new, ()))
    if dirty:
        more = f" and {len(dirty) - 1} more" if len(dirty) > 1 else ""
        raise SetUpError(f"{dirty[0]}{more}: uncommitted changes would not be measured; commit or stash them")
