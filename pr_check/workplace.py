"""The place of one check: a folder of its own, and in it both sides, built; knows nothing of what is sampled."""

from __future__ import annotations

import fcntl
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


@contextmanager
def workplace(root: Path, plan: Plan) -> Iterator[Path]:
    """Give a folder for this check alone, gone afterwards; only one check at a time has the two environments."""
    parent = root / ".asv" / "pr_check"
    parent.mkdir(parents=True, exist_ok=True)
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
    comparison: Comparison, python: str, folder: Path, plan: Plan, console: Console
) -> Iterator[tuple[Side, Side]]:
    """Give both sides, built at the same time, each with the head's benchmarks; afterwards they are ended."""
    configuration = folder / "asv.conf.json"
    configuration.write_text(comparison.read("asv.conf.json"))
    commits = {"base": comparison.base, "head": comparison.head}
    builds: list[Build] = []
    try:
        with console.status(f"building {comparison.base[:8]} and {comparison.head[:8]} for Python {python}"):
            for side, commit in commits.items():
                extract_benchmarks(comparison.root, commit, folder / f"{side}-benchmarks")
                builds.append(Build(side, comparison.root, configuration, python, commit, plan.building))
            built = [build.wait() for build in builds]
    finally:
        for build in builds:
            build.process.terminate()  # all of them, before one is waited for
        for build in builds:
            build.end()
    base, head = (
        Side(name, interpreter, folder / "head-benchmarks", folder / "databases", variables)
        for name, (interpreter, variables) in zip(commits, built)
    )
    try:
        yield base, head
    finally:
        base.end()
        head.end()


def extract_benchmarks(root: Path, commit: str, folder: Path) -> None:
    """Extract a commit's benchmark files, and nothing else of it."""
    folder.mkdir()
    done = subprocess.run(["git", "archive", commit, "benchmarks"], cwd=root, capture_output=True, check=False)
    if done.returncode == 0:
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            # Older ones of 3.11 know no filter; what is extracted is the repository's own.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)  # noqa: S202
