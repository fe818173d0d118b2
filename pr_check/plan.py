"""The plan of a check: what is sampled, for how long, and how sure it must be. Data; takes and judges no sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Benchmark:
    """One benchmark with its parameters, by the name that it has in the suite, and how it is sampled.

    group: what is judged together, its class or itself. unit: of its value. module: what has to be imported for it.
    rules: of a class's own facts.
    is_fresh: whether each sample needs an interpreter that has run nothing of this benchmark yet.
    """

    name: str
    sample: str
    arguments: dict[str, Any] = field(hash=False)
    deadline: float = 30.0
    group: str = ""
    unit: str = ""
    module: str = ""
    rules: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    is_fresh: bool = False

    @property
    def is_declared(self) -> bool:
        """Say whether its class says how it wants to be sampled."""
        return self.sample == "declared_sample"

    @property
    def owner(self) -> str:
        """The class of one of asv's benchmarks, or its module."""
        return self.group.rpartition(".")[0]

    @property
    def metric(self) -> str:
        """The short name of what is tracked, as ``bytes_written`` of ``track_bytes_written``."""
        return self.group.rpartition(".")[2].partition("_")[2]

    @property
    def shown(self) -> str:
        """What is counted as one: a declared sample by itself, and a benchmark with all its parameters."""
        return self.name if self.is_declared else self.group


@dataclass(frozen=True)
class Plan:
    """Everything that a check is told beside its two commits.

    only: a regular expression that a benchmark's name has to hold.

    times, failures, facts, once: what is sampled, in the order of what is most telling; from the suite, by ``choose``.

    target, surely: a benchmark is decided once it changed by less than that factor, with that confidence. It is asked
    at several looks, and few pairs know their own spread badly: with 0.995, 2 of 59 changes by that much were taken for
    less. smallest: a factor that is smaller is not worth an alarm, however sure it is.

    looks: so many pairs are looked at, and once more when the time is over. alarms: the chance of a false alarm in the
    screening; each look has its share of it, and each benchmark its share of that, so that neither looking often nor at
    many makes an alarm more likely. at_a_time: so many benchmarks are brought to the first look at a time, so that a
    short limit is enough for some.

    confirmation_level: of all that was flagged, together. bursts_again: looks at a failure that is looked for again;
    one that occurs in 10% of bursts is seen 9 times or more in 99% of checks, and 9 to 0 is significant at each look.
    worth_a_look: what fails on the base too is looked at again if that much more on the head has a chance below this.
    still_suspect: a suspicion that there was no time to decide, and of which the chance is below this, is inconclusive.
    varying: what is exact elsewhere and varies, or fails now and then, is taken so often: that all runs of head exceed
    all of base is 1 in 12,870 by chance. now_and_then: what is higher on the head in some samples only is taken so
    often; of 24, seven are significant beside none. unjudged: the share of the chosen times that may stay undecided in
    a PASS.

    may_hang: a head that has not ended when the time is over is suspect if the base needed less than this share of it.

    big_bursts, once_each, confirmation: the time limit's shares; what is not needed there is left to the times. As long
    as nothing is to be confirmed, so is left_to_times of the last one. Of the times' share, first_look is for the pairs
    before the first look; the rest is for those that are not decided by then.
    least_seconds: for each of them, however short the limit is. building: seconds that a build may take; two new
    environments at once took 10, with the packages' registry near. space: bytes that the databases, the wheels and the
    environments need.
    """

    only: str = ""
    times: tuple[Benchmark, ...] = ()
    failures: tuple[Benchmark, ...] = ()
    facts: tuple[Benchmark, ...] = ()
    once: tuple[Benchmark, ...] = ()

    target: float = 1.05
    surely: float = 0.999
    smallest: float = 1.01
    looks: tuple[int, ...] = (12, 24, 48, 96, 192, 384)
    alarms: float = 0.05
    at_a_time: int = 4
    confirmation_level: float = 0.01
    bursts_again: tuple[int, ...] = (8, 20, 50, 200)
    worth_a_look: float = 0.3
    still_suspect: float = 0.05
    varying: int = 8
    now_and_then: int = 24
    unjudged: float = 0.25
    most_timeouts: int = 2
    may_hang: float = 1 / 3

    big_bursts: float = 0.2
    once_each: float = 0.25
    first_look: float = 0.5
    confirmation: float = 0.25
    left_to_times: float = 2 / 3
    least_seconds: float = 15.0
    building: float = 300.0
    space: int = 300_000_000

    @property
    def fewest_pairs(self) -> int:
        """The pairs before anything is said of a benchmark's time: so few of them can reach the level."""
        return next((look for look in self.looks if len(self.times) <= self.most_questions(look)), self.looks[-1])

    def most_questions(self, look: int) -> int:
        """Return of how many benchmarks so few pairs can show a slowdown, if all of them point the same way."""
        return math.ceil(self.alarms / (len(self.looks) + 1) * 2.0**look) - 1

    @property
    def screening_level(self) -> float:
        """The level of one look at one benchmark."""
        return self.alarms / (len(self.looks) + 1) / max(len(self.times), 1)


PLAN = Plan()
