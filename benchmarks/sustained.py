"""Sustained writing: processes that insert row after row, as fast as each can, so that the queue is never empty.

A burst ends when its last row is in; here whoever has written comes again at once, and meets those who still wait. That
is where sleeping costs most: the one that has just let go of the lock is awake, and takes it again. 50 processes are
many more than a disk can serve at once, and ten rows each suffice to see it. With a long timeout, so that each setting
writes the same rows and none gives up.
"""

from __future__ import annotations

from functools import partial

from .common import (
    SETTINGS,
    Report,
    Samples,
    bursts,
    database_path,
    measured_once,
    samples,
    setup,
    skip_unless_possible,
    unit,
)

WRITERS = 50
ROWS = 10


class SustainedWriting:
    """50 processes, released at once, insert ten rows each, a connection for each row, and do not rest between them."""

    params = (SETTINGS,)
    param_names = ("settings",)

    version = "1"
    timeout = 600.0

    def setup_cache(self) -> None:
        """Have asv run the whole class in one folder (see common)."""

    def setup(self, settings: str) -> None:
        skip_unless_possible(settings)
        self.reports = measured_once(settings, lambda: _write_and_check(settings), bursts(settings))

    @unit("seconds per row")
    def track_time_per_row(self, settings: str) -> Samples:
        return samples(self.reports, "time_per_row")

    @unit("seconds")
    def track_slowest_writer(self, settings: str) -> Samples:
        return samples(self.reports, "slowest_writer")

    @unit("ratio")
    def track_unfairness(self, settings: str) -> Samples:
        """The time of the slowest writer ÷ that of the fastest: 1 if all are served alike."""
        return samples(self.reports, "unfairness")


def _write_and_check(settings: str) -> Report:
    from dataclasses import replace

    from sqlite_writes import SETTINGS as KNOWN
    from sqlite_writes import create_table, generate_example_rows, pool_map, row_count
    from sqlite_writes.database import insert_rows, warm_up

    patient = replace(KNOWN[settings], busy_timeout=60.0)
    with database_path() as database:
        create_table(database, patient)
        outcomes = pool_map(
            partial(insert_rows, database, patient),
            [generate_example_rows(ROWS) for _ in range(WRITERS)],
            deadline=300.0,
            warm_up=partial(warm_up, patient),
        )
        kept = row_count(database)
    if kept != WRITERS * ROWS:
        raise RuntimeError(f"{kept} of {WRITERS * ROWS} rows are there: {[outcome.exception for outcome in outcomes]}")
    spans = [(outcome.started or 0.0, outcome.ended or 0.0) for outcome in outcomes]
    times = [ended - started for started, ended in spans]
    elapsed = max(ended for _, ended in spans) - min(started for started, _ in spans)
    return {
        "time_per_row": elapsed / kept,
        "slowest_writer": max(times),
        "unfairness": max(times) / min(times),
    }
