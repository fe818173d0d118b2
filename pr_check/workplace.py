"""The place of one check: a folder of its own, and in it both sides, built; knows nothing of what is sampled."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from .build import Build
from .errors import SetUpError
from .side import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from .commits import Comparison
    from .plan import Plan
    from .suite import Suite


@contextmanager
def workplace(root: Path, plan: Plan) -> Iterator[Path]:
    """Give a folder for this check alone, gone afterwards; only one check at a time has the two environments."""
    parent = root / ".asv" / "pr_check"
    parent.mkdir(parents=True, exist_ok=True)
    (parent / ".gitignore").write_text("*\n")
    free = shutil.disk_usage(parent).free
    if free < plan.space:
        raise SetUpError(
            f"the disk of {str(parent)!r} is full: {free // 1_000_000} MB free, {plan.space // 1_000_000} needed"
        )
    with (parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetUpError("another check of this repository is running") from None
        for left in parent.glob("run-*"):  # by a check that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix="run-", ignore_cleanup_errors=True) as folder:
            (Path(folder) / "databases").mkdir()
            yield Path(folder)


@contextmanager
def built_sides(
    suite: Suite, comparison: Comparison, python: str, folder: Path, plan: Plan, console: Console
) -> Iterator[tuple[Side, Side, Side]]:
    """Give the base with its own benchmarks, and both sides with the head's; afterwards all are ended."""
    configuration = folder / suite.configuration.name
    configuration.write_text(_configuration(suite, comparison))
    commits = {"base": comparison.base, "head": comparison.head}
    benchmarks = {side: _benchmarks(suite, commit, folder / f"{side}-benchmarks") for side, commit in commits.items()}
    builds: list[Build] = []
    try:
        with console.status(f"building {comparison.base[:8]} and {comparison.head[:8]} for Python {python}"):
            for side, commit in commits.items():
                builds.append(Build(side, suite, configuration, python, commit, plan.building))
            built = [build.wait() for build in builds]
    finally:
        for build in builds:
            build.process.terminate()  # all of them, before one is waited for
        for build in builds:
            build.end()
    variables = {"ASV_CONF_DIR": str(suite.folder)}
    base, head = (
        Side(name, interpreter, benchmarks["head"], folder / "databases", {**variables, **own})
        for name, (interpreter, own) in zip(commits, built)
    )
    before = Side("before", base.interpreter, benchmarks["base"], base.databases, base.variables)
    try:
        yield before, base, head
    finally:
        for one in (before, base, head):
            one.end()


def _configuration(suite: Suite, comparison: Comparison) -> str:
    """Return the head's version of the configuration, if it is in the repository."""
    if suite.inside is not None:
        name = os.path.normpath(suite.inside / suite.configuration.name)
        try:
            return comparison.read(name)
        except SetUpError:  # it is not in the commit: somebody's own
            pass
    return suite.configuration.read_text()


def _benchmarks(suite: Suite, commit: str, folder: Path) -> Path:
    """Return where a commit's benchmark files are, extracted; or those of a suite outside of the repository, copied."""
    if suite.inside is None:
        source = suite.folder / suite.benchmarks
        if not source.is_dir():
            raise SetUpError(f"{str(source)!r}, the benchmark_dir of {suite.configuration.name}, is not there")
        shutil.copytree(source, folder / source.name)
        return folder / source.name
    extract(suite.repository, commit, suite.benchmarks_inside, folder)
    return folder / suite.benchmarks_inside


def extract(root: Path, commit: str, path: str, folder: Path) -> None:
    """Extract a commit's files of that path, and nothing else of it."""
    folder.mkdir()
    done = subprocess.run(["git", "archive", commit, path], cwd=root, capture_output=True, check=False)
    if done.returncode == 0:
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            # Older ones of 3.11 know no filter; what is extracted is the repository's own.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)  # noqa: S202
