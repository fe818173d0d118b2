"""The forecast: SQLite's own waiting table, and what must be true of any burst, simulated; one small real one."""

from __future__ import annotations

import resource
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from experiments.forecast_check import miss
from sqlite_writes import SETTINGS, create_table, generate_example_rows, insert_rows_in_parallel
from sqlite_writes.forecast import Forecast, busy_waits, forecast, measure_commit

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_writes import Settings


def expect(
    settings: str | Settings,
    workers: int,
    *,
    commit: float = 0.002,
    timeout: float | None = None,
    cores: int = 2,
    seed: int = 0,
) -> Forecast:
    """Forecast with a quarter of a millisecond of processor time for the commit, and as much for the rest."""
    if timeout is not None:
        settings = replace(SETTINGS[settings] if isinstance(settings, str) else settings, busy_timeout=timeout)
    return forecast(
        settings,
        workers,
        commit_seconds=commit,
        insert_seconds=commit + 0.00025,
        commit_cpu_seconds=0.00025,
        cores=cores,
        seed=seed,
    )


def failed(settings: str, workers: int, *, commit: float = 0.002, timeout: float | None = None) -> float:
    """Return the share of failed rows over a few seeds."""
    return fmean(expect(settings, workers, commit=commit, timeout=timeout, seed=seed).failed_share for seed in range(4))


def test_the_waiting_table_is_the_one_in_sqlites_source() -> None:
    waits = busy_waits(5)
    assert waits[:13] == [0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.025, 0.025, 0.05, 0.05, 0.1, 0.1]
    assert set(waits[12:-1]) == {0.1}
    assert sum(waits) == pytest.approx(5)
    assert busy_waits(0) == []
    assert busy_waits(0.004) == [0.001, 0.002, 0.001]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the sleeps of one thread")
@pytest.mark.parametrize("timeout", [0.003, 0.1, 0.4])
def test_sqlite_sleeps_as_often_as_the_table_says(timeout: float, database: str) -> None:
    """Each sleep is a switch to another process; the table is compiled in, and so may differ elsewhere."""
    create_table(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with closing(sqlite3.connect(database, isolation_level=None, timeout=timeout)) as waiter:
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                waiter.execute("BEGIN IMMEDIATE")
            slept = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
    assert slept == len(busy_waits(timeout))


@pytest.mark.parametrize("settings", [name for name in SETTINGS if name != "concurrent"])
def test_who_meets_nobody_never_fails_even_without_a_timeout(settings: str) -> None:
    alone = expect(settings, 1, timeout=0)
    assert alone.failed_share == 0
    assert 0 < alone.slowest_seconds <= alone.burst_seconds < 0.1


@pytest.mark.parametrize("settings", ["default", "wal", "patient", "wal-normal"])
def test_more_rows_fail_the_more_writers_the_longer_the_commit_and_the_shorter_the_timeout(settings: str) -> None:
    usual = failed(settings, 200, commit=0.004, timeout=1)
    assert 0.05 < usual < 0.95
    assert failed(settings, 20, commit=0.004, timeout=1) < usual < failed(settings, 600, commit=0.004, timeout=1)
    assert failed(settings, 200, commit=0.0004, timeout=1) < usual < failed(settings, 200, commit=0.03, timeout=1)
    assert failed(settings, 200, commit=0.004, timeout=0.05) > usual > failed(settings, 200, commit=0.004, timeout=20)


def test_those_who_try_every_millisecond_keep_the_holder_from_a_processor() -> None:
    """A commit without a wait for the disk is over before anybody comes."""
    few, many, memory = expect("fair", 50), expect("fair", 1000), expect("fair", 1000, commit=0.00003)
    assert few.failed_share == memory.failed_share == 0
    assert many.failed_share > 0.5
    assert many.busy_share > 0.95
    assert many.held_share > 0.95


def test_who_sleeps_leaves_the_lock_idle() -> None:
    some = expect("default", 100, commit=0.0006)
    assert some.held_share < 0.3
    assert some.busy_share < 0.3


def test_a_seed_repeats_its_forecast_and_another_gives_another() -> None:
    assert expect("default", 300, seed=1) == expect("default", 300, seed=1)
    assert expect("default", 300, seed=1) != expect("default", 300, seed=2)


@pytest.mark.parametrize("settings", ["queued", "grouped"])
def test_in_line_nobody_fails_before_the_timeout(settings: str) -> None:
    served = expect(settings, 1000)
    assert served.failed_share == 0
    assert served.slowest_seconds < 60
    short = expect(settings, 2000, timeout=0.02, cores=64)
    assert 0 < short.failed_share < 1
    assert short.slowest_seconds >= 0.02


def test_a_sync_after_the_turn_is_not_in_it() -> None:
    assert expect("grouped", 500).burst_seconds < expect("queued", 500).burst_seconds / 3


@pytest.mark.parametrize("settings", ["default", "wal", "fair", "grouped"])
def test_a_hundred_thousand_writers_are_forecast(settings: str) -> None:
    many = expect(settings, 100_000)
    assert many.workers == 100_000
    assert (many.failed_share > 0.9) == (settings != "grouped")
    assert many.slowest_seconds <= many.burst_seconds


def test_what_cannot_be_forecast_is_refused_in_one_line() -> None:
    with pytest.raises(NotImplementedError, match="BEGIN CONCURRENT"):
        expect("concurrent", 10)
    with pytest.raises(ValueError, match="workers 0"):
        expect("wal", 0)
    with pytest.raises(ValueError, match="commit_seconds 2"):
        forecast("wal", 1, commit_seconds=2, insert_seconds=1, cores=2)


def test_without_the_processor_time_of_a_commit_it_is_taken_to_be_that_of_the_rest() -> None:
    unsaid = forecast("fair", 300, commit_seconds=0.001, insert_seconds=0.0012, cores=2)
    said = forecast("fair", 300, commit_seconds=0.001, insert_seconds=0.0012, commit_cpu_seconds=0.0002, cores=2)
    assert unsaid.failed_share == pytest.approx(said.failed_share, abs=0.02)


@pytest.mark.parametrize("settings", ["default", "wal", "grouped"])
def test_what_is_measured_forecasts_a_small_burst_and_leaves_nothing_behind(settings: str, tmp_path: Path) -> None:
    inputs = measure_commit(settings, tmp_path, rows=10)
    assert 0 <= inputs.commit_cpu_seconds <= inputs.commit_seconds < inputs.insert_seconds
    assert list(tmp_path.iterdir()) == []
    database = tmp_path / "messages.db"
    create_table(database, settings)
    report = insert_rows_in_parallel(database, generate_example_rows(10), settings)
    assert report.failed == forecast(settings, 10, **inputs._asdict()).failed_share == 0


def test_a_miss_is_outside_the_measured_interval_and_ten_points_from_its_median() -> None:
    assert miss(15, [0, 5, 20]) == ""
    assert miss(14, [0, 5, 6]) == ""
    assert miss(30, [0, 5, 6]) == "+24"
    assert miss(70, [90, 91, 95]) == "-20"
