"""Whether an insert still keeps what it promises: each fact with its rule, and what it means if it is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pr_check.findings import Finding

from .values import values_of_both

if TYPE_CHECKING:
    from collections.abc import Callable

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


# Each fact that a sample of promises holds: when it is kept, and what it means if it is not.
_PROMISES: dict[str, tuple[Callable[[list[Any], list[Any]], bool], str]] = {
    "journal mode": (_same, "create_table leaves the file in another journal mode"),
    "synchronous": (_not_less, "an insert syncs at a weaker level: a power loss may take acknowledged rows"),
    "busy timeout": (_not_shorter, "an insert waits for a shorter time before `database is locked`"),
    "wait for a lock": (_in_time, "the busy timeout is not kept while somebody holds the write lock"),
    "wait in line": (_in_time, "the busy timeout is not kept while somebody has the turn"),
    "error behind a lock": (_same, "an insert that finds the database locked ends in another way"),
    "error in line": (_same, "an insert that does not get its turn ends in another way"),
    "connections left open": (_not_more, "an insert does not close its connection"),
    "descriptors left open": (_not_more, "an insert leaves files of the database open"),
    "files left beside the database": (_same, "an insert leaves other files beside the database"),
    "rows kept of 2": (_every_time, "an acknowledged row is not in the table exactly once"),
    "rows written by a refused insert": (_same, "a row is in the table whose insert failed"),
    "connections left open by a refused insert": (_not_more, "an insert that fails does not close its connection"),
    "synchronous of rows that wait together": (
        _not_less,
        "rows that wait together are synced at a weaker level: a power loss may take acknowledged rows",
    ),
    "connections left open by rows that wait together": (
        _not_more,
        "an insert that waits with others does not close its connection",
    ),
    "rows that wait together have a sync each": (_not_more, "rows that wait together no longer share a sync"),
    "rows acknowledged before their turn": (_not_more, "an insert returns before it had its turn"),
    "seconds until all had their turn": (_nearly_as_soon, "who leaves does not call the next in line"),
    "schema": (_same, "the table is made in another way"),
}

# Facts that a busy machine changes: one sample that keeps the promise is enough.
_TIMED = {"wait for a lock", "wait in line", "seconds until all had their turn",
          "rows that wait together have a sync each"}  # fmt: skip


def judge_promises(pairs: Pairs, judgement: Judgement, plan: Plan) -> None:
    """Find the promises that the head breaks and the base keeps; broken now and then, a suspicion."""
    base, head = values_of_both(pairs, judgement, plan)
    for name in base[0] if base and head else ():
        if name == "statements" or name not in head[0]:
            continue
        before, after = ([facts.get(name) for facts in side] for side in (base, head))
        kept, cause = _PROMISES.get(name, (_same, "a burst's report no longer counts what happened"))
        always = not kept(before, after)
        steady = name not in _TIMED and all(one == before[0] for one in before)
        if not always and (not steady or all(kept(before, [one]) for one in after)):
            continue
        if name == "schema":
            judgement.notes.append(f"{pairs.benchmark.name}: {cause}: {_texts(before)} → {_texts(after)}")
            continue
        (judgement.findings if always else judgement.suspicions).append(
            Finding(
                kind="failure",
                benchmark=pairs.benchmark.name,
                base=f"{name}: {_texts(before)}",
                head=f"{name}: {_texts(after)}",
                evidence=f"a promise, looked at {len(after)} times",
                confirmed=always,
                cause=cause,
            )
        )


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
