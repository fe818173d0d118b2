"""What the check makes of this project's own suite, for tests of its parts: no environment, no other commit."""

from __future__ import annotations

import json
from functools import cache

from pr_check.choose import choose
from pr_check.plan import PLAN as EMPTY
from pr_check.plan import Benchmark, Plan
from pr_check.sampler.suite_of_asv import Suite

from .conftest import PROJECT


@cache
def whole_plan() -> Plan:
    """The plan of all that this suite declares and asv finds."""
    identity = json.loads(json.dumps(Suite(str(PROJECT / "benchmarks")).identity()))
    assert identity["broken"] == {}  # and so every module is imported
    return choose(identity, EMPTY, 60.0)


def cell(name: str) -> Benchmark:
    """The benchmark of that name."""
    plan = whole_plan()
    every = (*plan.times, *plan.failures, *plan.facts, *plan.once)
    return next(one for one in every if one.name == name)


PLAN = whole_plan()
COST = cell("cost.InsertCost('default', 'disk')")
PROMISE = cell("promises.Promises('wal')")
BURST = cell("burst.Burst(8, 'default')")
BURST_THAT_FAILS = cell("burst.Burst(250, 'default')")
