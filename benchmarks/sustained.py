"""Sustained writing: processes that insert row after row, as fast as each can, so that somebody always waits.

A burst ends when its last row is in. Here whoever has written comes again at once, and meets those who still wait. That
is where sleeping costs most: the writer that has just let go of the lock is awake, and takes it again, while the others
sleep. So the time per row alone says nothing: the slowest writer and the p99 stand beside it. Each writer either opens
a connection for each row, or keeps one open, as an expert would. The timeout is long, so that each setting writes the
same rows and none gives up. 50 processes are many more than a disk can serve at once.
"""

from __future__ import annotations

from functools import partial

from .common import (
    SETTINGS,
    Report,
    Samples,
    _Reports,
    bursts,
    database_path,
    find,
    samples,
    setup,
    skip_unless_possible,
    unit,
)

WRITERS = 50


class _Sustained(_Reports):
    """The metrics that both classes share; each names its rows and has its own ``version``."""

    params = (SETTINGS,)
    param_names = ("settings",)

    @unit("seconds per row")
    def track_time_per_row(self, settings: str) -> Samples:
        return samples(self.reports, "time_per_row")

    @unit("seconds")
    def track_slowest_writer(self, settings: str) -> Samples:
        return samples(self.reports, "slowest_writer")

    @unit("ratio")
    def track_unfairness(self, settings: str) -> Samples:
        """The time of the slowest writer ÷ that of the first to be done: 1 if all are served alike."""
        return samples(self.reports, "unfairness")

    @unit("seconds")
    def track_p99_insert(self, settings: str) -> Samples:
        """The insert time that 99% of all rows did not exceed."""
        return samples(self.reports, "p99_insert")


class SustainedWriting(_Sustained):
    """50 processes, released at once, insert ten rows each, a connection for each row, and do not rest between them."""

    version = "1"

    check_samples = (
        {"kind": "time", "method": "check_rows", "params": ["grouped"], "arguments": {"writers": 10, "rows": 10}},
    )

    def setup(self, settings: str) -> None:
        skip_unless_possible(settings)
        self.reports = self.measured_once(
            settings, lambda: _write_and_check(settings, 10, False, WRITERS), bursts(settings)
        )

    def check_rows(self, settings: str, writers: int, rows: int) -> dict[str, object]:
        return _checked_time(settings, rows, False, writers)


class SustainedKeptOpen(_Sustained):
    """The same over one connection a process, kept open, and with forty rows each, since each takes less time."""

    version = "1"

    # A fifth of the rows, and in the ways of writing that are steady: for the check this is one time, and not four.
    check_samples = tuple(
        {"kind": "time", "method": "check_rows", "params": [name], "arguments": {"writers": 10, "rows": 40}}
        for name in ("grouped", "queued")
    )

    def setup(self, settings: str) -> None:
        skip_unless_possible(settings)
        find("open_writer")
        self.reports = self.measured_once(
            settings, lambda: _write_and_check(settings, 40, True, WRITERS), bursts(settings)
        )

    def check_rows(self, settings: str, writers: int, rows: int) -> dict[str, object]:
        return _checked_time(settings, rows, True, writers)


def _checked_time(settings: str, rows: int, keep_open: bool, writers: int) -> dict[str, object]:
    """Return the time per row to the check of a pull request, whose sample's process has opened nothing yet."""
    report = _write_and_check(settings, rows, keep_open, writers, start_method="fork")
    return {"seconds": report["time_per_row"]}


def _write_and_check(
    settings: str, rows: int, keep_open: bool, writers: int, start_method: str = "forkserver"
) -> Report:
    from dataclasses import replace

    from sqlite_writes import SETTINGS as KNOWN
    from sqlite_writes import create_table, generate_example_rows, pool_map, row_count

    patient = replace(KNOWN[settings], busy_timeout=60.0)
    with database_path() as database:
        create_table(database, patient)
        insert = partial(find("insert_rows"), database, patient)
        if keep_open:
            insert = partial(insert, keep_open=True)
        outcomes = pool_map(
            insert,
            [generate_example_rows(rows) for _ in range(writers)],
            start_method=start_method,
            deadline=300.0,
            warm_up=partial(find("warm_up"), patient),
        )
        kept = row_count(database)
    if kept != writers * rows:
        raise RuntimeError(f"{kept} of {writers * rows} rows are there: {[outcome.exception for outcome in outcomes]}")
    spans = [(outcome.started or 0.0, outcome.ended or 0.0) for outcome in outcomes]
    times = [ended - started for started, ended in spans]
    elapsed = max(ended for _, ended in spans) - min(started for started, _ in spans)
    report = {
        "time_per_row": elapsed / kept,
        "slowest_writer": max(times),
        "unfairness": max(times) / min(times),
    }
    # Earlier commits do not say how long each insert took.
    inserts = sorted(trace.closed - trace.called for outcome in outcomes for trace in outcome.result or [])
    if inserts:
        report["p99_insert"] = inserts[99 * len(inserts) // 100]
    return report
