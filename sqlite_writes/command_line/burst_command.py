"""``sqlite-writes burst N``: so many processes write at one moment, and what came of it.

Knows how bursts of several writers are ordered and shown; makes none itself.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import click

from sqlite_writes.trials import Size, Trial

from .advice import advice, passed_thresholds
from .attempts import attempt, attempt_alone
from .ending import end
from .errors import WrongUsage
from .measured import Measured, faults_and_reasons
from .options import Options, WholeNumber, checked, measuring_options
from .output import Table, console, count_of, histogram, machine_text, say, seconds_text, show
from .progress import progress
from .writers import NEED_A_NOTE, Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .progress import Show

# Rows of a process that keeps its connection, unless told.
_ROWS_EACH = 20


@click.command("burst", short_help="Let N processes write at one moment, and check every row.")
@click.argument("workers", type=WholeNumber(1, 100_000), metavar="N")
@click.option("--keep-open", is_flag=True, help="Each process keeps its connection, and writes several rows over it.")
@click.option("--rows-each", type=WholeNumber(1, 100_000), help=f"How many, with --keep-open. [default: {_ROWS_EACH}]")
@measuring_options(bursts=1)
def burst(workers: int, keep_open: bool, rows_each: int | None, **found: Any) -> int:
    """Let N processes write to one SQLite file at the same moment, and check every row.

    Each process inserts one row, over a connection of its own.
    """
    if rows_each is not None and not keep_open:
        raise WrongUsage("--rows-each needs --keep-open")
    rows_each = (rows_each or _ROWS_EACH) if keep_open else None
    options = checked(found)
    chosen = choose(options.writer, options.rows)
    say(machine_text(), style="dim")
    measured, is_interrupted = _measure(chosen, workers, rows_each, options)
    shown = [one for one in measured if one.sizes]
    tables, sentences = [_table(shown, rows_each)] if shown else [], _sentences(shown)
    _show(workers, rows_each, shown, tables, sentences)
    return end(
        "burst",
        _title(workers, rows_each),
        options,
        measured,
        tables,
        sentences,
        advice(shown, workers, options.directory) if shown else [],
        passed_thresholds(shown, workers, options.max_failed, options.p99),
        workers=workers,
        rows_each=rows_each,
        is_interrupted=is_interrupted,
    )


def _measure(
    chosen: Sequence[Chosen], workers: int, rows_each: int | None, options: Options
) -> tuple[list[Measured], bool]:
    """Make all bursts, in random order; return what came of them, and whether Ctrl-C ended it."""
    # Of one writer alone, the first burst says it as soon.
    problems = {} if len(chosen) == 1 else attempt_alone(chosen, options, options.deadline, rows_each)
    order = [one for one in chosen if one.name not in problems for _ in range(options.bursts)]
    random.Random(options.seed).shuffle(order)  # noqa: S311 an order is no secret
    trials: dict[str, list[Trial]] = {one.name: [] for one in chosen}
    is_interrupted = False
    try:
        with progress() as shown:
            for place, one in enumerate(order):
                if one.name not in problems:
                    _announce(shown, one, place, order, workers, trials)
                    trial = attempt(one, workers, options, options.deadline, rows_each)
                    if isinstance(trial, str):
                        problems[one.name] = trial
                    else:
                        trials[one.name].append(trial)
    except KeyboardInterrupt:
        is_interrupted = True
    return [
        Measured(
            one,
            (Size(workers, tuple(trials[one.name])),) if trials[one.name] else (),
            problem=problems.get(one.name),
        )
        for one in chosen
    ], is_interrupted


def _announce(
    shown: Show, one: Chosen, place: int, order: Sequence[Chosen], workers: int, trials: dict[str, list[Trial]]
) -> None:
    """Say what comes now, and how long the rest takes if each burst takes as long as the same writer's did."""
    known = {name: [trial.seconds for trial in found] for name, found in trials.items() if found}
    whole = [seconds for found in known.values() for seconds in found]
    left = None
    if whole:
        left = sum(max(known.get(later.name, whole)) for later in order[place:])
    shown(f"{one.name}: {count_of(workers, 'process')}, burst {place + 1} of {len(order)}", left)


def _title(workers: int, rows_each: int | None) -> str:
    rows = "one row each" if rows_each is None else f"{rows_each} rows each over one connection"
    return f"{count_of(workers, 'process')} at one moment, {rows}"


def _table(found: Sequence[Measured], rows_each: int | None) -> Table:
    sizes = [(one, one.sizes[0]) for one in found]
    kinds = [kind for kind in ("lost", "altered", "duplicated") if any(size.total(kind) for _, size in sizes)]
    last = ["slowest", "burst"] if rows_each is None else ["rows/s", "first, last done"]
    rows = []
    for one, size in sizes:
        counts = [f"{size.total('failed')} of {size.total('rows')}", *(str(size.total(kind)) for kind in kinds)]
        times = [seconds_text(size.quantile(share)) for share in (0.5, 0.99)]
        if rows_each is None:
            times += [seconds_text(size.quantile(1)), seconds_text(size.burst_time)]
        else:
            times += [_rows_a_second(size), _first_and_last(size)]
        rows.append([one.name, *counts, *times, one.durability[0]])
    columns = ["writer", "failed", *kinds, "median", "p99", *last, "durable"]
    return Table(columns, rows, frozenset({"writer", "durable"}))


def _rows_a_second(size: Size) -> str:
    """Return how many rows were acknowledged in a second of the burst, the median of the bursts."""
    paces = sorted(
        (trial.rows - trial.failed) / trial.burst_time for trial in size.trials if trial.burst_time is not None
    )
    return f"{paces[len(paces) // 2]:.0f}" if paces else "-"


def _first_and_last(size: Size) -> str:
    """Return when the first process had written all its rows, and when the last one had."""
    times = [trial.process_times for trial in size.trials if trial.process_times]
    if not times:
        return "-"
    return f"{seconds_text(min(ends[0] for ends in times))}, {seconds_text(max(ends[-1] for ends in times))}"


def _sentences(found: Sequence[Measured]) -> list[str]:
    """Return what the table has no room for: why rows failed, and what was noticed."""
    lines = []
    for one in found:
        size = one.sizes[0]
        if size.faults:
            lines.append(f"{one.name}: {faults_and_reasons(size)}")
        if size.total("recovered"):
            lines.append(f"{one.name}: {size.total('recovered')} rows failed and are there all the same")
        lines += [f"{one.name}, noticed: {remark}" for remark in size.remarks]
        if one.durability[0] in NEED_A_NOTE:
            lines.append(f"{one.name}, note: {one.durability[1]}")
    return lines


def _show(
    workers: int, rows_each: int | None, found: Sequence[Measured], tables: Sequence[Table], sentences: Sequence[str]
) -> None:
    if not found:
        return
    say(_title(workers, rows_each), style="bold")
    say()
    for table in tables:
        show(table)
    if sentences:
        say()
    for line in sentences:
        say(line)
    for one in found:
        lines = histogram(one.sizes[0].insert_times, min(console().width, 72) - 2)
        if lines:
            say()
            say(f"{one.name}: how long an insert took")
        for line in lines:
            say(f"  {line}")
