"""What the dashboard says got worse, and what it only says to vary; no page here.

Bursts are real ones, drawn from what ``python -m experiments.judge_histories measure`` has kept; ``judge`` is the long
form.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

import pytest

from dashboard.changes import find_varying, judge
from dashboard.history import History, Measurement
from dashboard.judgement import Series, excess_of_commits, find_steps
from dashboard.results import Value
from experiments import judge_histories as drawn

if TYPE_CHECKING:
    from dashboard.changes import Judged
    from dashboard.results import Values

FAILED, BY_BURST = "burst.Burst.track_failed_rows", "burst.Burst.track_failed_rows_by_burst"
CELL = ("500", "'default'")


@cache
def bursts() -> drawn.Bursts:
    """At least 100 of each cell."""
    read = drawn.read(drawn.KEPT)
    assert min(map(len, read.values())) >= 100
    return read


def history_of(name: str, *values: float | list[float] | None) -> History:
    """A history of one number: by commit a number, a failure, or samples, whose mean is the number."""
    history = History("vm", "virtualenv-py3.12", "3.12", "")
    for revision, given in enumerate(values):
        samples = tuple(given) if isinstance(given, list) else ()
        number = sum(given) / len(given) if isinstance(given, list) else given
        told: dict[str, Values] = {name: {CELL: Value(number, samples=samples)}}
        if name == FAILED and samples:
            told[BY_BURST] = {CELL: Value(sorted(samples)[len(samples) // 2], samples=samples)}
        history.measurements[revision] = Measurement("", f"{revision:040}", 0, told)
    return history


def judged(history: History) -> list[Judged]:
    """All that is known of it."""
    names = {name for of in history.measurements.values() for name in of.values}
    units = {name: {"unit": drawn.unit_of(name), "params": []} for name in names}
    return list(judge([history], units, {}).values())


def told(history: History) -> list[tuple[str, int, str]]:
    """The lines of the first page: what, at which commit, how sure."""
    return [(line.what, line.revision, line.how_sure) for line in drawn.lines_of(history) if line.sure]


@pytest.mark.parametrize("wanted", [2, 5])
def test_commits_that_do_the_same_have_no_line(wanted: int) -> None:
    """Of 60 histories of 10 commits at most one has any; both with the quick set's bursts and the full set's."""
    counted = drawn.tally(bursts(), wanted, drawn.same, 60)
    assert counted["sure"] <= 1


@pytest.mark.parametrize("wanted", [2, 5])
@pytest.mark.parametrize(
    "change",
    [drawn.begins_to_fail((250, "grouped")), drawn.loses_a_row((50, "wal"))],
)
def test_a_step_is_found_at_its_commit(change: drawn.Change, wanted: int) -> None:
    """Rows that begin to fail, and one lost row: in 18 of 20 at least."""
    assert drawn.tally(bursts(), wanted, change, 20)["found"] >= 18


def test_the_few_cells_of_the_quick_set_are_enough() -> None:
    """As many as ``make history`` measures: rows that begin to fail are found in 18 of 20, and nothing else."""
    six = {cell: of for cell, of in bursts().items() if cell[0] >= 50}
    assert len(six) == 6
    counted = drawn.tally(six, 2, drawn.begins_to_fail((250, "grouped")), 20)
    assert counted["found"] >= 18
    assert counted["elsewhere"] == 0


def test_a_count_that_goes_up_and_down_varies() -> None:
    """Failed rows that three commits measured as 5, 0 and 38.5 are no line, and are said to vary."""
    history = history_of(FAILED, 5.0, 0.0, 38.5)
    assert told(history) == []
    (varying,) = find_varying({one.key: one for one in judged(history)})
    assert varying.spread == "0 to 38.5 at 3 commits"


@pytest.mark.parametrize("what", ["lost", "duplicated"])
def test_one_row_that_is_lost_or_doubled_is_told_at_once(what: str) -> None:
    """Two commits are enough: it must be 0."""
    history = history_of(f"burst.Burst.track_{what}_rows", 0.0, 0.2)
    assert told(history) == [(f"{what} rows where there were none", 1, "certain")]


def test_an_exact_cost_is_told_at_once() -> None:
    """It is the same in every run, so two commits are enough; what became cheaper is no line."""
    assert told(history_of("cost.InsertCost.track_syncs", 2.0, 3.0, 1.0)) == [("more", 1, "certain")]


def test_a_benchmark_that_begins_to_fail_is_told_each_time() -> None:
    """And where it ceases to is a change, but no worse one."""
    history = history_of("burst.Burst.time_burst", 1.0, None, 1.0, None)
    assert [line[:2] for line in told(history)] == [("benchmark began to fail", at) for at in (3, 1)]
    assert [of.revision for of in judged(history)[0].transitions] == [1, 2, 3]


def test_a_step_of_too_few_commits_may_be_one() -> None:
    """What one commit's bursts share, such as a busy minute, is not its code: two more commits will tell."""
    quiet, dice = [], random.Random(1)
    for place in range(12):
        level = 2.0 if place == 0 else 1.0
        at = [[level ** (commit == 9) * dice.lognormvariate(0, 0.03) for _ in range(5)] for commit in range(10)]
        quiet.append(Series(at, is_count=False))
    excess = excess_of_commits(quiet)
    assert excess is not None
    (step,), *others = find_steps([Series(series.samples, False, excess) for series in quiet])
    assert (step.place, step.sure) == (9, False)
    assert not any(others)


@pytest.mark.parametrize(("drift", "found"), [(0.0, 12), (0.3, 0)])
def test_days_on_which_the_machine_is_slow_are_no_steps(drift: float, found: int) -> None:
    """The same step is sure on a machine that is alike every day, and not where the days differ as much."""
    dice = random.Random(2)
    every = []
    for _ in range(12):
        days = [1.3 ** (commit > 4) * dice.lognormvariate(0, drift) for commit in range(10)]
        at = [[day * dice.lognormvariate(0, 0.05) for _ in range(5)] for day in days]
        every.append(Series(at, is_count=False))
    excess = excess_of_commits(every)
    assert excess is not None
    steps = find_steps([Series(series.samples, False, excess) for series in every])
    assert sum(step.sure for of in steps for step in of) == found


def test_a_step_that_was_undone_is_seen() -> None:
    """Up and down again are two steps, though the first and the last commits are alike."""
    dice = random.Random(3)
    at = [[(1.5 if 12 <= commit < 18 else 1.0) * dice.lognormvariate(0, 0.03)] for commit in range(36)]
    (steps,) = find_steps([Series(at, is_count=False)])
    assert [(step.place, step.sure) for step in steps] == [(12, True), (18, True)]


def test_many_series_are_corrected_for() -> None:
    """The same step has a larger chance among many; what never varies asks no question."""
    dice = random.Random(4)
    step = Series([[1.3 ** (commit > 4) * dice.lognormvariate(0, 0.02)] for commit in range(10)], is_count=False)
    noise = [Series([[dice.lognormvariate(0, 0.02)] for _ in range(10)], is_count=False) for _ in range(9)]
    never = [Series([[0.0]] * 10, is_count=True)] * 500
    alone, among, beside = (find_steps(every)[0][0].chance for every in ([step], [step, *noise], [step, *never]))
    assert among == pytest.approx(10 * alone)
    assert beside == alone
