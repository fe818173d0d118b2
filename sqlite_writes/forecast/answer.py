"""The forecast: from two or three times that one writer needs alone to what becomes of N at one moment.

Starts no process and opens no file. How the times are measured is in inputs.py, the simulation in simulation.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from sqlite_writes.settings import resolve_settings

from .simulation import Simulation

if TYPE_CHECKING:
    from sqlite_writes.settings import Settings


@dataclass(frozen=True)
class Forecast:
    """What a simulated burst came to.

    workers: processes, with one row each.
    failed_share: rows that failed, of all: 0 to 1.
    burst_seconds: from the first worker's start to the last worker's end.
    slowest_seconds: the longest insert, failed or not.
    held_share: how much of the burst time somebody held the write lock. Near 0: the sleeping sets the pace.
    busy_share: how much of the processors' time was used. Near 1: those who try keep the holder from its commit.
    """

    workers: int
    failed_share: float
    burst_seconds: float
    slowest_seconds: float
    held_share: float
    busy_share: float


def forecast(
    settings: str | Settings,
    workers: int,
    *,
    commit_seconds: float,
    insert_seconds: float,
    commit_cpu_seconds: float | None = None,
    cores: int,
    seed: int = 0,
) -> Forecast:
    """Simulate a burst: so many processes, released at one moment, write one row each as the settings say.

    commit_seconds: how long a writer that meets nobody holds the write lock, its sync included.
    insert_seconds: how long its whole insert takes, from opening the file to closing it.
    commit_cpu_seconds: the part of the commit that needs a processor; the rest waits for the disk. Unless given, as
        much as the rest of the insert takes.
    cores: processors, with nothing else to do.
    seed: the same one gives the same forecast; several show how much bursts vary.

    What is assumed:

    - A free processor takes whoever has had least of it. What takes less than a millisecond is not interrupted. Who has
      not run for 2 ms finds cold caches, and takes twice as long.
    - Who finds the lock taken sleeps by SQLite's own table, or for ``retry``, and tries again. A writer fails when the
      sleeps come to the busy timeout; with ``retry`` or in a line, when so much time is over.
    - Journal mode delete: a try holds SHARED for its second half. A commit sets PENDING, which nobody's try gets past,
      and sleeps by the same table until nobody holds SHARED. An implicit transaction has read the schema before, with
      a wait of its own.
    - WAL: one lock. The more connections are open, the longer each try takes.
    - A line: one after another, in the order of coming; nobody tries.
    - The sync after a transaction does not hold the lock, and any number overlap.

    What is not in it: other programs, checkpoints, a disk that the crowd makes slower, and kernel threads that finish a
    write and that the crowd keeps from a processor (docs/forecast.md).

    Raises ``ValueError`` for a number that will not do, ``NotImplementedError`` for ``BEGIN CONCURRENT``.
    """
    settings = resolve_settings(settings)
    if settings.transaction == "concurrent":
        raise NotImplementedError("no forecast for BEGIN CONCURRENT: it depends on which rows share a page")
    if workers < 1 or cores < 1:
        raise ValueError(f"workers {workers!r} and cores {cores!r} are not both 1 or more")
    if not 0 < commit_seconds <= insert_seconds:
        raise ValueError(
            f"commit_seconds {commit_seconds!r} is not more than 0 and at most insert_seconds {insert_seconds!r}"
        )
    rest = insert_seconds - commit_seconds
    cpu = min(commit_seconds, rest if commit_cpu_seconds is None else max(commit_cpu_seconds, 0.0))
    run = Simulation(settings, cpu, commit_seconds - cpu, rest, cores, Random(seed))  # noqa: S311 - no secret
    run.burst(workers)
    return Forecast(
        workers=workers,
        failed_share=run.failed / workers,
        burst_seconds=run.now,
        slowest_seconds=run.slowest,
        held_share=run.held / run.now,
        busy_share=run.used / run.now / cores,
    )
