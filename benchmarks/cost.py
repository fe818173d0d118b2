"""Exact costs of one insert: the same to the byte in every run, so that one more byte written is a finding.

Counted over ten inserts by one warmed-up process, with a connection each, into a new table
(sqlite_writes/scenarios/cost.py). On disk and in memory, where they must be the same. What a platform cannot count is
n/a there, not 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .check.promises import cost
from .common import (
    SETTINGS,
    STORAGE,
    USUAL_SETTINGS,
    Report,
    _Reports,
    database_path,
    find,
    mean,
    setup,
    skip_if_driver_is_ignored,
    skip_unless_possible,
    unit,
)

if TYPE_CHECKING:
    from .check.outcomes import Sample


class InsertCost(_Reports):
    """One ``insert_row`` that waits for nobody."""

    params = (SETTINGS, STORAGE)
    param_names = ("settings", "storage")

    version = "1"

    # The check takes all of them at once, and says which statements came or went.
    check_samples = tuple(
        {"kind": "facts", "method": "check_cost", "params": [name, "disk"], "deadline": 60} for name in USUAL_SETTINGS
    )
    check_rules = (
        ("bytes_written", "cost", "byte written per row"),
        ("write_calls", "cost", "write call per row"),
        ("syncs", "cost, and fewer is worse", "sync per row", "rows may be acknowledged before they are safe"),
        ("sql_statements", "cost", "SQL statement per row", "statements"),
        ("virtual_machine_steps", "cost", "step of SQLite's virtual machine per row"),
        ("python_calls", "cost", "Python call per row"),
        ("statements", "explains"),
    )

    def check_cost(self, settings: str, storage: str) -> Sample:
        return cost(settings)

    def setup(self, settings: str, storage: str) -> None:
        skip_unless_possible(settings)
        insert_cost = find("insert_cost")

        def count() -> Report:
            with database_path(storage) as database:
                return dict(insert_cost(database, settings))

        self.reports = self.measured_once(f"{settings} {storage}", count, 1)

    @unit("bytes")
    def track_bytes_written(self, settings: str, storage: str) -> float:
        return mean(self.reports, "bytes_written")

    @unit("calls")
    def track_write_calls(self, settings: str, storage: str) -> float:
        return mean(self.reports, "write_calls")

    @unit("calls")
    def track_syncs(self, settings: str, storage: str) -> float:
        return mean(self.reports, "syncs")

    @unit("statements")
    def track_sql_statements(self, settings: str, storage: str) -> float:
        return mean(self.reports, "sql_statements")

    @unit("steps")
    def track_virtual_machine_steps(self, settings: str, storage: str) -> float:
        return mean(self.reports, "virtual_machine_steps")

    @unit("calls")
    def track_python_calls(self, settings: str, storage: str) -> float:
        return mean(self.reports, "python_calls")


class Library:
    """What the numbers were measured with; never judged."""

    version = "2"

    def setup(self) -> None:
        skip_if_driver_is_ignored()

    @unit("version number")
    def track_sqlite_version(self) -> int:
        """SQLite's version as its own number: 3040001 is 3.40.1."""
        major, minor, patch = map(int, _library_version()[0].split("."))
        return 1_000_000 * major + 1000 * minor + patch

    @unit("first 12 hex digits, as a number")
    def track_sqlite_source_id(self) -> float:
        """The hash of SQLite's check-in: ``format(int(value), '012x')`` begins it."""
        source_id = _library_version()[1].split()
        return int(source_id[2][:12], 16) if len(source_id) > 2 else math.nan


def _library_version() -> tuple[str, str]:
    try:
        version, source_id = find("library_version")()
    except NotImplementedError:
        import sqlite3

        return sqlite3.sqlite_version, ""
    return version, source_id
