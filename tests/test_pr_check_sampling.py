"""Samples of real sides: each in a fresh process, with a deadline, and nothing left; and the looks at what comes in."""

from __future__ import annotations

import gc
import mmap
import os
import random
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pr_check import sampler, sampling
from pr_check.cells import COSTS, FAILURES, PROMISES, TIMES, Cell
from pr_check.errors import SetUpError
from pr_check.mutants import MUTANTS, Mutant, _before
from pr_check.sampling import CONFIRMING_BURSTS, LOOKS, Sampling, Series, has_failed
from pr_check.side import SAMPLES_PER_SAMPLER, Side
from pr_check.verdict import UNITS, judge_evidence

from .conftest import PROJECT, READS_PROC, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pr_check.side import Answer

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[Callable[..., Side]]:
    """Make a side of this tree, as it is or as a mutant, without an environment of its own."""
    made: list[Side] = []

    def make(mutant: Mutant | None = None) -> Side:
        folder = tmp_path / f"side {len(made)}"
        for package in ("benchmarks", "sqlite_writes"):
            shutil.copytree(PROJECT / package, folder / package)
        if mutant is not None:
            file = folder / mutant.file
            file.write_text(file.read_text().replace(mutant.old, mutant.new, 1))
        databases = tmp_path / "databases"
        databases.mkdir(exist_ok=True)
        made.append(Side(f"side {len(made)}", sys.executable, folder, databases, {}))
        return made[-1]

    yield make
    for side in made:
        side.end()
    if made:
        assert [name for name in os.listdir(made[0].databases) if name != "control"] == []


def silent(_what: str, _done: float) -> None:
    """No progress."""


def sample(base: Side, head: Side, seconds: float = 60.0) -> Sampling:
    return Sampling(base, head, random.Random(1), time.monotonic() + seconds, silent)


def ask(side: Side, cell: Cell) -> dict[str, Any]:
    answer = side.ask(cell.sample, cell.arguments, 60.0)
    while "waits" in answer:
        answer = side.go_on(60.0)
    assert "value" in answer, answer
    found: dict[str, Any] = answer["value"]
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_place_of_every_mutant_is_there(mutant: Mutant) -> None:
    text = (PROJECT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    compile(text.replace(mutant.old, mutant.new, 1), mutant.file, "exec")


def test_every_kind_of_sample(sides: Callable[..., Side]) -> None:
    side = sides()
    identity = side.ask("identity", {}, 60.0)["value"]
    assert identity["package"].startswith(str(side.benchmarks))
    assert "burst.Burst.time_burst" in identity["benchmarks"]
    once = Cell("once", "wal", "burst", {"workers": 4, "settings": "wal", "storage": "disk", "deadline": 50.0})
    for cell, attempted in ((TIMES[0], 11), (TIMES[5], 8 * 5), (once, 4)):
        value = ask(side, cell)
        assert 0 < value["seconds"] < 30
        assert (value["attempted"], value["failed"], value["lost"], value["duplicated"]) == (attempted, 0, 0, 0)
    assert ask(side, FAILURES[0]) == {"failed": 0, "lost": 0}
    promised = ask(side, PROMISES[5])
    assert promised["rows kept of 2"] == promised["synchronous"] == 2
    assert promised["wait in line"] >= 0.3
    assert promised["synchronous of rows that wait together"] == 2
    assert not promised["rows that wait together have a sync each"]
    assert ask(side, PROMISES[4])["rows that wait together have a sync each"]  # SQLite's own
    assert ask(side, COSTS[1]).keys() == UNITS.keys()  # an accepted cost is one of these
    counted = ask(side, PROMISES[-1])
    assert counted["three rows dropped, as counted"]["lost"] == 3
    assert counted["three rows doubled, as counted"]["duplicated"] == 3
    assert counted["three rows refused, as counted"] == {
        "failed": 3, "lost": 0, "recovered": 0, "duplicated": 0, "raises": True,
    }  # fmt: skip


def test_exact_samples_are_the_same_every_time(sides: Callable[..., Side]) -> None:
    side = sides()
    for cell in (COSTS[1], PROMISES[1], PROMISES[-1]):
        assert ask(side, cell) == ask(side, cell)


@READS_PROC
def test_each_sample_has_a_process_of_its_own_and_the_sampler_is_replaced(
    sides: Callable[..., Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    side = sides()
    monkeypatch.setattr("pr_check.side.SAMPLES_PER_SAMPLER", 2)
    assert SAMPLES_PER_SAMPLER > 2
    samplers = []
    for _ in range(4):
        ask(side, TIMES[0])
        samplers.append(side._process.pid if side._process else 0)
    assert samplers[0] == samplers[1] != samplers[2] == samplers[3]


FEW = Cell("few", "queued", "bursts", {"workers": 3, "settings": "queued", "storage": "disk", "count": 2})


@pytest.mark.parametrize(
    ("name", "instead", "expected"),
    [
        ("raises", 'raise RuntimeError("on purpose")', {"failed": 9, "lost": 0, "errors": {"RuntimeError": 9}}),
        ("returns", "return None", {"failed": 0, "lost": 9, "errors": {}}),
        ("dies", "os.kill(os.getpid(), 9)", {"failed": 9, "lost": 0, "errors": {"process ended": 9}, "seconds": None}),
    ],
)
def test_what_becomes_of_a_row_in_one_of_many_bursts_is_counted(
    name: str, instead: str, expected: dict[str, Any], sides: Callable[..., Side]
) -> None:
    value = ask(sides(Mutant(name, "sqlite_writes/writers/ours.py", *_before(instead), "", "")), FEW)
    assert value["attempted"] == 9
    assert {key: value[key] for key in expected} == expected
    assert ("RuntimeError: on purpose" in value["traceback"]) == (name == "raises")


def test_both_sides_take_their_bursts_in_turns_and_do_not_overlap(sides: Callable[..., Side]) -> None:

    def noting(name: str) -> Side:
        note = f"open(os.environ['SQLITE_WRITES_FOLDER'] + '/control', 'a').write({name!r})"
        return sides(Mutant("", "sqlite_writes/writers/ours.py", *_before(note), "", ""))

    base, head = noting("b"), noting("h")
    series = Series(replace(FEW, arguments={**FEW.arguments, "count": 6}))
    sample(base, head).add_pair(series)
    assert [has_failed(answer) for answer in (*series.base, *series.head)] == [False, False]
    noted = (base.databases / "control").read_text()
    turns = {noted[first : first + 6] for first in range(6, 7 * 6, 6)}
    assert len(noted) == 7 * 6
    assert turns == {"bbbhhh", "hhhbbb"}  # each pair of bursts in an order of its own
    (base.databases / "control").unlink()


def test_a_side_that_ends_amid_its_turns_leaves_the_other_to_end_its_own(sides: Callable[..., Side]) -> None:
    healthy, dying = sides(), sides()
    series = Series(FEW)
    sampled = sample(healthy, dying)
    go_on = dying.go_on

    def die(deadline: float) -> Answer:
        assert dying._process is not None
        os.killpg(dying._process.pid, 9)
        return go_on(deadline)

    dying.go_on = die  # type: ignore[method-assign]
    sampled.add_pair(series)
    assert "value" in series.base[0]
    assert series.head == [{"error": "its process ended without an answer"}]
    dying.go_on = go_on  # type: ignore[method-assign]
    sampled.add_pair(series)
    assert "value" in series.head[1]
    shutil.rmtree(healthy.databases)  # what was killed could not clean up
    healthy.databases.mkdir()


@READS_PROC
def test_a_sample_whose_process_is_killed_while_it_waits_is_an_error_and_the_next_one_is_taken(
    sides: Callable[..., Side],
) -> None:
    side = sides()
    assert side.ask(FEW.sample, FEW.arguments, 60.0) == {"waits": True}
    assert side._process is not None
    sampler_pid = side._process.pid
    (child,) = Path(f"/proc/{sampler_pid}/task/{sampler_pid}/children").read_text().split()
    os.kill(int(child), 9)
    assert side.go_on(60.0) == {"error": "the process of the sample ended without a result (wait status 9)"}
    assert ask(side, FEW)["failed"] == 0
    assert side._process.pid == sampler_pid
    shutil.rmtree(side.databases)  # what was killed could not clean up
    side.databases.mkdir()


@pytest.fixture
def parts_done(monkeypatch: pytest.MonkeyPatch) -> Iterator[mmap.mmap]:
    """A byte for each part of the work of two processes, shared with them; neither may be left."""
    pids = []
    fork = os.fork

    def noting() -> int:
        pids.append(fork())
        return pids[-1]

    monkeypatch.setattr(os, "fork", noting)
    yield mmap.mmap(-1, 6)
    gc.unfreeze()
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_a_worker_that_hangs_in_a_burst_is_ended_and_those_who_died_keep_nobody_waiting(
    parts_done: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(number: int) -> None:
        time.sleep(60 * (number == 3))
        parts_done[number] = 1

    monkeypatch.setattr(sampler, "LONGEST_BURST", 0.5)
    with sampler._gated(2, 3, work) as open_gate:
        for _ in range(3):
            open_gate()
    assert bytes(parts_done) == bytes([1, 1, 1, 0, 0, 0])


def test_nobody_works_behind_a_gate_that_was_not_opened(parts_done: mmap.mmap) -> None:
    def work(number: int) -> None:
        parts_done[number] = 1

    with suppress(ZeroDivisionError), sampler._gated(2, 3, work) as open_gate:
        open_gate()
        raise ZeroDivisionError
    assert bytes(parts_done) == bytes([1, 1, 0, 0, 0, 0])


@READS_PROC
def test_a_sample_that_hangs_is_ended_with_all_that_it_started(sides: Callable[..., Side]) -> None:
    side = sides(BY_NAME["an insert that hangs"])
    answer = side.ask(TIMES[8].sample, TIMES[8].arguments, 2.0)
    assert answer == {"error": "it did not end within 2 s", "timed out": True}
    wait_until(lambda: side._strays() == [], "nothing with the side's mark is left")
    shutil.rmtree(side.databases)  # what was killed could not clean up
    side.databases.mkdir()


def test_a_base_that_hangs_ends_the_check_and_a_head_that_hangs_is_a_failure(sides: Callable[..., Side]) -> None:
    healthy, hanging = sides(), sides(BY_NAME["an insert that hangs"])
    cell = Cell("quick to give up", "queued", TIMES[8].sample, TIMES[8].arguments, 1.5)
    sampled = sample(hanging, healthy)
    sampled.add_pair(Series(cell))
    with pytest.raises(SetUpError, match="quick to give up hangs on the base"):
        sampled.add_pair(Series(cell))
    sampled = sample(healthy, hanging)
    series = Series(cell)
    sampled.add_pair(series)
    with pytest.raises(sampling.HeadHangsError):
        sampled.add_pair(series)
    sampled.evidence.failures = [series]
    judgement = judge_evidence(sampled.evidence, [])
    assert judgement.verdict == "NEW FAILURE"
    assert "did not end within" in judgement.findings[0].cause
    shutil.rmtree(healthy.databases)
    healthy.databases.mkdir()


def test_where_both_hang_in_an_exact_sample_it_is_tried_again_and_each_had_its_whole_time(
    sides: Callable[..., Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, head = (sides(BY_NAME["an insert that hangs"]) for _ in range(2))
    monkeypatch.setattr(sampling, "PROMISES", (replace(PROMISES[4], deadline=2.0),))
    sampled = sample(base, head)
    with pytest.raises(SetUpError, match="hangs on the base: it did not end within 2 s"):
        sampled.sample_exact()
    (series,) = sampled.evidence.promises
    assert series.base == series.head == [{"error": "it did not end within 2 s", "timed out": True}] * 2
    shutil.rmtree(base.databases)  # what was killed could not clean up
    base.databases.mkdir()


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("a second statement", {"COSTS": COSTS[:1], "PROMISES": PROMISES[:1]}),
        ("a lost WAL mode", {"COSTS": (), "PROMISES": PROMISES[1:2]}),
        ("a shorter timeout", {"COSTS": (), "PROMISES": PROMISES[:1]}),
        ("a connection not closed", {"COSTS": (), "PROMISES": PROMISES[:1]}),
        ("a connection not closed after an error", {"COSTS": (), "PROMISES": PROMISES[:1]}),
        ("a sync after the turn that is left out", {"COSTS": (), "PROMISES": PROMISES[5:6]}),
        ("a sync after the transaction that is left out", {"COSTS": (), "PROMISES": PROMISES[7:8]}),
        ("a sync taken for ours that began before our commit", {"COSTS": (), "PROMISES": PROMISES[5:6]}),
        ("a sync for each who waits", {"COSTS": (), "PROMISES": PROMISES[5:6]}),
        ("a line that is not waited in", {"COSTS": (), "PROMISES": PROMISES[4:5]}),
        ("a line that is waited in for too long", {"COSTS": (), "PROMISES": PROMISES[4:5]}),
        ("a line's error of another kind", {"COSTS": (), "PROMISES": PROMISES[4:5]}),
        ("a retry that drops the row", {"COSTS": (), "PROMISES": PROMISES[:1]}),
        ("a turn that is kept to the end of the sync", {"COSTS": (), "PROMISES": PROMISES[5:6]}),
        ("lost rows not counted", {"COSTS": (), "PROMISES": PROMISES[-1:]}),
    ],
)
def test_bad_changes_are_found_with_their_cause(
    name: str, cells: dict[str, tuple[Cell, ...]], sides: Callable[..., Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, chosen in cells.items():
        monkeypatch.setattr(sampling, kind, chosen)
    sampled = sample(sides(), sides(BY_NAME[name]))
    sampled.sample_exact()
    judgement = judge_evidence(sampled.evidence, [])
    assert judgement.verdict == BY_NAME[name].verdict
    assert any(re.search(BY_NAME[name].cause, finding.cause) for finding in judgement.findings)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own that has 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_check_in_one_line(sides: Callable[..., Side], full_disk: Path) -> None:
    side = sides()
    side.databases = full_disk
    (full_disk / "ballast").write_bytes(bytes(56 * 1024))
    try:
        with pytest.raises(SetUpError, match=r"the disk of .*small' is full"):
            side.ask(TIMES[0].sample, TIMES[0].arguments, 60.0)
    finally:
        side.end()


def test_a_row_lost_where_it_is_read_first_is_counted(sides: Callable[..., Side]) -> None:
    assert ask(sides(BY_NAME["a commit left out where a row is read first"]), FAILURES[0]) == {"failed": 0, "lost": 50}


def test_a_disk_that_fills_during_a_burst_is_no_failure_of_its_rows(
    sides: Callable[..., Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = "raise sqlite3.OperationalError('database or disk is full')"
    side = sides(Mutant("", "sqlite_writes/writers/ours.py", *_before(full), "", ""))
    assert ask(side, FEW)["errors"] == {"SQLITE_FULL": 9}  # there is room: it is what the commit does
    monkeypatch.setattr("pr_check.side.SPACE_IN_USE", 10**18)
    with pytest.raises(SetUpError, match=r"the disk of .*databases' is full"):
        ask(side, FEW)


# --------------------------------------------------------------------------- the looks, on sides that are made up


class Pretended:
    """A side whose samples cost nothing: their times and failures are drawn."""

    def __init__(self, databases: Path, factor: float = 1.0, failing: float = 0.0, seed: int = 1) -> None:
        self.databases, self.factor, self.failing, self.order = databases, factor, failing, random.Random(seed)
        self.asked = 0
        self.name = ""

    def ask(self, _sample: str, _arguments: dict[str, Any], _deadline: float) -> Answer:
        """A drawn answer."""
        self.asked += 1
        failed = int(self.order.random() < self.failing)
        return {"value": {"seconds": 0.04 * self.factor * self.order.uniform(0.95, 1.05), "failed": failed}}


def pretend(tmp_path: Path, head: Pretended, cells: tuple[Cell, ...] = TIMES[:3]) -> Sampling:
    sampled = Sampling(Pretended(tmp_path, seed=2), head, random.Random(3), time.monotonic() + 20, silent)  # type: ignore[arg-type]
    sampled.sample_times(cells, time.monotonic() + 15)
    sampled.confirm()
    return sampled


def test_sampling_stops_once_all_is_decided(tmp_path: Path) -> None:
    evidence = pretend(tmp_path, Pretended(tmp_path)).evidence
    assert {len(series.base) for series in evidence.times} <= set(LOOKS[:3])
    assert evidence.flagged == {}
    assert judge_evidence(evidence, []).verdict == "PASS"


def test_what_is_flagged_is_sampled_anew(tmp_path: Path) -> None:
    head = Pretended(tmp_path, factor=1.10)
    evidence = pretend(tmp_path, head).evidence
    assert len(evidence.flagged) == len(evidence.confirmed_times) == 3
    assert all(len(series.base) >= 24 for series in evidence.confirmed_times)
    assert head.asked == sum(len(series.head) for series in (*evidence.times, *evidence.confirmed_times))
    assert judge_evidence(evidence, []).verdict == "REGRESSION"


def test_a_failure_in_one_of_ten_bursts_is_found(tmp_path: Path) -> None:
    found = 0
    for seed in range(20):
        sampled = Sampling(
            Pretended(tmp_path, seed=100 + seed),  # type: ignore[arg-type]
            Pretended(tmp_path, failing=0.1, seed=seed),  # type: ignore[arg-type]
            random.Random(seed),
            time.monotonic() + 60,
            silent,
        )
        series = Series(TIMES[5])
        sampled.evidence.times = [series]
        for _ in range(48):
            sampled.add_pair(series)
        sampled.confirm()
        assert len(sampled.evidence.confirmed_failures[0].base) <= CONFIRMING_BURSTS
        found += judge_evidence(sampled.evidence, []).verdict == "NEW FAILURE"
    assert found >= 19


def test_the_order_of_the_samples_is_random_and_given_by_the_seed(tmp_path: Path) -> None:
    def order(seed: int) -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []

        class Noting(Pretended):
            def ask(self, sample: str, arguments: dict[str, Any], deadline: float) -> Answer:
                seen.append((self.name, arguments["settings"]))
                return super().ask(sample, arguments, deadline)

        base, head = Noting(tmp_path), Noting(tmp_path)
        base.name, head.name = "base", "head"
        sampled = Sampling(base, head, random.Random(seed), time.monotonic() + 20, silent)  # type: ignore[arg-type]
        for _ in range(10):
            sampled.add_pair(Series(TIMES[0]))
        return seen

    assert order(1) == order(1) != order(2)
    assert {name for name, _ in order(1)[::2]} == {"base", "head"}
