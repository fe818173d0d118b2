"""Samples of real sides: each in a fresh process, with a deadline, and nothing left; and the looks at what comes in."""

from __future__ import annotations

import gc
import json
import mmap
import os
import random
import re
import shutil
import sys
import time
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.check.bursts import gated
from experiments.bad_changes import MUTANTS, Mutant, _before
from experiments.laboratory import WRITERS
from pr_check import rules
from pr_check.errors import SetUpError
from pr_check.evidence import WRONG_ROWS, Pairs, has_failed
from pr_check.judge import judge_evidence
from pr_check.sampling import Sampling
from pr_check.side import Side
from pr_check.turns import HeadHangsError

from .conftest import PROJECT, READS_PROC, wait_until
from .pr_check_cells import BURST, COST, PLAN, PROMISE, cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pr_check.plan import Benchmark, Plan
    from pr_check.side import Reply


SEQUENCE = cell("sequence.InsertRow('default')")
READERS = cell("transaction.ReadThenWrite('wal', 'immediate')")
GROUPED = cell("promises.Promises('grouped')")
ACCOUNTING = cell("promises.Accounting.accounting")
VALUES = cell("promises.Accounting.values")


def with_arguments(one: Benchmark, *parameters: object, **named: object) -> Benchmark:
    """Return the same with other parameters and arguments."""
    return replace(one, arguments={**one.arguments, "parameters": list(parameters), "named": named})


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
        made.append(
            Side(f"side {len(made)}", sys.executable, folder / "benchmarks", databases, {"PYTHONPATH": str(folder)})
        )
        return made[-1]

    yield make
    for side in made:
        side.end()
    if made:
        assert [name for name in os.listdir(made[0].databases) if name != "control"] == []


@dataclass
class Unchanged(Side):
    """The tree as it is, for a base: asked once for what is the same each time, since tests ask it of many heads."""

    known: dict[str, Reply] = field(default_factory=dict)
    asked: str = ""

    def send(self, sample: str, arguments: dict[str, Any]) -> None:
        """Ask, unless the reply is known."""
        asked = json.dumps([sample, arguments])
        if asked not in self.known:
            super().send(sample, arguments)
        self.asked = asked

    def receive(self, until: float) -> Reply:
        """Return the known reply, or the new one; what is no reply to a question is none to keep."""
        asked, self.asked = self.asked, ""
        if not asked:
            return super().receive(until)
        if asked not in self.known:
            self.known[asked] = super().receive(until)
        return deepcopy(self.known[asked])


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """One side for all bad changes: of this tree, with nothing copied."""
    databases = tmp_path_factory.mktemp("base")
    side = Unchanged("base", sys.executable, PROJECT / "benchmarks", databases, {"PYTHONPATH": str(PROJECT)})
    yield side
    side.end()
    assert [path.name for path in databases.iterdir()] == []


def clear(side: Side) -> None:
    """Remove what samples left that were killed."""
    shutil.rmtree(side.databases)
    side.databases.mkdir()


def sample(base: Side, head: Side, plan: Plan = PLAN) -> Sampling:
    return Sampling(base, head, plan, random.Random(1), time.monotonic() + 60)


def replied(side: Side, benchmark: Benchmark) -> Reply:
    reply = side.ask(benchmark.sample, benchmark.arguments, 60.0)
    while "waits" in reply:
        reply = side.go_on(60.0)
    return reply


def ask(side: Side, benchmark: Benchmark) -> Reply:
    value: Reply = replied(side, benchmark)["value"]
    return value


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_place_of_every_mutant_is_there(mutant: Mutant) -> None:
    text = (PROJECT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    compile(text.replace(mutant.old, mutant.new, 1), mutant.file, "exec")


def test_every_kind_of_sample(sides: Callable[..., Side]) -> None:
    side = sides()
    identity = side.ask("identity", {}, 60.0)["value"]
    assert "burst.Burst.time_burst" in [one["name"] for one in identity["benchmarks"]]
    once = with_arguments(cell("burst.Burst(250, 'wal')"), 4, "wal", deadline=50.0)
    for settings in ("grouped", "queued"):
        assert 0 < ask(side, cell(f"sustained.SustainedKeptOpen('{settings}')"))["seconds"] < 30
    for one, attempted in ((SEQUENCE, 11), (BURST, 8 * 5), (once, 4)):
        value = ask(side, one)
        assert 0 < value["seconds"] < 30
        assert (value["attempted"], *(value[name] for name in ("failed", *WRONG_ROWS))) == (attempted, 0, 0, 0, 0)
    assert set(ask(side, BURST)["spent"]) > {"in line or waiting for the lock", "with the lock held, and in the sync"}
    assert ask(side, READERS) == {"failed": 0, "lost": 0}
    promised = ask(side, GROUPED)
    assert promised["rows kept of 2"] == promised["synchronous"] == 2
    assert promised["wait in line"] >= 0.3
    assert promised["synchronous of rows that wait together"] == 2
    assert not promised["rows that wait together have a sync each"]
    assert ask(side, cell("promises.Promises('queued')"))["rows that wait together have a sync each"]  # SQLite's own
    for exact in (COST, PROMISE, VALUES):
        first, second = ask(side, exact), ask(side, exact)
        assert first.keys() <= exact.rules.keys()
        for name, (rule, *_) in exact.rules.items():
            assert first.get(name) == second.get(name) or rule in ("in time", "not shorter")  # on a busy machine
    counted = ask(side, ACCOUNTING)
    assert counted["three rows dropped, as counted"]["lost"] == 3
    assert counted["three rows doubled, as counted"]["duplicated"] == 3
    assert counted["three rows refused, as counted"] == {
        "failed": 3, "lost": 0, "recovered": 0, "duplicated": 0, "altered": 0, "raises": True,
        "errors": {"SQLITE_BUSY": 3},
    }  # fmt: skip


@READS_PROC
def test_the_sampler_is_replaced_after_so_many_samples(sides: Callable[..., Side]) -> None:
    side = sides()
    side.samples_each = 2
    samplers = []
    for _ in range(4):
        ask(side, SEQUENCE)
        samplers.append(side._process.pid if side._process else 0)
    assert samplers[0] == samplers[1] != samplers[2] == samplers[3]


FEW = replace(with_arguments(BURST, 3, "queued", count=2), name="few")


@pytest.mark.parametrize(
    ("name", "instead", "expected"),
    [
        ("raises", 'raise RuntimeError("on purpose")', {"failed": 9, "lost": 0, "errors": {"RuntimeError": 9}}),
        ("returns", "return None", {"failed": 0, "lost": 9, "errors": {}}),
        ("dies", "os.kill(os.getpid(), 9)", {"failed": 9, "lost": 0, "errors": {"process ended": 9}, "seconds": None}),
    ],
)
def test_rows_of_many_bursts_are_counted(name: str, instead: str, expected: Reply, sides: Callable[..., Side]) -> None:
    """By what became of each."""
    value = ask(sides(Mutant(name, WRITERS, *_before(instead), "", "")), FEW)
    assert value["attempted"] == 9
    assert {key: value[key] for key in expected} == expected
    assert ("RuntimeError: on purpose" in value["traceback"]) == (name == "raises")


def test_both_sides_take_their_bursts_in_turns_and_do_not_overlap(sides: Callable[..., Side]) -> None:

    def noting(name: str) -> Side:
        note = f"open(os.environ['SQLITE_WRITES_FOLDER'] + '/control', 'a').write({name!r})"
        return sides(Mutant("", WRITERS, *_before(note), "", ""))

    base, head = noting("b"), noting("h")
    series = Pairs(with_arguments(BURST, 3, "queued", count=6))
    sample(base, head).add_pair(series)
    assert [has_failed(answer) for answer in (*series.base, *series.head)] == [False, False]
    noted = (base.databases / "control").read_text()
    turns = {noted[first : first + 6] for first in range(6, 7 * 6, 6)}
    assert len(noted) == 7 * 6
    assert turns == {"bbbhhh", "hhhbbb"}  # each pair of bursts in an order of its own
    (base.databases / "control").unlink()


def test_a_side_that_ends_amid_its_turns_leaves_the_other_to_end_its_own(sides: Callable[..., Side]) -> None:
    healthy, dying = sides(), sides()
    series = Pairs(FEW)
    sampled = sample(healthy, dying)
    go_on = dying.go_on

    def die(deadline: float) -> Reply:
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
    clear(healthy)


@READS_PROC
def test_a_killed_sample_is_an_error(sides: Callable[..., Side]) -> None:
    """It is killed while it waits for its turn, and the next one is taken."""
    side = sides()
    assert side.ask(FEW.sample, FEW.arguments, 60.0) == {"waits": True}
    assert side._process is not None
    sampler_pid = side._process.pid
    (child,) = Path(f"/proc/{sampler_pid}/task/{sampler_pid}/children").read_text().split()
    os.kill(int(child), 9)
    assert side.go_on(60.0) == {"error": "the process of the sample ended without a result (wait status 9)"}
    assert ask(side, FEW)["failed"] == 0
    assert side._process.pid == sampler_pid
    clear(side)


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


def test_a_worker_that_hangs_in_a_burst_is_ended(parts_done: mmap.mmap) -> None:
    """And those who died keep nobody waiting."""

    def work(number: int) -> None:
        time.sleep(60 * (number == 3))
        parts_done[number] = 1

    with gated(2, 3, work, longest=0.5) as open_gate:
        for _ in range(3):
            open_gate()
    assert bytes(parts_done) == bytes([1, 1, 1, 0, 0, 0])


def test_nobody_works_behind_a_gate_that_was_not_opened(parts_done: mmap.mmap) -> None:
    def work(number: int) -> None:
        parts_done[number] = 1

    with suppress(ZeroDivisionError), gated(2, 3, work) as open_gate:
        open_gate()
        raise ZeroDivisionError
    assert bytes(parts_done) == bytes([1, 1, 0, 0, 0, 0])


SESSION = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"


@READS_PROC
@pytest.mark.parametrize(
    "mutant", [BY_NAME["an insert that hangs"], Mutant("a session of its own", WRITERS, *_before(SESSION), "", "")]
)
def test_a_sample_that_hangs_is_ended_with_all_that_it_started(mutant: Mutant, sides: Callable[..., Side]) -> None:
    side = sides(mutant)
    side.prepare()
    side.await_start()
    answer = side.ask(FEW.sample, FEW.arguments, 2.0)
    assert answer == {"error": "it did not end within 2 s", "timed out": True}
    wait_until(lambda: side._strays() == [], "nothing with the side's mark is left")
    clear(side)


def test_a_base_that_hangs_ends_the_check_and_a_head_that_hangs_is_a_failure(sides: Callable[..., Side]) -> None:
    healthy, hanging = sides(), sides(BY_NAME["an insert that hangs"])
    quick = replace(FEW, name="quick to give up", deadline=1.5)
    sampled = sample(hanging, healthy)
    sampled.add_pair(Pairs(quick))
    with pytest.raises(SetUpError, match="quick to give up hangs on the base"):
        sampled.add_pair(Pairs(quick))
    sampled = sample(healthy, hanging)
    series = Pairs(quick)
    sampled.add_pair(series)
    with pytest.raises(HeadHangsError):
        sampled.add_pair(series)
    sampled.evidence.failures = [series]
    judgement = judge_evidence(sampled.evidence, [], PLAN)
    assert judgement.verdict == "NEW FAILURE"
    assert "did not end within" in judgement.findings[0].cause
    clear(healthy)


def test_both_hang_in_an_exact_sample(sides: Callable[..., Side]) -> None:
    """It is tried again, and each has its whole time."""
    base, head = (sides(BY_NAME["an insert that hangs"]) for _ in range(2))
    sampled = sample(base, head, replace(PLAN, facts=(replace(GROUPED, deadline=2.0),)))
    with pytest.raises(SetUpError, match="hangs on the base: it did not end within 2 s"):
        sampled.sample_facts()
    (series,) = sampled.evidence.facts
    assert series.base == series.head == [{"error": "it did not end within 2 s", "timed out": True}] * 2
    clear(base)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a second statement", "default"),
        ("a lost WAL mode", "wal"),
        ("a shorter timeout", "default"),
        ("a connection not closed", "default"),
        ("a connection not closed after an error", "default"),
        ("a sync after the turn that is left out", "grouped"),
        ("a sync after the transaction that is left out", "synced"),
        ("a sync taken for ours that began before our commit", "grouped"),
        ("a line that is waited in for too long", "queued"),
        ("a line's error of another kind", "queued"),
        ("a retry that drops the row", "default"),
        ("a turn that is kept to the end of the sync", "grouped"),
        ("lost rows not counted", "accounting"),
        ("altered rows not counted", "accounting"),
        ("a report that halves its times", "accounting"),
        ("long values cut", "values"),
        ("numbers written as text", "values"),
        ("errors without a name", "accounting"),
        ("a gate that is never shut", "gate"),
        ("workers that start in two waves", "gate"),
    ],
)
def test_bad_changes_are_found_with_their_cause(
    name: str, settings: str, unchanged: Side, sides: Callable[..., Side]
) -> None:
    names = (f"cost.InsertCost('{settings}', 'disk')",) if "statement" in name else (
        f"promises.Promises('{settings}')", f"promises.Accounting.{settings}", f"promises.Gate.{settings}")  # fmt: skip
    plan = replace(PLAN, facts=tuple(one for one in PLAN.facts if one.name in names))
    sampled = sample(unchanged, sides(BY_NAME[name]), plan)
    sampled.sample_facts()
    judgement = judge_evidence(sampled.evidence, [], PLAN)
    assert judgement.verdict == BY_NAME[name].verdict
    assert any(re.search(BY_NAME[name].cause, finding.cause) for finding in judgement.findings)


def test_a_lost_row_is_found_however_short_the_time_is(unchanged: Side, sides: Callable[..., Side]) -> None:
    """Each burst is taken once; here a commit is left out where a row is read first."""
    forgetful = sides(BY_NAME["a commit left out where a row is read first"])
    assert ask(forgetful, READERS) == {"failed": 0, "lost": 50}
    sampled = sample(unchanged, forgetful, replace(PLAN, failures=(READERS,)))
    sampled.sample_failures(until=0.0)
    judgement = judge_evidence(sampled.evidence, [], PLAN)
    assert judgement.verdict == "NEW FAILURE"
    assert "50 of the rows lost without an error" in judgement.findings[0].cause


def test_a_long_row_that_is_cut_is_an_altered_one(sides: Callable[..., Side]) -> None:
    """In every sample of bursts and sequences, beside what is declared about values."""
    cut = sides(BY_NAME["long values cut"])
    for one, attempted in ((SEQUENCE, 11), (FEW, 9)):
        value = ask(cut, one)
        assert (value["attempted"], value["altered"], value["lost"]) == (attempted, 1, 0)
        assert has_failed({"value": value})


@pytest.mark.parametrize(
    ("full", "benchmark"),
    [("sqlite3.OperationalError('database or disk is full')", FEW), ("OSError(28, '')", SEQUENCE)],
)
def test_a_full_disk_ends_the_check_in_one_line(full: str, benchmark: Benchmark, sides: Callable[..., Side]) -> None:
    """It is no failure of its rows, unless there is room: then it is what the commit does."""
    side = sides(Mutant("", WRITERS, *_before(f"raise {full}"), "", ""))
    assert has_failed(replied(side, benchmark))
    side.space_in_use = 10**18
    with pytest.raises(SetUpError, match=r"the disk of .*databases' is full"):
        replied(side, benchmark)


class Pretended:
    """A side whose samples cost nothing: their times and failures are drawn."""

    def __init__(self, databases: Path, factor: float = 1.0, failing: float = 0.0, seed: int = 1) -> None:
        self.databases, self.factor, self.failing, self.order = databases, factor, failing, random.Random(seed)
        self.asked = 0

    def prepare(self, _fresh: str) -> None:
        """It is there."""

    def load(self, _module: str) -> bool:
        """It needs nothing."""
        return False

    def ask(self, _sample: str, _arguments: dict[str, Any], _deadline: float) -> Reply:
        """A drawn answer."""
        self.asked += 1
        failed = int(self.order.random() < self.failing)
        return {"value": {"seconds": 0.04 * self.factor * self.order.uniform(0.95, 1.05), "failed": failed}}


FEW_TIMES = replace(PLAN, times=PLAN.times[:3])


def pretend(tmp_path: Path, head: Pretended) -> Sampling:
    sampled = sample(Pretended(tmp_path, seed=2), head, FEW_TIMES)  # type: ignore[arg-type]
    sampled.sample_times(time.monotonic() + 15)
    sampled.confirm()
    return sampled


def test_sampling_stops_once_all_is_decided(tmp_path: Path) -> None:
    evidence = pretend(tmp_path, Pretended(tmp_path)).evidence
    assert {len(series.base) for series in evidence.times} <= set(PLAN.looks[:3])
    assert evidence.flagged == []
    assert judge_evidence(evidence, [], FEW_TIMES).verdict == "PASS"


def test_what_is_flagged_is_sampled_anew(tmp_path: Path) -> None:
    head = Pretended(tmp_path, factor=1.10)
    evidence = pretend(tmp_path, head).evidence
    assert len(evidence.flagged) == len(evidence.confirmed_times) == 3
    assert all(len(series.base) >= 24 for series in evidence.confirmed_times)
    assert head.asked == sum(len(series.head) for series in (*evidence.times, *evidence.confirmed_times))
    assert judge_evidence(evidence, [], FEW_TIMES).verdict == "REGRESSION"


def test_where_time_is_short_some_slowdowns_are_confirmed_rather_than_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three there is time for one and a half; of the others it is said that they are suspected."""
    head = Pretended(tmp_path, factor=1.10)
    sampled = sample(Pretended(tmp_path, seed=2), head, FEW_TIMES)  # type: ignore[arg-type]
    sampled.sample_times(time.monotonic() + 15)
    needed = sum(rules.confirming_pairs(pairs, FEW_TIMES) for pairs in sampled.evidence.times)
    begun = head.asked
    for pairs in sampled.evidence.times:
        pairs.seconds = float(len(pairs.base))
    monkeypatch.setattr(time, "monotonic", lambda: float(head.asked - begun))  # a pair takes a second
    sampled.until = needed / 2
    sampled.confirm()
    monkeypatch.undo()
    judgement = judge_evidence(sampled.evidence, [], FEW_TIMES)
    assert len(judgement.findings) + len(judgement.suspicions) == 3
    assert len(judgement.findings) in (1, 2)


def test_a_failure_in_one_of_ten_bursts_is_found(tmp_path: Path) -> None:
    found = 0
    for seed in range(20):
        sampled = Sampling(
            Pretended(tmp_path, seed=100 + seed),  # type: ignore[arg-type]
            Pretended(tmp_path, failing=0.1, seed=seed),  # type: ignore[arg-type]
            PLAN,
            random.Random(seed),
            time.monotonic() + 60,
        )
        series = Pairs(BURST)
        sampled.evidence.times = [series]
        for _ in range(48):
            sampled.add_pair(series)
        sampled.confirm()
        assert len(sampled.evidence.confirmed_failures[0].base) <= PLAN.bursts_again[-1]
        found += judge_evidence(sampled.evidence, [], PLAN).verdict == "NEW FAILURE"
    assert found >= 19


def test_the_order_of_the_samples_is_random_and_given_by_the_seed(tmp_path: Path) -> None:
    def order(seed: int) -> list[str]:
        seen: list[str] = []

        class Noting(Pretended):
            def ask(self, *request: Any) -> Reply:
                seen.append("base" if self is base else "head")
                return super().ask(*request)

        base, head = Noting(tmp_path), Noting(tmp_path)
        sampled = Sampling(base, head, PLAN, random.Random(seed), time.monotonic() + 20)  # type: ignore[arg-type]
        for _ in range(10):
            sampled.add_pair(Pairs(BURST))
        return seen

    assert order(1) == order(1) != order(2)
    assert set(order(1)[::2]) == {"base", "head"}
