"""Measure the check through its own code: how often it cries wolf, and what it sees. Says nothing of the results.

Each command adds its results, a line of JSON for each check or trial, to ``experiments/measure_check.jsonl``, so that a
long measurement can be made in parts; ``table`` writes what all of them say into ``docs/the_check.md``.

    python -m experiments.measure_check same --count 10 [--loaded]     whole checks of two commits that do the same
    python -m experiments.measure_check mutants [--only NAME]          whole checks of bad changes; made twice, also how
                                                                       far two checks of a pair agree
    python -m experiments.measure_check power --count 10 [--cell few|many] [--place lock|python|commit] [--percent 5]
    python -m experiments.measure_check rare --count 10                a failure in 10% of bursts on the head only
    python -m experiments.measure_check table
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pr_check import inference
from pr_check.check import Options, check
from pr_check.errors import SetUpError
from pr_check.evidence import Evidence, Pairs
from pr_check.findings import STATUS
from pr_check.judge import judge_evidence
from pr_check.sampling import Sampling

from .bad_changes import MUTANTS
from .laboratory import PLACES, Laboratory, load
from .results_of_check import BENCHMARKS, RAW, keep, write_tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pr_check.plan import Benchmark, Plan
    from pr_check.report import CheckReport
    from pr_check.side import Side

SHORT = 60.0  # the time limit, in seconds, of most of these checks


def same(laboratory: Laboratory, count: int, loaded: bool, limit: float, raw: Path = RAW) -> None:
    """Check two commits that do the same: whatever is flagged is a false alarm."""
    head = laboratory.nothing()
    for _ in range(count):
        with load() if loaded else nullcontext():
            report, evidence, said, seconds = _checked(laboratory, head, limit)
        times = evidence.raw()
        keep(
            {
                "kind": "same",
                "base": laboratory.base[:7],
                "loaded": loaded,
                "limit": limit,
                "status": STATUS[report.judgement.verdict] if report else 4,
                "seconds": seconds,
                "flagged": _names(report.judgement.findings) if report else [],
                "suspected": _names(report.judgement.suspicions) if report else [],
                "said": said,
                "screening": times["times"],
                "confirmation": times["confirmed_times"],
            },
            raw,
        )
        _say(f"same{' (loaded)' if loaded else ''}: {report.judgement.verdict if report else said}, {seconds:.0f} s")


def mutants(laboratory: Laboratory, only: str, limit: float, raw: Path = RAW) -> None:
    """Check bad changes: whether each is found, and the cause that is named the right one."""
    for mutant in MUTANTS:
        if only not in mutant.name:
            continue
        report, _, said, seconds = _checked(laboratory, laboratory.mutant(mutant), limit)
        findings = report.judgement.findings if report else []
        named = [one for one in findings if re.search(mutant.cause, f"{one.cause} {one.details}")]
        keep(
            {
                "kind": "mutant",
                "base": laboratory.base[:7],
                "name": mutant.name,
                "expected": mutant.verdict,
                "verdict": report.judgement.verdict if report else said,
                "cause": named[0].cause if named else None,
                "benchmark": named[0].benchmark if named else None,
                "flagged": sorted(_names(findings)),
                "seconds": seconds,
            },
            raw,
        )
        found = "named" if named else f"NOT NAMED: {[one.cause for one in findings]}"
        _say(f"{mutant.name}: {report.judgement.verdict if report else said}, {seconds:.0f} s, {found}")


def power(laboratory: Laboratory, cell: str, place: str, percent: float, count: int, raw: Path = RAW) -> None:
    """Try a single benchmark, slower by a known part of its measured time, as one of the suite."""
    head = laboratory.nothing()
    if percent:
        head = laboratory.slowdown(place, _calibrated(laboratory, cell, place, percent))
    with laboratory.sides(head) as (base, after, plan):
        benchmark = _named(plan, cell)
        for _ in range(count):
            seed = random.SystemRandom().randrange(1_000_000)
            started = time.monotonic()
            evidence = trial(base, after, plan, benchmark, seed)
            judgement = judge_evidence(evidence, [], plan)
            seconds = round(time.monotonic() - started, 1)
            keep(
                {
                    "kind": "power",
                    "base": laboratory.base[:7],
                    "cell": cell,
                    "place": place,
                    "percent": percent,
                    "found": any(finding.kind == "time" for finding in judgement.findings),
                    "seconds": seconds,
                    "seed": seed,
                    "screening": evidence.times[0].microseconds(),
                    "confirmation": [side for pairs in evidence.confirmed_times for side in pairs.microseconds()],
                },
                raw,
            )
            ratio = inference.compare(*evidence.times[0].times())
            _say(
                f"{cell}, {place}, {percent:g}%: {judgement.verdict}, measured {100 * (ratio.factor - 1):+.1f}% "
                f"in {ratio.count} pairs, {seconds:.0f} s"
            )


def trial(base: Side, head: Side, plan: Plan, benchmark: Benchmark, seed: int, limit: float = 480.0) -> Evidence:
    """Sample one benchmark alone: with the same looks, levels and confirmation as if it were one of the suite's."""
    alone = replace(plan, times=(benchmark,), once=(), alarms=plan.alarms / len(plan.times))
    sampling = Sampling(base, head, alone, random.Random(seed), time.monotonic() + limit)
    sampling.sample_times(time.monotonic() + limit * 2 / 3)
    sampling.confirm()
    return sampling.evidence


def _named(plan: Plan, cell: str) -> Benchmark:
    return next(one for one in plan.times if one.name == BENCHMARKS[cell])


def _calibrated(laboratory: Laboratory, cell: str, place: str, percent: float) -> float:
    """Return the amount that makes the benchmark that much slower, in proportion to the effect of another."""
    known = laboratory.clone / ".asv" / "calibration.json"
    amounts: dict[str, float] = json.loads(known.read_text()) if known.exists() else {}
    name = f"{laboratory.base[:12]} {BENCHMARKS[cell]} {place}"
    if name not in amounts:
        amount = {"lock": 50.0, "python": 5000.0, "commit": 50.0}[place]
        for rounds in (1, 4):  # the second time near to what is wanted, and more closely
            with laboratory.sides(laboratory.slowdown(place, amount)) as (base, head, plan):
                pairs = Pairs(_named(plan, cell))
                sampling = Sampling(base, head, plan, random.Random(1), 0.0)
                for _ in range(rounds * (60 if cell == "many" else 150)):
                    sampling.add_pair(pairs)
            factor, _, _ = inference.hodges_lehmann(inference.log_ratios(*pairs.times()), 0.95)
            amount *= 0.05 / max(factor, 0.005)
        amounts[name] = amount
        known.write_text(json.dumps(amounts))
        _say(f"{name}: {amount:.0f} for +5%")
    return amounts[name] * percent / 5


def rare(laboratory: Laboratory, count: int, raw: Path = RAW) -> None:
    """Check the evidence of failing alone, with a head on which a burst of 8 fails in one of ten."""
    # Single bursts, in which a failure is rarer than in a sample of several.
    with laboratory.sides(laboratory.failing(0.1)) as (base, head, plan):
        few = _named(plan, "few")
        arguments = {**few.arguments, "method": "check_burst", "named": {"deadline": 20.0}}
        benchmark = replace(few, arguments=arguments)
        for _ in range(count):
            started = time.monotonic()
            seed = random.SystemRandom().randrange(1_000_000)
            sampling = Sampling(base, head, plan, random.Random(seed), started + 120)
            # As many bursts as a check with the time limit of nine minutes has at least, in each settings.
            pairs = Pairs(benchmark)
            sampling.evidence.times = [pairs]
            for _ in range(48):
                sampling.add_pair(pairs)
            sampling.confirm()
            findings = judge_evidence(sampling.evidence, [], plan).findings
            found = any(finding.kind == "failure" for finding in findings)
            failed = [one.failed() for one in (pairs, *sampling.evidence.confirmed_failures)]
            seconds = round(time.monotonic() - started, 1)
            measured = {"found": found, "failed": failed, "seconds": seconds, "seed": seed}
            keep({"kind": "rare", "base": laboratory.base[:7], **measured}, raw)
            _say(f"rare: {'found' if found else 'NOT FOUND'}, {failed}, {seconds:.0f} s")


def _checked(laboratory: Laboratory, head: str, limit: float) -> tuple[CheckReport | None, Evidence, str, float]:
    """Make a whole check: its report and evidence, or why it could not be made; and the seconds that it took."""
    started, report, evidence, said = time.monotonic(), None, Evidence(), ""
    try:
        options = Options(time_limit=limit, as_given=True, environment_type=laboratory.environment_type)
        report, evidence = check(laboratory.configuration, laboratory.base, head, options, laboratory.plan)
    except SetUpError as error:
        said = str(error)
    return report, evidence, said, round(time.monotonic() - started, 1)


def _names(findings: list[Any]) -> list[str]:
    return [f"{one.kind} {one.benchmark}" for one in findings]


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def main(arguments: list[str]) -> int:
    """Run the named part, or write the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.measure_check", description="Measure the check.")
    parser.add_argument("part", choices=("same", "mutants", "power", "rare", "table"))
    parser.add_argument("--count", type=int, default=1, help="how many checks or trials")
    parser.add_argument("--loaded", action="store_true", help="same: with a load beside it")
    parser.add_argument("--time-limit", type=float, default=SHORT, help="same, mutants: of each check")
    parser.add_argument("--only", default="", help="mutants: those whose name contains this")
    parser.add_argument("--cell", choices=sorted(BENCHMARKS), default="few", help="power: a burst of few or many")
    parser.add_argument("--place", choices=sorted(PLACES), default="lock", help="power: where it is slower")
    parser.add_argument("--percent", type=float, default=5.0, help="power: by how much")
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], None]] = {
        "same": lambda: same(Laboratory(), options.count, options.loaded, options.time_limit),
        "mutants": lambda: mutants(Laboratory(), options.only, options.time_limit),
        "power": lambda: power(Laboratory(), options.cell, options.place, options.percent, options.count),
        "rare": lambda: rare(Laboratory(), options.count),
        "table": write_tables,
    }
    try:
        parts[options.part]()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
