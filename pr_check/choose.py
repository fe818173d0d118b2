"""Choose what is sampled: from what asv found and what classes declare, what is most telling first. Takes no sample."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import SetUpError
from .plan import Benchmark, Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .evidence import Pairs

# As quickly as asv can: whether it runs at all, and about how long it takes.
ONCE = {"rounds": 1, "repeat": [1, 3, 0.1], "warmup_time": 0, "min_run_count": 1}

# One of many samples: its process is warm, and its median is of so many calls as there are in a tenth of a second.
OFTEN = {"rounds": 1, "repeat": [1, 10, 0.1], "warmup_time": 0.02, "min_run_count": 1}

# Of a benchmark's parameters, those are most telling that take the longest, but no longer than so many seconds.
SECONDS = 0.2

# Pairs that most benchmarks need to be decided, to say beforehand how long it takes.
USUAL_PAIRS = 24

KINDS = ("time", "failure", "facts")


def choose(identity: dict[str, Any], plan: Plan, timeout: float, changed: Iterable[str] = ()) -> Plan:
    """Return the plan with all that these benchmarks allow; ``SetUpError`` for a declaration that is wrong.

    identity: what a sampler says of them. timeout: asv's own, for a benchmark that has none. changed: the names of
    files, whose words say which benchmarks to run first: what these execute is not known before.
    """
    found: dict[str, list[Benchmark]] = {kind: [] for kind in KINDS}
    for one in identity["declared"]:
        for place, sample in enumerate(one["samples"]):
            try:
                found[sample["kind"]].append(_declared(one, sample))
            except (KeyError, TypeError) as error:
                raise SetUpError(f"check_samples of {one['name']}, number {place + 1}: {error!r}") from None
    words = {word for name in changed for word in re.findall(r"[a-z]{4,}", "/".join(name.lower().split("/")[-2:]))}
    declaring = {one["name"] for one in identity["declared"]}  # which are sampled in their own way as well
    first = sorted(
        identity["benchmarks"],
        key=lambda one: (
            one["name"].rpartition(".")[0] in declaring,
            -sum(word in one["name"].lower() for word in words),
        ),
    )
    found["once"] = list(_once(first, timeout))
    times, failures, facts, once = (
        tuple(one for one in found[kind] if re.search(plan.only, one.name)) for kind in (*KINDS, "once")
    )
    if plan.only and not (*times, *failures, *facts, *once):
        raise SetUpError(f"no benchmark has a name that holds {plan.only!r} (--only)")
    return replace(plan, times=times, failures=failures, facts=facts, once=once)


def _declared(one: dict[str, Any], sample: dict[str, Any]) -> Benchmark:
    arguments = {
        "benchmark": one["name"],
        "method": sample["method"],
        "parameters": sample["params"],
        "named": sample.get("arguments", {}),
    }
    method = sample["method"].removeprefix("check_")
    parameters = ", ".join(map(repr, sample["params"]))
    name = f"{one['name']}({parameters})" if parameters else f"{one['name']}.{method}"
    rules = {fact: tuple(rule) for fact, *rule in one["rules"]}
    return Benchmark(
        name, "declared_sample", arguments, float(sample.get("deadline", 30.0)), one["name"], "", one["module"], rules
    )


def _once(benchmarks: list[dict[str, Any]], timeout: float) -> Iterator[Benchmark]:
    """Give each benchmark with its first parameters, then each with its last, and so on: the breadth comes first."""
    every = [list(_with_parameters(one, timeout)) for one in benchmarks]
    for level in itertools.zip_longest(*every):
        yield from (one for one in level if one is not None)


def _with_parameters(one: dict[str, Any], timeout: float) -> Iterator[Benchmark]:
    group = one["name"].rpartition(".")[0]
    combinations = list(itertools.product(*one["params"]))
    for index in _spread(len(combinations)):
        parameters = f"({', '.join(combinations[index])})" if one["params"] else ""
        folder = f"{group}-{index}" if one["setup_cache_key"] else ""
        arguments = {
            "benchmark": one["name"],
            "index": index if one["params"] else None,
            "options": ONCE,
            "folder": re.sub(r"[^\w-]", "_", folder),
            "trace": True,
        }
        name = one["name"] + parameters
        # What counts as failed is asv's own timeout; beside it there is the time for setup_cache.
        yield Benchmark(
            name, "run", arguments, float(one["timeout"] or timeout), one["name"], one["unit"] or "", one["module"]
        )


def _spread(count: int) -> Iterator[int]:
    """Give the places of a list: the first, the last, the middle, and then those between."""
    given: set[int] = set()
    step = count - 1
    while len(given) < count:
        for place in (*range(0, count, max(step, 1)), count - 1):
            if place not in given:
                given.add(place)
                yield place
        step //= 2


def anew(one: Benchmark) -> Benchmark:
    """Return how a benchmark is sampled again, with nothing that another sample has left."""
    return one if one.is_declared else replace(one, arguments={**one.arguments, "folder": "", "trace": False})


def often(pairs: Pairs) -> Benchmark:
    """Return how a benchmark that has been run once is sampled often."""
    one = anew(pairs.benchmark)
    options = dict(OFTEN)
    number = pairs.base[0]["value"].get("number")
    if number is not None and one.unit == "seconds":
        options["number"] = number
    return replace(one, arguments={**one.arguments, "options": options}, is_fresh=True)


def most_telling(candidates: Iterable[Pairs], touched: set[str]) -> list[Pairs]:
    """Return the pairs in the order in which they are sampled: what the change can touch, then what is declared.

    Of each benchmark the most telling parameters come first; the others come when every benchmark has had its turn.
    """
    groups: dict[str, list[Pairs]] = {}
    for pairs in candidates:
        groups.setdefault(pairs.benchmark.shown, []).append(pairs)
    ordered = []
    for group in groups.values():
        group.sort(key=_telling)
        ordered += [(place, pairs) for place, pairs in enumerate(group)]
    ordered.sort(
        key=lambda one: (
            one[1].benchmark.group not in touched,
            one[0],
            not one[1].benchmark.is_declared,
            one[1].benchmark.unit not in ("seconds", ""),
            one[1].seconds_each,
        )
    )
    return [pairs for _, pairs in ordered]


def _telling(pairs: Pairs) -> tuple[bool, float]:
    seconds = pairs.seconds_each
    return seconds > SECONDS, seconds if seconds > SECONDS else -seconds
