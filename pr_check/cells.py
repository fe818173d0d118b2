"""What is sampled: a curated part of the suite, by kind of evidence; data, and why each part is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SETTINGS = ("default", "wal", "wal-normal", "patient", "queued", "grouped", "fair", "synced")


@dataclass(frozen=True)
class Cell:
    """One benchmark with its parameters, by the name that it has in the suite, and how it is sampled."""

    name: str
    settings: str
    sample: str
    arguments: dict[str, Any]
    deadline: float = 30.0


def _sequence(settings: str) -> Cell:
    arguments = {"rows": 10, "settings": settings, "storage": "disk"}
    return Cell(f"sequence.InsertRow({settings!r})", settings, "sequence", arguments)


def _bursts(workers: int, settings: str, count: int) -> Cell:
    arguments = {"workers": workers, "settings": settings, "storage": "disk", "count": count}
    return Cell(f"burst.Burst({workers}, {settings!r})", settings, "bursts", arguments)


def _burst(workers: int, settings: str, deadline: float) -> Cell:
    # The burst's own deadline comes first, so that a worker that hangs is one row's outcome.
    arguments = {"workers": workers, "settings": settings, "storage": "disk", "deadline": deadline - 10}
    return Cell(f"burst.Burst({workers}, {settings!r})", settings, "burst", arguments, deadline)


# Times: short, so that there are many in a minute. Nobody waits in a sequence; 8 workers wait for each other a little,
# and in 40 ms at most; 100 are a usual burst, in the settings whose noise lets that be judged: a pair of bursts of
# `default` or `wal` differs by 60 to 80% (their workers sleep at random), one of `queued` or `grouped` by 10%, and a
# pair of samples of several, taken in turns, by 4% to 8% [measured].
TIMES = (
    *(_sequence(settings) for settings in ("default", "wal", "wal-normal", "queued", "grouped")),
    *(_bursts(8, settings, 4) for settings in ("default", "wal")),
    *(_bursts(8, settings, 8) for settings in ("wal-normal", "queued", "grouped", "fair")),
    *(_bursts(100, settings, 4) for settings in ("queued", "grouped")),
    _sequence("synced"),
)

# Failures alone, the cheapest first: where they begin, and what must never fail.
FAILURES = (
    Cell("transaction.ReadThenWrite('wal', 'immediate')", "", "suite",
         {"benchmark": "transaction.ReadThenWrite", "parameters": ["wal", "immediate"]}, 60.0),
    Cell("caller.HeldConnection(50)", "", "suite", {"benchmark": "caller.HeldConnection", "parameters": [50]}, 60.0),
    _burst(500, "grouped", 60.0),
    _burst(500, "queued", 60.0),
    _burst(500, "wal-normal", 60.0),
    _burst(250, "wal", 60.0),
    _burst(250, "default", 60.0),
)  # fmt: skip

COSTS = tuple(
    Cell(f"cost.InsertCost({settings!r}, 'disk')", settings, "suite",
         {"benchmark": "cost.InsertCost", "parameters": [settings, "disk"]}, 60.0)
    for settings in SETTINGS
)  # fmt: skip

PROMISES = (
    *(Cell(f"promises({settings!r})", settings, "promises", {"settings": settings}, 20.0) for settings in SETTINGS),
    Cell("accounting", "", "accounting", {}, 60.0),
)
