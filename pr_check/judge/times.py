"""Whether a benchmark takes longer, by the pairs that flagged it and by fresh ones; knows no failures and no costs."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from pr_check import inference, rules
from pr_check.findings import Finding, Timing, in_words

if TYPE_CHECKING:
    from pr_check.evidence import Evidence, Pairs
    from pr_check.findings import Judgement
    from pr_check.plan import Plan
    from pr_check.side import Reply


def judge_times(evidence: Evidence, judgement: Judgement, plan: Plan) -> None:
    """Find what is slower in fresh samples too; say of all what was measured and what would have been noticed."""
    screened = {}
    for pairs in evidence.times:
        name = pairs.benchmark.name
        base, head = pairs.times()
        if not base:
            if not all("not possible" in reply for reply in (*pairs.base, *pairs.head)):
                judgement.timings.append(Timing(name, 0))
            continue
        screened[name] = ratio = inference.compare(base, head)
        judgement.timings.append(_timing(pairs, base, head, ratio, plan))
        if name not in evidence.flagged:
            faster = inference.p_value_of_slower([-one for one in inference.log_ratios(base, head)])
            if faster < plan.screening_level and 1 / ratio.factor > ratio.floor:
                judgement.notes.append(f"{name}: faster, {_percent(ratio.factor)} (not measured again)")
    again = [one for one in evidence.confirmed_times if one.benchmark.name in evidence.flagged and one.times()[0]]
    fresh = [inference.compare(*pairs.times()) for pairs in again]
    p_values = inference.adjust_for_all_questions([ratio.p_value for ratio in fresh])
    for pairs, ratio, p_value in zip(again, fresh, p_values):
        name = pairs.benchmark.name
        confirmed = p_value < plan.confirmation_level and rules.is_slower(ratio, plan.confirmation_level, plan)
        if confirmed:
            why = where_time_went(pairs, evidence.profiles.get(name))
            judgement.findings.append(_slowdown(pairs, screened[name], ratio, p_value, confirmed, why))
        elif name in evidence.cut_short and ratio.high > 1:
            judgement.suspicions.append(_slowdown(pairs, screened[name], ratio, p_value, confirmed))
        else:
            judgement.notes.append(
                f"{name}: seemed slower ({_percent(screened[name].factor)}), "
                f"not when measured again ({_percent(ratio.factor)})"
            )
    measured_again = {pairs.benchmark.name for pairs in again}
    judgement.suspicions += [
        Finding(
            kind="time",
            benchmark=name,
            change=_percent(screened[name].factor),
            evidence=f"{screened[name].count} pairs",
            confirmed=False,
            cause="there was no time to measure it again",
        )
        for name in evidence.flagged
        if name not in measured_again
    ]


def _timing(pairs: Pairs, base: list[float], head: list[float], ratio: inference.Ratio, plan: Plan) -> Timing:
    noticed = math.inf
    if len(base) >= plan.fewest_pairs:
        noticed = inference.smallest_detectable_factor(base, head, plan.screening_level)
    return Timing(
        pairs.benchmark.name,
        ratio.count,
        statistics.median_high(base),
        statistics.median_high(head),
        ratio.factor,
        ratio.low,
        ratio.high,
        max(noticed, ratio.floor) if math.isfinite(noticed) else None,
        pairs.benchmark.unit or "seconds",
    )


def _slowdown(
    pairs: Pairs, first: inference.Ratio, fresh: inference.Ratio, p_value: float, confirmed: bool, why: str = ""
) -> Finding:
    unit = pairs.benchmark.unit or "seconds"
    base, head = (in_words(statistics.median_high(times), unit) for times in pairs.times())
    more = f"{100 * (fresh.factor - 1):.1f}%"
    return Finding(
        kind="time",
        benchmark=pairs.benchmark.name,
        base=base,
        head=head,
        change=_percent(fresh.factor),
        evidence=f"{first.count} pairs ({_percent(first.factor)}), and {fresh.count} fresh ones, p = {p_value:.2g}",
        confirmed=confirmed,
        cause=(f"it takes {more} longer" if unit == "seconds" else f"{more} more {unit}") + (why and f": {why}"),
        interval=f"{_percent(fresh.low)} to {_percent(fresh.high)}",
    )


def where_time_went(pairs: Pairs, profiles: tuple[Reply, Reply] | None) -> str:
    """Say where head's time grew: by the parts that the samples tell, or by the functions that a profile does."""
    if profiles is not None:
        before, after = (reply.get("value", {}).get("functions", {}) for reply in profiles)
    else:
        before, after = (_spent(replies) for replies in (pairs.base, pairs.head))
    return _grown(before, after) if before and after else ""


def _spent(replies: list[Reply]) -> dict[str, float]:
    """Return the median of each part that the samples tell."""
    parts = [reply["value"]["spent"] for reply in replies if reply.get("value", {}).get("spent")]
    return {name: statistics.median(one.get(name, 0.0) for one in parts) for name in (parts[0] if parts else ())}


def _grown(base: dict[str, float], head: dict[str, float], most: int = 3) -> str:
    """Return what grew most, of what makes at least a tenth of all growth."""
    more = {name: seconds - base.get(name, 0.0) for name, seconds in head.items()}
    total = sum(seconds for seconds in more.values() if seconds > 0)
    largest = sorted(more, key=more.__getitem__, reverse=True)[:most]
    return ", ".join(
        f"{name} {in_words(base.get(name, 0.0))} → {in_words(head[name])}"
        for name in largest
        if more[name] > 0.1 * total
    )


def _percent(factor: float) -> str:
    return f"{100 * (factor - 1):+.1f}%"
