"""A suite by its ``asv.conf.json``: where its benchmarks are, and of which repository. Runs nothing but git."""

from __future__ import annotations

import os
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from asv.config import Config
from asv.util import UserError

from .commits import git
from .errors import SetUpError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Suite:
    """A configuration, and what it says.

    folder: that of the configuration, to which its paths belong. repository: the top of the measured project's.
    inside: the path of ``folder`` in that repository, if the suite is in it and so has a state at each commit.
    """

    configuration: Path
    folder: Path
    repository: Path
    inside: Path | None
    benchmarks: str
    environment_type: str
    timeout: float
    project_folder: str
    never_judged: tuple[str, ...]

    @property
    def benchmarks_inside(self) -> str:
        """The benchmarks' path in the repository; none for a suite outside of it."""
        return "" if self.inside is None else os.path.normpath(self.inside / self.benchmarks)

    def is_never_judged(self, benchmark: str) -> bool:
        """Say whether the configuration takes this benchmark out of asv's own detection of regressions."""
        return any(re.match(one, benchmark) for one in self.never_judged)

    def measured(self, names: tuple[str, ...], removed: tuple[str, ...]) -> Iterator[str]:
        """Give those of the changed files that may change what is installed or run.

        The others are words, tests, and what only a hosting site reads. ``removed``: a build may miss these.
        """
        for name in names:
            top, _, rest = name.removeprefix(f"{self.project_folder}/").partition("/")
            is_beside = bool(rest) and top in ("docs", "doc", "tests", "test", "examples")
            is_hidden = top.startswith(".") and top != ".gitmodules"
            is_words = name.lower().endswith((".md", ".rst"))
            is_benchmark = bool(self.benchmarks_inside) and name.startswith(f"{self.benchmarks_inside}/")
            if is_benchmark or name in removed or not (is_beside or is_hidden or is_words):
                yield name


def find_suite(configuration: Path) -> Suite:
    """Return the suite of that configuration; ``SetUpError`` if there is none, or its repository is not here."""
    if not configuration.is_file():
        raise SetUpError(f"{str(configuration)!r} is not there: a suite's asv.conf.json is needed (--config)")
    try:
        with redirect_stdout(StringIO()):
            config = Config.load(str(configuration))
    except (UserError, OSError, ValueError) as error:
        raise SetUpError(f"{str(configuration)!r}: {error}") from None
    folder = configuration.resolve().parent
    repository = _local(str(config.repo), folder)
    top = Path(git(repository, "rev-parse", "--show-toplevel")) if _has_work_tree(repository) else repository
    is_inside = folder.is_relative_to(top) and _has_work_tree(folder) and _top(folder) == top
    first_commits = config.regressions_first_commits
    return Suite(
        configuration=configuration.resolve(),
        folder=folder,
        repository=top,
        inside=folder.relative_to(top) if is_inside else None,
        benchmarks=config.benchmark_dir,
        environment_type=config.environment_type or "virtualenv",
        timeout=config.default_benchmark_timeout,
        project_folder=config.repo_subdir.strip("/"),
        never_judged=tuple(pattern for pattern, commit in first_commits.items() if commit is None),
    )


def _local(repo: str, folder: Path) -> Path:
    """Return the folder of a repository on this machine, by its path or URL."""
    parts = urlsplit(repo)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    path = (folder / repo).resolve()
    if parts.scheme or not path.is_dir():
        raise SetUpError(f"the repo {repo!r} is not on this machine: clone it, and name its folder in asv.conf.json")
    return path


def _has_work_tree(folder: Path) -> bool:
    try:
        return git(folder, "rev-parse", "--is-inside-work-tree") == "true"
    except SetUpError as error:
        if "not a git repository" in str(error):
            raise
        return False


def _top(folder: Path) -> Path:
    return Path(git(folder, "rev-parse", "--show-toplevel"))
