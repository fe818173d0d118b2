"""Where a number changed, what got worse at which commit, and what only varies; knows no page.

One judgement, for the first page, the feed, asv's own pages, the charts and the terminal. What must be 0, exact costs
and benchmarks that fail are certain. Everything else is judged by the noise of its own series (judgement.py).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .alarms import EVERY_BENCHMARK
from .results import BY_BURST, EXACT, MUST_BE_ZERO, Value, entry_name, number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .history import History, Measurement, Timeline
    from .judgement import Series
    from .results import Parameters

COUNTS = (".track_failed_rows", ".track_recovered_rows")

# What has no step is said to vary from this factor between its least and its largest value on.
VARIES = 1.3

# A benchmark of a history with one set of parameters.
Name = tuple[str, str, "Parameters"]


class Transition(NamedTuple):
    """A number that changed; ``since`` is the revision of the value before. None is a benchmark that failed.

    chance: that of so large a change by noise, corrected for all questions; None if the change is certain.
    sure: whether it is told as one; a change that stands on few commits may be one.
    """

    revision: int
    since: int
    before: float | None
    after: float | None
    chance: float | None = None
    sure: bool = True

    @property
    def how_sure(self) -> str:
        """In a few words."""
        if self.chance is None:
            return "certain"
        return chance_text(self.chance) + ("" if self.sure else ", of few commits")

    @property
    def is_worse(self) -> bool:
        """Whether a number rose: lower is better in all of them."""
        return self.before is not None and self.after is not None and self.after > self.before


@dataclass
class Judged:
    """What one benchmark with one set of parameters did over the commits, and where it changed, oldest first.

    ``place`` is that of the parameters among all of the benchmark, as asv counts them; None without parameters.
    """

    history: History
    name: str
    parameters: Parameters
    unit: str
    place: int | None
    timeline: Timeline
    transitions: list[Transition] = field(default_factory=list)

    @property
    def key(self) -> Name:
        """What tells it from the others."""
        return self.history.folder, self.name, self.parameters

    @property
    def entry(self) -> str:
        """Its name, as asv writes it."""
        return entry_name(self.name, self.parameters)

    @property
    def numbers(self) -> list[tuple[int, float]]:
        """The numbers that were measured, by revision."""
        return [
            (at, value.number) for at, value in self.timeline if value and value.measured and value.number is not None
        ]

    @property
    def is_certain(self) -> bool:
        """Whether every change of it counts: what must be 0, and what is the same in every run."""
        return bool(MUST_BE_ZERO.fullmatch(self.name)) or self.name.startswith(EXACT)

    @property
    def varies(self) -> bool:
        """Whether it goes up and down, with no step in it that is sure."""
        numbers = [number for _, number in self.numbers]
        if self.is_certain or self.name.endswith(BY_BURST) or not numbers or any(of.sure for of in self.transitions):
            return False
        return max(numbers) > (1 if self.name.endswith(COUNTS) else VARIES) * min(numbers)

    def text(self, number: float | None) -> str:
        """Return a number of it as people read it."""
        return Value(number).text(self.unit)

    @property
    def spread(self) -> str:
        """From where to where it went."""
        numbers = [number for _, number in self.numbers]
        between = f"{number_text(min(numbers), self.unit)} to {number_text(max(numbers), self.unit)}"
        return f"{between} at {len(numbers)} commits"


@dataclass(frozen=True)
class Worsening:
    """Something that got worse at a revision; ``since`` is the one at which it was measured before."""

    what: str
    history: History
    benchmark: str
    revision: int
    since: int
    before: str
    after: str
    transition: Transition | None = None
    judged: Judged | None = None

    @property
    def measurement(self) -> Measurement:
        """Where it showed."""
        return self.history.measurements[self.revision]

    @property
    def sure(self) -> bool:
        """Whether it is told as worse; it may be worse otherwise."""
        return self.transition is None or self.transition.sure

    @property
    def how_sure(self) -> str:
        """In a few words."""
        return self.transition.how_sure if self.transition else "certain"

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the others, today and when it is published again."""
        return self.benchmark, self.history.folder, self.measurement.commit


def chance_text(chance: float) -> str:
    """Return a chance with one digit, and no more zeros than people read."""
    return (
        "p < 0.00001"
        if chance < 0.00001
        else f"p = {chance:.5f}".rstrip("0")
        if chance < 0.001
        else f"p = {chance:.1g}"
    )


def judge(histories: list[History], benchmarks: Mapping[str, Any], never: Mapping[str, Any]) -> dict[Name, Judged]:
    """Judge everything that was measured, by its name; once, for every page.

    never: asv's ``regressions_first_commits``; what it maps to None is not judged, as there.
    """
    places = {
        name: {parameters: place for place, parameters in enumerate(itertools.product(*of["params"])) if parameters}
        for name, of in benchmarks.items()
    }
    every = [
        Judged(history, name, parameters, benchmarks[name].get("unit", ""), places[name].get(parameters), timeline)
        for history in histories
        for name, parameters, timeline in _timelines(history)
    ]
    skipped = [re.compile(pattern) for pattern, commit in never.items() if commit is None]
    doubtful = []
    for one in every:
        if any(pattern.match(one.entry) for pattern in skipped):
            continue
        if one.is_certain:
            one.transitions += _steps_of_certain(one)
        elif not one.name.endswith(BY_BURST):
            doubtful.append(one)
    _judge_by_noise(doubtful)
    for one in every:
        found = {of.revision: of for of in (*one.transitions, *_failures(one.timeline))}
        one.transitions = [of for _, of in sorted(found.items())]
    return {one.key: one for one in every}


def _timelines(history: History) -> Iterator[tuple[str, Parameters, Timeline]]:
    """Yield every benchmark with each set of its parameters, and its timeline."""
    every = dict.fromkeys(
        (name, parameters)
        for measurement in history.measurements.values()
        for name, cells in measurement.values.items()
        for parameters in cells
    )
    for name, parameters in every:
        yield name, parameters, history.timeline(name, parameters)


def _failures(timeline: Timeline) -> Iterator[Transition]:
    """Yield where a benchmark begins or ceases to fail itself."""
    known = [(revision, value) for revision, value in timeline if value is not None and value.known]
    for (since, before), (revision, after) in itertools.pairwise(known):
        if before.failed != after.failed:
            yield Transition(revision, since, before.number, after.number)


def _steps_of_certain(one: Judged) -> Iterator[Transition]:
    """Yield each change of an exact cost; and where what must be 0 leaves 0 or comes back to it."""
    exact = one.name.startswith(EXACT)
    for (since, before), (revision, after) in itertools.pairwise(one.numbers):
        if (before != after) if exact else (bool(before) != bool(after)):
            yield Transition(revision, since, before, after)


def _judge_by_noise(doubtful: list[Judged]) -> None:
    """Give each its steps; whatever is judged together is corrected for together."""
    # It is large, and asv loads our plugin for whatever it does.
    from .judgement import Series, excess_of_commits, find_steps

    every: list[Series] = []
    for _, of_machine in itertools.groupby(doubtful, key=lambda one: one.history.machine):
        sampled = [Series(_samples_of(one), one.name.endswith(COUNTS)) for one in of_machine]
        excess = excess_of_commits(sampled)
        every += [_taken_with(series, excess) for series in sampled]
    for one, steps in zip(doubtful, find_steps(every)):
        revisions = [revision for revision, _ in one.numbers]
        one.transitions += [
            Transition(revisions[of.place], revisions[of.place - 1], of.before, of.after, of.chance, of.sure)
            for of in steps
        ]


def _samples_of(one: Judged) -> list[tuple[float, ...]]:
    """Return what was recorded of each commit, a sample a burst, or else the number alone."""
    values = dict(one.timeline)
    beside = dict(one.timeline)
    if one.name.endswith(".track_failed_rows"):
        beside = dict(one.history.timeline(one.name + BY_BURST, one.parameters))
    samples = []
    for revision, number in one.numbers:
        value = beside.get(revision) or values[revision]
        samples.append(value.samples if value and value.samples else (number,))
    return samples


def _taken_with(series: Series, excess: float | None) -> Series:
    """Return the series for that excess; where it is unknown a commit is one sample, whatever it is made of."""
    from .judgement import Series, level_of

    if excess is not None:
        return Series(series.samples, series.is_count, excess)
    return Series([(level_of(of, series.is_count),) for of in series.samples], series.is_count)


def find_worsenings(judged: Mapping[Name, Judged], histories: list[History]) -> list[Worsening]:
    """Return everything that got worse or may have, newest commit first, and of one commit failures and rows first."""
    begun = itertools.chain.from_iterable(_begun_failures(history, judged) for history in histories)
    found: dict[tuple[str, str, str], Worsening] = {}
    for worsening in (*begun, *_risen(judged)):
        found.setdefault(worsening.key, worsening)
    return sorted(found.values(), key=lambda worsening: worsening.revision, reverse=True)


def find_varying(judged: Mapping[Name, Judged]) -> list[Judged]:
    """Return what goes up and down without a step that is sure: counts first, then by how far."""

    def rank(one: Judged) -> tuple[bool, float]:
        numbers = [number for _, number in one.numbers]
        return not one.name.endswith(COUNTS), -max(numbers) / max(min(numbers), 1e-9)

    return sorted((one for one in judged.values() if one.varies), key=rank)


def _begun_failures(history: History, judged: Mapping[Name, Judged]) -> Iterator[Worsening]:
    """Yield the benchmarks that began to fail; a commit at which all of them fail is one line."""
    what = "benchmark began to fail"
    for since, revision in itertools.pairwise(sorted(history.measurements)):
        if history.measurements[revision].all_failed and not history.measurements[since].all_failed:
            yield Worsening(what, history, EVERY_BENCHMARK, revision, since, before="numbers", after="failed")
    begun: dict[tuple[str, int, int], list[Parameters]] = {}
    for one in judged.values():
        if one.history is not history:
            continue
        for of in one.transitions:
            if of.after is None and not history.measurements[of.revision].all_failed:
                begun.setdefault((one.name, of.revision, of.since), []).append(one.parameters)
    for (name, revision, since), failed in begun.items():
        benchmark = name
        if len(failed) < len(history.measurements[revision].values[name]):
            benchmark = entry_name(name, failed[0]) + (f" and {len(failed) - 1} more" if len(failed) > 1 else "")
        yield Worsening(what, history, benchmark, revision, since, before="a number", after="failed")


def _risen(judged: Mapping[Name, Judged]) -> Iterator[Worsening]:
    """Yield each number that rose, the certain ones first; of rows that must be 0 the newest commit with any."""
    for one in sorted(judged.values(), key=lambda one: not one.is_certain):
        risen, earlier = [of for of in one.transitions if of.is_worse], ""
        if MUST_BE_ZERO.fullmatch(one.name) and len(risen) > 1:
            risen, earlier = risen[-1:], f" (as at {len(risen) - 1} commits before)"
        for of in risen:
            yield Worsening(
                what=_what_rose(one, of) + earlier,
                history=one.history,
                benchmark=one.entry,
                revision=of.revision,
                since=of.since,
                before=one.text(of.before),
                after=one.text(of.after),
                transition=of,
                judged=one,
            )


def _what_rose(one: Judged, transition: Transition) -> str:
    if one.unit.startswith("rows"):
        rows = one.name.rpartition(".track_")[2].replace("_", " ")
        return f"more {rows}" if transition.before else f"{rows} where there were none"
    return "slower" if one.unit.startswith("seconds") else "more"
