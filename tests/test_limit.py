"""The search for the limit: the interval has the edge in it, costs few bursts, and survives an interruption."""

from __future__ import annotations

import math
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sqlite_writes.kept_open import insert_rows_kept_open
from sqlite_writes.limit import (
    Limit,
    LimitError,
    LimitInterrupted,
    Progress,
    find_limit,
    search,
)
from sqlite_writes.report import BurstReport
from sqlite_writes.sizes import next_sizes, sizes_to_try
from sqlite_writes.table import create_table, generate_example_rows
from sqlite_writes.trials import Trial
from sqlite_writes.writers.writer import WriterError

from . import bad_writers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Living

SEEDS = range(100)


def curve(edge: float, width: float, seed: int) -> Callable[[int], Trial]:
    """Make bursts that fail by chance: half of them at the edge; ``width``: how slowly that changes."""
    chance = random.Random(seed)

    def burst(workers: int) -> Trial:
        fails = chance.random() < 1 / (1 + math.exp((math.log(edge) - math.log(workers)) / width))
        return Trial(workers, rows=workers, failed=int(fails), seconds=workers / 80)

    return burst


def found(edge: float, width: float, seed: int, max_workers: int = 1000) -> Limit:
    return search(curve(edge, width, seed), name="made up", max_workers=max_workers, seed=seed)


@pytest.mark.parametrize(("edge", "width"), [(7, 0.1), (250, 0.05), (250, 0.15), (700, 0.15)])
def test_the_interval_has_the_edge_in_it_in_most_seeds(edge: float, width: float) -> None:
    limits = [found(edge, width, seed) for seed in SEEDS]
    assert sum(limit.holds < edge <= (limit.fails or math.inf) for limit in limits) >= 85


@pytest.mark.parametrize(("edge", "width"), [(7, 0.1), (250, 0.15), (250, 0.3), (700, 0.15)])
def test_two_searches_in_a_row_overlap(edge: float, width: float) -> None:
    limits = [found(edge, width, seed) for seed in SEEDS]
    apart = sum(
        (one.fails or math.inf) < other.holds or (other.fails or math.inf) < one.holds
        for one, other in zip(limits[::2], limits[1::2])
    )
    assert apart <= 2


def test_the_evidence_is_what_was_run() -> None:
    """Five bursts that hold at the lower end; at the upper end those that fail lead by two, or are three of five."""
    for seed in SEEDS:
        limit = found(250, 0.15, seed)
        held, failing = limit.size(limit.holds), limit.size(limit.fails or 0)
        assert held is not None
        assert failing is not None
        assert (held.bursts, held.failed_bursts) == (5, 0)
        lead = 2 * failing.failed_bursts - failing.bursts
        assert lead == 2 or (failing.bursts, lead) == (5, 1)
        assert f"no failure in 5 bursts of {limit.holds}; " in limit.sentence()
        assert f"{failing.failed_bursts} of {failing.bursts} bursts of {limit.fails} failed" in limit.sentence()


def test_a_search_takes_few_bursts() -> None:
    counts = sorted(len(found(250, 0.15, seed).trials) for seed in SEEDS)
    assert counts[50] <= 24
    assert counts[-1] <= 40


def test_a_writer_that_never_fails_is_tried_up_to_the_end() -> None:
    limit = search(Trial, name="made up", max_workers=2000)
    assert (limit.holds, limit.fails) == (2000, None)
    assert limit.sentence() == "none up to 2000, the most that was tried; no failure in 5 bursts of 2000"
    assert len(limit.trials) == 13 + 4


def test_a_writer_that_always_fails_holds_for_none() -> None:
    limit = search(lambda workers: Trial(workers, lost=1), name="made up", max_workers=2000)
    assert (limit.holds, limit.fails) == (0, 1)
    assert limit.sentence() == "2 of 2 bursts of 1 failed"


@pytest.mark.parametrize("kind", ["failed", "lost", "altered", "duplicated"])
def test_any_fault_is_a_failure(kind: str) -> None:
    limit = search(lambda workers: replace(Trial(workers), **{kind: workers // 8}), name="made up", max_workers=100)  # type: ignore[arg-type]
    assert (limit.holds, limit.fails) == (6, 8)


def test_rare_failures_give_a_wide_interval() -> None:
    """One burst in five fails, of whatever size from 100 on."""
    chance = random.Random(5)
    limit = search(
        lambda workers: Trial(workers, failed=int(workers >= 100 and chance.random() < 0.2)),
        name="made up",
        max_workers=1000,
        seed=1,
    )
    assert limit.holds < 1000
    assert limit.fails is None
    assert limit.sentence().endswith("; most bursts hold up to 1000, the most that was tried")
    assert len(limit.trials) <= 45


def test_what_the_caller_wants_to_know_is_tried_as_often() -> None:
    limit = search(curve(250, 0.05, 3), name="made up", max_workers=1000, also=[70], seed=3)
    size = limit.size(70)
    assert size is not None
    assert (size.bursts, size.failed_bursts) == (5, 0)
    assert limit.holds_at(70) is True
    assert limit.holds_at(900) is False


def test_what_is_known_to_fail_is_not_tried() -> None:
    limit = search(curve(20, 0.05, 3), name="made up", max_workers=1000, also=[700], seed=3)
    assert limit.size(700) is None
    assert limit.holds_at(700) is False


def test_the_same_seed_gives_the_same_order() -> None:
    def order(seed: int) -> list[int]:
        limit = search(
            lambda workers: Trial(workers, failed=workers // 200), name="made up", max_workers=1000, seed=seed
        )
        return [trial.workers for trial in limit.trials]

    assert order(4) == order(4)
    assert len({tuple(order(seed)) for seed in range(20)}) > 1


def test_the_sizes_are_numbers_that_people_say() -> None:
    assert sizes_to_try(100) == [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100]
    assert sizes_to_try(2000)[17:] == [100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000]
    assert sizes_to_try(7, also=[7, 90]) == [1, 2, 3, 4, 5, 6, 7]
    assert sizes_to_try(1) == [1]


def test_nothing_is_repeated_that_is_decided() -> None:
    """Both bursts have failed at the upper end, and the lower end has held five times."""
    failures = {10: [False] * 5, 12: [True, True]}
    assert next_sizes(failures, sizes_to_try(100), 5) == ("repeating near the edge", [])


def test_ctrl_c_gives_what_was_measured() -> None:
    def burst(workers: int) -> Trial:
        if workers > 10:
            raise KeyboardInterrupt
        return Trial(workers)

    with pytest.raises(LimitInterrupted) as caught:
        search(burst, name="made up", max_workers=100)
    limit = caught.value.limit
    assert [trial.workers for trial in limit.trials] == [1, 2, 4, 8]
    assert limit.sentence() == "no failure in 1 burst of 8; not finished"


def test_an_error_gives_what_was_measured() -> None:
    def burst(workers: int) -> Trial:
        if workers > 10:
            raise OSError(11, "only 9 of 15 workers could be started")
        return Trial(workers)

    with pytest.raises(LimitError, match="only 9 of 15") as caught:
        search(burst, name="made up", max_workers=100)
    assert caught.value.limit.holds == 8


def test_an_error_of_the_first_burst_is_that_error() -> None:
    def burst(workers: int) -> Trial:
        raise PermissionError("not here")

    with pytest.raises(PermissionError, match="not here"):
        search(burst, name="made up", max_workers=100)


def test_progress_says_what_is_tried_and_an_estimate() -> None:
    told: list[Progress] = []
    burst = curve(250, 0.05, 1)
    limit = search(burst, name="made up", max_workers=1000, seed=1, on_progress=told.append)
    assert [progress.workers for progress in told] == [trial.workers for trial in limit.trials]
    assert told[0].seconds_left is None
    assert {progress.stage for progress in told} == {"growing", "closing in", "repeating near the edge"}
    left = [progress.seconds_left for progress in told[1:] if progress.seconds_left is not None]
    assert len(left) == len(told) - 1
    assert left[-1] == pytest.approx(limit.trials[-1].seconds, rel=0.2)


@pytest.mark.parametrize(("max_workers", "bursts"), [(0, 5), (9, 0), (True, 5)])
def test_a_number_that_will_not_do_is_named(max_workers: int, bursts: int) -> None:
    with pytest.raises(ValueError, match="is not a whole number of 1 or more"):
        search(Trial, name="made up", max_workers=max_workers, bursts=bursts)


def test_real_bursts_leave_nothing_behind(tmp_path: Path, marked: Living) -> None:
    limit = find_limit("grouped", directory=tmp_path, max_workers=6, bursts=2, seed=1)
    assert limit.sentence() == "none up to 6, the most that was tried; no failure in 2 bursts of 6"
    assert all(trial.rows == trial.workers == len(trial.insert_times) for trial in limit.trials)
    assert os.listdir(tmp_path) == []


def test_a_writer_without_patience_is_found_out(tmp_path: Path, marked: Living) -> None:
    limit = find_limit(bad_writers.HidesTheDriversError(), directory=tmp_path, max_workers=4, bursts=1, seed=1)
    assert limit.fails is not None
    assert 1 <= limit.holds < limit.fails
    assert os.listdir(tmp_path) == []


def test_a_writer_that_fails_alone_is_no_measurement(tmp_path: Path, marked: Living) -> None:
    with pytest.raises(WriterError, match="one process alone fails, exited with status 7"):
        find_limit(bad_writers.Exits(), directory=tmp_path, max_workers=12)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("writer", ["wal", bad_writers.Good()])
def test_processes_that_keep_their_connection(writer: object, database: str, marked: Living) -> None:
    """Each row has a time of its own, and one process to belong to."""
    if writer == "wal":
        create_table(database, "wal")
    else:
        bad_writers.Good().create(database)
    report = insert_rows_kept_open(database, generate_example_rows(20), writer, workers=4)  # type: ignore[arg-type]
    assert isinstance(report, BurstReport)
    assert (report.acknowledged, report.failed, report.lost, report.duplicated) == (20, 0, 0, 0)
    assert len(report.insert_times) == 20
    assert len({outcome.pid for outcome in report.outcomes}) == 4


def test_a_process_that_is_gone_fails_all_its_rows_and_recovers_those_that_were_written(
    database: str, marked: Living
) -> None:
    bad_writers.Good().create(database)
    rows = [(f"{'x' if place % 2 else 7}-{place}",) for place in range(8)]  # every second one ends its process
    report = insert_rows_kept_open(database, rows, bad_writers.ExitsNowAndThen(), workers=2)
    assert (report.acknowledged, report.failed, report.recovered) == (0, 8, 0)
    assert report.errors == {"exited with status 7": 8}
    rows = [("x-a",), ("7-a",), ("x-b",), ("x-c",)]
    report = insert_rows_kept_open(database, rows, bad_writers.ExitsNowAndThen(), workers=2)
    assert (report.acknowledged, report.failed, report.recovered) == (2, 2, 1)


def test_rows_that_cannot_be_shared_alike_are_refused(database: str) -> None:
    with pytest.raises(ValueError, match="5 rows cannot be shared alike among 2 workers"):
        insert_rows_kept_open(database, generate_example_rows(5), workers=2)
