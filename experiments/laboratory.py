"""Where the check is measured: a clone of this project with commits of its own, and a load. Keeps no results."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from pr_check.build import THIS_PYTHON
from pr_check.check import identify
from pr_check.choose import choose
from pr_check.commits import find_comparison, git
from pr_check.plan import PLAN, Plan
from pr_check.suite import find_suite
from pr_check.workplace import built_sides, workplace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pr_check.side import Side

    from .bad_changes import Mutant

PROJECT = Path(__file__).resolve().parent.parent

# Where an insert is made slower or fails: between insert and commit, with the lock held; in Python, before the lock is
# asked for; after the commit. Each slowdown takes a number: of microseconds, but of turns of a loop in Python. Busy,
# because a sleep takes sixty microseconds more than it is asked for: more than 5% of a burst of 8 are for each of them.
WRITERS = "sqlite_writes/writers/ours.py"
_INSERT = "    execute(INSERT_ROW, row)\n"
_COMMIT = '    execute("COMMIT")\n'
_CALLED = "    called = time.monotonic()\n    with open_writer(database, settings) as insert:\n"
_BUSY = """\
    _until = time.perf_counter() + {0} / 1e6
    while time.perf_counter() < _until:
        pass
"""
PLACES = {
    "lock": (_INSERT, _INSERT + _BUSY),
    "python": (_CALLED, f"    for _ in range({{0}}):\n        pass\n{_CALLED}"),
    "commit": (_COMMIT, _COMMIT + _BUSY),
}


class Laboratory:
    """A clone of this project with commits of its own, and the two environments that all its checks share.

    environment_type: in place of the suite's.
    """

    def __init__(
        self, folder: Path = PROJECT / ".asv" / "laboratory", plan: Plan = PLAN, environment_type: str = ""
    ) -> None:
        self.clone, self.plan, self.environment_type = folder, plan, environment_type
        self.base = git(PROJECT, "rev-parse", "HEAD")
        if not (self.clone / ".git").exists():
            self.clone.parent.mkdir(parents=True, exist_ok=True)
            git(PROJECT, "clone", "--quiet", "--no-checkout", str(PROJECT), str(self.clone))
        git(self.clone, "fetch", "--quiet", str(PROJECT), self.base)

    def commit(self, file: str, old: str, new: str, message: str) -> str:
        """Make a commit on top of the project's HEAD in which one text is another."""
        git(self.clone, "checkout", "--quiet", "--force", "--detach", self.base)
        path = self.clone / file
        text = path.read_text()
        if old not in text:
            raise LookupError(f"{message}: its place in {file} is gone")
        path.write_text(text.replace(old, new, 1))
        author = ("-c", "user.name=laboratory", "-c", "user.email=laboratory@localhost")
        git(self.clone, *author, "commit", "--quiet", "--no-verify", "--all", "--message", message)
        return git(self.clone, "rev-parse", "HEAD")

    def nothing(self) -> str:
        """Make a commit that changes the package's text and not what it does."""
        return self.commit("sqlite_writes/settings.py", "from __future__", "# Nothing.\nfrom __future__", "Nothing")

    def mutant(self, mutant: Mutant) -> str:
        """Make a commit that is this bad change."""
        return self.commit(mutant.file, mutant.old, mutant.new, mutant.name)

    def slowdown(self, place: str, amount: float) -> str:
        """Make a commit that is slower there by that much."""
        old, new = PLACES[place]
        return self.commit(WRITERS, old, new.format(round(amount)), f"Slower: {place} {amount:.0f}")

    def failing(self, share: float) -> str:
        """Make a commit by which that share of bursts of 8 fails."""
        # A worker survives by the eighth root of what all eight are to survive together. A warm-up's rows are shorter.
        one = 1 - (1 - share) ** (1 / 8)
        raising = (
            f"{_CALLED}    if len(row[0]) == 36 and int.from_bytes(os.urandom(4), 'big') < {one} * 2**32:\n"
            "        raise RuntimeError('now and then')\n"
        )
        return self.commit(WRITERS, _CALLED, raising, "Fail now and then")

    @property
    def configuration(self) -> Path:
        """The configuration of the clone's suite."""
        return self.clone / "asv.conf.json"

    @contextmanager
    def sides(self, head: str) -> Iterator[tuple[Side, Side, Plan]]:
        """Give both sides, built, and the plan of all that can be sampled: single benchmarks, with the check's code."""
        suite = find_suite(self.configuration)
        suite = replace(suite, environment_type=self.environment_type or suite.environment_type)
        comparison = find_comparison(suite.repository, self.base, head, suite.measured)
        console = Console(stderr=True)
        with (
            workplace(self.clone, self.plan) as folder,
            built_sides(suite, comparison, THIS_PYTHON, folder, self.plan, console) as (before, base, after),
        ):
            _, _, identity = identify(before, base, after)
            yield base, after, choose(identity, self.plan, suite.timeout)


@contextmanager
def load() -> Iterator[None]:
    """Run another program beside the check: a processor busy half of the time, and a hundred syncs a second."""
    process = multiprocessing.get_context("spawn").Process(target=_be_busy, args=(os.getpid(),), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _be_busy(parent: int) -> None:
    with tempfile.TemporaryFile(dir=PROJECT) as file:
        while os.getppid() == parent:
            until = time.monotonic() + 0.005
            while time.monotonic() < until:
                pass
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            time.sleep(0.005)
