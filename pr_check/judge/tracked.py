"""Whether a value that does not vary is higher, and by what; knows no times and no failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pr_check import inference
from pr_check.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pr_check.accepted import AcceptedCost
    from pr_check.evidence import Evidence
    from pr_check.findings import Judgement
    from pr_check.plan import Plan


def judge_tracked(evidence: Evidence, accepted: Sequence[AcceptedCost], judgement: Judgement, plan: Plan) -> None:
    """Find which of asv's tracked values that differ are higher, in every sample of many."""
    for pairs in evidence.values:
        base, head = pairs.tracked()
        benchmark = pairs.benchmark
        if pairs.benchmark.name in evidence.cut_short or not base or not head:
            evidence.left_out.setdefault(benchmark.group, "there was no time to see whether its value varies")
        elif len(base) >= plan.varying or len({*base}) == 1:
            metric = benchmark.metric
            judge_value(
                benchmark.name, metric, benchmark.unit, base, head, accepted, judgement, plan, least=plan.varying
            )


def judge_value(
    name: str,
    metric: str,
    unit: str,
    before: list[Any],
    after: list[Any],
    accepted: Sequence[AcceptedCost],
    judgement: Judgement,
    plan: Plan,
    *,
    because: str = "",
    fewer_is_worse: str = "",
    least: int = 1,
) -> None:
    """Find a value that is higher and not accepted, or one that must not be lower and is.

    least: so many samples a side it takes to believe that it does not vary.
    """
    judgement.costs.append((name, _range(before), _range(after)))
    if None in before or None in after:
        if None not in before:
            judgement.notes.append(f"{name}: counted on the base, n/a on the head, so not compared")
        return
    exact = min(before) == max(before) and min(after) == max(after)
    if (not exact and len(before) < plan.varying) or (max(after) > max(before) and len(before) < least):
        return
    more, less = min(after) - max(before), min(before) - max(after)
    is_sometimes = more <= 0 < max(after) - max(before) and min(before) == max(before)
    amount = round(max(after) - min(before) if more > 0 or is_sometimes else min(after) - max(before), 6)
    cause = _counted(unit, amount) + (f" ({because})" if because else "")
    is_weaker = less > 0 and bool(fewer_is_worse)
    acceptance = next((one for one in accepted if _accepts(one, metric, amount)), None)
    if acceptance is not None and (more > 0 or is_weaker or is_sometimes):
        judgement.notes.append(f"{name}: {cause}, accepted: {acceptance.reason}")
    elif is_sometimes:
        _judge_now_and_then(name, before, after, cause, judgement, plan)
    elif more <= 0 and not is_weaker:
        if less > 0:
            judgement.notes.append(f"{name}: improved, {cause}")
    else:
        how = "exact" if exact else "varies, but every head run is above every base run"
        judgement.findings.append(
            Finding(
                kind="failure" if is_weaker else "cost",
                benchmark=name,
                base=_range(before),
                head=_range(after),
                change=_number(amount, "+"),
                evidence=f"{how}, {len(before)} runs a side",
                cause=cause + (f": {fewer_is_worse}" if is_weaker else ""),
            )
        )


def _judge_now_and_then(
    name: str, before: list[Any], after: list[Any], cause: str, judgement: Judgement, plan: Plan
) -> None:
    """Judge a value that is the same every time on the base, and higher in some samples of the head."""
    higher = sum(value > before[0] for value in after)
    p_value = inference.p_value_of_failing_more((0, len(before)), (higher, len(after)))
    cause = f"{cause} in {higher} of {len(after)} runs"
    if p_value >= plan.confirmation_level:
        judgement.notes.append(f"{name}: {cause}, and in none of {len(before)} on the base: not surely more often")
        return
    judgement.findings.append(
        Finding(
            kind="cost",
            benchmark=name,
            base=_range(before),
            head=_range(after),
            change=_number(max(after) - before[0], "+"),
            evidence=f"Fisher's exact test, p = {p_value:.2g}",
            cause=cause,
        )
    )


def _accepts(acceptance: AcceptedCost, metric: str, amount: float) -> bool:
    """Say whether it is that metric, in that direction, and at most that amount."""
    same_direction = acceptance.amount * amount > 0
    return acceptance.metric == metric and same_direction and abs(amount) <= abs(acceptance.amount)


def _counted(unit: str, amount: float) -> str:
    """Return the amount with its unit, of which the noun stands before ``of``, ``per`` or ``written``."""
    noun, *rest = unit.split(" ")
    if rest and rest[0] not in ("of", "per", "written"):
        noun, rest = f"{noun} {rest[0]}", rest[1:]
    plural = "" if abs(amount) == 1 or noun.endswith("s") or not noun else "s"
    return " ".join([_number(amount, "+"), f"{noun}{plural}", *rest]).strip()


def _range(values: list[Any]) -> str:
    if None in values:
        return "n/a"
    low, high = min(values), max(values)
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


def _number(value: float, sign: str = "") -> str:
    """Return all of a number that has few decimals, as the mean of ten rows has one."""
    return f"{value:{sign},.6f}".rstrip("0").rstrip(".")
