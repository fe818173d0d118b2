"""The exact cost of one insert: the same in every run and storage, and checked against counts taken another way."""

from __future__ import annotations

import cProfile
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from sqlite_writes import SETTINGS, create_table, insert_row
from sqlite_writes.folders import MEMORY
from sqlite_writes.scenarios.cost import METRICS, _io_counter, insert_cost
from sqlite_writes.scenarios.strace import run_traced
from sqlite_writes.writers.ours import insert_rows

from .conftest import STRACE

LINUX = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="no /proc/self/io")


@pytest.mark.parametrize("settings", ["default", "wal-normal"])
def test_costs_are_the_same_every_time_and_in_memory(settings: str, database: str) -> None:
    first = insert_cost(database, settings)
    assert list(first) == list(METRICS)
    assert insert_cost(database, settings) == first
    if Path(MEMORY).is_dir():
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            assert insert_cost(Path(folder, "messages.db"), settings) == first


def strace_of_inserts(database: str, settings: str, count: int) -> list[str]:
    rows = [(f"{number:036d}",) for number in range(count)]
    run_traced(insert_rows, database, settings, rows, options=["-y"], log=f"{database}.strace")
    return Path(f"{database}.strace").read_text().splitlines()


@LINUX
@STRACE
@pytest.mark.parametrize("settings", ["default", "wal"])
def test_bytes_calls_and_syncs_are_those_that_strace_sees(settings: str, database: str) -> None:
    create_table(database, settings)
    insert_row(database, ("x" * 36,), settings)
    lines = strace_of_inserts(database, settings, 5)
    writes = [line for line in lines if database in line and ("write" in line.split("(")[0])]
    syncs = [line for line in lines if "sync(" in line]
    cost = insert_cost(database, settings)
    assert len(writes) == 5 * (cost["write_calls"] or 0)
    assert sum(int(line.rsplit("= ", 1)[1]) for line in writes) == 5 * (cost["bytes_written"] or 0)
    assert len(syncs) == 5 * (cost["syncs"] or 0)


def test_python_calls_differ_between_settings_as_the_profiler_says(database: str) -> None:
    """The profiler counts its own end and object constructions too, so only differences compare."""

    def profiled(settings: str) -> int:
        create_table(database, settings)
        insert_row(database, ("x" * 36,), settings)
        profiler = cProfile.Profile()
        profiler.runcall(insert_row, database, ("x" * 36,), settings)
        return sum(entry.callcount for entry in profiler.getstats())

    costs = [insert_cost(database, settings)["python_calls"] or 0 for settings in ("default", "wal-normal")]
    assert costs[1] - costs[0] == profiled("wal-normal") - profiled("default") != 0


def test_virtual_machine_steps_are_more_than_the_statements_and_fewer_than_a_scan_takes(database: str) -> None:
    cost = insert_cost(database)
    assert 3 * (cost["sql_statements"] or 0) < (cost["virtual_machine_steps"] or 0) < 100


def test_the_statements_of_an_insert_are_counted(database: str) -> None:
    assert insert_cost(database)["sql_statements"] == 3  # BEGIN, INSERT, COMMIT
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (11,)


def test_what_a_platform_cannot_tell_is_none_and_not_0(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no strace
    assert insert_cost(database)["syncs"] is None
    monkeypatch.setattr(Path, "exists", lambda _: False)  # no /proc
    assert _io_counter("wchar", database, SETTINGS["default"]) is None
