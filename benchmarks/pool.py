"""The pool itself: what it takes to bring N processes to a gate and reap them, in time and memory.

Beside it plain ``multiprocessing.Pool(n).map`` by fork, which starts as many processes and has no gate. The function
does nothing, so that this is the price of the processes alone. 100 is a usual burst, at 500 failures have begun.
"""

from __future__ import annotations

import math
import multiprocessing
from typing import TYPE_CHECKING, Any

from .common import allow_many_descriptors, find, setup, unit

if TYPE_CHECKING:
    from collections.abc import Callable

WAYS = ["pool_map", "plain Pool"]
WORKERS = [100, 500]

# Long enough for all to be alive when each reads its memory, in the middle of it.
HOLD = 2.0


class Pool:
    """Call a function that does nothing in as many processes as workers, and wait until all are gone."""

    params = (WORKERS, WAYS)
    param_names = ("workers", "way")

    version = "1"
    timeout = 600.0
    number = 1
    repeat = 5
    rounds = 1
    warmup_time = 0.0

    def time_start_and_reap(self, workers: int, way: str) -> None:
        _map(way, abs, [0.0] * workers)

    @unit("bytes")
    def track_memory(self, workers: int, way: str) -> float:
        """The proportional set sizes of the workers, added up, while all are alive."""
        try:
            proportional_memory = find("proportional_memory")
        except NotImplementedError:
            return math.nan
        sizes = _map(way, proportional_memory, [HOLD] * workers)
        return sum(math.nan if size is None else size for size in sizes)


def _map(way: str, function: Callable[[float], Any], items: list[float]) -> list[Any]:
    if way == "plain Pool":
        allow_many_descriptors()
        with multiprocessing.get_context("fork").Pool(len(items)) as pool:
            return pool.map(function, items, chunksize=1)
    from sqlite_writes import pool_map

    outcomes = pool_map(function, items)
    if others := {outcome.status for outcome in outcomes} - {"returned"}:
        raise RuntimeError(f"not all of {len(items)} workers returned: {', '.join(sorted(others))}")
    return [outcome.result for outcome in outcomes]
