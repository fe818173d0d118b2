"""The plan of a check: what is sampled, for how long, and how sure it must be. Data; takes and judges no sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.common import SETTINGS as OF_THE_SUITE

# All of the suite's but one, which hardly any SQLite can write by.
SETTINGS = tuple(name for name in OF_THE_SUITE if name != "concurrent")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark with its parameters, by the name that it has in the suite, and how it is sampled."""

    name: str
    settings: str
    sample: str
    arguments: dict[str, Any]
    deadline: float = 30.0


def _sequence(settings: str) -> Benchmark:
    arguments = {"rows": 10, "settings": settings, "storage": "disk"}
    return Benchmark(f"sequence.InsertRow({settings!r})", settings, "sequence", arguments)


def _bursts(workers: int, settings: str, count: int) -> Benchmark:
    arguments = {"workers": workers, "settings": settings, "storage": "disk", "count": count}
    return Benchmark(f"burst.Burst({workers}, {settings!r})", settings, "bursts", arguments)


def _burst(workers: int, settings: str) -> Benchmark:
    # The burst's own deadline comes first, so that a worker that hangs is one row's outcome.
    arguments = {"workers": workers, "settings": settings, "storage": "disk", "deadline": 50.0}
    return Benchmark(f"burst.Burst({workers}, {settings!r})", settings, "burst", arguments, 60.0)


def _of_the_suite(benchmark: str, *parameters: object, settings: str = "") -> Benchmark:
    name = f"{benchmark}({', '.join(map(repr, parameters))})"
    return Benchmark(name, settings, "suite", {"benchmark": benchmark, "parameters": list(parameters)}, 60.0)


# Short, so that there are many in a minute. Nobody waits in a sequence; 8 workers wait for each other a little, and in
# 40 ms at most; 100 are a usual burst, in the settings whose noise lets that be judged: a pair of bursts of `default`
# or `wal` differs by 60 to 80% (their workers sleep at random), one of `queued` or `grouped` by 10%, and a pair of
# samples of several, taken in turns, by 4% to 8% [measured].
TIMES = (
    *(_sequence(settings) for settings in ("default", "wal", "wal-normal", "queued", "grouped")),
    *(_bursts(8, settings, 4) for settings in ("default", "wal")),
    *(_bursts(8, settings, 8) for settings in ("wal-normal", "queued", "grouped", "fair")),
    *(_bursts(100, settings, 4) for settings in ("queued", "grouped")),
    _sequence("synced"),
)

# The cheapest first: where failures begin, and what must never fail.
FAILURES = (
    _of_the_suite("transaction.ReadThenWrite", "wal", "immediate"),
    _of_the_suite("caller.HeldConnection", 50),
    *(_burst(500, settings) for settings in ("grouped", "queued", "wal-normal")),
    *(_burst(250, settings) for settings in ("wal", "default")),
)

COSTS = tuple(_of_the_suite("cost.InsertCost", settings, "disk", settings=settings) for settings in SETTINGS)

PROMISES = (
    *(Benchmark(f"promises({name!r})", name, "promises", {"settings": name}, 20.0) for name in SETTINGS),
    Benchmark("accounting", "", "accounting", {}, 60.0),
)


@dataclass(frozen=True)
class Plan:
    """Everything that a check is told beside its two commits.

    target, surely: a benchmark is decided once it changed by less than that factor, with that confidence. It is asked
    at several looks, and few pairs know their own spread badly: with 0.995, 2 of 59 changes by that much were taken for
    less. smallest: a factor that is smaller is not worth an alarm, however sure it is.

    looks: so many pairs are looked at, and once more when the time is over. alarms: the chance of a false alarm in the
    screening; each look has its share of it, and each benchmark its share of that, so that neither looking often nor at
    many makes an alarm more likely. at_a_time: so many benchmarks are brought to the first look at a time, so that a
    short limit is enough for some.

    confirmation_level: of all that was flagged, together. bursts_again: looks at a failure that is looked for again;
    one that occurs in 10% of bursts is seen 9 times or more in 99% of checks, and 9 to 0 is significant at each look.
    still_suspect: a suspicion that there was no time to decide, and of which the chance is below this, is inconclusive.
    varying: what is exact elsewhere and varies, or fails now and then, is taken so often: that all runs of head exceed
    all of base is 1 in 12,870 by chance.

    big_bursts, confirmation: the time limit's shares; what is not needed there is left to the times. least_seconds: for
    each of the two, however short the limit is. building: seconds that a build may take; two new environments at once
    took 10, with the packages' registry near. space: bytes that the databases, the wheels and the environments need.
    """

    times: tuple[Benchmark, ...] = TIMES
    failures: tuple[Benchmark, ...] = FAILURES
    costs: tuple[Benchmark, ...] = COSTS
    promises: tuple[Benchmark, ...] = PROMISES

    target: float = 1.05
    surely: float = 0.999
    smallest: float = 1.01
    looks: tuple[int, ...] = (12, 24, 48, 96, 192, 384)
    alarms: float = 0.05
    at_a_time: int = 3
    confirmation_level: float = 0.01
    bursts_again: tuple[int, ...] = (8, 20, 50, 200)
    still_suspect: float = 0.1
    varying: int = 8
    most_timeouts: int = 2

    big_bursts: float = 0.2
    confirmation: float = 0.25
    least_seconds: float = 15.0
    building: float = 300.0
    space: int = 300_000_000

    @property
    def fewest_pairs(self) -> int:
        """The pairs before anything is said of a benchmark's time."""
        return self.looks[0]

    @property
    def screening_level(self) -> float:
        """The level of one look at one benchmark."""
        return self.alarms / (len(self.looks) + 1) / len(self.times)


PLAN = Plan()
