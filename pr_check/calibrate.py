"""What a check is worth here, before it is trusted: false alarms of whole checks, and what they would have noticed."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from scipy.stats import binomtest

from .check import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .check import Options
    from .plan import Plan


def calibrate(
    configuration: Path, head: str, count: int, options: Options, plan: Plan, say: Callable[[str], None]
) -> int:
    """Check that commit against itself so often, and say what came of it; return how many were false alarms."""
    alarms, inconclusive = 0, 0
    noticed: dict[str, list[float]] = {}
    for number in range(count):
        seed = None if options.seed is None else options.seed + number
        report, _ = check(configuration, head, head, replace(options, seed=seed, itself=True), plan)
        judgement = report.judgement
        alarms += bool(judgement.findings)
        inconclusive += judgement.verdict == "INCONCLUSIVE"
        for timing in judgement.timings:
            noticed.setdefault(timing.benchmark, [])
            if timing.noticed is not None:
                noticed[timing.benchmark].append(timing.noticed)
        say(f"{number + 1} of {count}: {report.sentence()}")
        for finding in judgement.findings:
            say(f"  FALSE ALARM: {finding.benchmark}: {finding.cause}; {finding.evidence}")
    high = binomtest(alarms, count).proportion_ci(0.95, method="exact").high
    say(f"{alarms} false alarms in {count} checks (at most {100 * high:.0f}%, with a confidence of 97.5%)")
    say(f"{inconclusive} of them inconclusive. The smallest slowdown that would have been noticed, the median of them:")
    for name, factors in sorted(noticed.items(), key=lambda one: statistics.median(one[1] or [99.0])):
        said = f"{100 * (statistics.median(factors) - 1):+.1f}%" if factors else "none: too few pairs"
        say(f"  {name}: {said}, in {len(factors)} of {count} checks")
    return alarms
