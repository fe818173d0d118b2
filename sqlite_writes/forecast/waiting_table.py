"""How long SQLite itself waits for a lock, sleep by sleep. Knows nothing of who waits."""

from __future__ import annotations

# Milliseconds that SQLite's busy handler sleeps, the last ever again (sqliteDefaultBusyCallback in SQLite's main.c).
_BUSY_WAITS = (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100)


def busy_waits(timeout: float) -> list[float]:
    """Return the seconds that SQLite's busy handler sleeps, one after another, before it gives up."""
    waits: list[float] = []
    left = int(1000 * timeout)
    while left > 0:
        wait = min(_BUSY_WAITS[min(len(waits), len(_BUSY_WAITS) - 1)], left)
        waits.append(wait / 1000)
        left -= wait
    return waits
