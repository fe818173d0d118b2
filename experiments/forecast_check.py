"""Hold the forecast against real bursts: ``python -m experiments.forecast_check``; needs an idle machine.

Before each burst it measures the time of a commit. Knows neither how a forecast is made nor how a row is written.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.common import STORAGE, database_path
from sqlite_writes import BurstReport, create_table, generate_example_rows, insert_rows_in_parallel
from sqlite_writes.forecast import Forecast, Inputs, forecast, measure_commit

# How far a forecast may be from the median of what was measured, if it is not within the interval of it.
POINTS = 10.0

SEEDS = 9

# Of each storage. "failed, %" and "burst, s" are measured; a forecast follows each.
COLUMNS = ("commit, ms", "failed, %", "forecast", "miss", "burst, s", "forecast")


@dataclass(frozen=True)
class Case:
    """One cell of the table: what was measured beside what was forecast."""

    storage: str
    settings: str
    workers: int
    inputs: list[Inputs]
    reports: list[BurstReport]

    @property
    def forecasts(self) -> list[Forecast]:
        """One forecast a seed, from the median of each input."""
        typical = Inputs(*(type(values[0])(median(values)) for values in zip(*self.inputs)))
        return [forecast(self.settings, self.workers, seed=seed, **typical._asdict()) for seed in range(SEEDS)]

    def cells(self) -> list[str]:
        """Return what the table says of it, in the order of ``COLUMNS``."""
        forecasts = self.forecasts
        failed = [100 * report.failed / report.attempted for report in self.reports]
        return [
            _interval([1000 * each.commit_seconds for each in self.inputs], 2),
            _interval(failed, 0),
            _interval([100 * each.failed_share for each in forecasts], 0),
            miss(median(100 * each.failed_share for each in forecasts), failed),
            _interval([report.burst_time or 0 for report in self.reports], 2),
            f"{median(each.burst_seconds for each in forecasts):.2f}",
        ]


def miss(expected: float, measured: list[float]) -> str:
    """Return by how many points the forecast misses the measured interval; nothing if it is near enough."""
    low, high = min(measured), max(measured)
    if low <= expected <= high or abs(expected - median(measured)) <= POINTS:
        return ""
    return f"{expected - high if expected > high else expected - low:+.0f}"


def measure(storage: str, settings: str, workers: int, bursts: int) -> Case:
    """Measure one cell: before each burst the inputs of the forecast."""
    inputs, reports = [], []
    for _ in range(bursts):
        with database_path(storage) as database:
            inputs.append(measure_commit(settings, Path(database).parent))
            create_table(database, settings)
            reports.append(insert_rows_in_parallel(database, generate_example_rows(workers), settings))
    return Case(storage, settings, workers, inputs, reports)


def _interval(values: list[float], digits: int) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low}\N{EN DASH}{high}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def main(arguments: list[str] | None = None) -> int:
    """Print a row as soon as it is measured; return 1 if the forecast missed a cell, else 0."""
    parser = argparse.ArgumentParser(prog="python -m experiments.forecast_check", description=__doc__)
    parser.add_argument("--settings", default="default,wal,fair")
    parser.add_argument("--workers", default="50,100,250,500,1000")
    parser.add_argument("--storage", default=",".join(STORAGE))
    parser.add_argument("--bursts", type=int, default=5, help="bursts of each cell")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    options = parser.parse_args(arguments)
    storages = options.storage.split(",")
    names = [f"{storage}: {COLUMNS[0]}" if name is COLUMNS[0] else name for storage in storages for name in COLUMNS]
    lines = [_line(["settings", "workers", *names]), _line(["---"] + ["---:"] * (1 + len(names)))]
    sys.stdout.writelines(lines)
    misses = 0
    for settings in options.settings.split(","):
        for workers in map(int, options.workers.split(",")):
            found = [measure(storage, settings, workers, options.bursts).cells() for storage in storages]
            misses += sum(bool(cells[COLUMNS.index("miss")]) for cells in found)
            lines.append(_line([settings, str(workers), *(cell for cells in found for cell in cells)]))
            sys.stdout.write(lines[-1])
            sys.stdout.flush()
    if options.markdown:
        options.markdown.write_text("".join(lines))
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
