"""The answer: failed and lost rows by workers and settings, as sentences; and as tables in the terminal.

``python -m dashboard.answer`` prints what asv has stored for HEAD on this machine. It measures nothing and knows no
page. The pages show the same sentences.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.machine import Machine, MachineCollection
from asv.repo import get_repo
from asv.util import UserError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asv_plugins import machine as machines

from .alarms import alarms_of
from .history import read_histories
from .results import BURST, NAIVE, NAIVE_BURST, rows_text, way_of

if TYPE_CHECKING:
    from .history import History
    from .results import Values


@dataclass(frozen=True)
class MeanRows:
    """Mean failed, lost and duplicated rows of a burst; None where the benchmark failed itself."""

    failed: float | None
    lost: float | None
    duplicated: float = 0.0

    @property
    def clean(self) -> bool:
        """No row failed, none was lost and none is there twice."""
        return self.failed == self.lost == self.duplicated == 0


@dataclass(frozen=True)
class BurstAnswer:
    """What one environment measured at one commit: rows by settings and number of workers."""

    rows: dict[str, dict[int, MeanRows]] = field(default_factory=dict)

    def headline(self) -> str:
        """Return two or three sentences: what happened with the default settings, and with the others."""
        said, clean = [], dict[int, list[str]]()
        for settings, by_workers in self.rows.items():
            passed, beyond = limit_of(by_workers)
            if settings == NAIVE:
                continue
            if beyond is None and settings != "default":
                clean.setdefault(passed, []).append(settings)
            else:
                said.append(_sentence(settings, by_workers, passed, beyond))
        for passed, names in sorted(clean.items(), reverse=True):
            *others, last = names
            listed = f"{', '.join(others)} and {last}" if others else last
            said.append(f"With {listed} none failed up to {passed}.")
        return " ".join(said) or "No burst was measured."

    def baseline(self) -> str:
        """Return what the naive way did, which is kept to compare with; empty if it was not measured."""
        if NAIVE not in self.rows:
            return ""
        name, by_workers = f"{NAIVE}, wrong on purpose", self.rows[NAIVE]
        passed, beyond = limit_of(by_workers)
        if beyond is None:
            return f"{name}: no row failed or was lost up to {passed} workers"
        reached = f"no row failed up to {passed} workers; at {beyond}" if passed else f"already at {beyond}"
        return f"{name}: {reached}, {_what_happened(by_workers[beyond])}"


def answer_of(values: dict[str, Values]) -> BurstAnswer:
    """Return the answer that these values give; what is n/a or missing is not in it."""
    answer = BurstAnswer()
    for name in (BURST, NAIVE_BURST):
        lost, duplicated = (values.get(f"{name}.track_{what}_rows", {}) for what in ("lost", "duplicated"))
        for parameters, rows_failed in values.get(f"{name}.track_failed_rows", {}).items():
            rows_lost, twice = lost.get(parameters), duplicated.get(parameters)
            if rows_lost is not None and rows_failed.known and rows_lost.known:
                workers, way = way_of(parameters)
                rows_twice = twice.number or 0.0 if twice and twice.known else 0.0
                answer.rows.setdefault(way, {})[workers] = MeanRows(rows_failed.number, rows_lost.number, rows_twice)
    return answer


def limit_of(by_workers: dict[int, MeanRows]) -> tuple[int, int | None]:
    """Return the largest number of workers up to which all was well (0: none), and the first at which it was not."""
    passed = 0
    for workers, rows in sorted(by_workers.items()):
        if not rows.clean:
            return passed, workers
        passed = workers
    return passed, None


def describe_limit(by_workers: dict[int, MeanRows]) -> tuple[str, str]:
    """Return a kind (clean, failed, lost or broken), and in few words the limit or what happened beyond it."""
    passed, beyond = limit_of(by_workers)
    if beyond is None:
        return "clean", f"none up to {passed}"
    rows = by_workers[beyond]
    if rows.failed is None or rows.lost is None:
        return "broken", f"benchmark failed at {beyond}"
    return "lost" if rows.lost or rows.duplicated else "failed", f"{_what_happened(rows)} at {beyond}"


def _sentence(settings: str, by_workers: dict[int, MeanRows], passed: int, beyond: int | None) -> str:
    """Return a sentence of the headline about settings under which something failed, or about the default ones."""
    name = f"{settings} settings" if settings == "default" else settings
    if beyond is None:
        return f"With {name} no row failed up to {passed} concurrent inserts."
    succeeded = f"{passed} concurrent inserts succeeded" if passed else "no size that was measured is safe"
    start = f"With {name} {succeeded}"
    rows = by_workers[beyond]
    if rows.failed is None or rows.lost is None:
        return f"{start}; at {beyond} the benchmark itself failed."
    parts = [f"failures began at {beyond}: {rows_text(rows.failed)} of {beyond}"] if rows.failed else []
    parts += [f"at {beyond}, {rows_text(rows.lost)} of {beyond} were lost without an error"] if rows.lost else []
    parts += [f"at {beyond}, {rows_text(rows.duplicated)} of {beyond} are there twice"] if rows.duplicated else []
    return f"{start}; {', and '.join(parts)}."


def _what_happened(rows: MeanRows) -> str:
    if rows.failed is None or rows.lost is None:
        return "the benchmark itself failed"
    counts = ((rows.failed, "failed"), (rows.lost, "were lost"), (rows.duplicated, "were there twice"))
    return " and ".join(f"{rows_text(count)} {verb}" for count, verb in counts if count)


def answer_table(answer: BurstAnswer) -> Table:
    """Return the failed and lost rows by workers, a column for each settings."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("workers", justify="right", no_wrap=True)
    for settings in answer.rows:
        table.add_column(settings, justify="right", overflow="fold")  # wrapped where there is no room, never cut
    for workers in sorted({workers for by_workers in answer.rows.values() for workers in by_workers}):
        table.add_row(str(workers), *(_table_cell(by_workers.get(workers)) for by_workers in answer.rows.values()))
    return table


def _table_cell(rows: MeanRows | None) -> Text:
    if rows is None:
        return Text("")  # not measured
    if rows.failed is None or rows.lost is None:
        return Text("benchmark failed", style="bold red")
    style = "bold red" if rows.lost or rows.duplicated else "yellow" if rows.failed else "green"
    return Text(f"{rows_text(rows.failed)} / {rows_text(rows.lost)}", style=style)


def print_answer(history: History, revision: int, console: Console) -> None:
    """Print what one environment measured at one commit: the table, the sentences and the alarms."""
    measurement = history.measurements[revision]
    answer, alarms = answer_of(measurement.values), alarms_of(measurement)
    title = f"Python {history.python}, {history.sqlite(revision)}: failed / lost rows of a burst"
    console.print(Text(title, style="bold"))
    console.print(answer_table(answer))
    console.print(Text(answer.headline()))
    if answer.baseline():
        console.print(Text(f"For comparison, {answer.baseline()}."))
    for line in (*alarms.rows, *(f"benchmark failed: {name}" for name in alarms.failed)):
        console.print(Text(f"  {line}", style="bold red"))
    console.print()


def print_others(histories: list[History], console: Console) -> None:
    """Print a line for each of the environments but the first, and what differs between them all."""
    answers = {_name_of(history): answer_of(history.measurements[0].values) for history in histories}
    for name, answer in list(answers.items())[1:]:
        found = "; ".join(f"{way} {describe_limit(by_workers)[1]}" for way, by_workers in answer.rows.items())
        console.print(Text.assemble((name, "bold"), f": {found or 'nothing was measured'}"))
    for line in differences(answers):
        console.print(Text(line))
    if len(answers) > 1:
        console.print()


def differences(answers: dict[str, BurstAnswer]) -> list[str]:
    """Say, for each burst that is clean in one environment and not in another, in which it is not."""
    kinds: dict[tuple[str, int], dict[str, str]] = {}
    for name, answer in answers.items():
        for way, by_workers in answer.rows.items():
            for workers, rows in by_workers.items():
                kinds.setdefault((way, workers), {})[name] = "" if rows.clean else _what_happened(rows)
    lines = []
    for (way, workers), found in kinds.items():
        bad = [f"{name} ({happened})" for name, happened in found.items() if happened]
        if 0 < len(bad) < len(found):
            good = [name for name, happened in found.items() if not happened]
            lines.append(f"They differ at {workers} with {way}: {', '.join(bad)}; none with {', '.join(good)}.")
    if not lines and len(answers) > 1:
        lines = ["Rows fail, or are lost, in the same bursts in all of them."]
    return lines


def _name_of(history: History) -> str:
    return f"Python {history.python}, {history.sqlite(0)}"


def main(name: str = "", which: str = "all") -> int:
    """Print the answers for HEAD on this machine, or the one of that name; 1 if there are none.

    which: ``"first"`` is the environment in which most bursts were measured, ``"others"`` are the rest in few lines.
    """
    histories, unreadable, commit, machine = list["History"](), list[str](), "", ""
    machines.setup()
    try:
        config = Config.load()
        commit = get_repo(config).get_hash_from_name("HEAD")
        machine = MachineCollection.load(name or Machine.get_unique_machine_name())["machine"]
        every, unreadable = read_histories(config, Benchmarks.load(config), {commit: 0})
        histories = [history for history in every if history.machine == machine and not history.only_libraries]
    except UserError as error:
        machine = str(error)
    if not histories:
        sys.stderr.write(f"no results for HEAD on this machine ({machine}): run make bench first\n")
        return 1
    if which != "all":
        histories.sort(key=lambda history: -len(history.measurements[0].values.get(f"{BURST}.track_failed_rows", {})))
    console = Console()
    if which == "others":
        print_others(histories, console)
    else:
        for history in histories[:1] if which == "first" else histories:
            print_answer(history, 0, console)
    for file in unreadable:
        console.print(Text(f"  result that cannot be read: {file}", style="bold red"))
    if which != "first":
        console.print(Text(f"Means of the bursts of commit {commit[:8]} on {machine}."))
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m dashboard.answer", description=__doc__)
    parser.add_argument("machine", nargs="?", default="")
    parser.add_argument("--first", dest="which", action="store_const", const="first", default="all")
    parser.add_argument("--others", dest="which", action="store_const", const="others")
    arguments = parser.parse_args()
    sys.exit(main(arguments.machine, arguments.which))
