"""Another DB-API module, with a SQLite of its own, under the whole package by one environment variable."""

from __future__ import annotations

import json

import pytest

from .conftest import run_script

SCRIPT = """
import json, sys
from sqlite_writes import create_table, error_name, generate_example_rows, insert_rows_in_parallel
from sqlite_writes.scenarios.cost import insert_cost
create_table(sys.argv[1], "wal")
report = insert_rows_in_parallel(sys.argv[1], generate_example_rows(20), "wal").to_dict()
assert "sqlite3" not in sys.modules
assert insert_cost(sys.argv[1])["sql_statements"] == 3
print(json.dumps(report))
"""


def test_pysqlite3_brings_its_own_sqlite(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pysqlite3 = pytest.importorskip("pysqlite3")
    monkeypatch.setenv("SQLITE_WRITES_DRIVER", "pysqlite3")
    done = run_script(SCRIPT, database)
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert (report["acknowledged"], report["lost"]) == (20, 0)
    assert report["sqlite_version"] == pysqlite3.sqlite_version


def test_a_locked_database_has_the_same_name(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pysqlite3")
    monkeypatch.setenv("SQLITE_WRITES_DRIVER", "pysqlite3")
    script = """
import sys
from sqlite_writes import Settings, create_table, insert_rows_in_parallel
from sqlite_writes import connect
create_table(sys.argv[1])
held = connect(sys.argv[1])
held.execute("BEGIN IMMEDIATE")
print(insert_rows_in_parallel(sys.argv[1], [("a",)], Settings(busy_timeout=0)).errors)
held.close()
"""
    assert run_script(script, database).stdout == "{'SQLITE_BUSY': 1}\n"


def test_a_module_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_WRITES_DRIVER", "sqlite9")
    assert (
        run_script("import sqlite_writes").stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'sqlite9'"
    )
