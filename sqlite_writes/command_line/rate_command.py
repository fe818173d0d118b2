"""``sqlite-writes rate``: inserts that arrive at random, at the rate of a load, or ever more until it does not hold.

Knows options, progress and statuses; the measuring is in sqlite_writes/rate, the words are in rate_answer.py.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from sqlite_writes.rate import RateInterrupted, RateLimit, find_rate, measure_rate, quantile

from .ending import complain
from .errors import ANSWERED, COULD_NOT_MEASURE, INTERRUPTED, THRESHOLD_PASSED, CouldNotMeasure, WrongUsage, in_words
from .options import Duration, WholeNumber, checked, directory_option, json_option, rows_option, writer_option
from .output import document, machine_text, say, seconds_text, show, write_json
from .progress import progress
from .rate_answer import (
    BUSY_ENOUGH,
    Answer,
    Load,
    limit_sentence,
    limit_table,
    load_sentence,
    load_tables,
    notes,
    wrong,
    wrong_text,
)
from .writers import Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlite_writes.rate import RateReport, Trying

    from .progress import Show

_UNITS = {
    "second": ("s", "sec", "second"),
    "minute": ("min", "minute"),
    "hour": ("h", "hour"),
    "day": ("d", "day"),
}

# Inserts a second: what no machine can do.
_LARGEST = 10_000.0

# Seconds in which all writers together are to be answered, and what one gets at most and at least.
_ALL, _MOST, _LEAST = 48.0, 30.0, 14.0

# For a rare load: the share of the time in which inserts are made to meet.
_MADE_TO_MEET = 0.25

_SEARCH = 50.0
_P99 = 0.1


class LoadType(click.ParamType[Load]):
    """So many inserts in a unit of time."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Load:
        """Return the load."""
        if isinstance(value, Load):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([a-z]+)", str(value).strip())
        unit = next((unit for unit, names in _UNITS.items() if match and match[2] in names), None)
        if match is None or unit is None or not float(match[1]) > 0:
            self.fail(f"{value!r} is no rate such as 1000/day, 3/hour, 10/min or 50/s", param, ctx)
        load = Load(float(match[1]), unit)
        if load.per_second > _LARGEST:
            self.fail(f"{value!r} is more than {_LARGEST:g}/s, the most that is tried", param, ctx)
        return load


@click.command("rate")
@writer_option
@rows_option
@click.option("--rate", "load", type=LoadType(), help="The load: 1000/day, 3/hour, 10/min or 50/s.")
@click.option(
    "--p99",
    type=Duration(),
    help="How late 1% of the inserts may be, from the moment each was due. "
    "With --rate: end with status 3 if it is passed. Without: search up to there. [default: 100ms]",
)
@click.option(
    "--max-failed",
    type=WholeNumber(0),
    help="With --rate: end with status 3 if more rows fail, are lost, altered or duplicated.",
)
@click.option(
    "--seconds",
    type=WholeNumber(1, 86_400),
    help="What each writer gets: with --rate to insert, without to search. "
    "[default: so that all with --rate take less than a minute; 50 to search]",
)
@click.option(
    "--workers",
    type=WholeNumber(1, 10_000),
    help="How many processes wait for inserts to come due. [default: by the rate, 16 to 200]",
)
@click.option("--keep-open", is_flag=True, help="Each process keeps its connection.")
@directory_option
@click.option("--seed", type=int, help="Of the moments. Default: another one each time.")
@json_option
def rate(
    writer: tuple[str, ...],
    rows: str | None,
    load: Load | None,
    p99: float | None,
    max_failed: int | None,
    seconds: int | None,
    workers: int | None,
    keep_open: bool,
    directory: str,
    seed: int | None,
    export_json: Path | None,
) -> int:
    """Let inserts arrive at random, and count from the moment at which each was due.

    With --rate: does that load hold, and how often do two inserts meet? Without: how many a second hold, until p99
    passes --p99 or a row fails.
    """
    if load is None and max_failed is not None:
        raise WrongUsage("--max-failed is for a load: say which with --rate, such as --rate 50/s")
    if load is not None and seconds is not None and seconds < _LEAST:
        raise WrongUsage(f"--seconds {seconds} is too short for a load: give {_LEAST:g} or more")
    _check_folder(writer, rows, directory, seed)
    chosen = choose(writer, rows)
    seed = random.randrange(2**31) if seed is None else seed  # noqa: S311 a seed is no secret
    how = {"directory": directory, "seed": seed, "workers": workers, "keep_open": keep_open}
    say(machine_text(), style="dim")
    answers: list[Answer] = []
    is_interrupted = False
    for place, one in enumerate(chosen):
        named = f"{one.name} ({place + 1} of {len(chosen)})" if len(chosen) > 1 else one.name
        with progress() as shown:
            if load is None:
                answer, is_interrupted = _search(
                    one, p99 or _P99, seconds or _SEARCH, partial(_tell, shown, named), how
                )
            else:
                lasting = seconds or min(max(_ALL / len(chosen), _LEAST), _MOST)
                answer, is_interrupted = _measure(one, load, float(lasting), partial(_tell_load, shown, named), how)
        answers.append(answer)
        if answer.reports:
            say(load_sentence(answer) if load else limit_sentence(answer), style="bold")
        if is_interrupted:
            break
    passed = _passed(answers, p99, max_failed) if load else []
    _show([answer for answer in answers if answer.reports], load)
    for line in passed:
        say(f"threshold passed: {line}", style="bold red")
    if export_json is not None:
        asked = {"rate": None if load is None else load.per_second, "load": None if load is None else str(load)}
        thresholds = {"max_failed": max_failed, "p99": p99 if load else p99 or _P99, "passed": passed}
        content = {**asked, **how, "is_interrupted": is_interrupted, "thresholds": thresholds}
        write_json(export_json, document("rate", **content, writers=[answer.to_dict() for answer in answers]))
    return _status(answers, passed, is_interrupted)


def _check_folder(writer: tuple[str, ...], rows: str | None, directory: str, seed: int | None) -> None:
    """Say now that nothing can be written there."""
    others = ("deadline", "prepare", "cleanup", "max_failed", "p99", "export_json", "export_markdown", "plot")
    known = {"writer": writer, "rows": rows, "directory": directory, "bursts": 1, "seed": seed}
    checked({**known, **dict.fromkeys(others)})


def _measure(
    one: Chosen, load: Load, seconds: float, shown: Callable[[str, float], None], how: dict[str, Any]
) -> tuple[Answer, bool]:
    """Measure the load, or a multiple of it at which inserts come due often enough; and whether Ctrl-C ended it."""
    per_second = load.per_second * load.multiple
    meeting = seconds * _MADE_TO_MEET if load.is_rare else 0.0
    answer = Answer(one, load)
    try:
        shown(f"{per_second:.3g} inserts a second, at random", seconds)
        answer = replace(answer, run=measure_rate(one.writer, per_second, seconds - meeting, **how))
        if meeting:
            shown("two inserts at a time, made to meet", meeting)
            answer = replace(answer, met=measure_rate(one.writer, BUSY_ENOUGH, meeting, together=2, **how))
    except RateInterrupted as interruption:
        part = "run" if answer.run is None else "met"
        return replace(answer, **{part: interruption.report}), True  # type: ignore[arg-type]
    except KeyboardInterrupt:
        return answer, True
    except CouldNotMeasure:
        raise
    except Exception as error:
        return replace(answer, problem=f"{one.name} could not be measured: {in_words(error)}"), False
    return _refused(answer), False


def _search(
    one: Chosen, p99: float, seconds: float, tell: Callable[[Trying], None], how: dict[str, Any]
) -> tuple[Answer, bool]:
    """Search for the edge; and whether Ctrl-C ended it."""
    known: list[RateLimit] = []

    def on_progress(trying: Trying) -> None:
        known.append(trying.limit)
        tell(trying)

    try:
        limit = find_rate(one.writer, p99=p99, time_limit=seconds, on_progress=on_progress, **how)
    except KeyboardInterrupt:
        return Answer(one, limit=known[-1] if known else None), True
    except CouldNotMeasure:
        raise
    except Exception as error:
        problem = f"{one.name} could not be measured to the end: {in_words(error)}"
        return Answer(one, limit=known[-1] if known else None, problem=problem), False
    return _refused(Answer(one, limit=limit)), False


def _refused(answer: Answer) -> Answer:
    """The answer, with a problem if not a single insert was acknowledged: that is not the rate."""
    if any(report.acknowledged for report in answer.reports):
        return answer
    said = [words for report in answer.reports for words in _reasons(report)]
    why = said[0] if said else "none was begun"
    problem = f"{answer.name} could not be measured: every insert fails, {in_words(RuntimeError(why))}"
    return replace(answer, run=None, met=None, limit=None, problem=problem)


def _reasons(report: RateReport) -> list[str]:
    words = report.words
    return [f"{reason}: {words[reason]}" if words.get(reason) else reason for reason in report.errors]


def _tell_load(shown: Show, named: str, what: str, left: float) -> None:
    shown(f"{named}: {what}", left)


def _tell(shown: Show, named: str, trying: Trying) -> None:
    shown(f"{named}: {trying.rate:g} inserts a second", trying.time_left)


def _show(answers: Sequence[Answer], load: Load | None) -> None:
    if not answers:
        return
    tables = load_tables(answers, load) if load else [limit_table(answers)]
    for table in tables:
        say()
        show(table)
    lines = notes(answers)
    if load is not None:
        lines.append(
            "This is for callers that know nothing of each other. "
            "Calls that a clock starts at the same moment are a burst: sqlite-writes burst N"
        )
    if lines:
        say()
    for line in lines:
        say(line)


def _passed(answers: Sequence[Answer], p99: float | None, max_failed: int | None) -> list[str]:
    """Return for each threshold that a writer passes a sentence that says by how much."""
    lines = []
    for answer in answers:
        if answer.run is None:
            continue
        late = quantile(answer.run.latencies, 0.99)
        if p99 is not None and late > p99:
            lines.append(f"{answer.name}: p99 {seconds_text(late)}; --p99 allows {seconds_text(p99)}")
        if max_failed is not None and sum(wrong(answer.reports).values()) > max_failed:
            lines.append(f"{answer.name}: {wrong_text(answer.reports)}; --max-failed allows {max_failed}")
    return lines


def _status(answers: Sequence[Answer], passed: Sequence[str], is_interrupted: bool) -> int:
    problems = [answer.problem for answer in answers if answer.problem is not None]
    for problem in dict.fromkeys(problems):
        complain(problem)
    if is_interrupted:
        if any(answer.reports for answer in answers):
            complain("interrupted: what was measured so far is above, and nothing is left running")
        else:
            complain("interrupted: nothing was measured, and nothing is left running")
        return INTERRUPTED
    if problems:
        return COULD_NOT_MEASURE
    return THRESHOLD_PASSED if passed else ANSWERED
