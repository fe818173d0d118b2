"""Whether what a class declares as facts still holds: each by the rule that the class gives it. Knows no times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pr_check.findings import Finding

from .tracked import judge_value
from .values import values_of_both

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pr_check.accepted import AcceptedCost
    from pr_check.evidence import Pairs
    from pr_check.findings import Judgement
    from pr_check.plan import Plan


def _same(base: list[Any], head: list[Any]) -> bool:
    return any(value in base for value in head)


def _not_less(base: list[Any], head: list[Any]) -> bool:
    return None in base or (None not in head and max(head) >= 0.9 * min(base))


def _not_more(base: list[Any], head: list[Any]) -> bool:
    return None in head or None in base or min(head) <= max(base)


def _not_shorter(base: list[Any], head: list[Any]) -> bool:
    """Of seconds that are left of a timeout, so that a busy machine takes a part of a long one."""
    return None in base or (None not in head and max(head) >= min(base) - max(0.25, 0.02 * min(base)))


def _every_time(base: list[Any], head: list[Any]) -> bool:
    return bool(min(head) >= min(base))


def _nearly_as_soon(base: list[Any], head: list[Any]) -> bool:
    return bool(min(head) <= max(base) + 0.3)


def _in_time(base: list[Any], head: list[Any]) -> bool:
    return _not_less(base, head) and min(head) <= max(base) + 1.0


# When a fact is kept, by the name of its rule.
RULES: dict[str, Callable[[list[Any], list[Any]], bool]] = {
    "same": _same,
    "not less": _not_less,
    "not more": _not_more,
    "not more, timed": _not_more,
    "not shorter": _not_shorter,
    "every time": _every_time,
    "nearly as soon": _nearly_as_soon,
    "in time": _in_time,
    "note": _same,
}

# Those that a busy machine changes: one sample that keeps the fact is enough.
_TIMED = {"in time", "nearly as soon", "not more, timed"}


def judge_facts(pairs: Pairs, accepted: Sequence[AcceptedCost], judgement: Judgement, plan: Plan) -> None:
    """Find the facts that the head breaks and the base keeps, and the costs that are higher.

    A fact that is broken now and then is a suspicion.
    """
    base, head = values_of_both(pairs, judgement, plan)
    for name in base[0] if base and head else ():
        rule, *words = pairs.benchmark.rules.get(name, ("same", f"{name} is another"))
        before, after = ([facts.get(name) for facts in side] for side in (base, head))
        if rule.startswith("cost"):
            worse = words[1] if "fewer" in rule else ""
            cause = _explanation(words[1], base[0], head[0]) if len(words) > 1 and not worse else ""
            judge_value(f"{pairs.benchmark.name} {name}", name, words[0], before, after, accepted, judgement, plan,
                        because=cause, fewer_is_worse=worse)  # fmt: skip
        elif rule != "explains" and name in head[0]:
            _judge_fact(pairs.benchmark.name, name, rule, words[0], before, after, judgement)


def _judge_fact(
    benchmark: str, name: str, rule: str, cause: str, before: list[Any], after: list[Any], judgement: Judgement
) -> None:
    kept = RULES[rule]
    always = not kept(before, after)
    steady = rule not in _TIMED and all(one == before[0] for one in before)
    if not always and (not steady or all(kept(before, [one]) for one in after)):
        return
    if rule == "note":
        judgement.notes.append(f"{benchmark}: {cause}: {_texts(before)} → {_texts(after)}")
        return
    (judgement.findings if always else judgement.suspicions).append(
        Finding(
            kind="failure",
            benchmark=benchmark,
            base=f"{name}: {_texts(before)}",
            head=f"{name}: {_texts(after)}",
            evidence=f"a promise, looked at {len(after)} times",
            confirmed=always,
            cause=cause,
        )
    )


def _explanation(name: str, base: dict[str, Any], head: dict[str, Any]) -> str:
    """Return what is in the list of that name on one side only."""
    before, after = (list(side.get(name) or ()) for side in (base, head))
    new, gone = list(after), list(before)
    for one in before:
        if one in new:
            new.remove(one)
            gone.remove(one)
    return ", ".join([*(f"new: {one}" for one in new), *(f"gone: {one}" for one in gone)])


def _texts(values: list[Any]) -> str:
    return " or ".join(dict.fromkeys(map(_text, values)))


def _text(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
