"""What replies say: values to compare, errors in words, and findings where one side has none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pr_check import inference
from pr_check.findings import Finding

if TYPE_CHECKING:
    from pr_check.evidence import Pairs
    from pr_check.findings import Judgement
    from pr_check.plan import Plan
    from pr_check.side import Reply


def values_of_both(pairs: Pairs, judgement: Judgement, plan: Plan) -> tuple[list[Any], list[Any]]:
    """Return both sides' values, to be compared if each has any; it is a finding if head gives none, or fewer."""
    base, head = ([reply["value"] for reply in replies if "value" in reply] for replies in (pairs.base, pairs.head))
    if len(base) == len(pairs.base) and len(head) == len(pairs.head):
        return base, head
    name = pairs.benchmark.name
    head_cannot = all("not possible" in reply for reply in pairs.head)
    if head_cannot and all("not possible" in reply for reply in pairs.base):
        judgement.notes.append(f"{name}: n/a on both sides ({pairs.head[0]['not possible']})")
    elif not base and "not possible" in pairs.base[-1]:
        judgement.notes.append(f"{name}: nothing to compare with on the base ({last_line(pairs.base[-1])})")
    elif not base:
        judgement.suspicions.append(not_comparable(pairs))
    elif head_cannot:
        judgement.findings.append(no_longer_possible(pairs))
    else:
        _judge_errors(pairs, bool(head), judgement, plan)
    return base, head


def _judge_errors(pairs: Pairs, head_has_values: bool, judgement: Judgement, plan: Plan) -> None:
    """Judge how often a sample gives no value, by the samples that there are: these are never taken anew."""
    (before, base_count), (after, head_count) = pairs.failed()
    p_value = inference.p_value_of_failing_more((before, base_count), (after, head_count))
    finding = Finding(
        kind="failure",
        benchmark=pairs.benchmark.name,
        base=f"{before} of {base_count} failed",
        head=f"{after} of {head_count} failed",
        evidence=f"Fisher's exact test, p = {p_value:.2g}" if head_has_values else "it fails every time",
        confirmed=not head_has_values or p_value < plan.confirmation_level,
        cause=why(pairs.head),
        details=traceback_of(pairs.head),
    )
    if finding.confirmed:
        judgement.findings.append(finding)
    elif after > before:
        judgement.suspicions.append(finding)
    else:
        error = next(last_line(reply) for reply in (*pairs.head, *pairs.base) if "value" not in reply)
        judgement.notes.append(f"{finding.benchmark}: some samples failed: {error}")


def not_comparable(pairs: Pairs) -> Finding:
    """Return the suspicion about what fails on the base."""
    return Finding(
        kind="failure",
        benchmark=pairs.benchmark.name,
        base="no answer",
        head="an answer" if has_value(pairs.head) else "no answer",
        evidence=f"looked at {len(pairs.base)} times",
        confirmed=False,
        cause=f"it fails on the base, so that there is nothing to compare with: {last_line(pairs.base[-1])}",
        details=traceback_of(pairs.base),
    )


def no_longer_possible(pairs: Pairs) -> Finding:
    """Return the finding about what the head says it cannot do."""
    return Finding(
        kind="failure",
        benchmark=pairs.benchmark.name,
        base="possible",
        head="not possible",
        evidence="every sample",
        cause=str(pairs.head[-1]["not possible"]),
    )


def has_value(replies: list[Reply]) -> bool:
    """Say whether there is any."""
    return any("value" in reply for reply in replies)


def count(replies: list[Reply], *names: str) -> int:
    """Return the sum of these numbers of rows."""
    return sum(int(reply.get("value", {}).get(name) or 0) for reply in replies for name in names)


def why(replies: list[Reply]) -> str:
    """Say what failed, in words: rows by SQLite's error names, and whatever else is not right."""
    words = []
    for name, what in (("lost", "lost without an error"), ("altered", "in the table with another value"),
                       ("duplicated", "in the table more than once"),
                       ("recovered", "in the table although their insert failed"), ("failed", "failed")):  # fmt: skip
        if rows := count(replies, name):
            errors = _errors(replies) if name == "failed" else ""
            words.append(f"{rows} of {count(replies, 'attempted') or 'the'} rows {what}{errors}")
    if any(reply.get("value", {}).get("miscounted") for reply in replies):
        words.append("the report's counts are not those of the table")
    without = [reply for reply in replies if "error" in reply]
    if without:
        words.append(last_line(without[-1]))
    return "; ".join(words)


def _errors(replies: list[Reply]) -> str:
    counts: Counter[str] = Counter()
    for reply in replies:
        counts.update(reply.get("value", {}).get("errors", {}))
    return " (" + ", ".join(f"{name} {rows}" for name, rows in counts.items()) + ")" if counts else ""


def traceback_of(replies: list[Reply]) -> str:
    """Return the first that there is."""
    every = (reply.get("error") or reply.get("value", {}).get("traceback") for reply in replies)
    return str(next(filter(None, every), ""))


def last_line(reply: Reply) -> str:
    """Return the last line of an error, or of what is not possible."""
    return (str(reply.get("error") or reply.get("not possible") or "").splitlines() or [""])[-1]
