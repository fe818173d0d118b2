"""How often the dashboard's judgement cries wolf, and what it finds: histories that are drawn from real bursts.

``python -m experiments.judge_histories measure`` runs bursts of ``CELLS``, one of each in turn, and keeps what the
suite tells asv of them in ``KEPT``. ``judge`` draws histories of 10 commits from them, seeded, with all cells in each.
It prints how many have a line that should not be there, and in how many a step in the middle is found at its commit.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.burst import Burst, count_of_bursts
from benchmarks.common import run_burst_alone
from dashboard.changes import Worsening, find_worsenings, judge
from dashboard.history import History, Measurement
from dashboard.results import BURST, Value

KEPT = Path(__file__).with_name("judge_histories.json")

# Few workers and many; what is quiet and what is not. ``default`` at 500 fails none or 190 rows by itself.
CELLS = [
    *((workers, "default") for workers in (5, 50, 500)),
    *((workers, "wal") for workers in (5, 50)),
    *((workers, "wal-normal") for workers in (5, 100)),
    *((workers, "grouped") for workers in (5, 50, 250)),
]
# What of a report is judged, by its place in the report. The contention factor would take as long again.
PARTS = [
    *((name,) for name in ("failed", "lost", "recovered", "duplicated", "attempts_per_commit", "burst_time")),
    *(("insert_time", name) for name in ("slowest", "p99")),
    *(("phases", name) for name in ("open", "wait for the lock", "write and sync", "close")),
]
METRICS = [
    *("track_failed_rows", "track_failed_rows_by_burst", "track_lost_rows", "track_recovered_rows"),
    *("track_duplicated_rows", "track_attempts_per_commit", "track_slowest_insert", "track_p99_insert", "track_open"),
    *("track_wait_for_the_lock", "track_write_and_sync", "track_close"),
]
# The quick set's numbers, and those of the full set.
QUICK = ["track_failed_rows", "track_failed_rows_by_burst", "track_lost_rows", "track_duplicated_rows"]

COMMITS = 10
STEP = COMMITS // 2

Cell = tuple[int, str]
Report = dict[str, Any]
Bursts = dict[Cell, list[Report]]
# What a commit does to a cell's reports.
Change = Callable[[Cell, list[Report], Bursts, random.Random], list[Report]]


def measure(rounds: int, path: Path) -> None:
    """Run one burst of each cell in turn, so many times, after those that are kept already."""
    kept = read(path) if path.exists() else {cell: [] for cell in CELLS}
    for number in range(rounds):
        for cell in CELLS:
            kept[cell].append(run_burst_alone(*cell))
        path.write_text(_compact(kept))
        sys.stdout.write(f"round {number + 1} of {rounds}\n")
        sys.stdout.flush()


def _compact(bursts: Bursts) -> str:
    """Return three digits of each part, a list a part; what is always 0 as 0."""
    content = {}
    for (workers, settings), reports in bursts.items():
        parts = {"/".join(part): [float(f"{_part(report, part):.3g}") for report in reports] for part in PARTS}
        short = {name: values if any(values) else len(values) for name, values in parts.items()}
        content[f"{workers} {settings}"] = short
    return json.dumps(content, separators=(",", ":")).replace(".0,", ",").replace("},", "},\n") + "\n"


def _part(report: Report, part: tuple[str, ...]) -> float:
    value: Any = report
    for name in part:
        value = value[name]
    return float(value)


def read(path: Path) -> Bursts:
    """Return the bursts that are kept, as reports that have what is judged."""
    bursts: Bursts = {}
    for name, parts in json.loads(path.read_text()).items():
        workers, settings = name.split()
        columns = {key: [0.0] * values if isinstance(values, int) else values for key, values in parts.items()}
        reports: list[Report] = [{"insert_time": {}, "phases": {}} for _ in range(len(columns["failed"]))]
        for key, values in columns.items():
            group, _, inner = key.rpartition("/")
            for report, value in zip(reports, values):
                (report[group] if group else report)[inner] = value
        bursts[int(workers), settings] = reports
    return bursts


def same(_cell: Cell, reports: list[Report], _bursts: Bursts, _dice: random.Random) -> list[Report]:
    """Change nothing."""
    return reports


def begins_to_fail(where: Cell) -> Change:
    """Have as many rows fail there as fail of ``default`` at 500 workers in one of its bursts in which any does."""

    def change(cell: Cell, reports: list[Report], bursts: Bursts, dice: random.Random) -> list[Report]:
        like = [report["failed"] for report in bursts[500, "default"] if report["failed"]]
        share = [dice.choice(like) / 500 for _ in reports]
        failing = [{**report, "failed": max(1, round(of * cell[0]))} for report, of in zip(reports, share)]
        return failing if cell == where else reports

    return change


def loses_a_row(where: Cell) -> Change:
    """Lose one row in one burst of each commit."""

    def change(cell: Cell, reports: list[Report], _bursts: Bursts, _dice: random.Random) -> list[Report]:
        return [{**reports[0], "lost": 1}, *reports[1:]] if cell == where else reports

    return change


def slower(where: Callable[[Cell], bool], factor: float = 1.3) -> Change:
    """Multiply every time of these cells."""

    def change(cell: Cell, reports: list[Report], _bursts: Bursts, _dice: random.Random) -> list[Report]:
        return [_slower(report, factor) for report in reports] if where(cell) else reports

    return change


def _slower(report: Report, factor: float) -> Report:
    times = {group: {name: factor * of for name, of in report[group].items()} for group in ("insert_time", "phases")}
    return {**report, **times, "burst_time": factor * report["burst_time"]}


def draw(bursts: Bursts, metrics: list[str], wanted: int, change: Change, dice: random.Random) -> History:
    """Draw a history of all cells from different bursts; the change is there from the middle on.

    wanted: ``SQLITE_WRITES_BURSTS``.
    """
    history = History("drawn", "virtualenv-py3.12", "3.12", "")
    counts = {cell: count_of_bursts(*cell, wanted) for cell in bursts}
    drawn = {cell: dice.sample(reports, COMMITS * counts[cell]) for cell, reports in bursts.items()}
    for revision in range(COMMITS):
        values: dict[str, dict[tuple[str, ...], Value]] = {}
        for cell, count in counts.items():
            reports = drawn[cell][revision * count :][:count]
            if revision >= STEP:
                reports = change(cell, reports, bursts, dice)
            for name, value in _told(reports, metrics, *cell).items():
                values.setdefault(f"{BURST}.{name}", {})[str(cell[0]), repr(cell[1])] = value
        history.measurements[revision] = Measurement("", f"{revision:040}", 0, values)
    return history


def _told(reports: list[Report], metrics: list[str], workers: int, settings: str) -> dict[str, Value]:
    """Return what the suite's own benchmarks tell asv of these reports, and asv then stores."""
    cell = Burst()
    cell.use(reports)
    told = {name: getattr(cell, name)(workers, settings) for name in metrics}
    told["time_burst"] = {"samples": [report["burst_time"] for report in reports]}
    return {
        name: Value(statistics.median(of["samples"]), samples=tuple(of["samples"]))
        if isinstance(of, dict)
        else Value(of)
        for name, of in told.items()
    }


def lines_of(history: History) -> list[Worsening]:
    """Return the lines of the first page."""
    units = {
        name: {"unit": unit_of(name), "params": []}
        for name in {name for of in history.measurements.values() for name in of.values}
    }
    return find_worsenings(judge([history], units, {}), [history])


def unit_of(name: str) -> str:
    """Return the unit of a benchmark, if it is one of ``Burst`` or a time."""
    return str(getattr(getattr(Burst, name.rpartition(".")[2], None), "unit", "seconds" if ".time_" in name else ""))


def tally(bursts: Bursts, wanted: int, change: Change, histories: int) -> dict[str, int]:
    """Count the histories with a sure line, with one that may be, with one at the step's commit, and with any other."""
    metrics = QUICK if wanted == 2 else METRICS
    counted = dict.fromkeys(("sure", "may", "found", "elsewhere"), 0)
    for seed in range(histories):
        lines = lines_of(draw(bursts, metrics, wanted, change, random.Random(seed)))
        sure = {line.revision for line in lines if line.sure}
        counted["sure"] += bool(sure)
        counted["may"] += any(not line.sure for line in lines)
        counted["found"] += STEP in sure
        counted["elsewhere"] += bool(sure - {STEP})
    return counted


def main(arguments: list[str]) -> int:
    """Measure, or judge and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.judge_histories", description=__doc__)
    parser.add_argument("what", choices=("measure", "judge"))
    parser.add_argument("--rounds", type=int, default=100, help="bursts of each cell to measure (100)")
    parser.add_argument("--histories", type=int, default=200, help="histories to draw for each line (200)")
    parser.add_argument("--file", type=Path, default=KEPT, help="where the bursts are kept")
    options = parser.parse_args(arguments)
    if options.what == "measure":
        measure(options.rounds, options.file)
        return 0
    if not options.file.exists():
        sys.stderr.write(f"no bursts in {options.file}: measure them first\n")
        return 1
    _print_tables(read(options.file), options.histories)
    return 0


def _print_tables(bursts: Bursts, histories: int) -> None:
    changes: dict[str, Change] = {"nothing changes": same}
    largest = {settings: (workers, settings) for workers, settings in sorted(bursts)}
    for cell in largest.values():
        if not any(report["failed"] for report in bursts[cell]):
            changes[f"rows begin to fail: {cell[1]} at {cell[0]}"] = begins_to_fail(cell)
    for cell in largest.values():
        changes[f"one lost row: {cell[1]} at {cell[0]}"] = loses_a_row(cell)
    for cell in bursts:
        changes[f"+30% time: {cell[1]} at {cell[0]}"] = slower(cell.__eq__)
    for wanted in (2, 5):
        sys.stdout.write(f"\n{wanted} bursts a value; of {histories} histories of {COMMITS} commits\n\n")
        sys.stdout.write("| what happens in the middle | a line | at that commit | elsewhere | may have |\n")
        sys.stdout.write("| --- | ---: | ---: | ---: | ---: |\n")
        for name, change in changes.items():
            of = tally(bursts, wanted, change, histories)
            sys.stdout.write(f"| {name} | {of['sure']} | {of['found']} | {of['elsewhere']} | {of['may']} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
