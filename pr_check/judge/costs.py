"""Whether one insert costs more in what does not vary, and by what; knows no times and no failures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pr_check.findings import Finding

from .values import values_of_both

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pr_check.commits import AcceptedCost
    from pr_check.evidence import Pairs
    from pr_check.findings import Judgement
    from pr_check.plan import Plan

# Each cost, and what it counts.
UNITS = {
    "bytes_written": ("byte", "written"),
    "write_calls": ("write call", ""),
    "syncs": ("sync", ""),
    "sql_statements": ("SQL statement", ""),
    "virtual_machine_steps": ("step", "of SQLite's virtual machine"),
    "python_calls": ("Python call", ""),
}


def judge_cost(
    pairs: Pairs, accepted: Sequence[AcceptedCost], statements: str, judgement: Judgement, plan: Plan
) -> None:
    """Find what costs more and is not accepted, and syncs that are fewer: rows may not be safe then."""
    base, head = values_of_both(pairs, judgement, plan)
    for metric in base[0] if base and head else ():
        before, after = ([costs.get(metric) for costs in side] for side in (base, head))
        name = f"{pairs.benchmark.name} {metric}"
        judgement.costs.append((name, _range(before), _range(after)))
        if None in before or None in after:
            if None not in before:
                judgement.notes.append(f"{name}: counted on the base, n/a on the head, so not compared")
            continue
        exact = min(before) == max(before) and min(after) == max(after)
        if not exact and len(before) < plan.varying:
            continue
        more, less = min(after) - max(before), min(before) - max(after)
        amount = round(max(after) - min(before) if more > 0 else min(after) - max(before), 1)
        cause = _per_row(metric, amount)
        if metric == "sql_statements" and statements:
            cause += f" ({statements})"
        is_weaker = less > 0 and metric == "syncs"
        acceptance = next((one for one in accepted if _accepts(one, metric, amount)), None)
        if more <= 0 and not is_weaker:
            if less > 0:
                judgement.notes.append(f"{name}: improved, {cause}")
        elif acceptance is not None:
            judgement.notes.append(f"{name}: {cause}, accepted: {acceptance.reason}")
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
                    cause=cause + (": rows may be acknowledged before they are safe" if is_weaker else ""),
                )
            )


def changed_statements(promises: Sequence[Pairs]) -> dict[str, str]:
    """Return the SQL statements of an insert that are there on one side only, without their values, by settings."""
    changed = {}
    for pairs in promises:
        before, after = (Counter(one[0].get("value", {}).get("statements", [])) for one in (pairs.base, pairs.head))
        new, gone = (after - before).elements(), (before - after).elements()
        changed[pairs.benchmark.settings] = ", ".join(
            [*(f"new: {one}" for one in new), *(f"gone: {one}" for one in gone)]
        )
    return changed


def _accepts(acceptance: AcceptedCost, metric: str, amount: float) -> bool:
    """Say whether it is that metric, in that direction, and at most that amount."""
    same_direction = acceptance.amount * amount > 0
    return acceptance.metric == metric and same_direction and abs(amount) <= abs(acceptance.amount)


def _per_row(metric: str, amount: float) -> str:
    unit, what = UNITS.get(metric, (metric, ""))
    plural = "" if abs(amount) == 1 else "s"
    return f"{_number(amount, '+')} {unit}{plural} {what}".rstrip() + " per row"


def _range(values: list[Any]) -> str:
    if None in values:
        return "n/a"
    low, high = min(values), max(values)
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


def _number(value: float, sign: str = "") -> str:
    """Return all of it: a cost is a mean of ten rows, so it has one decimal."""
    return f"{value:{sign},.1f}".removesuffix(".0")
