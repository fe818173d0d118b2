"""``sqlite-writes rate``: inserts that arrive at random, at the rate of a load, or ever more until it does not hold.

Knows progress and statuses; the measuring is in sqlite_writes/rate, the options and the words are in rate_options.py
and rate_answer.py.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from sqlite_writes.rate import RateInterrupted, RateLimit, find_rate, measure_rate, quantile

from .attempts import attempt_alone
from .ending import complain
from .errors import ANSWERED, COULD_NOT_MEASURE, INTERRUPTED, THRESHOLD_PASSED, CouldNotMeasure, in_words
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
from .rate_options import LEAST, RateOptions, checked_rate, rate_options
from .writers import Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlite_writes.rate import RateReport, Trying

    from .progress import Show

# Seconds in which all writers together are to be answered, and what one gets at most.
_ALL, _MOST = 48.0, 30.0

# For a rare load: the share of the time in which inserts are made to meet.
_MADE_TO_MEET = 0.25

_SEARCH = 50.0

# Rows of the one process that keeps its connection, before all else.
_ROWS_ALONE = 2


@click.command("rate")
@rate_options
def rate(**found: Any) -> int:
    """Let inserts arrive at random, and count from the moment at which each was due.

    With --rate: does that load hold, and how often do two inserts meet? Without: how many a second hold, until p99
    passes --p99 or a row fails.
    """
    options = checked_rate(found)
    chosen = choose(options.writer, options.rows)
    say(machine_text(), style="dim")
    problems = attempt_alone(chosen, options, None, _ROWS_ALONE if options.keep_open else None)
    answers, is_interrupted = _answers(chosen, options, problems)
    passed = _passed(answers, options) if options.load else []
    _show([answer for answer in answers if answer.reports], options.load)
    for line in passed:
        say(f"threshold passed: {line}", style="bold red")
    if options.export_json is not None:
        write_json(options.export_json, _document(answers, options, passed, is_interrupted))
    return _status(answers, passed, is_interrupted)


def _answers(chosen: Sequence[Chosen], options: RateOptions, problems: Mapping[str, str]) -> tuple[list[Answer], bool]:
    """Measure each writer but those with a problem, and say its answer at once; and whether Ctrl-C ended it."""
    answers = []
    for place, one in enumerate(chosen):
        if one.name in problems:
            answers.append(Answer(one, options.load, problem=problems[one.name]))
            continue
        named = f"{one.name} ({place + 1} of {len(chosen)})" if len(chosen) > 1 else one.name
        with progress() as shown:
            if options.load is None:
                answer, is_interrupted = _search(one, options, partial(_tell, shown, named))
            else:
                lasting = options.seconds or min(max(_ALL / len(chosen), LEAST), _MOST)
                told = partial(_tell_load, shown, named)
                answer, is_interrupted = _measure(one, options.load, float(lasting), options, told)
        answers.append(answer)
        if answer.reports:
            say(load_sentence(answer) if options.load else limit_sentence(answer), style="bold")
        if is_interrupted:
            return answers, True
    return answers, False


def _measure(
    one: Chosen, load: Load, seconds: float, options: RateOptions, shown: Callable[[str, float], None]
) -> tuple[Answer, bool]:
    """Measure the load, or a multiple of it at which inserts come due often enough; and whether Ctrl-C ended it."""
    per_second = load.per_second * load.multiple
    meeting = seconds * _MADE_TO_MEET if load.is_rare else 0.0
    answer = Answer(one, load)
    how = {"around": options.around, **options.how}
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
    except CouldNotMeasure as error:
        return replace(answer, problem=str(error)), False
    except Exception as error:
        return replace(answer, problem=f"{one.name} could not be measured: {in_words(error)}"), False
    return _refused(answer), False


def _search(one: Chosen, options: RateOptions, tell: Callable[[Trying], None]) -> tuple[Answer, bool]:
    """Search for the edge; and whether Ctrl-C ended it."""
    known: list[RateLimit] = []

    def on_progress(trying: Trying) -> None:
        known.append(trying.limit)
        tell(trying)

    try:
        limit = find_rate(
            one.writer,
            p99=options.most_late,
            time_limit=options.seconds or _SEARCH,
            on_progress=on_progress,
            around=options.around,
            **options.how,
        )
    except KeyboardInterrupt:
        return Answer(one, limit=known[-1] if known else None), True
    except Exception as error:
        words = f"{one.name} could not be measured to the end: {in_words(error)}"
        problem = str(error) if isinstance(error, CouldNotMeasure) else words
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


def _passed(answers: Sequence[Answer], options: RateOptions) -> list[str]:
    """Return for each threshold that a writer passes a sentence that says by how much."""
    p99, max_failed = options.p99, options.max_failed
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


def _document(
    answers: Sequence[Answer], options: RateOptions, passed: Sequence[str], is_interrupted: bool
) -> dict[str, Any]:
    """Return what rate.schema.json describes."""
    load = options.load
    return document(
        "rate",
        rate=None if load is None else load.per_second,
        load=None if load is None else str(load),
        **options.how,
        is_interrupted=is_interrupted,
        thresholds={
            "max_failed": options.max_failed,
            "p99": options.p99 if load else options.most_late,
            "passed": list(passed),
        },
        writers=[answer.to_dict() for answer in answers],
    )


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
