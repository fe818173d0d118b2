"""The answer: failed and lost rows by workers and settings, per Python, as sentences and as a table in the terminal.

``python -m dashboard.answer`` reads what asv has stored for HEAD on this machine; knows asv's results, runs nothing.
The pages show the same sentences.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.machine import Machine, MachineCollection
from asv.repo import get_repo
from asv.results import iter_results_for_machine_and_hash
from asv.util import UserError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .results import MUST_BE_ZERO, entry_name, read_values, sqlite_version

if TYPE_CHECKING:
    from asv.results import Results

    from .results import Values

NAIVE = "the naive way"
UNKNOWN_SQLITE = "SQLite of unknown version"
EVERY_BENCHMARK = "every benchmark, as when the package cannot be built"
BURST, NAIVE_BURST = "burst.Burst", "caller.NaiveBurst"


@dataclass(frozen=True)
class Cell:
    """Mean failed, lost and duplicated rows of a burst; None where the benchmark failed itself."""

    failed: float | None
    lost: float | None
    duplicated: float = 0.0

    @property
    def clean(self) -> bool:
        """No row failed, none was lost and none is there twice."""
        return self.failed == self.lost == self.duplicated == 0


@dataclass
class Answer:
    """What one environment measured: a cell for each settings and number of workers.

    ``alarms`` are rows that were lost or are there twice, in whatever benchmark but the naive way; ``broken`` are the
    benchmarks that failed themselves.
    """

    environment: str
    python: str
    sqlite: str = UNKNOWN_SQLITE
    cells: dict[str, dict[int, Cell]] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def headline(self) -> str:
        """The answer in two or three sentences: what happened with the default settings, and with the others."""
        said, clean = [], dict[int, list[str]]()
        for settings, cells in self.cells.items():
            passed, beyond = limit_of(cells)
            if settings == NAIVE:
                continue
            if beyond is None and settings != "default":
                clean.setdefault(passed, []).append(settings)
            else:
                said.append(_said_of(settings, cells, passed, beyond))
        for passed, names in sorted(clean.items(), reverse=True):
            said.append(f"With {_listed(names)} none failed up to {passed}.")
        return " ".join(said) or "No burst was measured."

    def baseline(self) -> str:
        """What the naive way did: the wrong way, kept to compare with; empty if it was not measured."""
        if NAIVE not in self.cells:
            return ""
        name, cells = f"{NAIVE}, wrong on purpose", self.cells[NAIVE]
        passed, beyond = limit_of(cells)
        if beyond is None:
            return f"{name}: no row failed or was lost up to {passed} workers"
        reached = f"no row failed up to {passed} workers; at {beyond}" if passed else f"already at {beyond}"
        return f"{name}: {reached}, {_what_happened(cells[beyond])}"


def limit_of(cells: dict[int, Cell]) -> tuple[int, int | None]:
    """The largest number of workers up to which all was well (0: none), and the first at which it was not."""
    passed = 0
    for workers, cell in sorted(cells.items()):
        if not cell.clean:
            return passed, workers
        passed = workers
    return passed, None


def _said_of(settings: str, cells: dict[int, Cell], passed: int, beyond: int | None) -> str:
    """A sentence of the headline about settings under which something failed, or about the default ones."""
    name = f"{settings} settings" if settings == "default" else settings
    if beyond is None:
        return f"With {name} no row failed up to {passed} concurrent inserts."
    succeeded = f"{passed} concurrent inserts succeeded" if passed else "no size that was measured is safe"
    start = f"With {name} {succeeded}"
    cell = cells[beyond]
    if cell.failed is None or cell.lost is None:
        return f"{start}; at {beyond} the benchmark itself failed."
    parts = [f"failures began at {beyond}: {number_of_rows(cell.failed)} of {beyond}"] if cell.failed else []
    parts += [f"at {beyond}, {number_of_rows(cell.lost)} of {beyond} were lost without an error"] if cell.lost else []
    parts += [f"at {beyond}, {number_of_rows(cell.duplicated)} of {beyond} are there twice"] if cell.duplicated else []
    return f"{start}; {', and '.join(parts)}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def read_answers(config: Config, commit: str, machine: str) -> list[Answer]:
    """The stored answers for the commit, oldest Python first."""
    known = Benchmarks.load(config)
    results = iter_results_for_machine_and_hash(config.results_dir, machine, commit)
    answers = [read_answer(result, read_values(result, known)) for result in results]
    return sorted(answers, key=lambda answer: ([int(part) for part in answer.python.split(".")], answer.environment))


def read_answer(result: Results, values: dict[str, Values]) -> Answer:
    """The answer that these values of a result give; cells that are n/a or missing are not in it."""
    answer = Answer(result.env_name, result._python)
    version = sqlite_version(values)
    if version:
        answer.sqlite = f"SQLite {version}"
    for name in (BURST, NAIVE_BURST):
        failed, lost = values.get(f"{name}.track_failed_rows"), values.get(f"{name}.track_lost_rows")
        duplicated = values.get(f"{name}.track_duplicated_rows", {})
        if failed is None or lost is None:
            continue
        for parameters, rows_failed in failed.items():
            rows_lost = lost.get(parameters)
            if rows_lost is None or not all(value.measured or value.failed for value in (rows_failed, rows_lost)):
                continue
            way = parameters[1].strip("'") if len(parameters) > 1 else NAIVE
            twice = duplicated.get(parameters)
            answer.cells.setdefault(way, {})[int(parameters[0])] = Cell(
                rows_failed.number, rows_lost.number, twice.number or 0.0 if twice and twice.measured else 0.0
            )
    answer.alarms, answer.broken = warnings_of(values)
    if len(values) > 1 and all(value.failed for cells in values.values() for value in cells.values()):
        answer.broken = [EVERY_BENCHMARK]
    return answer


def warnings_of(values: dict[str, Values], whole: dict[str, Values] | None = None) -> tuple[list[str], list[str]]:
    """What these values, a part of the ``whole``, give for an answer's ``alarms`` and ``broken``."""
    alarms, broken = list[str](), list[str]()
    for name, cells in values.items():
        failures = [parameters for parameters, value in cells.items() if value.failed]
        broken += _entries(name, failures, len((whole or values)[name]))
        must_be_zero = MUST_BE_ZERO.fullmatch(name)
        for parameters, value in cells.items() if must_be_zero else ():
            if value.measured and value.number:
                what = "lost" if must_be_zero[1] == "lost" else "there twice"  # type: ignore[index] # it matched
                rows = f"{number_of_rows(value.number)} {'row' if value.number == 1 else 'rows'} of a burst"
                alarms.append(f"{rows} {what}: {entry_name(name.rpartition('.')[0], parameters)}")
    return alarms, broken


def _entries(name: str, failures: list[tuple[str, ...]], of: int) -> list[str]:
    """The benchmarks that failed; the name alone if it failed with all of its parameters."""
    if failures and len(failures) == of:
        return [name]
    return [entry_name(name, parameters) for parameters in failures]


def describe_cell(workers: int, cell: Cell) -> tuple[str, str]:
    """What happened at the first size that was not clean, in few words, and its kind: lost, broken or failed."""
    if cell.failed is None or cell.lost is None:
        return "broken", f"benchmark failed at {workers}"
    return "lost" if cell.lost or cell.duplicated else "failed", f"{_what_happened(cell)} at {workers}"


def _what_happened(cell: Cell) -> str:
    if cell.failed is None or cell.lost is None:
        return "the benchmark itself failed"
    counts = ((cell.failed, "failed"), (cell.lost, "were lost"), (cell.duplicated, "were there twice"))
    return " and ".join(f"{number_of_rows(rows)} {verb}" for rows, verb in counts if rows)


def number_of_rows(rows: float) -> str:
    """A count or a mean of counts; never 0 for what is more than 0. Halves are rounded up, as the pages round them."""
    if rows == int(rows):
        return f"{rows:.0f}"
    return str(Decimal(rows).quantize(Decimal("0.1"), ROUND_HALF_UP)) if rows >= 0.05 else f"{rows:.1g}"


def _show(cell: Cell | None) -> Text:
    if cell is None:
        return Text("n/a", style="dim")
    if cell.failed is None or cell.lost is None:
        return Text("benchmark failed", style="bold red")
    style = "bold red" if cell.lost or cell.duplicated else "yellow" if cell.failed else "green"
    return Text(f"{number_of_rows(cell.failed)} / {number_of_rows(cell.lost)}", style=style)


def print_answers(answers: list[Answer], title: str, console: Console) -> None:
    """A table for each environment, and below it the answer as sentences."""
    for answer in answers:
        console.print(Text(f"Python {answer.python}, {answer.sqlite}: failed / lost rows of a burst", style="bold"))
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column("workers", justify="right", no_wrap=True)
        for settings in answer.cells:
            table.add_column(settings, justify="right", overflow="fold")  # wrapped where there is no room, never cut
        for workers in sorted({workers for cells in answer.cells.values() for workers in cells}):
            table.add_row(str(workers), *(_show(cells.get(workers)) for cells in answer.cells.values()))
        console.print(table)
        console.print(Text(answer.headline()))
        if answer.baseline():
            console.print(Text(f"For comparison, {answer.baseline()}."))
        for alarm in answer.alarms:
            console.print(Text(f"  {alarm}", style="bold red"))
        for name in answer.broken:
            console.print(Text(f"  benchmark failed: {name}", style="bold red"))
        console.print()
    console.print(Text(title))


def main(name: str = "") -> int:
    """Print the answers for HEAD on this machine, or the one of that name; 1 if there are none."""
    try:
        config = Config.load()
        commit = get_repo(config).get_hash_from_name("HEAD")
        machine = MachineCollection.load(name or Machine.get_unique_machine_name())["machine"]
        answers = read_answers(config, commit[: config.hash_length], machine)
    except UserError as error:
        answers, commit, machine = [], "", str(error)
    if not answers:
        sys.stderr.write(f"no results for HEAD on this machine ({machine}): run make bench first\n")
        return 1
    print_answers(answers, f"Means of the bursts of commit {commit[:8]} on {machine}.", Console())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
