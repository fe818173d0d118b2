"""Two places in which commits are installed and sampled, one beside the other. Judges nothing.

Each has an environment of asv's, that of the check of a pull request: whoever has run it waits for none. Both places
run the work tree's benchmarks, whatever the commit, as asv does.
"""

from __future__ import annotations

import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pr_check.build import Build
from pr_check.errors import SetUpError
from pr_check.plan import PLAN
from pr_check.side import Side
from pr_check.workplace import workplace

from .metric import Metric, list_benchmarks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pr_check.suite import Suite

Place = Literal["base", "head"]


class UnusableError(Exception):
    """A commit does not build, or gives no value that could be compared; with the reason in one line."""


@dataclass(frozen=True)
class Observation:
    """One sample: a value, or the last lines of what it raised, or why it is not possible."""

    value: float = 0.0
    error: str = ""
    not_possible: str = ""

    @property
    def kind_of_error(self) -> str:
        """The last line of the error, with all numbers alike."""
        return re.sub(r"[0-9a-f]{8}[0-9a-f-]*|\d+(\.\d+)?", "#", self.last_line)

    @property
    def last_line(self) -> str:
        """The last line of the error."""
        return (self.error.splitlines() or [""])[-1]


class Bench(Protocol):
    """Where commits are installed and sampled."""

    def put(self, commits: dict[Place, str]) -> None:
        """Install each commit in its place; ``UnusableError`` if one does not build."""

    def sample(self, place: Place) -> Observation:
        """Take one sample of the commit that is there."""


class BuiltBench:
    """Commits of a repository, built by asv's own code, and a copy of the benchmarks."""

    def __init__(self, suite: Suite, folder: Path, benchmarks: Path, metric: Metric, python: str) -> None:
        self.suite, self.folder, self.benchmarks, self.metric, self.python = suite, folder, benchmarks, metric, python
        self._there: dict[Place, tuple[str, Side]] = {}
        self._slowest = 0.0

    def put(self, commits: dict[Place, str]) -> None:
        """Install each commit in its place, at the same time; ``UnusableError`` if one does not build."""
        wanted = {place: one for place, one in commits.items() if self._there.get(place, ("",))[0] != one}
        builds: dict[Place, Build] = {}
        try:
            for place, commit in wanted.items():
                if place in self._there:
                    self._there.pop(place)[1].end()
                configuration = self.folder / self.suite.configuration.name
                builds[place] = Build(place, self.suite, configuration, self.python, commit, PLAN.building)
            for place, build in builds.items():
                interpreter, variables = build.wait()
                variables = {"ASV_CONF_DIR": str(self.suite.folder), **variables}
                side = Side(place, interpreter, self.benchmarks, self.folder / "databases", variables)
                self._there[place] = wanted[place], side
        except SetUpError as error:
            why = str(error).partition("does not build: ")[2].partition(" (all of it")[0]
            raise UnusableError(f"does not build: {why or error}") from None
        finally:
            for build in builds.values():
                build.process.terminate()  # all of them, before one is waited for
            for build in builds.values():
                build.end()

    def sample(self, place: Place) -> Observation:
        """Take one sample, in a fresh process that has not more time than ten of the slowest so far."""
        longest = self.metric.timeout
        deadline = min(longest, 20 + 10 * self._slowest) if self._slowest else longest
        asked: dict[str, object] = {"benchmark": self.metric.benchmark, "index": self.metric.index, "options": {}}
        started = time.monotonic()
        reply = self._there[place][1].ask("run", asked, deadline)
        value = reply.get("value")
        if value is not None:
            self._slowest = max(self._slowest, time.monotonic() - started)
            return Observation(value["seconds"] if "seconds" in value else value["tracked"])
        return Observation(error=reply.get("error", ""), not_possible=reply.get("not possible", ""))

    def end(self) -> None:
        """End what runs."""
        for _, side in self._there.values():
            side.end()


@contextmanager
def built_bench(suite: Suite, python: str, metric: Metric) -> Iterator[BuiltBench]:
    """Give a bench with the work tree's benchmarks and configuration as they are now; nothing is left of it."""
    with workplace(suite.folder, PLAN) as folder:
        shutil.copy(suite.configuration, folder / suite.configuration.name)
        source = suite.folder / suite.benchmarks
        benchmarks = folder / "suite" / source.name
        shutil.copytree(source, benchmarks, ignore=shutil.ignore_patterns("__pycache__"))
        bench = BuiltBench(suite, folder, benchmarks, metric, python)
        try:
            yield bench
        finally:
            bench.end()


def find_benchmarks(suite: Suite) -> list[dict[str, object]]:
    """Return what asv finds in the work tree's benchmarks."""
    return list_benchmarks(suite.folder / suite.benchmarks)
