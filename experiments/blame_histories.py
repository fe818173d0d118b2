"""Measure the search for a commit: histories of 16 commits, one of them bad, at a random place.

    python -m experiments.blame_histories [--only PART-OF-A-NAME] [--seed 1] [--keep FILE]

Each history is a line of commits on top of this project's HEAD, in a temporary clone. Fifteen of them touch the package
and change nothing that it does: comments, docstrings, local variables with another name. In some, a commit beside the
bad one does not build. Prints a row of a table for each history, and how many were right. About two minutes each.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pr_check.blame.bench import built_bench, find_benchmarks
from pr_check.blame.metric import find_metric
from pr_check.build import THIS_PYTHON
from pr_check.commits import git
from pr_check.suite import find_suite

from .bad_changes import MUTANTS
from .laboratory import PLACES, PROJECT, WRITERS

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMITS = 16
LIMIT = 900
AUTHOR = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost", "-c", "commit.gpgsign=false")
BROKEN_BUILD = 'raise SystemError("on purpose")\n'
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


@dataclass(frozen=True)
class Kind:
    """A bad change, and the metric that shows it.

    change: a mutant's name; or the place of a slowdown of a fifth of the metric's time, shared by so many rows.
    broken: where, counted from the bad commit, one does not build.
    """

    name: str
    metric: str
    change: str
    rows: int = 0
    broken: int | None = None


KINDS = (
    Kind("failure: rows", "burst.Burst.track_failed_rows(50, 'grouped')", "an insert that raises"),
    Kind("failure: lost rows", "burst.Burst.track_lost_rows(50, 'wal')", "a rollback in place of the commit", broken=1),
    Kind(
        "failure: some rows",
        "transaction.ReadThenWrite.track_failed_rows('wal', 'immediate')",
        "reading before writing, deferred",
    ),
    Kind("failure: import", "cost.InsertCost.track_syncs('wal', 'disk')", "a package that cannot be imported"),
    Kind("cost: statements", "cost.InsertCost.track_sql_statements('wal', 'disk')", "a second statement"),
    Kind("cost: bytes", "cost.InsertCost.track_bytes_written('default', 'disk')", "an index", broken=-1),
    Kind("cost: Python calls", "cost.InsertCost.track_python_calls('grouped', 'disk')", "a second connection"),
    Kind("time: in the lock", "sequence.InsertRow.time_insert_row('queued')", "lock", 1),
    Kind("time: after the commit", "sequence.InsertRow.time_insert_row('wal-normal')", "commit", 1, broken=1),
    Kind("time: a burst", "burst.Burst.time_burst(100, 'grouped')", "lock", 100),
)


def main(arguments: Sequence[str]) -> int:
    """Make the histories one after another; return 1 if a wrong commit was named."""
    parser = argparse.ArgumentParser(prog="python -m experiments.blame_histories")
    parser.add_argument("--only", default="", help="histories whose name has this in it")
    parser.add_argument("--seed", type=int, default=1, help="of the places and the harmless changes (1)")
    parser.add_argument("--keep", type=Path, help="a file for what the command says of each history")
    options = parser.parse_args(arguments)
    rights = []
    (PROJECT / ".asv").mkdir(exist_ok=True)
    print("| history | bad | answer | right | steps | seconds |\n| --- | ---: | --- | --- | ---: | ---: |")  # noqa: T201
    with tempfile.TemporaryDirectory(dir=PROJECT / ".asv", prefix="blame-") as folder:
        git(PROJECT, "clone", "--quiet", str(PROJECT), f"{folder}/clone")
        for number, kind in enumerate(KINDS):
            if options.only in kind.name:
                order = random.Random(f"{options.seed} {number}")
                rights.append(try_history(Path(folder, "clone"), kind, order, options.keep))
    named, between, wrong = (rights.count(word) for word in ("yes", "between", "no"))
    print(f"\n{named} of {len(rights)} named, {between} answered by the two around it, {wrong} wrong")  # noqa: T201
    return int(wrong > 0)


def try_history(clone: Path, kind: Kind, order: random.Random, keep: Path | None) -> str:
    """Make one history, ask for its bad commit, print a row, and return whether the answer was right."""
    place = order.randint(2 if kind.broken == -1 else 1, COMMITS - 1 if kind.broken == 1 else COMMITS)
    git(clone, "checkout", "--quiet", "--force", "--detach", "origin/HEAD")
    git(clone, "clean", "--quiet", "--force", "-d", "sqlite_writes")
    change = bad_change(clone, kind)
    commits = make_history(clone, change, place, kind.broken, order)
    started = time.monotonic()
    done = subprocess.run(
        # -P: this very code, not the clone's.
        [sys.executable, "-P", "-m", "pr_check.blame", "--time-limit", str(LIMIT), "--", kind.metric, commits[0]],
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if keep:
        with keep.open("a") as file:
            file.write(f"{kind.name}, bad is {place}\n{done.stdout}{done.stderr}status {done.returncode}\n\n")
    answer = done.stdout.rpartition("\n\n")[2].partition("\n")[0]
    named = re.findall(r"([0-9a-f]{8}) \"", answer)
    places = [next(place for place, commit in enumerate(commits) if commit.startswith(one)) for one in named]
    right = judge(done.returncode, places, place)
    answer = " to ".join(map(str, places)) or (done.stderr or done.stdout).strip().splitlines()[-1]
    steps = len(re.findall(r"^\d+ of about", done.stdout, re.MULTILINE))
    print(f"| {kind.name} | {place} | {answer} | {right} | {steps} | {seconds:.0f} |", flush=True)  # noqa: T201
    return right


def judge(status: int, places: list[int], place: int) -> str:
    """Return whether the places that were named are the bad one, or are around it."""
    if status == 0 and places == [place]:
        return "yes"
    return "between" if status == 1 and places[0] < place <= places[1] else "no"


def bad_change(clone: Path, kind: Kind) -> tuple[str, str, str]:
    """Return the bad change: a file, a text in it, and what it becomes. A slowdown is a fifth of what is measured."""
    if not kind.rows:
        mutant = BY_NAME[kind.change]
        return mutant.file, mutant.old, mutant.new
    suite = find_suite(clone / "asv.conf.json")
    metric = find_metric(kind.metric, find_benchmarks(suite))
    with built_bench(suite, THIS_PYTHON, metric) as bench:
        bench.put({"base": git(clone, "rev-parse", "HEAD")})
        samples = sorted(bench.sample("base").value for _ in range(9))
    old, new = PLACES[kind.change]
    return WRITERS, old, new.format(round(0.2 * 1e6 * samples[4] / kind.rows))


def make_history(
    clone: Path, change: tuple[str, str, str], place: int, broken: int | None, order: random.Random
) -> list[str]:
    """Commit fifteen harmless changes and one bad one; return all commits, and before them the one that is good."""
    commits = [git(clone, "rev-parse", "HEAD")]
    setup = (clone / "setup.py").read_text()
    for number in range(1, COMMITS + 1):
        if number == place:
            file, old, new = change
            text = (clone / file).read_text()
            if text.count(old) != 1:
                raise LookupError(f"{file} has {text.count(old)} times: {old}")
            (clone / file).write_text(text.replace(old, new))
            subject = "Change how a row is written"
        else:
            subject = harmless(clone, change[0], number, order)
        is_broken = broken is not None and number == place + broken
        (clone / "setup.py").write_text(setup + BROKEN_BUILD * is_broken)
        git(clone, *AUTHOR, "commit", "--quiet", "--no-verify", "--all", "--message", subject)
        commits.append(git(clone, "rev-parse", "HEAD"))
    return commits


def harmless(clone: Path, besides: str, number: int, order: random.Random) -> str:
    """Change one file of the package, and not what it does; return the commit's subject."""
    files = [*(clone / "sqlite_writes").glob("*.py"), *(clone / "sqlite_writes" / "writers").glob("*.py")]
    path = order.choice(sorted(files))
    name, text = path.relative_to(clone).as_posix(), path.read_text()
    renamed = "" if name == besides else rename_a_local(text, order)
    how = order.choice(["comment", "docstring", "local", "local"])
    if how == "local" and renamed:
        path.write_text(renamed)
        return f"Name a variable of {name} better"
    if how == "docstring" and '"""' in text:
        first, mark, rest = text.partition('"""')
        path.write_text(f"{first}{mark}({number}) {rest}")
        return f"Say more in the docstring of {name}"
    path.write_text(f"{text}# Note {number}.\n")
    return f"Comment on {name}"


def rename_a_local(text: str, order: random.Random) -> str:
    """Give one local variable of one plain function another name; empty if there is none to rename."""
    choices = []
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef):
            continue
        inside = list(ast.walk(function))
        if any(isinstance(node, ast.Lambda | ast.FunctionDef | ast.Global | ast.Nonlocal | ast.JoinedStr) and
               node is not function for node in inside):  # fmt: skip
            continue
        names = [node for node in inside if isinstance(node, ast.Name)]
        choices += [
            [(node.lineno, node.col_offset) for node in names if node.id == local]
            for local in sorted({node.id for node in names if isinstance(node.ctx, ast.Store)})
        ]
    if not choices:
        return ""
    lines = text.splitlines(keepends=True)
    for row, column in sorted(order.choice(choices), reverse=True):
        line = lines[row - 1]
        end = column + len(re.match(r"\w+", line[column:])[0])  # type: ignore[index]
        lines[row - 1] = f"{line[:end]}_renamed{line[end:]}"
    renamed = "".join(lines)
    compile(renamed, "renamed", "exec")
    return renamed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
