"""The answer as README and docs/results.md have it: ranges over single bursts of several days; knows no page.

``python -m dashboard.answer_table`` (make answer) reads what asv has stored with its samples, and writes the tables
between two marks. One machine and one Python: more would be another answer. Where a cell of README's table has too few
bursts, or all of one day, it says which and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.machine import Machine, MachineCollection
from asv.repo import get_repo
from asv.results import Results, iter_results_paths
from asv.util import UserError

from asv_plugins import machine as machines
from asv_plugins.pythons import python_order

from .history import UNKNOWN_SQLITE, Measurement
from .results import BURST, BY_BURST, NAIVE, NAIVE_BURST, read_values, way_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from .results import Parameters, Values

# What a cell needs before it is an answer.
ENOUGH_BURSTS, ENOUGH_DAYS = 10, 2

# README's rows, with what the ways are called there and whether the rows are durable; and its sizes.
README_ROWS = {
    NAIVE: ("the trap", "no"),
    "default": ("`default`: `sqlite3.connect(path)`", "all but the last commit"),
    "wal": ("`wal`", "yes"),
    "wal-normal": ("`wal-normal`", "no: a power loss takes the last commits"),
    "patient": ("`patient`: a timeout of 60 s", "all but the last commit"),
    "grouped": ("`grouped`: a turn in line", "yes"),
}
README_SIZES = (100, 250, 500)
SLOWEST_OF = 500

DOCUMENTS = (Path("README.md"), Path("docs/results.md"))
BEGIN, END = "<!-- make answer -->", "<!-- /make answer -->"


class CountedBurst(NamedTuple):
    """One burst: rows that failed, rows that were lost, and its slowest insert in seconds, if that was measured."""

    failed: float
    lost: float
    slowest: float | None


@dataclass
class CellBursts:
    """All bursts of one size by one way, each by what tells it from the others: the day on which it was measured."""

    bursts: dict[tuple[object, ...], tuple[date, CountedBurst]] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        """Whether it is an answer."""
        return len(self.bursts) >= ENOUGH_BURSTS and len(self.days) >= ENOUGH_DAYS

    @property
    def days(self) -> set[date]:
        """The days on which it was measured."""
        return {day for day, _ in self.bursts.values()}

    def add(self, commit: str, place: int, burst: CountedBurst, started: datetime) -> None:
        """Add a burst; one that is there already, from a copy of the file, counts once, on its first day.

        No two bursts have the same times. A file to which asv appended has a later start, for its first bursts too.
        """
        key = (commit, place, burst, started if burst.slowest is None else None)
        day = started.date()
        self.bursts[key] = min((day, burst), self.bursts.get(key, (day, burst)))

    def failed_text(self) -> str:
        """Return the fewest and the most failed rows, and lost ones if there are any; bold if there is one."""
        failed = _range([burst.failed for _, burst in self.bursts.values()])
        lost = _range([burst.lost for _, burst in self.bursts.values()])
        text = failed if failed == "0" else f"**{failed}**"
        return text if lost == "0" else f"{text}, and **{lost} lost**"

    def slowest_text(self) -> str:
        """Return the slowest insert of the best and of the worst burst."""
        times = [burst.slowest for _, burst in self.bursts.values() if burst.slowest is not None]
        digits = 1 if min(times, default=0) >= 0.1 else 2
        return f"{_range(times, digits)} s" if times else ""


# By way of writing and number of workers.
Cells = dict[tuple[str, int], CellBursts]


@dataclass
class PythonAnswer:
    """What one Python gave: its cells, the SQLite that wrote, and how many cores there were."""

    python: str
    cells: Cells = field(default_factory=dict)
    sqlite: set[str] = field(default_factory=set)
    cores: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        """The number of bursts."""
        return sum(len(cell.bursts) for cell in self.cells.values())

    def missing(self) -> list[str]:
        """Return the cells of README's table that are no answer yet, with what they have; the worst first."""
        short = []
        for way in README_ROWS:
            for workers in README_SIZES:
                cell = self.cells.get((way, workers), CellBursts())
                if not cell.enough and (way != NAIVE or cell.bursts or workers == SLOWEST_OF):
                    have = f"{len(cell.bursts)} on {len(cell.days)}"
                    short.append((len(cell.bursts), f"{workers} with {way} ({have})"))
        return [text for _, text in sorted(short)]

    def where(self) -> str:
        """Return a sentence: where, with what, when and how often it was measured."""
        answers = [cell for cell in self.cells.values() if cell.enough]
        counts = [len(cell.bursts) for cell in answers]
        days = sorted({day for cell in answers for day in cell.days})
        return (
            f"{'/'.join(sorted(self.cores))} cores, Python {self.python}, {' and '.join(sorted(self.sqlite))}: "
            f"{_range(counts)} bursts a cell, on {len(days)} days from {days[0]} to {days[-1]}."
        )


def _range(numbers: Sequence[float], digits: int = 0) -> str:
    """Return the least and the most, or one number if they read the same."""
    least, most = (f"{number:.{digits}f}" for number in (min(numbers), max(numbers)))
    return least if least == most else f"{least}\N{EN DASH}{most}"


def readme_table(measured: PythonAnswer) -> str:
    """Return README's table, with the sentence that says where it was measured."""
    heads = ["way of writing", *(f"{workers}: failed" for workers in README_SIZES)]
    heads += [f"{SLOWEST_OF}: slowest insert", "[durable](docs/durability.md)"]
    lines = []
    for way, (title, durable) in README_ROWS.items():
        cells = [measured.cells.get((way, workers), CellBursts()) for workers in README_SIZES]
        slowest = measured.cells[way, SLOWEST_OF].slowest_text()
        lines.append([title, *(cell.failed_text() if cell.enough else "" for cell in cells), slowest, durable])
    rule = ["---", *["---:"] * (len(README_SIZES) + 1), "---"]
    where = f"A burst is N processes, released at one moment, with one row each. {measured.where()}"
    return f"{_wrapped(where)}\n\n{_table([heads, rule, *lines])}"


def whole_tables(measured: PythonAnswer) -> str:
    """Return the tables of docs/results.md: failed and lost rows, and the slowest insert, of all that was measured."""
    said = (
        f"{measured.where()} Each cell has the least and the most of its bursts. It is empty where there are "
        f"fewer than {ENOUGH_BURSTS} bursts, or all are of one day."
    )
    failed, slowest = _grid(measured, CellBursts.failed_text), _grid(measured, CellBursts.slowest_text)
    return f"{_wrapped(said)}\n\nFailed rows:\n\n{failed}\n\nThe slowest insert of a burst:\n\n{slowest}"


def _grid(measured: PythonAnswer, text_of: Callable[[CellBursts], str]) -> str:
    """Return a table by workers, with a column for each way of writing that has a text anywhere."""
    texts = {key: text_of(cell) for key, cell in measured.cells.items() if cell.enough and text_of(cell)}
    ways = list(dict.fromkeys(way for way, _ in texts))
    heads = ["workers", *(way if way == NAIVE else f"`{way}`" for way in ways)]
    lines = [
        [str(workers), *(texts.get((way, workers), "") for way in ways)]
        for workers in sorted({workers for _, workers in texts})
    ]
    return _table([heads, ["---:"] * len(heads), *lines])


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("|".join(["", *(f" {text} " if text else " " for text in line), ""]) for line in lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def read_measured(
    folders: Sequence[str], benchmarks: Mapping[str, Any], commits: set[str], machine: str, since: date
) -> list[PythonAnswer]:
    """Read the bursts of these commits on one machine by Python, from asv's results and copies of them."""
    found: dict[str, PythonAnswer] = {}
    for folder in folders:
        for place, file, of_machine in iter_results_paths(folder):
            if of_machine != machine:
                continue
            result = Results.load(str(Path(place, file)), machine_name=of_machine)
            if result.commit_hash not in commits or result.env_vars:
                continue
            measured = found.setdefault(result._python, PythonAnswer(result._python))
            values = read_values(result, benchmarks)
            for name in (BURST, NAIVE_BURST):
                milliseconds = result.started_at.get(f"{name}.track_failed_rows{BY_BURST}", 0)
                started = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
                if started.date() >= since:
                    for way, workers, bursts in _bursts(name, values):
                        cell = measured.cells.setdefault((way, workers), CellBursts())
                        for number, burst in enumerate(bursts):
                            cell.add(result.commit_hash, number, burst, started)
            measured.cores.add(str(result.params.get("num_cpu", "?")))
            sqlite = Measurement(file, result.commit_hash, result.date, values).sqlite
            measured.sqlite |= {sqlite} - {UNKNOWN_SQLITE}
    return sorted(found.values(), key=lambda of: python_order(of.python))


def _bursts(name: str, values: dict[str, Values]) -> Iterator[tuple[str, int, list[CountedBurst]]]:
    """Yield the bursts of each cell whose samples were recorded."""
    failed, lost = (values.get(f"{name}.track_{what}_rows{BY_BURST}", {}) for what in ("failed", "lost"))
    slowest = values.get(f"{name}.track_slowest_insert", {})
    for parameters in failed:
        workers, way = way_of(parameters)
        counts = _samples(failed, parameters), _samples(lost, parameters)
        times: tuple[float | None, ...] = _samples(slowest, parameters)
        if len(times) != len(counts[0]):
            times = (None,) * len(counts[0])
        yield way, workers, [CountedBurst(*of_burst) for of_burst in zip(*counts, times)]


def _samples(values: Values, parameters: Parameters) -> tuple[float, ...]:
    return values[parameters].samples if parameters in values else ()


def write_between_marks(path: Path, text: str) -> bool:
    """Replace what stands between the marks of a document; False, and nothing done, if it has none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not (begin and end):
        return False
    path.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables and print README's; 1, with a line that says why, if nothing was written."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.answer_table", description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", metavar="RESULTS", help="copies of asv's results of other days")
    parser.add_argument("--machine", default="", help="this one, if none is named")
    parser.add_argument("--python", default="", metavar="3.X", help="the one with most bursts, if none is named")
    parser.add_argument("--since", type=date.fromisoformat, default=date.min, metavar="YYYY-MM-DD")
    asked = parser.parse_args(arguments)
    machines.setup()
    try:
        config = Config.load()
        repo = get_repo(config)
        commits = {commit for branch in config.branches for commit in repo.get_branch_commits(branch)}
        machine = asked.machine or MachineCollection.load(Machine.get_unique_machine_name())["machine"]
        if not Path(config.results_dir, "benchmarks.json").exists():
            return _refuse("no answer: nothing is stored here yet: run make bench-full")
        benchmarks = Benchmarks.load(config)
        folders = [config.results_dir, *asked.folders]
        every = read_measured(folders, benchmarks, commits, machine, asked.since)
    except UserError as error:
        return _refuse(f"no answer: {' '.join(str(error).split())}")
    chosen = [of for of in every if asked.python in ("", of.python)]
    if not chosen:
        return _refuse(
            f"no answer: nothing is stored of {asked.python or 'any Python'} on {machine}: run make bench-full"
        )
    measured = max(reversed(chosen), key=lambda of: of.count)
    if missing := measured.missing():
        more = f", and {len(missing) - 1} more cells" if len(missing) > 1 else ""
        return _refuse(
            f"no answer yet with Python {measured.python}: a cell needs {ENOUGH_BURSTS} bursts on {ENOUGH_DAYS} days; "
            f"missing: {missing[0]}{more}. make bench-full on another day adds some"
        )
    short = readme_table(measured)
    for path, text in zip(DOCUMENTS, (short, whole_tables(measured))):
        if not write_between_marks(path, text):
            sys.stderr.write(f"{path} is left as it is: it has no lines {BEGIN} and {END}\n")
    sys.stdout.write(f"{short}\n")
    return 0


def _refuse(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
