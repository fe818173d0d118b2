"""Bursts: N processes insert one row each into the same file at the same moment.

One writer at a time holds SQLite's lock; the others sleep and try again, 1 ms at first and 100 ms in the end, until the
busy timeout. So at most as many get through as commits fit into the timeout, and fewer, since often all sleep: with 5 s
the failures begin between 50 and 250 workers: hence sizes on both sides of that. Counting errors is not enough: an
insert that returned counts only when its row is in the table.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from .check.bursts import burst as checked_burst
from .check.bursts import bursts as bursts_in_turns
from .common import (
    SETTINGS,
    STORAGE,
    WORKERS,
    Samples,
    _TimedBursts,
    bursts,
    mean,
    run_burst,
    samples,
    setup,
    skip_unless_possible,
    unit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of the bursts that are beside the main question: a usual number, at which hardly a row fails.
USUAL = 100


def count_of_bursts(workers: int, settings: str, wanted: int | None = None) -> int:
    """How many bursts a cell gets: fewer of the large ones, of which either hardly a row fails or many do."""
    count = bursts(settings, sys.maxsize if workers < 500 else 3, wanted)
    return count if workers < 1000 else (count + 1) // 2


def _timed(count: int, *cells: tuple[int, str]) -> Iterator[dict[str, Any]]:
    for cell in cells:
        yield {"kind": "time", "method": "check_bursts", "params": cell, "arguments": {"count": count}}


def _counted(*cells: tuple[int, str]) -> Iterator[dict[str, Any]]:
    # The burst's own deadline comes first, so that a worker that hangs is one row's outcome.
    for cell in cells:
        yield {
            "kind": "failure",
            "method": "check_burst",
            "params": cell,
            "arguments": {"deadline": 50.0},
            "deadline": 60,
        }


class Burst(_TimedBursts):
    """As many processes as workers, started fresh, held at a gate and released at once, each with one row."""

    params = (WORKERS, SETTINGS)
    param_names = ("workers", "settings")

    version = "4"

    # Short, so that there are many in a minute: 8 workers wait for each other a little, and in 40 ms at most; 100 are a
    # usual burst, in the settings whose noise lets that be judged. A pair of bursts of `default` or `wal` differs by 60
    # to 80% (their workers sleep at random), one of `queued` or `grouped` by 10%, and a pair of samples of several,
    # taken in turns, by 4% to 8% [measured]. Failures: where they begin, and what must never fail.
    check_samples = (
        *_timed(4, (8, "default"), (8, "wal")),
        *_timed(8, (8, "wal-normal"), (8, "queued"), (8, "grouped"), (8, "fair")),
        *_timed(4, (100, "queued"), (100, "grouped")),
        *_counted((500, "grouped"), (500, "queued"), (500, "wal-normal"), (250, "wal"), (250, "default")),
    )
    check_bursts = staticmethod(bursts_in_turns)
    check_burst = staticmethod(checked_burst)

    def setup(self, workers: int, settings: str) -> None:
        skip_unless_possible(settings)
        count = count_of_bursts(workers, settings)
        self.use(self.measured_once(f"{workers} {settings}", lambda: run_burst(workers, settings), count))

    @unit("rows per burst")
    def track_recovered_rows(self, workers: int, settings: str) -> float:
        return mean(self.reports, "recovered")

    @unit("rows per burst")
    def track_duplicated_rows(self, workers: int, settings: str) -> float:
        return mean(self.reports, "duplicated")

    @unit("ratio")
    def track_attempts_per_commit(self, workers: int, settings: str) -> float:
        return mean(self.reports, "attempts_per_commit")

    @unit("ratio")
    def track_contention_factor(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "contention_factor")

    @unit("seconds")
    def track_slowest_insert(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "insert_time", "slowest")

    @unit("seconds")
    def track_p99_insert(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "insert_time", "p99")

    @unit("seconds")
    def track_open(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "phases", "open")

    @unit("seconds")
    def track_wait_for_the_lock(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "phases", "wait for the lock")

    @unit("seconds")
    def track_write_and_sync(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "phases", "write and sync")

    @unit("seconds")
    def track_close(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "phases", "close")

    # Never judged (asv.conf.json): they say how simultaneous the burst was, without which the rest means nothing.

    @unit("seconds")
    def track_start_spread(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "start_spread")

    @unit("inserts")
    def track_peak_in_flight(self, workers: int, settings: str) -> Samples:
        return samples(self.reports, "peak_in_flight")


class StorageBurst(_TimedBursts):
    """A burst of 100 on disk and in memory: what is left of a difference when a sync costs nothing."""

    params = (STORAGE, SETTINGS)
    param_names = ("storage", "settings")

    version = "2"

    def setup(self, storage: str, settings: str) -> None:
        skip_unless_possible(settings)
        self.use(
            self.measured_once(f"{storage} {settings}", lambda: run_burst(USUAL, settings, storage), bursts(settings))
        )
