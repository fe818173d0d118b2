"""The benchmarks' values, each against a count taken another way; asv itself runs them in test_places.py."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest

import sqlite_writes
from benchmarks import burst, caller, common, cost, pool, sequence, sustained
from benchmarks import transaction as transactions
from sqlite_writes.library import library_version

from .conftest import PROJECT, run_script
from .workers import fail_on_odd


@pytest.fixture
def bench_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where asv would run a class, with the databases under it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLITE_WRITES_FOLDER", str(tmp_path / "databases"))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return tmp_path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bursts a cell, and sizes that take no time."""
    monkeypatch.setattr(common, "BURSTS", 2)
    monkeypatch.setattr(caller, "BURSTS", 1)
    monkeypatch.setattr(burst, "USUAL", 5)
    monkeypatch.setattr(sequence, "POPULATED", 300)
    monkeypatch.setattr(sequence, "WORKERS", 5)
    monkeypatch.setattr(sustained, "WRITERS", 5)
    monkeypatch.setattr(pool, "HOLD", 0.5)


def of(value: common.Samples) -> list[float]:
    """The samples of a benchmark's answer."""
    assert isinstance(value, dict)
    assert value["number"] == 1
    return [float(sample) for sample in value["samples"]]


def usable(settings: str) -> None:
    try:
        common.skip_unless_possible(settings)
    except NotImplementedError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("settings", common.SETTINGS)
def test_a_cells_metrics_come_from_the_same_bursts(settings: str, bench_folder: Path, few: None) -> None:
    usable(settings)
    cell = burst.Burst()
    cell.setup(5, settings)
    (kept,) = json.loads((bench_folder / f"Burst 5 {settings}.json").read_text())["rounds"]
    again = burst.Burst()
    again.setup(5, settings)
    assert again.reports == kept
    assert [report["attempted"] for report in kept] == [5, 5]
    for rows in (cell.track_failed_rows, cell.track_lost_rows, cell.track_recovered_rows, cell.track_duplicated_rows):
        assert rows(5, settings) == 0
    assert cell.track_attempts_per_commit(5, settings) >= 1
    slowest = of(cell.track_slowest_insert(5, settings))
    assert slowest == of(cell.track_p99_insert(5, settings)) == [max(report["insert_times"]) for report in kept]
    assert all(longest <= report["burst_time"] for longest, report in zip(slowest, kept))
    parts = [cell.track_open, cell.track_wait_for_the_lock, cell.track_write_and_sync, cell.track_close]
    for first_to_last in zip(*(of(part(5, settings)) for part in parts)):
        assert 0 < sum(first_to_last) < 4 * max(slowest)
    assert all(factor > 0 for factor in of(cell.track_contention_factor(5, settings)))
    assert of(cell.track_start_spread(5, settings)) == [report["start_spread"] for report in kept]
    assert all(1 <= peak <= 5 for peak in of(cell.track_peak_in_flight(5, settings)))
    before = cell.timer()
    cell.time_burst(5, settings)
    cell.time_burst(5, settings)
    assert cell.timer() - before == pytest.approx(sum(report["burst_time"] for report in kept))
    assert list((bench_folder / "databases").iterdir()) == []


def test_failures_are_seen_by_every_metric_that_is_about_them(
    bench_folder: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sqlite_writes.SETTINGS, "default", sqlite_writes.Settings(busy_timeout=0))
    cell = burst.Burst()
    cell.setup(50, "default")
    failed = cell.track_failed_rows(50, "default")
    assert failed > 0
    assert failed == sum(report["errors"]["SQLITE_BUSY"] for report in cell.reports) / 2
    assert cell.track_attempts_per_commit(50, "default") > 1
    assert cell.track_lost_rows(50, "default") == 0


@pytest.mark.parametrize("settings", ["default", "wal", "grouped", "concurrent"])
@pytest.mark.parametrize("storage", common.STORAGE)
def test_a_burst_in_either_storage(storage: str, settings: str, bench_folder: Path, few: None) -> None:
    usable(settings)
    cell = burst.StorageBurst()
    try:
        cell.setup(storage, settings)
    except NotImplementedError as reason:
        pytest.skip(str(reason))
    assert cell.track_failed_rows(storage, settings) == cell.track_lost_rows(storage, settings) == 0
    assert {report["acknowledged"] for report in cell.reports} == {5}


def test_a_held_connection_costs_nothing_and_the_naive_way_is_counted(bench_folder: Path, few: None) -> None:
    held = caller.HeldConnection()
    held.setup(5)
    assert held.track_failed_rows(5) == held.track_lost_rows(5) == 0
    assert {report["acknowledged"] for report in held.reports} == {5}
    naive = caller.NaiveBurst()
    naive.setup(5)
    assert [sorted(report) for report in naive.reports] == [["failed", "lost"]]


@pytest.mark.parametrize("settings", common.SETTINGS)
def test_one_after_another_and_into_a_table_that_has_rows(settings: str, bench_folder: Path, few: None) -> None:
    usable(settings)
    one = sequence.InsertRow()
    one.setup(settings)
    one.time_insert_row(settings)
    assert sqlite_writes.row_count(one.database) == 2
    one.teardown(settings)
    assert not Path(one.database).parent.exists()
    populated = sequence.PopulatedBurst()
    populated.setup(settings)
    assert populated.track_failed_rows(settings) == populated.track_lost_rows(settings) == 0
    assert {report["acknowledged"] for report in populated.reports} == {5}
    assert of(populated.track_slowest_insert(settings)) == [max(r["insert_times"]) for r in populated.reports]


def test_ten_thousand_rows_are_as_many_as_it_says(
    bench_folder: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    original = sqlite_writes.insert_rows_one_after_another

    def counting(database: str, rows: list[tuple[str]]) -> float:
        seconds = original(database, rows)
        counted.append(sqlite_writes.row_count(database))
        return seconds

    monkeypatch.setattr(sqlite_writes, "insert_rows_one_after_another", counting)
    assert 0 < sequence.TenThousandRows().track_seconds() < 60
    assert counted == [sequence.POPULATED]


@pytest.mark.parametrize("settings", common.SETTINGS)
@pytest.mark.parametrize(("kind", "each"), [(sustained.SustainedWriting, 10), (sustained.SustainedKeptOpen, 40)])
def test_sustained_writing(
    kind: type[sustained._Sustained], each: int, settings: str, bench_folder: Path, few: None
) -> None:
    usable(settings)
    cell = kind()
    cell.setup(settings)  # type: ignore[attr-defined]
    slowest = of(cell.track_slowest_writer(settings))
    rows = 5 * each
    for per_row, writer, unfairness, insert in zip(
        of(cell.track_time_per_row(settings)),
        slowest,
        of(cell.track_unfairness(settings)),
        of(cell.track_p99_insert(settings)),
    ):
        assert 0 < writer / rows <= per_row  # the last to end began when or after the first did; divided, as per_row is
        assert unfairness >= 1
        assert 0 < insert < writer
    assert list((bench_folder / "databases").iterdir()) == []


def test_sustained_writing_counts_its_rows(bench_folder: Path, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_writes, "row_count", lambda _: 7)
    for kind, rows in ((sustained.SustainedWriting, 50), (sustained.SustainedKeptOpen, 200)):
        with pytest.raises(RuntimeError, match=f"7 of {rows} rows are there"):
            kind().setup("wal-normal")


def test_the_pool_beside_a_plain_one(few: None) -> None:
    for way in pool.WAYS:
        cell = pool.Pool()
        cell.time_start_and_reap(3, way)
        memory = cell.track_memory(3, way)
        assert math.isnan(memory) or 3 * 2**16 < memory < 3 * 2**28


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize(("transaction", "failures"), [("implicit", True), ("immediate", False)])
def test_reading_before_writing_fails_only_if_deferred(
    transaction: str, failures: bool, journal_mode: str, bench_folder: Path, few: None
) -> None:
    cell = transactions.ReadThenWrite()
    cell.setup(journal_mode, transaction)
    assert (cell.track_failed_rows(journal_mode, transaction) > 0) == failures
    assert cell.track_lost_rows(journal_mode, transaction) == 0


def test_costs_and_library_are_what_the_package_says(bench_folder: Path) -> None:
    from sqlite_writes.scenarios.cost import METRICS, insert_cost

    cell = cost.InsertCost()
    cell.setup("default", "disk")
    counted = insert_cost(str(bench_folder / "other.db"))
    tracked = [getattr(cell, f"track_{metric}")("default", "disk") for metric in METRICS]
    assert [None if math.isnan(value) else value for value in tracked] == list(counted.values())
    version, source_id = library_version()
    number = cost.Library().track_sqlite_version()
    assert f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}" == version
    assert format(int(cost.Library().track_sqlite_source_id()), "012x") == source_id.split()[2][:12]


def test_a_report_without_the_name_is_not_a_zero() -> None:
    assert math.isnan(common.mean([{"failed": 1}], "lost"))
    assert math.isnan(common.samples([{"phases": None}], "phases", "open"))  # type: ignore[arg-type]


def test_every_benchmark_has_a_version_of_its_own() -> None:
    for module in (burst, caller, cost, pool, sequence, sustained, transactions):
        for name, kind in vars(module).items():
            if isinstance(kind, type) and any(member.startswith(("time_", "track_")) for member in dir(kind)):
                assert name.startswith("_") or "version" in vars(kind), name


def test_the_clock_replays_each_bursts_time_in_turn() -> None:
    clock = common.BurstClock()
    readings = [clock()]
    for _ in range(3):
        clock.replay([{"burst_time": 0.5}, {"burst_time": 2.0}])
        readings.append(clock())
    assert readings == [0.0, 0.5, 2.5, 3.0]


@pytest.mark.parametrize(
    "kind", [burst.Burst, caller.NaiveBurst, transactions.ReadThenWrite, sustained.SustainedWriting]
)
def test_each_round_of_asv_has_bursts_of_its_own_that_all_benchmarks_read(kind: Any, bench_folder: Path) -> None:
    """It runs each benchmark once a round, in a new process: here, on a new object. Each reads as nobody else does."""
    names = [name for name in dir(kind) if name.startswith(("track_", "time_"))]
    measured = 0

    def measure() -> common.Report:
        nonlocal measured
        measured += 1
        ours = ("failed", "lost", "recovered", "duplicated", "attempts_per_commit", "contention_factor")
        times = ("start_spread", "peak_in_flight", "time_per_row", "slowest_writer", "unfairness", "p99_insert")
        nested = {"insert_time": dict.fromkeys(("slowest", "p99"), measured)} | {
            "phases": dict.fromkeys(("open", "wait for the lock", "write and sync", "close"), measured)
        }
        return dict.fromkeys((*ours, *times, "burst_time"), measured) | nested

    for round_of_asv in (1, 2, 3):
        for name in names:
            cell = kind()
            for _ in range(2):  # before each call that it times, asv sets up again
                cell.reports = cell.measured_once("5 wal", measure, 1)
            if name == "time_burst":
                cell.timer.replay(cell.reports)
                continue
            found = getattr(cell, name)(*kind.param_names)
            assert (found["samples"] if isinstance(found, dict) else [found]) == [round_of_asv], name
        assert measured == round_of_asv


def test_one_burst_with_failures_shows_in_the_mean() -> None:
    assert common.mean([{"failed": 0}] * 9 + [{"failed": 1}], "failed") == 0.1


def test_settings_that_a_commit_lacks_are_skipped(bench_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sqlite_writes.SETTINGS, "wal")
    with pytest.raises(NotImplementedError, match="this commit has no settings 'wal'"):
        burst.Burst().setup(5, "wal")


def test_what_a_commit_has_and_cannot_import_is_a_failure_and_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "of_a_commit"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "whole.py").write_text("name = 1")
    (package / "broken.py").write_text("from .whole import missing")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(common, "_ROOMS", ["of_a_commit.absent.too", "of_a_commit.whole", "of_a_commit.broken"])
    assert common.find("name") == 1
    with pytest.raises(ImportError, match="missing"):
        common.find("missing")
    monkeypatch.setattr(common, "_ROOMS", ["of_a_commit.absent", "of_a_commit.whole"])
    with pytest.raises(NotImplementedError, match="this commit has no missing"):
        common.find("missing")


def test_the_limit_of_descriptors_is_raised_for_a_plain_pool() -> None:
    script = """
import resource
from benchmarks.common import allow_many_descriptors
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(64, hard), hard))
allow_many_descriptors()
soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
print(soft == (4096 if hard == resource.RLIM_INFINITY else min(4096, hard)))
"""
    done = run_script(script)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_commit_that_would_ignore_the_driver_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_WRITES_DRIVER", "pysqlite3")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    common.setup()  # as asv calls it before setup_cache, where n/a would be a failure
    for setup in (lambda: common.setup(5, "wal"), cost.Library().setup, sequence.TenThousandRows().setup):
        with pytest.raises(NotImplementedError, match="this commit knows no SQLITE_WRITES_DRIVER"):
            setup()  # type: ignore[no-untyped-call]
    sequence.InsertRow().teardown("wal")  # asv calls it although there was no setup


def test_a_pool_some_of_whose_workers_did_not_return_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="not all of 2 workers returned: raised"):
        pool._map("pool_map", fail_on_odd, [0, 1])  # type: ignore[arg-type]
