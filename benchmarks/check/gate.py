"""What the pool promises, as seen by workers that meet: at one moment, in order, ended in time. Judges nothing."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .outcomes import Sample

# So many workers meet, and wait for so many seconds for each other.
MEETING = 4
PATIENCE = 10.0

# Seconds until one that hangs is to be ended.
DEADLINE = 1.0


def meet(place: tuple[str, int]) -> tuple[int, int]:
    """Say who it is and how many have come to the folder, once all have or the patience is over."""
    folder, number = place
    os.close(os.open(os.path.join(folder, str(number)), os.O_CREAT))
    until = time.monotonic() + PATIENCE
    while (here := len(os.listdir(folder))) < MEETING and time.monotonic() < until:
        time.sleep(0.001)
    return number, here


def gate() -> Sample:
    """Say whether workers start together once all are ready, and when and how one ends that hangs."""
    from sqlite_writes import pool_map

    with tempfile.TemporaryDirectory() as folder:
        # By fork, since a fresh process might not find this module.
        met = pool_map(meet, [(folder, number) for number in range(MEETING)], start_method="fork")
    started = [one.started or 0.0 for one in met]
    asked = time.monotonic()
    (hanging,) = pool_map(time.sleep, [600.0], deadline=DEADLINE)
    waited = time.monotonic() - asked
    return {
        "workers of four that meet": sum(one.result is not None and one.result[1] == MEETING for one in met),
        "items in the order of the outcomes": [one.result and one.result[0] for one in met],
        "workers that start before all are ready": sum(one < max(each.ready or 0.0 for each in met) for one in started),
        "seconds from the first start to the last": round(5 * (max(started) - min(started))) / 5,
        "status of a worker that hangs": hanging.status,
        "wait for a worker that hangs": waited,
        "workers that live on": sum(map(_lives, [*(one.pid for one in met), hanging.pid])),
    }


def _lives(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
