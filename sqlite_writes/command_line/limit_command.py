"""``sqlite-writes limit``: how many processes can write at one moment before a row fails.

Shows the search of limit.py, one writer after another; knows not how it chooses.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from sqlite_writes.limit import Limit, LimitError, LimitInterrupted, find_limit

from .advice import advice, passed_thresholds
from .attempts import attempt_alone
from .ending import end
from .errors import CouldNotMeasure, WrongUsage, in_words
from .forecasts import expect, table_of
from .measured import Measured, faults_and_reasons, slow_text
from .options import Options, WholeNumber, checked, measuring_options
from .output import Table, count_of, machine_text, say, show
from .progress import progress
from .writers import NEED_A_NOTE, Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlite_writes.limit import Progress
    from sqlite_writes.trials import Size

    from .forecasts import Expected
    from .progress import Show


@click.command("limit")
@click.option(
    "--max-workers", type=WholeNumber(1, 100_000), default=1000, show_default=True, help="The most that is tried."
)
@click.option("--workers", type=WholeNumber(1, 100_000), help="The number that you want; the advice is for it.")
@click.option(
    "--forecast",
    type=WholeNumber(1, 100_000),
    multiple=True,
    help="Simulate so many processes, too, and start none. May be repeated.",
)
@measuring_options(bursts=5)
def limit(max_workers: int, workers: int | None, forecast: tuple[int, ...], **found: Any) -> int:
    """Search for the largest number of processes at which no row fails.

    All of them write one row each at the same moment. The number doubles until a burst fails; then the search closes in
    and repeats near the edge. The answer is an interval with its evidence.
    """
    if workers is not None and workers > max_workers:
        raise WrongUsage(f"--workers {workers} is more than --max-workers {max_workers}: raise the latter")
    options = checked(found)
    if workers is None and (options.max_failed is not None or options.p99 is not None):
        raise WrongUsage("--max-failed and --p99 are for a number of processes: say which with --workers")
    chosen = choose(options.writer, options.rows)
    say(machine_text(), style="dim")
    measured, is_interrupted = _measure(chosen, max_workers, workers, forecast, options)
    shown = [one for one in measured if one.sizes]
    tables, sentences = _tables(shown, workers), _sentences(shown)
    for table in tables:
        say()
        show(table)
    if sentences:
        say()
    for line in sentences:
        say(line)
    passed = [] if workers is None else passed_thresholds(shown, workers, options.max_failed, options.p99)
    return end(
        "limit",
        "How many processes can write at one moment before a row fails",
        options,
        measured,
        tables,
        [*(f"{one.name}: {one.limit.sentence()}" for one in shown if one.limit is not None), *sentences],
        advice(shown, workers, options.directory) if shown else [],
        passed,
        workers=workers,
        is_interrupted=is_interrupted,
    )


def _measure(
    chosen: Sequence[Chosen], max_workers: int, workers: int | None, forecast: Sequence[int], options: Options
) -> tuple[list[Measured], bool]:
    """Search for each writer's limit, and say it at once; return all, and whether Ctrl-C ended it."""
    # Of one writer alone, the search says it as soon.
    problems = {} if len(chosen) == 1 else attempt_alone(chosen, options, options.deadline)
    found = {one.name: Measured(one, (), problem=problems[one.name]) for one in chosen if one.name in problems}
    searched = [one for one in chosen if one.name not in problems]
    started = time.monotonic()
    is_interrupted = False
    for place, one in enumerate(searched):
        tell = partial(_announce, one.name, place, len(searched), started, time.monotonic())
        found[one.name], is_interrupted = _search(one, max_workers, workers, forecast, options, tell)
        limit = found[one.name].limit
        if limit is not None and limit.trials:
            say(f"{one.name}: {limit.sentence()}", style="bold")
        if is_interrupted:
            break
    return [found[one.name] for one in chosen if one.name in found], is_interrupted


def _search(
    one: Chosen,
    max_workers: int,
    workers: int | None,
    forecast: Sequence[int],
    options: Options,
    tell: Callable[[Show, Progress], None],
) -> tuple[Measured, bool]:
    """Search for one writer's limit; return what is known of it, and whether Ctrl-C ended the search."""
    limit, problem, is_interrupted = None, None, False
    expected: tuple[Expected, ...] = ()
    wanted = [] if workers is None else [workers]
    try:
        with progress() as shown:
            limit = find_limit(
                one.writer,
                directory=options.directory,
                max_workers=max_workers,
                bursts=options.bursts,
                seed=options.seed,
                on_progress=partial(tell, shown),
                also=wanted,
                around=options.around,
                deadline=options.deadline,
            )
            shown(f"{one.name}: forecast", None)
            expected = expect(one, limit.sizes, [*forecast, *wanted], options.directory, options.seed)
    except LimitInterrupted as interruption:
        limit, is_interrupted = interruption.limit, True
    except KeyboardInterrupt:
        is_interrupted = True
    except LimitError as error:
        limit, problem = error.limit, f"{one.name} could not be measured to the end: {in_words(error)}"
    except CouldNotMeasure as error:
        problem = str(error)
    except Exception as error:
        problem = f"{one.name} could not be measured: {in_words(error)}"
    return Measured(one, tuple(limit.sizes) if limit else (), limit, problem, expected), is_interrupted


def _announce(
    name: str, place: int, count: int, all_started: float, this_started: float, shown: Show, progress: Progress
) -> None:
    """Say what comes now. The writers to come are taken to need as long as those before, or else as this one."""
    left = progress.seconds_left
    if left is not None:
        now = time.monotonic()
        each = (this_started - all_started) / place if place else now - this_started + left
        left += (count - place - 1) * each
    of = f" of {progress.so_far.bursts}" if progress.stage.startswith("repeating") else ""
    which = f"{name} ({place + 1} of {count})" if count > 1 else name
    shown(f"{which}: {progress.stage}, {count_of(progress.workers, 'process')}, burst {progress.burst}{of}", left)


def _tables(found: Sequence[Measured], workers: int | None) -> list[Table]:
    if not found:
        return []
    at = "there" if workers is None else f"at {workers}"
    columns = ["writer", "no failure in", "failed", f"p99 {at}", f"burst {at}", "durable"]
    rows = []
    for one in found:
        if one.limit is None:
            continue
        held = one.limit.size(one.limit.holds)
        p99, burst_time = slow_text(held if workers is None else one.size(workers))
        rows.append(
            [
                one.name,
                "-" if held is None else f"{held.bursts} x {held.workers}",
                _failed(one.limit),
                p99,
                burst_time,
                one.durability[0],
            ]
        )
    expected = table_of(found)
    return [
        Table(columns, rows, frozenset({"writer", "no failure in", "failed", "durable"})),
        *([] if expected is None else [expected]),
    ]


def _failed(limit: Limit) -> str:
    """Return the bursts that failed where most did, or else the first: ``3 of 5 x 300``."""
    failing = [size for size in limit.sizes if size.failed_bursts]
    if not failing:
        return "none" if limit.is_complete else "none so far"
    size: Size = limit.size(limit.fails) if limit.fails is not None else failing[0]  # type: ignore[assignment]
    return f"{size.failed_bursts} of {size.bursts} x {size.workers}"


def _sentences(found: Sequence[Measured]) -> list[str]:
    """Return what the table has no room for: why rows failed, and what was noticed."""
    lines = []
    for one in found:
        failing = [size for size in one.sizes if size.failed_bursts]
        if failing:
            lines.append(f"{one.name}, in bursts of {failing[0].workers}: {faults_and_reasons(failing[0])}")
        lines += [f"{one.name}, noticed: {remark}" for remark in one.remarks]
        if one.durability[0] in NEED_A_NOTE:
            lines.append(f"{one.name}, note: {one.durability[1]}")
    return lines
