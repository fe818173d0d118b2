"""How often Compare calls something real that is not: the same environment, measured again and again, against itself.

``python -m experiments.compare_check`` measures 21 sides in rounds, each run in a fresh process and in random order, as
``make compare`` does with two. It compares each side with the next by the function that the pages use. Nothing is
different, so nothing may be real. ``--slower 1.3`` multiplies the times of every second side, as a difference to find.

``--recorded`` measures nothing. It judges what ``experiments.measure_check`` has recorded: times of two builds of one
commit, and of one that was made slower, in fresh processes and in random order.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboard.comparison import compare
from dashboard.differences import Question, judge
from dashboard.history import History, Measurement
from dashboard.results import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashboard.results import Values

# How many workers. A busy machine measures small bursts only, in any time that somebody waits for.
SIZES = [int(size) for size in os.environ.get("COMPARE_CHECK_SIZES", "5,50").split(",")]

# The cells of a run, each by module, class and parameters: quick ones.
CELLS: list[tuple[str, str, tuple[Any, ...]]] = [
    *(("burst", "Burst", (workers, way)) for workers in SIZES for way in ("default", "wal", "wal-normal", "grouped")),
    ("cost", "InsertCost", ("wal", "disk")),
]

PROJECT = Path(__file__).resolve().parent.parent
RECORDED = Path(__file__).parent / "measure_check.jsonl"
DATABASES = PROJECT / ".asv" / "databases"

Numbers = dict[str, dict[str, float]]


def measure_cells() -> Numbers:
    """Run every cell's benchmarks by the suite's own classes: numbers by asv's names and parameters."""
    import importlib

    found: Numbers = {}
    for module, name, parameters in CELLS:
        benchmark = getattr(importlib.import_module(f"benchmarks.{module}"), name)()
        benchmark.setup(*parameters)
        for method in (one for one in dir(benchmark) if one.startswith(("time_", "track_"))):
            before = benchmark.timer() if method.startswith("time_") else 0.0
            value = getattr(benchmark, method)(*parameters)
            if method.startswith("time_"):
                value = benchmark.timer() - before
            number = value["samples"][0] if isinstance(value, dict) else float(value)
            found.setdefault(f"{module}.{name}.{method}", {})["\0".join(map(repr, parameters))] = number
    return found


def run_once() -> Numbers:
    """Measure in a fresh process, one burst a cell, on the project's disk."""
    DATABASES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATABASES) as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "SQLITE_WRITES_BURSTS": "1",
            "SQLITE_WRITES_FOLDER": folder,
        }
        command = [sys.executable, "-m", "experiments.compare_check", "--once"]
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    numbers: Numbers = json.loads(done.stdout)
    return numbers


def values_of(numbers: Numbers, factor: float) -> dict[str, Values]:
    """Return the numbers as asv's results give them, times multiplied."""
    return {
        name: {
            tuple(cell.split("\0")): Value(number * factor if name.endswith("time_burst") else number)
            for cell, number in cells.items()
        }
        for name, cells in numbers.items()
    }


def units() -> dict[str, dict[str, str]]:
    """Return what the judge needs to know of the benchmarks: which of them count rows."""
    rows = {"unit": "rows per burst"}
    names = ("failed", "lost", "recovered", "duplicated")
    counts = {f"burst.Burst.track_{name}_rows": rows for name in names}
    return {**{name: {"unit": "seconds"} for name in run_once()}, **counts}


def side_of(number: int, values: dict[str, Values]) -> History:
    """Return a side as the history of an environment of its own, with one measurement."""
    history = History("here", f"side-{number}", "3", "")
    history.measurements[0] = Measurement("", "", 0, values)
    return history


def compare_neighbours(rounds: list[list[Numbers]], slower: float) -> Iterator[tuple[int, list[str]]]:
    """Yield, for each side and the next, how many numbers were compared, and what is called real."""
    described = units()
    factors = [slower if side % 2 else 1.0 for side in range(len(rounds[0]))]
    sides = [[side_of(place, values_of(one, factors[place])) for place, one in enumerate(sides)] for sides in rounds]
    for place in range(len(factors) - 1):
        found = compare(sides[0][place], sides[0][place + 1], 0, sides, described)
        yield len(found.rows), [f"{row.benchmark}({row.cell}) {row.first} {row.second}" for row in found.real]


def judge_recorded() -> None:
    """Say how many recorded tables of one commit against itself show anything, and how many slowdowns are found."""
    same, found = list[bool](), dict[float, list[bool]]()
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "same":
            same.append("real" not in judge([_times(*pairs) for pairs in record["screening"].values()]))
        elif record["kind"] == "power":
            found.setdefault(record["percent"], []).append(judge([_times(*record["screening"])]) == ["real"])
    say(f"{sum(same)} of {len(same)} tables of one commit against itself show nothing real")
    for percent, are in sorted(found.items()):
        say(f"slower by {percent:g}%: {sum(are)} of {len(are)} are real")


def _times(base: list[int], head: list[int]) -> Question:
    return Question("measured", tuple(map(float, base)), tuple(map(float, head)))


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, compare, and print a line for each pair that shows anything."""
    parser = argparse.ArgumentParser(prog="python -m experiments.compare_check", description=__doc__)
    parser.add_argument("--sides", type=int, default=21)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--slower", type=float, default=1.0)
    parser.add_argument("--kept", type=Path, help="a file of numbers: written if it is not there, and read if it is")
    parser.add_argument("--recorded", action="store_true", help="judge what was recorded, and measure nothing")
    parser.add_argument("--once", action="store_true", help="what a run of a side does")
    options = parser.parse_args()
    if options.recorded:
        judge_recorded()
        return
    if options.once:
        sys.stdout.write(json.dumps(measure_cells()))
        return
    if options.kept and options.kept.exists():
        rounds = json.loads(options.kept.read_text())
    else:
        began, rounds = time.monotonic(), []
        for number in range(options.rounds):
            order = random.sample(range(options.sides), options.sides)
            measured = {side: run_once() for side in order}
            rounds.append([measured[side] for side in range(options.sides)])
            say(f"round {number + 1} of {options.rounds}, after {time.monotonic() - began:.0f} s")
            if options.kept:
                options.kept.write_text(json.dumps(rounds))
    pairs = list(compare_neighbours(rounds, options.slower))
    for place, (_count, real) in enumerate(pairs):
        if real:
            say(f"sides {place} and {place + 1}: {len(real)} real: {'; '.join(real)}")
    clean = sum(not real for _count, real in pairs)
    say(f"{clean} of {len(pairs)} pairs show nothing real; {pairs[0][0]} numbers each, {len(rounds)} rounds")


if __name__ == "__main__":
    main()
