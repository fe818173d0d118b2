"""All that was sampled, and what is plain in it: who failed how often, and what is always the same. No statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .plan import Benchmark
    from .side import Reply

# Rows that are not in the table as they were acknowledged: one is enough.
WRONG_ROWS = ("lost", "altered", "duplicated")

# How many samples failed, of how many.
Failed = tuple[int, int]


def has_failed(reply: Reply) -> bool:
    """Say whether rows failed, were lost, altered or doubled, or there was no value at all."""
    if "not possible" in reply:
        return False
    value = reply.get("value")
    return value is None or any(value.get(name) for name in ("failed", "miscounted", *WRONG_ROWS))


def has_failed_oddly(reply: Reply) -> bool:
    """Say whether it failed, and not because rows found the database locked, as they do where there are too many."""
    value = reply.get("value") or {}
    errors = value.get("errors") or {}
    is_locked = bool(errors) and all(name.startswith("SQLITE_BUSY") for name in errors)
    return has_failed(reply) and (bool(value.get("miscounted")) or not is_locked)


# Two questions of a benchmark: whether it fails more often, and whether it does in another way. Where rows fail every
# time, only the second tells a change.
WAYS_TO_FAIL = (has_failed, has_failed_oddly)


@dataclass
class Pairs:
    """The replies of both sides to the same requests, and the seconds that all of them took.

    expected: the seconds that a pair may take, before there is one.
    """

    benchmark: Benchmark
    base: list[Reply] = field(default_factory=list)
    head: list[Reply] = field(default_factory=list)
    seconds: float = field(default=0.0, kw_only=True)
    expected: float = field(default=0.0, kw_only=True)

    @property
    def seconds_each(self) -> float:
        """The mean duration of a pair, or the expected one."""
        return self.seconds / len(self.base) if self.base else self.expected

    def times(self) -> tuple[list[float], list[float]]:
        """Return the seconds, or what else is measured, of the pairs in which both sides have any."""
        both = [(before, after) for before, after in zip(*map(_measured, (self.base, self.head))) if before and after]
        return [before for before, _ in both], [after for _, after in both]

    def tracked(self) -> tuple[list[float], list[float]]:
        """Return the tracked values of each side, as many as there are."""
        base, head = ([one for one in _measured(replies) if one is not None] for replies in (self.base, self.head))
        return base, head

    def microseconds(self) -> list[list[int]]:
        """Return the times of base and of head in microseconds."""
        return [[round(1e6 * seconds) for seconds in times] for times in self.times()]

    def failed(self, how: Callable[[Reply], bool] = has_failed) -> tuple[Failed, Failed]:
        """Return in how many of how many samples something failed in that way, for base and head."""
        base, head = (
            (sum(map(how, replies)), sum("not possible" not in reply for reply in replies))
            for replies in (self.base, self.head)
        )
        return base, head

    def joined(self, *others: Pairs) -> Pairs:
        """Return all of these replies as one."""
        parts = (self, *others)
        return Pairs(
            self.benchmark, [one for part in parts for one in part.base], [one for part in parts for one in part.head]
        )


def _measured(replies: list[Reply]) -> list[float | None]:
    values = (reply.get("value") or {} for reply in replies)
    return [value.get("seconds", value.get("tracked")) for value in values]


@dataclass
class Evidence:
    """All that was sampled.

    facts: what classes declare to be the same every time. once: each benchmark as asv runs it, and with other
    parameters where there was time. before: what the base's own benchmarks say of those that fail on both sides.
    values: tracked values that differ. profiles: where the time goes, of what is confirmed, by name, base and head.
    candidates: what has run and can be timed. touched: the groups that execute changed files. left_out: what was not
    judged, and why, by name. needed: about how many seconds more it takes to judge that too.

    is_head_broken: whether nothing runs on the head.
    hangs: what did not end on the head, so that sampling stopped. hanging: by name what did not end there in the time
    that was left, while the base needed much less of it: both in seconds. flagged: the names of what seemed slower.
    cut_short: of what there was no time to sample often enough when it was looked at again.
    control: the seconds of the same work, again and again. durations: of each phase, in seconds.
    """

    facts: list[Pairs] = field(default_factory=list)
    failures: list[Pairs] = field(default_factory=list)
    once: list[Pairs] = field(default_factory=list)
    before: dict[str, Reply] = field(default_factory=dict)
    values: list[Pairs] = field(default_factory=list)
    candidates: list[Pairs] = field(default_factory=list)
    times: list[Pairs] = field(default_factory=list)
    confirmed_times: list[Pairs] = field(default_factory=list)
    confirmed_failures: list[Pairs] = field(default_factory=list)
    profiles: dict[str, tuple[Reply, Reply]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    left_out: dict[str, str] = field(default_factory=dict)
    needed: float = 0.0
    is_head_broken: bool = False
    hangs: Pairs | None = None
    hanging: dict[str, tuple[float, float]] = field(default_factory=dict)
    flagged: list[str] = field(default_factory=list)
    cut_short: set[str] = field(default_factory=set)
    control: list[float] = field(default_factory=list)
    durations: dict[str, float] = field(default_factory=dict)

    def raw(self) -> dict[str, Any]:
        """Return times in microseconds, and how many samples failed, by phase and benchmark."""
        timed = {"times": self.times, "confirmed_times": self.confirmed_times}
        failed = {"failures": self.failures, "times": self.times, "confirmed_failures": self.confirmed_failures}
        return {
            **{
                phase: {pairs.benchmark.name: pairs.microseconds() for pairs in found} for phase, found in timed.items()
            },
            **{
                f"failed {phase}": {pairs.benchmark.name: pairs.failed() for pairs in found}
                for phase, found in failed.items()
            },
        }
