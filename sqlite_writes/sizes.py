"""Which sizes of a burst to try, and which next, by which bursts failed. Makes no burst."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The sizes that are tried, in each power of ten: numbers that people say. Bursts of 100 and more take seconds, so their
# steps are wider.
_STEPS, _WIDER_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 4, 6, 8)


def sizes_to_try(max_workers: int, also: Sequence[int] = ()) -> list[int]:
    """Return the sizes from 1 to ``max_workers``, ascending: steps that grow with the size, and those in ``also``."""
    sizes = {max_workers, *(size for size in also if size <= max_workers)}
    power = 1
    while power < max_workers:
        steps = _STEPS if power < 100 else _WIDER_STEPS
        # 1.2 and 1.5 are no numbers of processes
        sizes |= {int(power * step) for step in steps if power * step < max_workers and power * step % 1 == 0}
        power *= 10
    return sorted(sizes)


def next_sizes(
    failures: Mapping[int, Sequence[bool]], sizes: Sequence[int], bursts: int, also: Sequence[int] = ()
) -> tuple[str, list[int]]:
    """Return the stage, and the sizes of which one more burst would tell something new; none if all is known.

    failures: for each size that was tried, whether each burst failed.
    """
    failing = [size for size in sizes if any(failures.get(size, ()))]
    wanted = [size for size in also if _is_open(failures, size, bursts)]
    if not failing:
        largest = max(failures, default=0)
        if largest < sizes[-1]:
            return "growing", [
                max((size for size in sizes if largest < size <= 2 * largest), default=_next(sizes, largest))
            ]
        if len(failures[largest]) < bursts:
            wanted = [largest]
        return "repeating near the edge", wanted
    below = [size for size in sizes if size < failing[0]]
    held = max((size for size in below if failures.get(size)), default=0)
    between = [size for size in below if size > held]
    if between:
        return "closing in", [between[len(between) // 2]]
    ends = [size for size in below[-1:] if len(failures[size]) < bursts]
    upper = _upper_end(failures, [size for size in sizes if size >= failing[0]], bursts)
    if upper is not None:
        ends.append(upper)
    return "repeating near the edge", ends or wanted


def mostly_failing(failures: Mapping[int, Sequence[bool]], bursts: int) -> int | None:
    """Return the smallest size of which it is settled that most bursts fail."""
    return next((size for size in sorted(failures) if _do_most_fail(failures[size], bursts)), None)


def _next(sizes: Sequence[int], size: int) -> int:
    return next(larger for larger in sizes if larger > size)


def _do_most_fail(found: Sequence[bool], bursts: int) -> bool | None:
    """Whether most bursts fail, by these; None if more are needed: until one side leads by two, or all are made."""
    lead = 2 * sum(found) - len(found)
    if abs(lead) >= 2 or len(found) >= bursts:
        return lead > 0
    return None


def _upper_end(failures: Mapping[int, Sequence[bool]], sizes: Sequence[int], bursts: int) -> int | None:
    """Return which of the sizes, all from the first failing one on, needs one more burst; None if the end is known.

    Where most bursts hold, the next one is one size further, then two, then four: the interval may be wide there.
    """
    place, step = 0, 1
    while True:
        do_fail = _do_most_fail(failures.get(sizes[place], ()), bursts)
        if do_fail is None:
            return sizes[place]
        if do_fail or place == len(sizes) - 1:
            return None
        place, step = min(place + step, len(sizes) - 1), 2 * step


def _is_open(failures: Mapping[int, Sequence[bool]], size: int, bursts: int) -> bool:
    """Whether it is not known yet if that size holds."""
    if any(any(found) for tried, found in failures.items() if tried <= size):
        return False
    return len(failures.get(size, ())) < bursts
