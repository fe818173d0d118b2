"""Which versions of SQLite are named as affected by the WAL-reset bug, and where a report says so."""

from __future__ import annotations

import pytest

from sqlite_writes import create_table, generate_example_rows, insert_rows_in_parallel
from sqlite_writes import report as report_module
from sqlite_writes.library import known_bugs


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [
        ("3.6.23.1", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
    ],
)
def test_versions_are_affected_from_the_first_with_the_bug_to_the_first_without_it(
    version: str, is_affected: bool
) -> None:
    found = known_bugs(version)
    assert bool(found) == is_affected
    assert all("https://sqlite.org/wal.html#walresetbug" in line for line in found)


@pytest.mark.parametrize(
    ("settings", "version", "is_told"), [("wal", "3.40.1", 1), ("wal", "3.51.3", 0), ("default", "3.40.1", 0)]
)
def test_a_report_names_the_bug_where_the_mode_and_the_version_have_it(
    settings: str, version: str, is_told: int, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table(database, settings)
    report = insert_rows_in_parallel(database, generate_example_rows(1), settings)
    monkeypatch.setattr(report_module, "library_version", lambda: (version, "source"))
    assert str(report).count("WAL-reset bug") == is_told
    assert report.to_dict()["sqlite_known_bugs"] == known_bugs(version)
