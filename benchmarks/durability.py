"""Durability, measured: the share of power losses that take a row which the writer had acknowledged.

A run of eight processes is recorded, and power is lost at each of its moments: each write that no sync covers is kept,
dropped or damaged, by the rule of SQLite's own simulator, and SQLite opens what is left (docs/durability.md). The same
seed every time, and still not quite the same states: each recording is another run. n/a where there is no ``strace``.
"""

from __future__ import annotations

from .common import SETTINGS, Report, _Reports, find, mean, setup, skip_unless_possible, unit

# Of each kind. A writer that keeps its promise has 0 in any number; one that does not has 20% and more.
STATES = 100

# A library that does not wait for a lock fails most rows; each worker tries so many until some are acknowledged.
ATTEMPTS = 200


class _Durability(_Reports):
    """The metrics that settings and libraries share."""

    param_names = ("writer",)

    def lose_power(self, writer: str) -> None:
        """Have every benchmark of the cell read the same two reports."""
        lose_power = find("lose_power_both_ways")

        def measure() -> Report:
            sure, unsure = lose_power(writer, STATES, attempts=ATTEMPTS)
            return {"lost": sure.share, "lost_with_names": unsure.share, "damaged": 100 * sure.damaged / sure.states}

        self.reports = self.measured_once(writer, measure, 1)

    @unit("% of states")
    def track_acknowledged_rows_lost_to_power(self, writer: str) -> float:
        """With the names of files sure, as SQLite's own simulator has them."""
        return mean(self.reports, "lost")

    @unit("% of states")
    def track_acknowledged_rows_lost_with_unsynced_names(self, writer: str) -> float:
        """Where a name may come back until its folder is synced, as POSIX has it."""
        return mean(self.reports, "lost_with_names")

    @unit("% of states")
    def track_databases_damaged_by_power_loss(self, writer: str) -> float:
        return mean(self.reports, "damaged")


class Durability(_Durability):
    """By settings."""

    params = (SETTINGS,)

    version = "1"

    def setup(self, writer: str) -> None:
        skip_unless_possible(writer)
        self.lose_power(writer)
