"""What is sampled, and in which order: from what asv finds and what classes declare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pr_check.check import touching
from pr_check.choose import choose, most_telling
from pr_check.commits import Comparison
from pr_check.errors import SetUpError
from pr_check.evidence import Pairs
from pr_check.judge.times import where_time_went
from pr_check.plan import PLAN as EMPTY
from pr_check.plan import Plan

from .conftest import PROJECT
from .pr_check_cells import BURST, PLAN, cell


def found(name: str, *params: list[str]) -> dict[str, Any]:
    """A benchmark as a sampler tells it."""
    return {"name": name, "type": "time", "unit": "seconds", "version": "1", "params": list(params), "timeout": None,
            "setup_cache_key": None, "module": "b.m"}  # fmt: skip


def planned(*benchmarks: dict[str, Any], declared: tuple[dict[str, Any], ...] = (), only: str = "") -> Plan:
    return choose({"benchmarks": benchmarks, "declared": declared}, replace(EMPTY, only=only), 60.0)


def test_every_benchmark_has_its_turn_before_one_has_a_second() -> None:
    plan = planned(found("m.A.time_a", ["1", "2", "3", "4", "5"]), found("m.time_b"))
    assert [one.name.removeprefix("m.A.time_a") for one in plan.once] == ["(1)", "m.time_b", "(5)", "(3)", "(2)", "(4)"]
    assert [one.name for one in planned(found("m.A.time_a"), found("m.time_b"), only="b$").once] == ["m.time_b"]


def test_a_benchmark_named_like_a_changed_file_runs_first() -> None:
    """What the others execute is only known once they have run."""
    benchmarks = (found("a.time_shortest_path"), found("b.Harmonic.time_centrality"))
    identity = {"benchmarks": benchmarks, "declared": ()}
    plan = choose(identity, EMPTY, 60.0, ["networkx/algorithms/centrality/harmonic.py"])
    assert plan.once[0].name == "b.Harmonic.time_centrality"


def test_nothing_of_this_suite_is_missing() -> None:
    """No list stands beside it: all that asv finds is run, and classes are judged by that or by their own way."""
    modules = {path.stem for path in (PROJECT / "benchmarks").glob("*.py")} - {"__init__", "common", "promises"}
    assert {one.name.partition(".")[0] for one in PLAN.once} == modules
    assert {one.group for one in (*PLAN.times, *PLAN.failures, *PLAN.facts)} == {
        "burst.Burst", "caller.HeldConnection", "cost.InsertCost", "promises.Accounting", "promises.Gate",
        "promises.Promises", "sequence.InsertRow", "sustained.SustainedKeptOpen", "sustained.SustainedWriting",
        "transaction.ReadThenWrite",
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [{"kind": "guess", "method": "x", "params": []}, {"kind": "time", "params": []}])
def test_a_wrong_declaration_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(SetUpError, match=r"check_samples of m.A, number 1: KeyError"):
        planned(declared=({"name": "m.A", "module": "b.m", "samples": [wrong], "rules": []},))


def test_what_the_change_can_touch_comes_first_and_of_its_parameters_the_most_telling() -> None:
    plan = planned(found("m.time_a", ["1", "2", "3"]), found("m.time_b"))
    seconds = {"m.time_a(1)": 0.01, "m.time_a(3)": 5.0, "m.time_a(2)": 0.1, "m.time_b": 0.001}
    ran = [Pairs(one, expected=seconds[one.name]) for one in plan.once]
    assert [one.benchmark.name for one in most_telling(ran, {"m.time_a"})] == [
        "m.time_a(2)", "m.time_a(1)", "m.time_a(3)", "m.time_b",
    ]  # fmt: skip
    assert most_telling([*ran, Pairs(BURST, expected=1.0)], set())[0].benchmark is BURST


def test_so_many_are_timed_as_the_pairs_that_there_is_time_for_can_judge() -> None:
    """Twelve pairs can tell one of 29 benchmarks from chance; of more, each needs another look."""
    for count in (1, 29, 30, 500):
        plan = replace(EMPTY, times=(BURST,) * count)
        assert plan.fewest_pairs == (12 if count <= 29 else 24)
        assert 2.0**-plan.fewest_pairs < plan.screening_level


def test_a_change_touches_what_executes_its_files_as_they_are_installed() -> None:
    def touches(changed: str, *files: str) -> bool:
        return touching(Comparison(PROJECT, "a", "b", (changed,), (changed,), ""))(files)

    assert touches("python/src/tiny/work.py", "/usr/lib/python3/site-packages/tiny/work.py")
    assert not touches("python/src/tiny/work.py", "/usr/lib/python3/site-packages/tiny/other.py", "/usr/lib/work.py")
    assert touches("python/src/tiny/work.c", "/usr/lib/anything.py")  # it may change anything
    assert touches("setup.py")


def test_a_slowdown_says_where_the_time_went() -> None:
    """By the parts that the samples tell, or by the functions of a profile."""
    spent = {"in line": 0.010, "with the lock held": 0.002, "closing": 0.001}
    slower = {**spent, "with the lock held": 0.003}
    pairs = Pairs(BURST, [{"value": {"spent": spent}}] * 3, [{"value": {"spent": slower}}] * 3)
    assert where_time_went(pairs, None) == "with the lock held 2.00 ms → 3.00 ms"
    profiles = [{"value": {"functions": {"p/a.py:f": seconds, "p/a.py:g": 0.5}}} for seconds in (0.1, 0.2)]
    assert where_time_went(Pairs(cell("sequence.TenThousandRows.track_seconds")), (profiles[0], profiles[1])) == (
        "p/a.py:f 100.00 ms → 200.00 ms"
    )
    assert where_time_went(Pairs(BURST), None) == ""
