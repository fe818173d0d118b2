"""Two environments side by side in the terminal: ``make compare A=3.12 B=3.13``; measures nothing and knows no page.

``python -m dashboard.compare A B`` prints what is stored for HEAD on this machine. A and B are each a Python or the
name of an environment. ``--commit`` and ``--machine`` name another of these.
"""

from __future__ import annotations

import argparse
import copy
import sys
from typing import TYPE_CHECKING, Any

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.machine import Machine, MachineCollection
from asv.repo import NoSuchNameError, get_repo
from asv.util import UserError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asv_plugins.rounds import round_folders

from .comparison import add_rounds, compare, read_rounds
from .history import read_histories

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .comparison import Comparison, Row
    from .history import History

STYLES = {"real": "bold", "not enough samples": "dim", "same": "dim", "benchmark failed": "bold red"}


def choose(name: str, histories: list[History], letter: str, where: str) -> History:
    """Return the environment of that name: of a Python's, the one with nothing else in it."""
    named = [one for one in histories if name in {one.environment, one.python}]
    if not named:
        measured = ", ".join(one.argument for one in histories)
        asked = f"{letter}={name} was not measured" if name else f"{letter}= is missing"
        raise UserError(f"{asked}; {where} there is: {measured or 'nothing, run make bench first'}")
    return min(named, key=lambda one: (one.environment != name, one.driver != "", len(one.newest.required)))


def read_benchmarks(config: Config) -> Mapping[str, Any]:
    """Return the benchmarks as asv stored them: with its results, or with the newest round."""
    folders = [config.results_dir, *map(str, reversed(round_folders(config)))]
    for folder in folders:
        there = copy.copy(config)
        there.results_dir = folder
        try:
            found: Mapping[str, Any] = Benchmarks.load(there)
        except UserError:
            continue
        return found
    raise UserError("no results yet: run make bench first")


def read_comparison(first: str, second: str, commit: str, machine: str) -> Comparison:
    """Compare what is stored; ``UserError`` in one line where there is nothing to compare."""
    config = Config.load()
    try:
        wanted = get_repo(config).get_hash_from_name(commit)
    except NoSuchNameError:
        raise UserError(f"COMMIT={commit} is no commit of this repository") from None
    if not machine:
        machine = MachineCollection.load(Machine.get_unique_machine_name())["machine"]
    benchmarks, revisions = read_benchmarks(config), {wanted: 0}
    rounds = read_rounds(config, benchmarks, revisions)
    histories = add_rounds(read_histories(config, benchmarks, revisions)[0], rounds)
    here = [history for history in histories if history.machine == machine]
    where = f"at {wanted[:8]} on {machine}"
    both = choose(first, here, "A", where), choose(second, here, "B", where)
    if both[0] is both[1]:
        raise UserError(f"A={first} and B={second} are the same environment, {both[0].environment}")
    return compare(*both, 0, rounds, benchmarks)


def table_of(rows: Iterable[Row]) -> Table:
    """Return the rows as a table, each benchmark's name once."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("", overflow="fold")
    for column in ("A", "B", "B÷A"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("is the difference real?", overflow="fold")
    before = ""
    for row in rows:
        if row.benchmark != before:
            table.add_row(Text(row.benchmark, style="underline"))
            before = row.benchmark
        style = STYLES.get(row.word, "")
        texts = (f"  {row.cell}", row.first, row.second, row.ratio_text, row.verdict)
        table.add_row(*(Text(text, style=style) for text in texts))
    return table


def print_comparison(comparison: Comparison, console: Console, *, every: bool) -> None:
    """Print what differs for real, what failed, and the rest if it is asked for, with what is missing."""
    for letter, name in zip("AB", comparison.names):
        console.print(Text.assemble((f"{letter}: ", "bold"), name))
    console.print(Text(f"{comparison.headline} {comparison.taken}"))
    rows = comparison.rows if every else [*comparison.broken, *comparison.real]
    if rows:
        console.print(table_of(rows))
    for line in comparison.missing:
        console.print(Text(" ".join(line)))
    if not every and len(rows) < len(comparison.rows):
        console.print(Text(f"The other {len(comparison.rows) - len(rows)} numbers: make compare … ALL=1; or the page"))


def main(arguments: list[str]) -> int:
    """Print the comparison; 1 and one line where there is none."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.compare", description=__doc__)
    parser.add_argument("first", metavar="A")
    parser.add_argument("second", metavar="B")
    parser.add_argument("--commit", default="HEAD")
    parser.add_argument("--machine", default="")
    parser.add_argument("--all", action="store_true", help="the numbers that do not differ, too")
    options = parser.parse_args(arguments)
    try:
        comparison = read_comparison(options.first, options.second, options.commit or "HEAD", options.machine)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print_comparison(comparison, Console(), every=options.all)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
