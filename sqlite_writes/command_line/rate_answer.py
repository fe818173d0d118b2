"""What is said of inserts that arrive at random: one load answered in a sentence and a table, or the edge in both.

Knows what was measured and no option; prints nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlite_writes.advice import advise
from sqlite_writes.rate import at_most, chance_of_meeting, meetings, quantile, seconds_between

from .output import Table, count_of, seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_writes.rate import RateLimit, RateReport

    from .writers import Chosen

# Inserts a second at which a run of some seconds has enough of them.
BUSY_ENOUGH = 20.0

# How many at one moment the table of a load has.
_TOGETHER = {2: "two", 3: "three", 10: "ten"}

_SPANS = (("second", 1.0), ("minute", 60.0), ("hour", 3600.0), ("day", 86_400.0), ("year", 365.25 * 86_400))

# Years after which nobody waits for it.
_NEVER = 1e9
_NEVER_TEXT = "never"

# Characters of a table's line: what is left beside the first column, and of a writer's name and its longest value.
_ROOM, _LONGEST_NAME, _LONGEST_VALUE = 50, 22, 14

# Which of a table's lines are there only if a writer has any.
_ONLY_IF_ANY = ("lost", "altered", "duplicated")


@dataclass(frozen=True)
class Load:
    """So many inserts in a unit of time: ``Load(1000, "day")``."""

    count: float
    unit: str

    @property
    def per_second(self) -> float:
        """Inserts a second."""
        return self.count / dict(_SPANS)[self.unit]

    @property
    def is_rare(self) -> bool:
        """Whether inserts come due so seldom that two have to be made to meet."""
        return self.per_second < BUSY_ENOUGH

    @property
    def multiple(self) -> int:
        """The power of ten by which the load is multiplied, so that enough inserts come due while one watches."""
        return int(10 ** max(math.floor(math.log10(BUSY_ENOUGH / self.per_second)), 0))

    def __str__(self) -> str:
        return f"{self.count:g} {'an' if self.unit == 'hour' else 'a'} {self.unit}"


@dataclass(frozen=True)
class Answer:
    """What was measured of one writer.

    load: what it was measured for; None if the edge was searched.
    run: inserts at random, at that rate or at a multiple of it. met: inserts that came due two by two, for a rare load.
    limit: what a search found.
    problem: why it could not be measured, or not to the end.
    """

    chosen: Chosen
    load: Load | None = None
    run: RateReport | None = None
    met: RateReport | None = None
    limit: RateLimit | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The name that it was asked for."""
        return self.chosen.name

    @property
    def reports(self) -> list[RateReport]:
        """All runs."""
        return [*(report for report in (self.run, self.met) if report), *(self.limit.runs if self.limit else ())]

    def insert_time(self) -> float:
        """How long an insert of the load takes: alone, if the load is rare; else as it was measured."""
        if self.run is None or not self.run.insert_times:
            return 0.0
        alone = self.run.meetings.alone
        if self.load is not None and self.load.is_rare and alone is not None:
            return alone
        return sum(self.run.insert_times) / len(self.run.insert_times)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-ready values; rate.schema.json says what they mean."""
        settings = self.chosen.settings
        return {
            "writer": self.name,
            "settings": None if settings is None else asdict(settings),
            "problem": self.problem,
            "run": None if self.run is None else self.run.to_dict(),
            "multiple": None if self.load is None else self.load.multiple,
            "met": None if self.met is None else self.met.to_dict(),
            "limit": None if self.limit is None else self.limit.to_dict(),
            "expected": None if self.load is None or self.run is None else self._expected(self.load),
        }

    def _expected(self, load: Load) -> dict[str, Any]:
        rate, seconds = load.per_second, self.insert_time()
        return {
            "insert_time": seconds,
            "chance_of_meeting": chance_of_meeting(rate, seconds),
            "meetings_a_day": meetings(rate, seconds, 86_400),
            "meetings_a_year": meetings(rate, seconds, 365.25 * 86_400),
            "seconds_between": [
                {"together": together, "seconds": _finite(seconds_between(rate, seconds, together))}
                for together in _TOGETHER
            ],
        }


def load_sentence(answer: Answer) -> str:
    """Answer in words whether the writer holds for its load."""
    load, run, met = answer.load, answer.run, answer.met
    if load is None or run is None:
        return f"{answer.name}: nothing was measured"
    if load.is_rare:
        between = seconds_between(load.per_second, answer.insert_time())
        first = f"at {load}, {seconds_text(answer.insert_time())} for each insert, two meet {often_text(between)}."
        if met is not None:
            longest = seconds_text(met.insert_times[-1])
            first += f" Made to meet {len(met.inserts) // 2} times, none took over {longest}."
    else:
        share = run.meetings.inserts / max(run.begun.attempted, 1)
        first = f"at {load}, {percent_text(share)} of the inserts meet another."
    tried = count_of(sum(report.attempted for report in answer.reports), "insert")
    if load.is_rare:
        tried += f", {run.attempted} of them at {f'{load.multiple:,} times ' if load.multiple > 1 else ''}that rate"
    if not all(report.is_whole for report in answer.reports):
        tried += ", until it was interrupted"
    p99, slowest = (seconds_text(quantile(run.latencies, share)) for share in (0.99, 1))
    return f"{answer.name}: {first} Of {tried}, {wrong_text(answer.reports)}; p99 {p99}, slowest {slowest}."


def load_tables(answers: Sequence[Answer], load: Load) -> list[Table]:
    """A column for each writer, some in each table: what was counted, how late inserts were, how often two meet."""
    measured = [answer for answer in answers if answer.run is not None]
    longest = max((len(_column_name(answer)) for answer in measured), default=0)
    beside = max(_ROOM // (max(longest, _LONGEST_VALUE) + 2), 1)
    return [_load_table(measured[first : first + beside], load) for first in range(0, len(measured), beside)]


def _load_table(answers: Sequence[Answer], load: Load) -> Table:
    columns = [_load_column(answer, load) for answer in answers]
    names = list(dict.fromkeys(name for column in columns for name in column))
    shown = [name for name in names if name not in _ONLY_IF_ANY or any(column.get(name) != "0" for column in columns)]
    rows = [[name, *(column.get(name, "-") for column in columns)] for name in shown]
    title = f"at {load}"
    return Table([title, *map(_column_name, answers)], rows, frozenset({title}))


def _column_name(answer: Answer) -> str:
    """The end of a long name: the sentences have all of it."""
    return answer.name if len(answer.name) <= _LONGEST_NAME else f"…{answer.name[1 - _LONGEST_NAME :]}"


def _load_column(answer: Answer, load: Load) -> dict[str, str]:
    """Name and value of each line for one writer."""
    run: RateReport = answer.run  # type: ignore[assignment]  # only those that have one are asked for
    bad, meetings_there = wrong(answer.reports), run.meetings
    tried = sum(report.begun.attempted for report in answer.reports)
    column = {
        "inserts": str(sum(report.attempted for report in answer.reports)),
        "failed": str(bad.get("failed", 0)),
        **{kind: str(bad.get(kind, 0)) for kind in _ONLY_IF_ANY},
        "fail at most (95% sure)": percent_text(at_most(sum(bad.values()), tried)) if tried else "-",
        f"{run.rate:.3g} a second, from when due": "",
        "  median": seconds_text(quantile(run.latencies, 0.5)),
        "  p99": seconds_text(quantile(run.latencies, 0.99)),
        "  slowest": seconds_text(run.latencies[-1]),
        "  p99 of a closed loop": seconds_text(quantile(run.closed_loop, 0.99)),
        "  no worker was free": f"{run.waited_for_worker} times",
        "  met another": str(meetings_there.inserts),
        "  by the arithmetic": f"{meetings_there.inserts_expected or 0:.0f}",
        "  most at one moment": str(meetings_there.peak),
    }
    if answer.met is not None:
        column |= {
            "two by two, made to meet": f"{len(answer.met.inserts) // 2} times",
            "  half of them within": seconds_text(quantile(answer.met.insert_times, 0.5)),
            "  all of them within": seconds_text(answer.met.insert_times[-1]),
        }
    column["an insert takes"] = seconds_text(answer.insert_time())
    for together, words in _TOGETHER.items():
        between = seconds_between(load.per_second, answer.insert_time(), together)
        column[f"{words} at one moment every"] = span_text(between)
    return column


def limit_sentence(answer: Answer) -> str:
    """Say between which rates the edge lies, with the evidence."""
    limit = answer.limit
    if limit is None or not limit.runs:
        return f"{answer.name}: nothing was measured"
    held, passed = limit.held, limit.passed
    parts = []
    if held is not None:
        within = f"p99 within {seconds_text(limit.p99)}, no row failed or was lost"
        parts.append(f"{held:g} inserts a second hold ({_runs_text(limit.by_rate[held], True)}: {within})")
    elif min(limit.by_rate) != passed:
        parts.append(f"not even {min(limit.by_rate):g} inserts a second hold in all runs")
    if passed is not None:
        found = [run for run in limit.at(passed) if run.why_not(limit.p99)]
        why = f"p99 {seconds_text(min(quantile(run.latencies, 0.99) for run in found))} or more"
        why = wrong_text(found) if wrong(found) else why
        first = f"not even {passed:g} inserts a second hold" if not parts else f"{passed:g} do not"
        parts.append(f"{first} ({_runs_text(limit.by_rate[passed], False)}: {why})")
    else:
        parts.append(f"most runs hold up to {max(limit.by_rate):g}, the most that was tried")
    if not limit.is_complete:
        parts.append("not finished")
    return f"{answer.name}: {'; '.join(parts)}"


def limit_table(answers: Sequence[Answer]) -> Table:
    """A row for each rate of each writer."""
    columns = ["writer", "a second", "held", "p99", "slowest", "wrong", "all busy"]
    rows = []
    for answer in answers:
        if answer.limit is None:
            continue
        for rate, runs in answer.limit.by_rate.items():
            found = answer.limit.at(rate)
            p99s = sorted(quantile(run.latencies, 0.99) for run in found)
            rows.append(
                [
                    _column_name(answer),
                    f"{rate:g}",
                    f"{sum(runs)} of {len(runs)}",
                    seconds_text(p99s[len(p99s) // 2]),
                    seconds_text(max(run.latencies[-1] for run in found)),
                    str(sum(wrong(found).values())),
                    str(sum(run.waited_for_worker for run in found)),
                ]
            )
    return Table(columns, rows, frozenset({"writer"}))


def notes(answers: Sequence[Answer]) -> list[str]:
    """What the tables have no room for: why rows failed, and what to do."""
    lines = []
    for answer in answers:
        reasons: dict[str, tuple[int, str]] = {}
        for report in answer.reports:
            for reason, count in report.errors.items():
                before, words = reasons.get(reason, (0, report.words.get(reason, "")))
                reasons[reason] = (before + count, words)
        lines += [
            f"{answer.name}: {count} x {reason}{f': {words}' if words else ''}"
            for reason, (count, words) in reasons.items()
        ]
        advices = [words for report in answer.reports if report.wrong for words in advise(report.begun)]
        lines += [f"{answer.name} to do: {words}" for words in dict.fromkeys(advices)]
        remarks = [remark for report in answer.reports for remark in report.begun.remarks]
        lines += [f"{answer.name}, noticed: {remark}" for remark in dict.fromkeys(remarks)]
        not_begun = sum(report.not_begun for report in answer.reports if answer.limit is None)
        if not_begun:
            lines.append(f"{answer.name}: {not_begun} inserts were not begun, no worker was free in time: --workers")
    return lines


def wrong(reports: Sequence[RateReport]) -> dict[str, int]:
    """How many rows of all runs failed, were lost, altered or duplicated; only what is not 0."""
    found: dict[str, int] = {}
    for report in reports:
        for kind, count in report.wrong.items():
            found[kind] = found.get(kind, 0) + count
    return found


def wrong_text(reports: Sequence[RateReport]) -> str:
    """The same in words; ``0 failed`` if no row went wrong."""
    words = {
        "failed": "failed",
        "lost": "were lost without an error",
        "altered": "were altered",
        "duplicated": "are there twice",
    }
    return ", ".join(f"{count} {words[kind]}" for kind, count in wrong(reports).items()) or "0 failed"


def often_text(seconds: float) -> str:
    """How often something happens that happens every so many seconds: ``once in 62 days``, ``24 times a second``."""
    if seconds >= 1:
        span = span_text(seconds)
        return span if span == _NEVER_TEXT else f"once in {span}"
    return f"{_digits(1 / seconds)} times a second"


def span_text(seconds: float) -> str:
    """A span of time of any length: ``62 days``."""
    if seconds < 1:
        return seconds_text(seconds)
    if seconds / _SPANS[-1][1] > _NEVER:
        return _NEVER_TEXT
    unit, length = [span for span in _SPANS if seconds >= 1.5 * span[1] or span[1] == 1][-1]
    return f"{_digits(seconds / length)} {unit}s"


def percent_text(share: float) -> str:
    """Return the share with two digits that say something."""
    return f"{100 * share:.2g}%" if share < 0.1 else f"{100 * share:.0f}%"


def _digits(number: float) -> str:
    """Two digits: it is an estimate."""
    return f"{float(f'{number:.2g}'):,.{0 if number >= 9.95 else 1}f}"


def _runs_text(runs: Sequence[bool], held: bool) -> str:
    return f"{runs.count(held)} of {count_of(len(runs), 'run')}"


def _finite(seconds: float) -> float | None:
    return None if seconds == float("inf") else seconds
