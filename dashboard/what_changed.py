"""What changed over the commits that were measured, in a few lines for the terminal; knows no page.

``python -m dashboard.what_changed`` prints what asv has stored of this machine, or of the one that is named. It
measures nothing. The judgement is that of the pages.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.machine import Machine, MachineCollection
from asv.repo import get_repo
from asv.results import iter_results
from asv.util import UserError
from rich.console import Console
from rich.text import Text

from .changes import find_varying, find_worsenings, judge
from .history import read_commits, read_histories, shown_revisions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .changes import Judged, Name, Worsening
    from .history import Commit, History

# Lines of one kind, so that all fit on a screen.
SHOWN = 12


def lines_of(histories: list[History], commits: list[Commit], judged: dict[Name, Judged]) -> Iterator[Text]:
    """Yield what got worse by commit, what may have, and what only varies."""
    worsenings = find_worsenings(judged, histories)
    by_revision = {commit.revision: commit for commit in commits}
    sure = [it for it in worsenings if it.sure]
    number = f"{len(commits)} commit{'' if len(commits) == 1 else 's'}"
    if sure:
        yield Text(f"What got worse over {number}:", style="bold")
    else:
        yield Text(f"Nothing got worse, as far as one can be sure, over {number}.", style="bold")
    for revision, at_commit in itertools.groupby(sure[:SHOWN], key=lambda it: it.revision):
        yield Text(f"{by_revision[revision].short} {by_revision[revision].subject}")
        yield from (Text(f"  {_line(it)}", style="bold red") for it in at_commit)
    if len(sure) > SHOWN:
        yield Text(f"  and {len(sure) - SHOWN} more: make dashboard", style="bold red")
    doubtful = [it for it in worsenings if not it.sure]
    if doubtful:
        yield Text("May have got worse; a few more commits will tell:")
        yield from (Text(f"  {by_revision[it.revision].short} {_line(it)}") for it in doubtful[:SHOWN])
    varying = find_varying(judged)
    if varying:
        yield Text(f"Up and down by themselves, with no step that is sure: {len(varying)}. The most:")
        yield from (Text(f"  {it.entry}: {it.spread}, Python {it.history.python}") for it in varying[:3])


def _line(it: Worsening) -> str:
    return f"{it.what}: {it.benchmark} {it.before} \u2192 {it.after} ({it.how_sure}), Python {it.history.python}"


def main(name: str = "") -> int:
    """Print what changed on this machine, or the one of that name; 1 if nothing was measured."""
    histories, commits, judged = list["History"](), list["Commit"](), dict["Name", "Judged"]()
    machine = ""
    try:
        config = Config.load()
        repository = get_repo(config)
        benchmarks = Benchmarks.load(config)
        machine = name or MachineCollection.load(Machine.get_unique_machine_name())["machine"]
        measured = {result.commit_hash for result in iter_results(config.results_dir)}
        shown = shown_revisions(config, repository, repository.get_revisions(measured))
        every, _ = read_histories(config, benchmarks, shown)
        histories = [history for history in every if history.machine == machine]
        commits = read_commits(config, Path(repository._path), histories)
        judged = judge(histories, benchmarks, config.regressions_first_commits)
    except UserError as error:
        machine = str(error)
    if not histories:
        sys.stderr.write(f"no results on this machine ({machine}): run make history first\n")
        return 1
    console = Console()
    for line in lines_of(histories, commits, judged):
        console.print(line)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m dashboard.what_changed", description=__doc__)
    parser.add_argument("machine", nargs="?", default="")
    sys.exit(main(parser.parse_args().machine))
