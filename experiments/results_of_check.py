"""What was measured of the check: the raw results, and the tables that say what all of them say. Measures nothing."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asv.commands.compare import _is_result_better
from asv_runner.statistics import compute_stats
from scipy.stats import binomtest

from pr_check import inference
from pr_check.findings import STATUS
from pr_check.plan import PLAN

from .bad_changes import MUTANTS
from .laboratory import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Result = dict[str, Any]

RAW = Path(__file__).with_name("measure_check.jsonl")
PAGE = PROJECT / "docs" / "the_check.md"
MARKS = ("<!-- measured -->\n", "<!-- end of measured -->\n")

# What the results call these two.
BENCHMARKS = {"few": "burst.Burst(8, 'queued')", "many": "burst.Burst(100, 'queued')"}

EARLIER = " by earlier rules"

# The files that hold the rules of the check, and how our suite wants to be sampled.
RULES = (*(f"pr_check/{name}.py" for name in ("plan", "choose", "inference", "rules", "evidence", "sampling", "turns")),
         "pr_check/judge/*.py", "pr_check/sampler/*.py", "benchmarks/check/*.py", "benchmarks/promises.py")  # fmt: skip


@cache
def rules() -> str:
    """Return a hash of the check's rules: a result with another one was measured by other rules."""
    files = sorted(file for pattern in RULES for file in PROJECT.glob(pattern))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def keep(result: Result, raw: Path = RAW) -> None:
    """Add one result to the raw data, with the rules by which it was measured."""
    with raw.open("a") as file:
        file.write(json.dumps({**result, "rules": rules()}, separators=(",", ":")) + "\n")


def read(raw: Path = RAW) -> list[Result]:
    """Return all results so far."""
    return [json.loads(line) for line in raw.read_text().splitlines()] if raw.exists() else []


def write_tables() -> None:
    """Write the tables between the page's marks."""
    before, start, rest = PAGE.read_text().partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not start or not end:
        raise LookupError(f"{PAGE.name} has no place for the tables: {' '.join(MARKS)}")
    PAGE.write_text(f"{before}{start}\n{tables()}\n{end}{after}")


def tables(raw: Path = RAW) -> str:
    """Return what all results so far say, as Markdown."""
    results: dict[str, list[Result]] = {"same": [], "power": [], "rare": [], "mutant": []}
    for one in read(raw):
        results[one["kind"]].append(one)
    parts: dict[str, Callable[[list[Result]], str]] = {
        "same": _same,
        "power": _power,
        "rare": _rare,
        "mutant": _mutants,
    }
    return "\n".join(say(results[kind]) for kind, say in parts.items() if results[kind])


def asv_says_slower(base: Sequence[int], head: Sequence[int]) -> bool:
    """Say what asv's own rule makes of the same samples: its factor of 1.1 and its Mann-Whitney test."""
    (before, base_stats), (after, head_stats) = (compute_stats(list(side), 1) for side in (base, head))
    return bool(_is_result_better(before, after, (base_stats, base), (head_stats, head), 1.1))


def _same(every: list[Result]) -> str:
    checks = [one for one in every if one["status"] != 4]
    groups: dict[str, list[Result]] = {}
    for one in sorted(checks, key=lambda one: (one["limit"], one["loaded"], not _is_todays(one))):
        name = f"`--time-limit {one['limit']:.0f}`{', with a load beside it' if one['loaded'] else ''}"
        groups.setdefault(name + ("" if _is_todays(one) else f",{EARLIER}"), []).append(one)
    return "**False alarms**: whole checks of two commits that do the same.\n\n" + _table(
        (
            "",
            "checks:",
            "false alarms:",
            "95% interval",
            "inconclusive:",
            "asv's rule, same samples:",
            "median duration:",
        ),
        (
            (
                name,
                len(group),
                sum(bool(one["flagged"]) for one in group),
                _interval(sum(bool(one["flagged"]) for one in group), len(group)),
                sum(one["status"] == STATUS["INCONCLUSIVE"] for one in group),
                sum(any(asv_says_slower(*one) for one in check["screening"].values() if one[0]) for check in group),
                _duration(group),
            )
            for name, group in {**groups, "all": checks}.items()
        ),
    )


def _power(trials: list[Result]) -> str:
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for one in trials:
        groups.setdefault((one["cell"], one["place"], one["percent"]), []).append(one)
    rows = []
    for (cell, place, percent), group in sorted(groups.items()):
        # Not those after the first look: they are more where the effect seemed smaller.
        firsts = [[side[: PLAN.fewest_pairs] for side in one["screening"]] for one in group]
        ratios = [ratio for first in firsts for ratio in inference.log_ratios(*first)]
        effect, low, high = (100 * math.expm1(value) for value in inference.hodges_lehmann(ratios, 0.95))
        found = sum(one["found"] for one in group)
        rows.append(
            (
                BENCHMARKS[cell],
                place,
                f"{percent:g}%",
                f"{effect:+.1f}% ({low:+.1f} to {high:+.1f})",
                f"{found} of {len(group)}",
                _interval(found, len(group)),
                sum(asv_says_slower(*one["screening"]) for one in group),
                _duration(group),
            )
        )
    return (
        "**Power**: trials of one benchmark with a slowdown; its effect as the first pairs of all show it.\n\n"
        + _table(
            ("benchmark", "place", "meant:", "measured effect", "found:", "95% interval", "asv's rule:", "duration:"),
            rows,
        )
    )


def _rare(every: list[Result]) -> str:
    trials = [one for one in every if _is_todays(one)] or every
    found = sum(one["found"] for one in trials)
    return (
        f"**A failure in 10% of bursts, on the head only**: found in {found} of {len(trials)} checks of that evidence "
        f"alone (95% interval {_interval(found, len(trials))}{'' if _is_todays(trials[0]) else f',{EARLIER}'}).\n"
    )


def _mutants(checks: list[Result]) -> str:
    known = {mutant.name for mutant in MUTANTS}
    newest = {one["name"]: one for one in checks if one["name"] in known}
    older = sum(not _is_todays(one) for one in newest.values())
    caught = sum(one["verdict"] == one["expected"] for one in newest.values())
    named = sum(one["cause"] is not None for one in newest.values())
    found = f"{caught} of {len(newest)} found with the right verdict, {named} with the right cause"
    return (
        _agreement(checks)
        + f"**Bad changes to the package**: {found}{f', {older} of them{EARLIER}' if older else ''}.\n\n"
        + _table(
            ("change", "verdict", "cause that is named", "seconds:"),
            (
                (name, one["verdict"], one["cause"] or "NOT NAMED", f"{one['seconds']:.0f}")
                for name, one in newest.items()
            ),
        )
    )


def _agreement(checks: list[Result]) -> str:
    """Say how far the two newest checks of a bad change to one base flag the same."""
    runs: dict[tuple[str, str], list[set[str]]] = {}
    for one in checks:
        if "base" in one:  # older results do not say on which base
            runs.setdefault((one["name"], one["base"]), []).append(set(one["flagged"]))
    pairs = [sets[-2:] for sets in runs.values() if len(sets) > 1]
    if not pairs:
        return ""
    shares = [len(one & other) / len(one | other) if one | other else 1.0 for one, other in pairs]
    return (
        f"**Agreement** of two checks of the same pair of commits, {len(pairs)} pairs: of all that either flags, both "
        f"flag a share of {statistics.mean(shares):.2f} on average, {min(shares):.2f} at least (Jaccard).\n\n"
    )


def _is_todays(one: Result) -> bool:
    return one.get("rules") == rules()


def _interval(successes: int, trials: int) -> str:
    """Return the exact interval of a proportion (Clopper and Pearson)."""
    interval = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    return f"{100 * interval.low:.1f}% to {100 * interval.high:.1f}%"


def _duration(group: list[Result]) -> str:
    return f"{statistics.median(one['seconds'] for one in group):.0f} s"


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; a column whose name ends with a colon stands to the right."""
    lines = [
        [name.rstrip(":") for name in names],
        ["---:" if name.endswith(":") else "---" for name in names],
        *([str(one).replace("|", "\\|") for one in row] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
