"""Two environments at one commit, side by side: every number of both, their ratio, and whether it differs for real.

The terminal and the page show the same rows and sentences. It knows no page.
"""

from __future__ import annotations

import copy
import re
import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from asv_plugins.rounds import round_folders

from .differences import Kind, Question, Word, judge, rounds_needed
from .history import RUNNER, History, Measurement, read_histories
from .results import Value, number_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from asv.config import Config

    from .results import Parameters

# What says how a burst came about, or with what it was measured: no result, so neither better nor worse.
NOT_COMPARED = re.compile(r".*\.track_(start_spread|peak_in_flight|sqlite_version|sqlite_source_id)")
EXACT_COSTS = "cost.InsertCost."
MUST_NOT_BE = re.compile(r".*\.track_(lost|altered|duplicated)_rows")

# What the first sentence says of the numbers that do not differ for real.
OTHER_WORDS: dict[Word | str, str] = {
    "within the noise": "within the noise",
    "same": "the same",
    "not enough samples": "with not enough samples",
    "benchmark failed": "of a benchmark that failed",
}

# One environment's measurements of one commit: in each round, in which the other was measured as well.
Rounds = list[tuple[Measurement, Measurement]]


class Row(NamedTuple):
    """One number of both: as text, the second ÷ the first, and a word on the difference."""

    benchmark: str
    parameters: Parameters
    first: str
    second: str
    ratio: float | None
    word: Word | str
    better: str
    cause: str

    @property
    def cell(self) -> str:
        """The parameters as people read them."""
        return ", ".join(parameter.strip("'") for parameter in self.parameters)

    @property
    def ratio_text(self) -> str:
        """The ratio as people read it; none where the first is 0."""
        return "from 0" if self.ratio is None else f"{self.ratio:.3g}"

    @property
    def verdict(self) -> str:
        """The word, and which of the two is better, with the cause where it is known."""
        text = f"{self.word}: {self.better} is better" if self.better else str(self.word)
        return f"{text}; {self.cause}" if self.cause else text


class Missing(NamedTuple):
    """What was not measured, the command that measures it, and the end of the sentence."""

    what: str
    command: str
    end: str


@dataclass(frozen=True)
class Comparison:
    """Two environments at one commit.

    rounds: how many measured both. more_rounds: how many are enough for so many numbers. only_in_one: how many numbers
    only one of them has.
    """

    first: History
    second: History
    revision: int
    rows: list[Row]
    only_in_one: int
    rounds: int
    more_rounds: int

    @cached_property
    def names(self) -> tuple[str, str]:
        """Both as people read them."""
        return self.first.name(self.revision), self.second.name(self.revision)

    @property
    def real(self) -> list[Row]:
        """What differs for real."""
        return [row for row in self.rows if row.word == "real"]

    @property
    def broken(self) -> list[Row]:
        """Where a benchmark failed itself in one or both."""
        return [row for row in self.rows if row.word == "benchmark failed"]

    @property
    def rest(self) -> list[Row]:
        """Everything else."""
        return [row for row in self.rows if row.word not in {"real", "benchmark failed"}]

    @property
    def headline(self) -> str:
        """Return how many numbers differ for real, and what the others are."""
        if not self.rows:
            return "No number was measured in both."
        real = len(self.real)
        said = f"{real} of {len(self.rows)} numbers {'differs' if real == 1 else 'differ'} for real."
        counts = [(sum(row.word == word for row in self.rows), text) for word, text in OTHER_WORDS.items()]
        others = [f"{count} {text}" for count, text in counts if count]
        return f"{said} The others: {', '.join(others)}." if others else said

    @property
    def taken(self) -> str:
        """Return what the numbers are: of how many rounds, or of one run."""
        if not self.rounds:
            return "Each is of one run, so only exact costs and rows that must be 0 can be judged."
        return f"Judged by {self.rounds} {'round' if self.rounds == 1 else 'rounds'}: a run of each, in random order."

    @property
    def command(self) -> str:
        """Return the command that measures what is missing."""
        first, second = self.first.argument, self.second.argument
        if first == second:
            first, second = self.first.environment, self.second.environment
        return f"make compare A={first} B={second} ROUNDS={self.more_rounds}"

    @property
    def missing(self) -> list[Missing]:
        """Return what could not be judged, each with the command that measures it."""
        lines = []
        few = sum(row.word == "not enough samples" for row in self.rows)
        have = "number has" if few == 1 else "numbers have"
        if few and self.rounds < self.more_rounds:
            lines.append(Missing(f"{few} {have} not enough samples:", self.command, "measures both in rounds."))
        elif few:
            other = f"{self.command} BENCH=…"
            lines.append(Missing(f"{few} {have} not enough samples, for rounds are quick:", other, "names others."))
        if not any(row.benchmark.startswith(EXACT_COSTS) for row in self.rows):
            lines.append(Missing("Exact costs were not measured in both:", self.command, "does."))
        if self.only_in_one:
            were = "number was" if self.only_in_one == 1 else "numbers were"
            said = f"{self.only_in_one} more {were} measured in one of the two only:"
            lines.append(Missing(said, "make bench-full", "measures all."))
        return lines


def label_of(history: History) -> str:
    """Return a name for a narrow column: the Python, and what the environment has besides."""
    extras = _extras(history)
    if not extras:
        return history.python
    named = ", ".join(f"{name} {version}".strip() for name, version in extras.items())
    return f"{history.python} with {named if len(extras) <= 2 else f'{len(extras)} libraries'}"


def _extras(history: History) -> dict[str, str]:
    required = history.newest.required
    return {name: version for name, version in required.items() if name != RUNNER}


def read_rounds(config: Config, benchmarks: Mapping[str, Any], revisions: Mapping[str, int]) -> list[list[History]]:
    """Read every round that was measured, oldest first."""
    rounds = []
    for folder in round_folders(config):
        of_round = copy.copy(config)
        of_round.results_dir = str(folder)
        rounds.append(read_histories(of_round, benchmarks, revisions)[0])
    return rounds


def add_rounds(histories: list[History], rounds: list[list[History]]) -> list[History]:
    """Return the histories with those that only rounds have measured; what asv has stored itself stays as it is."""
    known = {(history.machine, history.environment): copy.copy(history) for history in histories}
    for history in (one for of_round in rounds for one in of_round):
        mine = known.setdefault((history.machine, history.environment), copy.copy(history))
        mine.measurements = {**history.measurements, **mine.measurements}
    return list(known.values())


def rounds_of(rounds: list[list[History]], first: History, second: History, revision: int) -> Rounds:
    """Return the two measurements of each round that has both."""
    found = []
    for of_round in rounds:
        both = []
        for side in (first, second):
            same = (side.machine, side.environment)
            both += [
                history.measurements[revision]
                for history in of_round
                if (history.machine, history.environment) == same and revision in history.measurements
            ]
        if len(both) == 2:
            found.append((both[0], both[1]))
    return found


def compare(
    first: History, second: History, revision: int, rounds: list[list[History]], benchmarks: Mapping[str, Any]
) -> Comparison:
    """Compare two environments of one machine at a commit; rounds count only where both were measured in them."""
    together = rounds_of(rounds, first, second, revision)
    alone = (first.measurements[revision], second.measurements[revision])
    cause = _cause(first, second, revision)
    rows, pairs, only_in_one = list[Row](), list["_Pair"](), 0
    for name, parameters in _cells([*together, alone]):
        if NOT_COMPARED.fullmatch(name) or name not in benchmarks:
            continue
        taken = _values([*together], name, parameters) or _values([alone], name, parameters)
        unit = benchmarks[name].get("unit", "")
        if not taken:
            only_in_one += any(_value(side, name, parameters) is not None for side in alone)
        elif any(value.failed for both in taken for value in both):
            before, after = (_failed_text(side, unit) for side in zip(*taken))
            rows.append(Row(name, parameters, before, after, None, "benchmark failed", "", ""))
        else:
            numbers = [tuple(map(_number, side)) for side in zip(*taken)]
            pairs.append(_Pair(name, parameters, unit, numbers[0], numbers[1]))
    words = judge([pair.question for pair in pairs])
    rows += [pair.row(word, cause) for pair, word in zip(pairs, words)]
    order = {name: place for place, name in enumerate(benchmarks)}
    rows.sort(key=lambda row: order[row.benchmark])
    return Comparison(first, second, revision, rows, only_in_one, len(together), rounds_needed(len(pairs)))


class _Pair(NamedTuple):
    """One number of both, in each round or in one run."""

    benchmark: str
    parameters: Parameters
    unit: str
    first: tuple[float, ...]
    second: tuple[float, ...]

    @property
    def kind(self) -> Kind:
        """How it is judged."""
        if self.benchmark.startswith(EXACT_COSTS):
            return "exact"
        if MUST_NOT_BE.fullmatch(self.benchmark):
            return "zero"
        return "count" if self.unit.startswith("rows") else "measured"

    @property
    def question(self) -> Question:
        """What the judge is asked."""
        return Question(self.kind, self.first, self.second)

    def row(self, word: Word, cause: str) -> Row:
        """Return the row of the table: means of counts, medians of anything else."""
        middle = statistics.fmean if self.kind in {"count", "zero"} else statistics.median
        first, second = middle(self.first), middle(self.second)
        better = "" if word != "real" or first == second else "A" if first < second else "B"
        known = cause if word == "real" and self.kind == "exact" else ""
        return Row(
            self.benchmark,
            self.parameters,
            number_text(first, self.unit),
            number_text(second, self.unit),
            second / first if first else 1.0 if second == first else None,
            word,
            better,
            known,
        )


def _cells(measured: Iterable[tuple[Measurement, Measurement]]) -> Iterator[tuple[str, Parameters]]:
    """Yield every benchmark with each set of its parameters."""
    yield from dict.fromkeys(
        (name, parameters)
        for both in measured
        for measurement in both
        for name, cells in measurement.values.items()
        for parameters in cells
    )


def _value(measurement: Measurement, name: str, parameters: Parameters) -> Value | None:
    """Return what was measured, or None for n/a and for what was not chosen."""
    value = measurement.values.get(name, {}).get(parameters)
    return value if value is not None and value.known else None


def _values(measured: Rounds, name: str, parameters: Parameters) -> list[tuple[Value, Value]]:
    """Return both values of each round, or run, that has both."""
    both = [(_value(first, name, parameters), _value(second, name, parameters)) for first, second in measured]
    return [(first, second) for first, second in both if first is not None and second is not None]


def _number(value: Value) -> float:
    assert value.number is not None  # noqa: S101 a failed one is told elsewhere
    return value.number


def _failed_text(values: tuple[Value, ...], unit: str) -> str:
    """Return the text of the failure, if there is one, or of the newest number."""
    return next((value for value in values if value.failed), values[-1]).text(unit)


def _cause(first: History, second: History, revision: int) -> str:
    """Return why an exact cost may differ: what the two environments do not have in common."""
    before, after = (
        {
            "": history.sqlite(revision),
            "Python": history.python,
            # The driver is told with its SQLite.
            **({} if history.driver else history.measurements[revision].required),
        }
        for history in (first, second)
    )
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name) and name != RUNNER]
    return ", ".join(f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}".strip() for name in changed[:3])
