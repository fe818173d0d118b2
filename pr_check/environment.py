"""What a check ran on, and whether something disturbed it; knows no statistics, and judges nothing."""

from __future__ import annotations

import os
import platform
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .evidence import Evidence


def stolen_time() -> tuple[int, int]:
    """Return the time that the machine under this one took, and all time, in ticks; zeros where nobody tells."""
    try:
        with open("/proc/stat") as counters:
            ticks = [int(field) for field in counters.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return ticks[7], sum(ticks)


def describe(identity: dict[str, Any], evidence: Evidence, before: tuple[int, int]) -> dict[str, str]:
    """Return what there is to say, by name; ``before`` is the stolen time when sampling began."""
    stolen, ticks = (now - then for now, then in zip(stolen_time(), before))
    share = stolen / ticks if ticks else 0.0
    environment = {
        "Python": identity.get("python", "unknown"),
        "SQLite": identity.get("sqlite", "unknown"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} processors",
        "stolen time": f"{100 * share:.1f}%",
    }
    if evidence.durations:
        environment["time spent"] = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in evidence.durations.items())
    reasons = [f"{100 * share:.0f}% of its time was stolen"] if share > 0.05 else []
    if len(evidence.control) >= 20:
        median = statistics.median(evidence.control)
        spread = statistics.quantiles(evidence.control, n=10)[-1] / median
        environment["control"] = f"median {1000 * median:.2f} ms, slowest tenth from {spread:.1f} times that"
        reasons += [f"a tenth of the fixed control work took {spread:.1f} times as long"] if spread > 3 else []
    if reasons:
        environment["disturbed"] = " and ".join(reasons)
    return environment
