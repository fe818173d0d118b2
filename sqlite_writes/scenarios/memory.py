"""How much memory a process costs beside its sisters, for the benchmarks of the pool; knows nothing else."""

from __future__ import annotations

import time
from pathlib import Path


def proportional_memory(hold: float) -> int | None:
    """Return this process's proportional set size in bytes, read after half of ``hold`` seconds; None if nobody tells.

    A page that n processes share counts as an nth of it in each (PSS, ``/proc/self/smaps_rollup``: Linux), so that the
    sum over processes that are alive together is what they cost together.
    """
    time.sleep(hold / 2)
    try:
        rollup = Path("/proc/self/smaps_rollup").read_text()
    except OSError:
        rollup = ""
    time.sleep(hold / 2)
    sizes = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")]
    return 1024 * sizes[0] if sizes else None
