"""When something counts: the rules by which sampling stops and the judge decides. Knows no processes and no words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from . import inference
from .evidence import WAYS_TO_FAIL

if TYPE_CHECKING:
    from collections.abc import Callable

    from .evidence import Pairs
    from .plan import Plan
    from .side import Reply


def is_slower(ratio: inference.Ratio, level: float, plan: Plan) -> bool:
    """Say whether it is slower, at that level, by more than its own noise and than what nobody cares for."""
    return ratio.p_value < level and ratio.factor > max(ratio.floor, plan.smallest)


def confirming_pairs(flagged: Pairs, plan: Plan) -> int:
    """Return how many fresh pairs show the change, taken for smaller than it seemed: it was flagged with some luck."""
    base, head = flagged.times()
    effect = max(math.log(plan.target), 0.7 * math.log(inference.compare(base, head).factor))
    needed = inference.pairs_needed(base, head, effect, plan.confirmation_level)
    return min(max(needed, 2 * plan.fewest_pairs), plan.looks[-1])


def is_known(pairs: Pairs) -> bool:
    """Say whether samples of facts need no other: each side has values every time or never, and its costs are exact."""
    for replies in (pairs.base, pairs.head):
        values = [reply["value"] for reply in replies if "value" in reply]
        costs = [name for name, (rule, *_) in pairs.benchmark.rules.items() if rule.startswith("cost")]
        exact = all(one.get(name) == values[0].get(name) for one in values for name in costs)
        if len(values) not in (0, len(replies)) or not exact:
            return False
    return True


def has_risen(pairs: Pairs) -> bool:
    """Say whether every tracked value of head is above every one of base, as far as is known."""
    base, head = pairs.tracked()
    return bool(base and head) and min(head) > max(base)


def needs_another(pairs: Pairs, plan: Plan) -> bool:
    """Say whether it is open if a tracked value varies, or whether head's is higher: always, or now and then."""
    base, head = pairs.tracked()
    taken = len(pairs.base)
    if taken < 2 or not base or not head:
        return taken < 2
    is_steady = len(set(base)) == 1
    is_now_and_then = is_steady and min(head) <= base[0] < max(head)
    return taken < (plan.now_and_then if is_now_and_then else plan.varying) and (is_steady or has_risen(pairs))


def is_measurement(pairs: Pairs) -> bool:
    """Say whether a tracked value varies as a time does: on the base, and around what is not 0."""
    base, head = pairs.tracked()
    return len(set(base)) > 1 and min((*base, *head)) > 0 and not has_risen(pairs)


def is_suspect(pairs: Pairs, plan: Plan) -> bool:
    """Say whether head failed more often than base, or in a way in which base did less often.

    Once is enough where base never did. Where base fails too, one of the two nearly always has more by chance.
    """
    for base, head in map(pairs.failed, WAYS_TO_FAIL):
        is_more = base[1] > 0 and head[1] > 0 and head[0] / head[1] > base[0] / base[1]
        if is_more and (base[0] == 0 or inference.p_value_of_failing_more(base, head) < plan.worth_a_look):
            return True
    return False


def suspected_way(pairs: Pairs) -> Callable[[Reply], bool]:
    """Return the way in which head fails more often than base: the one that is less likely by chance."""
    return min(WAYS_TO_FAIL, key=lambda how: inference.p_value_of_failing_more(*pairs.failed(how)))


def surely_fails_more(fresh: Pairs, plan: Plan) -> bool:
    """Say whether head fails more often than base, sure enough for one of the looks at it and for each question."""
    questions = {counts for counts in map(fresh.failed, WAYS_TO_FAIL) if counts[1][0]}
    return any(
        inference.p_value_of_failing_more(*counts) < plan.confirmation_level / len(plan.bursts_again) / len(questions)
        for counts in questions
    )


def always_fails(first: Pairs, fresh: Pairs) -> bool:
    """Say whether head failed every time in one way, and base never, in at least three fresh samples too."""
    return len(fresh.base) >= 3 and any(
        all(base[0] == 0 and head[0] == head[1] for base, head in (first.failed(how), fresh.failed(how)))
        for how in WAYS_TO_FAIL
    )
