"""One burst that may not be possible: what it showed, or in words why its writer could not be measured.

With one process it tells, before minutes go into others, of a writer that does not even hold alone. Knows not what is
made of many bursts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sqlite_writes.calls import TIME_ALONE
from sqlite_writes.fresh_burst import run_burst
from sqlite_writes.limit import refuse_failure_alone, trial_of_burst
from sqlite_writes.trials import Size, Trial

from .errors import CouldNotMeasure, in_words
from .measured import faults_and_reasons, reasons_text
from .output import say
from .progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import Common
    from .writers import Chosen


def attempt(
    one: Chosen, workers: int, options: Common, deadline: float | None, rows_each: int | None = None
) -> Trial | str:
    """Make one burst; return what it showed, or why the writer could not be measured."""
    make = partial(
        run_burst,
        one.writer,
        directory=options.directory,
        rows_each=rows_each,
        around=options.around,
        deadline=deadline,
    )
    try:
        trial = trial_of_burst(make, workers)
        refuse_failure_alone(trial)
    except CouldNotMeasure as error:
        return str(error)
    except Exception as error:
        return f"{one.name} could not be measured: {in_words(error)}"
    obstacle = _obstacle(trial)
    return f"{one.name} could not be measured: {in_words(RuntimeError(obstacle))}" if obstacle else trial


def attempt_alone(
    chosen: Sequence[Chosen], options: Common, deadline: float | None, rows_each: int | None = None
) -> dict[str, str]:
    """Have one process write with each writer that is not ours, and say now what is wrong with it.

    Returns why some could not be measured, by their names. Where none is left to be measured, the command ends with
    these words: then they are not said here.
    """
    problems = {}
    said = []
    with progress() as shown:
        for one in chosen:
            if one.settings is not None:
                continue
            shown(f"{one.name}: 1 process, before all others", None)
            trial = attempt(one, 1, options, deadline or TIME_ALONE, rows_each)
            if isinstance(trial, str):
                problems[one.name] = trial
                said.append(trial)
            else:
                said += _lines(one, trial)
    if len(problems) < len(chosen):
        for line in dict.fromkeys(said):
            say(line, style="bold")
    return problems


def _lines(one: Chosen, trial: Trial) -> list[str]:
    """Return why the writer does not hold for one process, in the words of the answer; nothing if it does."""
    is_kept, _ = one.durability(trial.remarks)
    if not trial.faults and is_kept != "no":
        return []
    size = Size(trial.workers, (trial,))
    faults = [f"{one.name}, in bursts of {size.workers}: {faults_and_reasons(size)}"] if trial.faults else []
    return [*faults, *(f"{one.name}, noticed: {remark}" for remark in trial.remarks)]


def _obstacle(trial: Trial) -> str:
    """Return why not one row got in, if that has nothing to do with how many wrote."""
    if trial.failed < trial.rows:
        return ""
    alone = next((remark for remark in trial.remarks if remark.startswith("alone, too, insert")), "")
    is_crowded = any("SQLITE_BUSY" in reason or reason == "timed out" for reason in trial.errors)
    reasons = reasons_text(Size(trial.workers, (trial,)))
    return alone or ("" if is_crowded and trial.workers > 1 else f"not one row got in, {reasons}")
