"""The search for the limit: the largest number of processes at which no row failed. Prints nothing.

Grows by doubling until a burst fails, closes in on the edge, and repeats near it. The answer is an interval with its
evidence, because near the edge one burst fails and the next does not. Which size is next is in sizes.py, a burst itself
in fresh_burst.py.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .fresh_burst import run_burst
from .sizes import mostly_failing, next_sizes, sizes_to_try
from .trials import Size, Trial, trial_of
from .writers.names import AnyWriter, resolve_writer
from .writers.writer import WriterError, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .driver import Database
    from .fresh_burst import Around
    from .report import BurstReport

# To start a burst at all takes about as long as this many workers of it.
_START = 30


@dataclass(frozen=True)
class Limit:
    """What is known of a writer's limit: an interval, and every burst that says so.

    writer: its name.
    max_workers: the most that was to be tried.
    bursts: how many bursts at one size it takes to be sure of it.
    trials: every burst, in the order of running.
    is_complete: the search ended by itself. If not, fewer bursts than ``bursts`` may stand behind ``holds``.
    """

    writer: str
    max_workers: int
    bursts: int
    trials: tuple[Trial, ...]
    is_complete: bool = True

    @property
    def sizes(self) -> list[Size]:
        """The trials of each size together, ascending."""
        return [
            Size(workers, tuple(trial for trial in self.trials if trial.workers == workers))
            for workers in sorted({trial.workers for trial in self.trials})
        ]

    def size(self, workers: int) -> Size | None:
        """The trials of that size; None if it was not tried."""
        return next((size for size in self.sizes if size.workers == workers), None)

    @property
    def holds(self) -> int:
        """The largest size that was tried below the smallest at which a burst failed; 0 if there is none."""
        failing = [size.workers for size in self.sizes if size.failed_bursts]
        return max((size.workers for size in self.sizes if not failing or size.workers < failing[0]), default=0)

    @property
    def fails(self) -> int | None:
        """The smallest size at which most bursts failed; None if there is none up to ``max_workers``."""
        return mostly_failing(_by_size(self.trials), self.bursts)

    def holds_at(self, workers: int) -> bool | None:
        """Whether no burst of that size, and none of a smaller one, failed; None if that is not known.

        One that was not tried is taken to hold if a larger one does.
        """
        if any(trial.faults and trial.workers <= workers for trial in self.trials):
            return False
        return True if workers <= self.holds else None

    def sentence(self) -> str:
        """The answer in words, with its evidence, never one number as if it were exact."""
        if not self.trials:
            return "nothing was measured"
        parts = []
        held, sizes = self.size(self.holds), self.sizes
        failing = [size for size in sizes if size.failed_bursts]
        if held is not None:
            parts.append(f"no failure in {_bursts(held.bursts)} of {held.workers}")
        if failing:
            shown = [failing[0], *(size for size in sizes if size.workers == self.fails and size is not failing[0])]
            parts += [f"{size.failed_bursts} of {_bursts(size.bursts)} of {size.workers} failed" for size in shown]
            if self.fails is None and self.is_complete:
                parts.append(f"most bursts hold up to {self.max_workers}, the most that was tried")
        elif self.is_complete:
            parts.insert(0, f"none up to {self.max_workers}, the most that was tried")
        if not self.is_complete:
            parts.append("not finished")
        return "; ".join(parts)


@dataclass(frozen=True)
class Progress:
    """What is tried next.

    so_far: what is known by now.
    workers: the size of the next burst; ``burst``: its number among those of this size, from 1.
    stage: ``"growing"``, ``"closing in"`` or ``"repeating near the edge"``.
    seconds_left: an estimate, from the bursts so far; None before the first.
    """

    so_far: Limit
    workers: int
    burst: int
    stage: str
    seconds_left: float | None


class LimitInterrupted(KeyboardInterrupt):
    """Ctrl-C came during the search. ``limit``: what was measured before."""

    def __init__(self, limit: Limit) -> None:
        super().__init__("interrupted")
        self.limit = limit


class LimitError(RuntimeError):
    """The search could not go on, and the message says why. ``limit``: what was measured before."""

    def __init__(self, message: str, limit: Limit) -> None:
        super().__init__(message)
        self.limit = limit


def find_limit(
    writer: AnyWriter,
    *,
    directory: Database,
    max_workers: int,
    bursts: int = 5,
    seed: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    also: Sequence[int] = (),
    around: Around | None = None,
    deadline: float | None = None,
) -> Limit:
    """Search for the largest number of processes, up to ``max_workers``, at which no row of a burst fails.

    writer: what ``insert_rows_in_parallel`` takes, and its ``deadline`` for one burst, in seconds.
    directory: where each burst gets a fresh database, in a folder of its own that is removed afterwards.
    bursts: how many bursts must all hold at the lower end. At the upper end most bursts fail: those that fail lead by
        two, or are more than half of so many.
    seed: of the order in which both ends are repeated.
    on_progress: called before each burst. It may raise, to end the search.
    also: sizes that the caller wants to know about; tried as often as the lower end unless they are known to fail.
    around: what to do before and after each burst; it is called with the database's path.

    A burst fails if a row failed, was lost, altered or duplicated. Raises ``LimitInterrupted`` on Ctrl-C and
    ``LimitError`` if a later burst cannot be made; both have what was measured before. Raises what ``create_table_of``
    and ``insert_rows_in_parallel`` raise if the first one cannot, and ``WriterError`` if an insert fails though nobody
    else writes: nothing can be said about many then.
    """
    writer = resolve_writer(writer)
    burst = partial(run_burst, writer, directory=directory, around=around, deadline=deadline)

    def try_burst(workers: int) -> Trial:
        trial = trial_of_burst(burst, workers)
        refuse_failure_alone(trial)
        return trial

    return search(
        try_burst,
        name=name_of(writer),
        max_workers=max_workers,
        bursts=bursts,
        seed=seed,
        on_progress=on_progress,
        also=also,
    )


def search(
    try_burst: Callable[[int], Trial],
    *,
    name: str,
    max_workers: int,
    bursts: int = 5,
    seed: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    also: Sequence[int] = (),
) -> Limit:
    """Search with any function that makes a burst of so many workers; the rest is as in ``find_limit``."""
    for option, value in (("max_workers", max_workers), ("bursts", bursts), *(("also", size) for size in also)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{option} {value!r} is not a whole number of 1 or more")
    sizes = sizes_to_try(max_workers, also)
    order = random.Random(seed)  # noqa: S311 the order of bursts is no secret
    trials: list[Trial] = []

    def known(is_complete: bool) -> Limit:
        return Limit(name, max_workers, bursts, tuple(trials), is_complete)

    try:
        while True:
            failures = _by_size(trials)
            stage, wanted = next_sizes(failures, sizes, bursts, also)
            if not wanted:
                return known(is_complete=True)
            workers = order.choice(wanted)
            if on_progress is not None:
                left = _seconds_left(trials, sizes, bursts, also) if trials else None
                on_progress(
                    Progress(known(is_complete=False), workers, len(failures.get(workers, ())) + 1, stage, left)
                )
            trials.append(try_burst(workers))
    except KeyboardInterrupt:
        raise LimitInterrupted(known(is_complete=False)) from None
    except Exception as error:
        if not trials:
            raise
        raise LimitError(str(error), known(is_complete=False)) from error


def trial_of_burst(burst: Callable[[int], BurstReport], workers: int) -> Trial:
    """Make a burst and keep what matters, with the time of all of it."""
    started = time.monotonic()
    report = burst(workers)
    return trial_of(report, workers, time.monotonic() - started)


def refuse_failure_alone(trial: Trial) -> None:
    """Raise ``WriterError`` that says why if one process alone cannot write: there is nothing to measure."""
    if trial.workers == 1 and trial.failed == trial.rows:
        reason = next(iter(trial.errors))
        words = f"{reason}: {trial.words[reason]}" if trial.words.get(reason) else reason
        raise WriterError(f"one process alone fails, {words}")


def _by_size(trials: Sequence[Trial]) -> dict[int, list[bool]]:
    """Return for each size whether each of its bursts failed."""
    failures: dict[int, list[bool]] = {}
    for trial in trials:
        failures.setdefault(trial.workers, []).append(trial.faults > 0)
    return failures


def _seconds_left(trials: Sequence[Trial], sizes: Sequence[int], bursts: int, also: Sequence[int]) -> float:
    """Estimate the rest: go on in thought, as if larger bursts than those that failed fail, and all others hold."""
    failures = {size: [*found] for size, found in _by_size(trials).items()}
    edge = min((size for size, found in failures.items() if any(found)), default=sizes[-1] + 1)
    left = 0.0
    while True:
        _, wanted = next_sizes(failures, sizes, bursts, also)
        if not wanted:
            return left
        failures.setdefault(wanted[0], []).append(wanted[0] >= edge)
        left += _expected_seconds(trials, wanted[0])


def _expected_seconds(trials: Sequence[Trial], workers: int) -> float:
    """Estimate a burst's time from those of the nearest size: in proportion, beside what it takes to start at all."""
    nearest = min(trials, key=lambda trial: abs(trial.workers - workers)).workers
    times = [trial.seconds for trial in trials if trial.workers == nearest]
    return sum(times) / len(times) * (workers + _START) / (nearest + _START)


def _bursts(count: int) -> str:
    return f"{count} burst{'s' * (count != 1)}"
