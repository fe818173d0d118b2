"""Advice and thresholds: what follows from what was just measured, and from nothing else. Prints nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlite_writes.library import known_bugs, library_version

from .measured import faults_text, reasons_text
from .output import count_of, seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_writes.trials import Size

    from .measured import Measured


def advice(found: Sequence[Measured], workers: int | None, directory: str) -> list[str]:
    """Return the advice, a sentence each.

    workers: the number of processes that is wanted; None where nobody said it.
    directory: where the databases were.
    """
    lines = []
    if workers is not None:
        holding = [one for one in found if one.holds_at(workers)]
        lines += [_holds(one, workers) for one in holding]
        lines += [_fails(one, workers) for one in found if one.holds_at(workers) is False]
        lines += [
            f"{one.name}: not known for {count_of(workers, 'process')}"
            for one in found
            if one.holds_at(workers) is None
        ]
        is_locked = any("SQLITE_BUSY" in reason for one in found for size in one.sizes for reason in size.errors)
        if not holding and is_locked and all(one.name != "grouped" for one in found):
            lines.append("none of these holds, and a turn in line was not tried: --writer grouped")
    else:
        lines += _by_limit(found)
    lines += [
        f"{one.name} to do: {words}"
        for one in found
        if one.chosen.settings is None
        for size in [next((size for size in reversed(one.sizes) if size.failed_bursts), None)]
        if size is not None
        for words in size.to_do
    ]
    if _is_in_memory(directory):
        lines.append(f"{directory!r} is in memory, where a sync costs nothing: --directory on a disk measures that")
    version, _ = library_version()
    lines += [f"SQLite {version} has a known bug, the {bug}" for bug in known_bugs(version)]
    return lines


def passed_thresholds(found: Sequence[Measured], workers: int, max_failed: int | None, p99: float | None) -> list[str]:
    """Return for each threshold that a writer passes at that size a sentence that says by how much."""
    lines = []
    for one in found:
        size = one.size(workers)
        if size is None:
            if one.holds_at(workers) is False and max_failed is not None:
                lines.append(f"{one.name}: bursts of fewer than {count_of(workers, 'process')} fail already")
            continue
        worst = max(size.trials, key=lambda trial: trial.faults)
        if max_failed is not None and worst.faults > max_failed:
            lines.append(
                f"{one.name}: {faults_text(worst, worst.rows)} in a burst of {count_of(workers, 'process')}; "
                f"--max-failed allows {max_failed}"
            )
        slow = size.quantile(0.99)
        if p99 is not None and slow is not None and slow > p99:
            lines.append(f"{one.name}: p99 {seconds_text(slow)}; --p99 allows {seconds_text(p99)}")
    return lines


def _holds(one: Measured, workers: int) -> str:
    size = one.size(workers)
    _, why = one.durability
    if size is None:
        return f"{one.name} holds for {count_of(workers, 'process')}, as far as larger bursts show; {why}"
    return (
        f"{one.name} holds for {count_of(workers, 'process')}: no failure in {count_of(size.bursts, 'burst')}; "
        f"p99 {seconds_text(size.quantile(0.99))}, a burst takes {_up_to(size)}{seconds_text(size.burst_time)}; {why}"
    )


def _fails(one: Measured, workers: int) -> str:
    size = one.size(workers)
    if size is None or not size.failed_bursts:
        size = next(size for size in one.sizes if size.failed_bursts)
        return (
            f"{one.name} does not hold for {count_of(workers, 'process')}: "
            f"{size.failed_bursts} of {count_of(size.bursts, 'burst')} of {size.workers} failed already"
        )
    reasons = reasons_text(size)
    return (
        f"{one.name} does not hold for {count_of(workers, 'process')}: "
        f"{size.failed_bursts} of {count_of(size.bursts, 'burst')} failed, "
        f"{faults_text(size, size.total('rows'))}{f' ({reasons})' if reasons else ''}"
    )


def _up_to(size: Size) -> str:
    return "up to " if size.bursts > 1 else ""


def _is_in_memory(directory: str) -> bool:
    """Whether the folder is in a file system that keeps nothing on a disk, where the system tells."""
    device = os.stat(directory).st_dev
    with suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        for mount in mounts:
            if mount.split()[2] == f"{os.major(device)}:{os.minor(device)}":
                return mount.partition(" - ")[2].split()[0] in {"tmpfs", "ramfs"}
    return False


def _by_limit(found: Sequence[Measured]) -> list[str]:
    lines = []
    for one in sorted(found, key=lambda one: one.limit.holds if one.limit else 0, reverse=True):
        if one.limit is None or not one.sizes:
            continue
        size = one.size(one.limit.holds)
        _, why = one.durability
        if size is None:
            smallest = one.sizes[0]
            lines.append(
                f"{one.name} does not hold at all: {faults_text(smallest, smallest.total('rows'))} "
                f"in bursts of {count_of(smallest.workers, 'process')}"
            )
        else:
            lines.append(
                f"{one.name} holds for {count_of(size.workers, 'process')}: p99 {seconds_text(size.quantile(0.99))}, "
                f"a burst takes {_up_to(size)}{seconds_text(size.burst_time)}; {why}"
            )
    return lines
