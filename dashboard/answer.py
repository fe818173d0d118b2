"""The answer in the terminal: failed and lost rows by workers and settings, per Python, and as a sentence.

``python -m dashboard.answer`` reads what asv has stored for HEAD on this machine; knows asv's results, runs nothing.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.machine import Machine, MachineCollection
from asv.repo import get_repo
from asv.results import iter_results_for_machine_and_hash
from asv.util import UserError
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from asv.results import Results

NAIVE = "the naive way"


@dataclass(frozen=True)
class Cell:
    """Mean failed and lost rows of a burst; None where the benchmark failed itself."""

    failed: float | None
    lost: float | None

    @property
    def clean(self) -> bool:
        """No row failed and none was lost."""
        return self.failed == 0 and self.lost == 0


@dataclass
class Answer:
    """What one environment measured: a cell for each settings and number of workers."""

    environment: str
    python: str
    sqlite: str = "SQLite of unknown version"
    cells: dict[str, dict[int, Cell]] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """For each settings, the largest number of workers up to which no row failed, and what happened beyond it."""
        return [self._sentence(settings, cells) for settings, cells in self.cells.items()]

    def _sentence(self, settings: str, cells: dict[int, Cell]) -> str:
        passed = 0
        for workers, cell in sorted(cells.items()):
            if not cell.clean:
                reached = f"no row failed up to {passed} workers; at {workers}" if passed else f"already at {workers}"
                return f"{settings}: {reached}, {_what_happened(cell)}"
            passed = workers
        return f"{settings}: no row failed or was lost up to {passed} workers"


def read_answers(config: Config, commit: str, machine: str) -> list[Answer]:
    """The stored answers for the commit, oldest Python first."""
    known = Benchmarks.load(config)
    results = iter_results_for_machine_and_hash(config.results_dir, machine, commit)
    answers = [_read_answer(result, known) for result in results]
    return sorted(answers, key=lambda answer: ([int(part) for part in answer.python.split(".")], answer.environment))


def _read_answer(result: Results, known: Benchmarks) -> Answer:
    answer = Answer(result.env_name, result._python)
    values = {name: result.get_result_value(name, known[name]["params"]) for name in result.get_result_keys(known)}
    version = values.get("cost.Library.track_sqlite_version")
    if version and version[0] is not None and not math.isnan(version[0]):
        number = int(version[0])
        answer.sqlite = f"SQLite {number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
    for name in ("burst.Burst", "caller.NaiveBurst"):
        failed, lost = values.get(f"{name}.track_failed_rows"), values.get(f"{name}.track_lost_rows")
        if failed is None or lost is None:
            continue
        parameters = known[f"{name}.track_failed_rows"]["params"]
        ways = [text.strip("'") for text in parameters[1]] if len(parameters) > 1 else [NAIVE]
        workers = [int(text) for text in parameters[0]]
        for index, (rows_failed, rows_lost) in enumerate(zip(failed, lost)):
            if not any(value is not None and math.isnan(value) for value in (rows_failed, rows_lost)):
                cells = answer.cells.setdefault(ways[index % len(ways)], {})
                cells[workers[index // len(ways)]] = Cell(rows_failed, rows_lost)
    return answer


def _what_happened(cell: Cell) -> str:
    if cell.failed is None or cell.lost is None:
        return "the benchmark itself failed"
    return " and ".join(
        f"{_number(rows)} {verb}" for rows, verb in ((cell.failed, "failed"), (cell.lost, "were lost")) if rows
    )


def _number(rows: float) -> str:
    return f"{rows:.0f}" if rows == int(rows) else f"{rows:.1f}"


def _show(cell: Cell | None) -> Text:
    if cell is None:
        return Text("n/a", style="dim")
    if cell.failed is None or cell.lost is None:
        return Text("benchmark failed", style="bold red")
    style = "bold red" if cell.lost else "yellow" if cell.failed else "green"
    return Text(f"{_number(cell.failed)} / {_number(cell.lost)}", style=style)


def print_answers(answers: list[Answer], title: str, console: Console) -> None:
    """A table for each environment, and below it the answer as sentences."""
    for answer in answers:
        console.print(Text(f"Python {answer.python}, {answer.sqlite}: failed / lost rows of a burst", style="bold"))
        table = Table()
        table.add_column("workers", justify="right")
        for settings in answer.cells:
            table.add_column(settings, justify="right", no_wrap=True)
        for workers in sorted({workers for cells in answer.cells.values() for workers in cells}):
            table.add_row(str(workers), *(_show(cells.get(workers)) for cells in answer.cells.values()))
        console.print(table)
        for sentence in answer.sentences():
            console.print(Text(f"  {sentence}"))
        console.print()
    console.print(Text(title))


def main() -> int:
    """Print the answers for HEAD on this machine; 1 if there are none."""
    try:
        config = Config.load()
        commit = get_repo(config).get_hash_from_name("HEAD")
        machine = MachineCollection.load(Machine.get_unique_machine_name())["machine"]
        answers = read_answers(config, commit[: config.hash_length], machine)
    except UserError as error:
        answers, commit, machine = [], "", str(error)
    if not answers:
        sys.stderr.write(f"no results for HEAD on this machine ({machine}): run make bench first\n")
        return 1
    print_answers(answers, f"Means of the bursts of commit {commit[:8]} on {machine}.", Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
