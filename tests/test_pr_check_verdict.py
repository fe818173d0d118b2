"""From evidence to a verdict: each rule on evidence that is made up, so that every case is there."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from pr_check.accepted import AcceptedCost
from pr_check.evidence import Evidence, Pairs
from pr_check.judge import judge_evidence

from .pr_check_cells import BURST, BURST_THAT_FAILS, PLAN, cell
from .pr_check_cells import COST as COST_CELL
from .pr_check_cells import PROMISE as PROMISE_CELL

if TYPE_CHECKING:
    from pr_check.findings import Judgement

TRACKED = cell("burst.Burst.track_lost_rows(1, 'default')")
METRICS = ("bytes_written", "write_calls", "syncs", "sql_statements", "virtual_machine_steps", "python_calls")
COST: dict[str, Any] = dict(zip(METRICS, (16_924.0, 10.0, 4.0, 3.0, 32.0, 46.0)))
PROMISE: dict[str, Any] = {
    "journal mode": "wal",
    "synchronous": 2,
    "synchronous of rows that wait together": 2,
    "connections left open by a refused insert": 0,
    "busy timeout": 5.0,
    "wait for a lock": 0.3,
    "error behind a lock": "SQLITE_BUSY",
    "connections left open": 0,
    "files left beside the database": ["-write-line"],
    "rows kept of 2": 2,
    "seconds until all had their turn": 0.0,
    "rows that wait together have a sync each": False,
    "schema": ["CREATE TABLE messages (msg)"],
}


def value(**named: Any) -> dict[str, Any]:
    return {"value": named}


def burst(**named: Any) -> dict[str, Any]:
    return value(**{"seconds": 0.04, "attempted": 8, "failed": 0, "lost": 0, "duplicated": 0, "errors": {}, **named})


def timed(factor: float, count: int, noise: float = 0.05, seed: int = 1) -> Pairs:
    order = random.Random(seed)
    series = Pairs(BURST)
    for _ in range(count):
        series.base.append(burst(seconds=0.04 * (1 + noise * order.random())))
        series.head.append(burst(seconds=0.04 * factor * (1 + noise * order.random())))
    return series


def all_timed() -> list[Pairs]:
    """Every benchmark, with nothing slower."""
    same = [burst(seconds=0.04 + 0.001 * n) for n in range(12)]
    return [Pairs(cell, list(same), list(same)) for cell in PLAN.times]


def costs(head: dict[str, Any], *, runs: int = 2, base: dict[str, Any] | None = None) -> Evidence:
    series = Pairs(COST_CELL, [value(**{**COST, **(base or {})})] * runs, [value(**{**COST, **head})] * runs)
    return Evidence(facts=[series], times=all_timed())


def tracked(base: list[float], head: list[float]) -> Evidence:
    """A value that asv tracks and that differs."""
    pairs = Pairs(TRACKED, [value(tracked=one) for one in base], [value(tracked=one) for one in head])
    return Evidence(values=[pairs], times=all_timed())


def promises(**head: Any) -> Evidence:
    facts = {name.replace("_", " "): fact for name, fact in head.items()}
    series = Pairs(PROMISE_CELL, [value(**PROMISE)] * 2, [value(**{**PROMISE, **facts})] * 2)
    return Evidence(facts=[series], times=all_timed())


def judged(evidence: Evidence, *accepted: AcceptedCost) -> Judgement:
    return judge_evidence(evidence, accepted, PLAN)


def passed(evidence: Evidence) -> str:
    """Return the first note of a PASS."""
    judgement = judged(evidence)
    assert (judgement.verdict, judgement.findings, judgement.suspicions) == ("PASS", [], [])
    return judgement.notes[0]


def causes(judgement: Judgement) -> list[str]:
    return [finding.cause for finding in judgement.findings]


def test_nothing_worse_passes() -> None:
    judgement = judged(Evidence(times=all_timed()))
    assert (judgement.verdict, judgement.findings, judgement.suspicions, judgement.notes) == ("PASS", [], [], [])
    assert all(timing.noticed for timing in judgement.timings)


def test_what_was_not_judged_is_named_and_of_much_of_it_nothing_is_said() -> None:
    """A PASS does not cover it; where a quarter of the chosen times was not judged, there is none."""
    judgement = judged(Evidence(times=[timed(1.0, 5), *all_timed()[1:]]))
    assert (judgement.verdict, judgement.judged) == ("PASS", len(PLAN.times) - 1)
    assert judgement.left_out == [(BURST.name, "5 pairs, too few to judge its time")]
    many = len(PLAN.times) // 4 + 1
    few = [Pairs(one.benchmark, one.base[:5], one.head[:5], seconds=5.0) for one in all_timed()[:many]]
    judgement = judged(Evidence(times=[*few, *all_timed()[many:]]))
    assert (judgement.verdict, len(judgement.left_out)) == ("INCONCLUSIVE", many)
    assert judgement.needed == round(many * 19 / 0.75)  # 24 pairs each, beside the time for a confirmation
    untried = judged(Evidence(failures=[Pairs(BURST_THAT_FAILS)], times=all_timed()))
    assert untried.left_out == [(BURST_THAT_FAILS.name, "there was no time for its failures")]


@pytest.mark.parametrize(
    ("metric", "more", "cause"),
    [
        ("bytes_written", 4120, "+4,120 bytes written per row"),
        ("syncs", 1, "+1 sync per row"),
        ("write_calls", 2, "+2 write calls per row"),
        ("python_calls", 0.1, "+0.1 Python calls per row"),
        ("bytes_written", 1_234_567.8, "+1,234,567.8 bytes written per row"),
        ("virtual_machine_steps", 9, "+9 steps of SQLite's virtual machine per row"),
    ],
)
def test_one_more_of_anything_exact_is_a_regression_and_says_so(metric: str, more: float, cause: str) -> None:
    judgement = judged(costs({metric: COST[metric] + more}))
    assert (judgement.verdict, causes(judgement)) == ("REGRESSION", [cause])
    assert judgement.findings[0].confirmed


def test_a_lower_cost_is_a_note_but_not_one_sync_less() -> None:
    assert "improved, -924 bytes written per row" in passed(costs({"bytes_written": 16_000.0}))
    judgement = judged(costs({"syncs": 3.0}))
    assert judgement.verdict == "NEW FAILURE"
    assert "-1 sync per row: rows may be acknowledged before they are safe" in causes(judgement)


def test_a_cost_that_varies_is_a_finding_only_if_all_of_many_runs_are_higher() -> None:
    def varying(low: float, runs: int) -> Evidence:
        sides = ([value(**{**COST, "python_calls": calls + n % 2}) for n in range(runs)] for calls in (46.0, low))
        return Evidence(facts=[Pairs(COST_CELL, *sides)], times=all_timed())

    assert judged(varying(50, 2)).verdict == "PASS"
    assert judged(varying(50, 8)).verdict == "REGRESSION"
    assert judged(varying(46, 8)).verdict == "PASS"


def test_a_cost_that_a_platform_cannot_count_is_n_a() -> None:
    evidence = costs({})
    for answers in (evidence.facts[0].base, evidence.facts[0].head):
        answers[0] = answers[1] = value(**{**COST, "syncs": None})
    judgement = judged(evidence)
    assert judgement.verdict == "PASS"
    assert ("cost.InsertCost('default', 'disk') syncs", "n/a", "n/a") in judgement.costs
    assert judgement.notes == []
    (note,) = judged(costs({"syncs": None})).notes
    assert note == "cost.InsertCost('default', 'disk') syncs: counted on the base, n/a on the head, so not compared"


@pytest.mark.parametrize(
    ("metric", "amount", "verdict"),
    [("bytes_written", 4096, "PASS"), ("bytes_written", 4095, "REGRESSION"), ("bytes_written", -4096, "REGRESSION"),
     ("write_calls", 4096, "REGRESSION")],
)  # fmt: skip
def test_an_accepted_cost_covers_that_metric_up_to_that_amount(metric: str, amount: float, verdict: str) -> None:
    judgement = judged(costs({"bytes_written": 16_924.0 + 4096}), AcceptedCost(metric, amount, "a page"))
    assert judgement.verdict == verdict
    assert any(note.endswith("accepted: a page") for note in judgement.notes) == (verdict == "PASS")


def test_the_amount_that_the_report_names_is_enough() -> None:
    evidence = costs({"python_calls": 46.2}, base={"python_calls": 46.1})  # which differ by more than 0.1 in binary
    assert causes(judged(evidence)) == ["+0.1 Python calls per row"]
    assert judged(evidence, AcceptedCost("python_calls", 0.1, "it is worth it")).verdict == "PASS"


def test_the_statement_that_came_is_named() -> None:
    told = {"statements": ["BEGIN", "INSERT", "COMMIT"]}
    evidence = costs({"sql_statements": 4.0, "statements": ["BEGIN", "INSERT", "SELECT ?", "COMMIT"]}, base=told)
    assert causes(judged(evidence)) == ["+1 SQL statement per row (new: SELECT ?)"]


@pytest.mark.parametrize(
    ("base", "head", "verdict"),
    [
        ([15] * 8, [20] * 8, "REGRESSION"),
        ([15] * 8, [16, 20] * 4, "REGRESSION"),  # it varies, and is always higher
        ([0] * 2, [1, 0], "PASS"),  # it fails now and then, as a count does
        ([15] * 2, [20] * 2, "PASS"),  # by chance, until it is known
        ([15] * 8, [12] * 8, "PASS"),
        ([15] * 24, [15, 20, 15] * 8, "REGRESSION"),  # now and then, and never on the base
        ([15] * 24, [15] * 20 + [20] * 4, "PASS"),
        ([15, 20, 15, 15] * 6, [15, 20, 15] * 8, "PASS"),
    ],
)
def test_a_tracked_value_is_exact_once_it_was_the_same_often_enough(
    base: list[float], head: list[float], verdict: str
) -> None:
    judgement = judged(tracked(base, head))
    assert judgement.verdict == verdict
    if verdict == "REGRESSION":
        assert "rows per burst" in causes(judgement)[0]
        accepted = judged(tracked(base, head), AcceptedCost("lost_rows", 5, "they are not missed"))
        assert accepted.verdict == "PASS"


def test_a_tracked_value_that_there_was_no_time_for_is_named() -> None:
    evidence = tracked([15] * 3, [20] * 3)
    evidence.cut_short = {TRACKED.name}
    assert judged(evidence).left_out == [(TRACKED.group, "there was no time to see whether its value varies")]


BROKEN = {"error": "Traceback\nNameError: nowhere"}


@pytest.mark.parametrize(
    ("before", "verdict"),
    [
        (value(tracked=1), "NEW FAILURE"),  # the head has changed the benchmark
        ({"error": "ValueError: Could not find benchmark 'x'"}, "NEW FAILURE"),  # and here it is new
        (BROKEN, "PASS"),
    ],
)
def test_a_benchmark_that_fails_with_both_packages_is_asked_for_the_bases_own(
    before: dict[str, Any], verdict: str
) -> None:
    evidence = Evidence(once=[Pairs(TRACKED, [BROKEN], [BROKEN])], times=all_timed(), before={TRACKED.name: before})
    judgement = judged(evidence)
    assert judgement.verdict == verdict
    if verdict == "PASS":
        assert judgement.left_out == [(TRACKED.group, "it fails on the base too: NameError: nowhere")]


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"journal_mode": "delete"}, "another journal mode"),
        ({"synchronous": 1}, "weaker level"),
        ({"synchronous": None}, "weaker level"),
        ({"busy_timeout": 2.0}, "shorter time"),
        ({"busy_timeout": 4.5}, "shorter time"),
        ({"synchronous_of_rows_that_wait_together": 0}, "wait together are synced at a weaker level"),
        ({"connections_left_open_by_a_refused_insert": 1}, "insert that fails does not close"),
        ({"wait_for_a_lock": 0.0}, "busy timeout is not kept"),
        ({"wait_for_a_lock": 3.3}, "busy timeout is not kept"),
        ({"error_behind_a_lock": "no error"}, "ends in another way"),
        ({"connections_left_open": 1}, "does not close"),
        ({"files_left_beside_the_database": ["-write-line", "-wal"]}, "other files"),
        ({"rows_kept_of_2": 1}, "not in the table exactly once"),
        ({"busy_timeout": None}, "shorter time"),
        ({"seconds_until_all_had_their_turn": 0.4}, "does not call the next"),
        ({"rows_that_wait_together_have_a_sync_each": True}, "no longer share a sync"),
        ({"synchronous": 3}, "kept"),
        ({"busy_timeout": 60.0}, "kept"),
        ({"wait_for_a_lock": 0.4}, "kept"),
        ({"schema": ["x"]}, "kept"),
        ({"seconds_until_all_had_their_turn": 0.2}, "kept"),
    ],
)
def test_a_broken_promise_is_a_failure(facts: dict[str, Any], cause: str) -> None:
    """And one that is more than kept is none."""
    judgement = judged(promises(**facts))
    assert judgement.verdict == ("PASS" if cause == "kept" else "NEW FAILURE")
    assert cause in [*causes(judgement), "kept"][0]


def test_a_sample_that_fails_on_the_head_alone_is_a_failure_with_its_last_line() -> None:
    evidence = promises()
    evidence.facts[0].head = [{"error": "Traceback\nValueError: broken"}] * 2
    judgement = judged(evidence)
    assert (judgement.verdict, causes(judgement)) == ("NEW FAILURE", ["ValueError: broken"])
    evidence.facts[0].base = [{"not possible": "this commit has no settings 'wal'"}] * 2
    assert "nothing to compare with" in passed(evidence)


@pytest.mark.parametrize("head", [{"error": "ValueError: there too"}, value(**COST)])
@pytest.mark.parametrize("kind", ["facts", "failures"])
def test_what_fails_on_the_base_cannot_be_compared_and_is_no_pass(kind: str, head: dict[str, Any]) -> None:
    broken = [{"error": "Traceback\nValueError: broken"}] * 2
    evidence = Evidence(times=all_timed(), **{kind: [Pairs(COST_CELL, broken, [head] * 2)]})  # type: ignore[arg-type]
    judgement = judged(evidence)
    if kind == "failures" and "value" in head:  # it fails less than before
        assert judgement.verdict == "PASS"
    else:
        assert (judgement.verdict, judgement.findings) == ("INCONCLUSIVE", [])
        assert judgement.suspicions[0].cause.endswith("nothing to compare with: ValueError: broken")


@pytest.mark.parametrize(
    ("broken", "verdict"),
    [
        ({"rows kept of 2": 1}, "NEW FAILURE"),  # once is enough
        ({"connections left open": 1}, "INCONCLUSIVE"),
        ({"error behind a lock": "no error"}, "INCONCLUSIVE"),
        ({"wait for a lock": 3.3}, "PASS"),  # a busy machine does that
        ({"seconds until all had their turn": 0.6}, "PASS"),
    ],
)
def test_a_promise_broken_in_one_of_two_samples(broken: dict[str, Any], verdict: str) -> None:
    evidence = promises()
    evidence.facts[0].head = [value(**PROMISE), value(**{**PROMISE, **broken})]
    assert judged(evidence).verdict == verdict
    evidence.facts[0].base = evidence.facts[0].head
    assert judged(evidence).verdict == "PASS"


@pytest.mark.parametrize(
    ("base", "head", "verdict"), [(0, 6, "NEW FAILURE"), (0, 1, "INCONCLUSIVE"), (1, 1, "PASS"), (3, 0, "PASS")]
)
def test_a_sample_that_fails_now_and_then_is_judged_by_how_often(base: int, head: int, verdict: str) -> None:
    def answers(failed: int) -> list[dict[str, Any]]:
        return [{"error": "ValueError: now and then"}] * failed + [value(**PROMISE)] * (8 - failed)

    evidence = promises()
    evidence.facts[0] = Pairs(PROMISE_CELL, answers(base), answers(head))
    judgement = judged(evidence)
    assert judgement.verdict == verdict
    assert all(one.cause == "ValueError: now and then" for one in (*judgement.findings, *judgement.suspicions))
    assert [note for note in judgement.notes if "some samples failed" in note] or verdict != "PASS"


def test_an_error_on_the_base_hides_no_broken_promise() -> None:
    evidence = promises(journal_mode="delete")
    evidence.facts[0].base[0] = {"error": "it did not end within 20 s", "timed out": True}
    assert "another journal mode" in causes(judged(evidence))[0]


def failing(base: int, head: int, count: int, fresh: tuple[int, int, int] | None = None, **named: Any) -> Evidence:
    def pairs(base_failed: int, head_failed: int, length: int) -> Pairs:
        bad = burst(failed=1, errors={"SQLITE_BUSY": 1}, traceback="Traceback\nlocked", **named)
        return Pairs(BURST_THAT_FAILS, *([bad] * n + [burst()] * (length - n) for n in (base_failed, head_failed)))

    again = [] if fresh is None else [pairs(*fresh)]
    return Evidence(failures=[pairs(base, head, count)], times=all_timed(), confirmed_failures=again)


def test_failing_every_time_and_never_before_is_a_failure() -> None:
    judgement = judged(failing(0, 1, 1, (0, 3, 3)))
    (finding,) = judgement.findings
    assert judgement.verdict == "NEW FAILURE"
    assert (finding.base, finding.head) == ("0 of 4 failed", "4 of 4 failed")
    assert finding.cause == "4 of 32 rows failed (SQLITE_BUSY 4)"
    assert finding.details.endswith("locked")


def test_failing_now_and_then_needs_fishers_word_on_fresh_samples() -> None:
    assert judged(failing(0, 2, 10, (0, 12, 130))).verdict == "NEW FAILURE"
    assert "not surely more often when looked at again" in passed(failing(0, 2, 10, (1, 2, 130)))


LOCKED = burst(failed=1, errors={"SQLITE_BUSY": 1})


@pytest.mark.parametrize(
    "other",
    [
        {"error": "its process ended without an answer"},
        burst(failed=1, errors={"SQLITE_CORRUPT": 1}),
        burst(failed=2, errors={"SQLITE_BUSY": 1, "timed out": 1}),
        burst(failed=1, errors={"SQLITE_BUSY": 1}, miscounted=True),
    ],
)
def test_where_rows_are_locked_out_every_time_another_failure_is_one(other: dict[str, Any]) -> None:
    series = Pairs(BURST_THAT_FAILS, [LOCKED] * 3, [other] * 3)
    evidence = Evidence(failures=[series], times=all_timed(), confirmed_failures=[series])
    judgement = judged(evidence)
    assert judgement.verdict == "NEW FAILURE"
    (finding,) = judgement.findings
    assert (finding.base, finding.head) == ("0 of 6 failed other than by a lock", "6 of 6 failed other than by a lock")
    evidence = Evidence(failures=[series], times=all_timed(), cut_short={series.benchmark.name})
    assert judged(evidence).verdict == "INCONCLUSIVE"
    more = Pairs(BURST_THAT_FAILS, [LOCKED] * 3, [burst(failed=200, errors={"SQLITE_BUSY": 200})] * 3)
    assert judged(Evidence(failures=[more], times=all_timed())).verdict == "PASS"


def test_a_failure_of_another_kind_is_shown_with_its_own_traceback() -> None:
    corrupt = burst(failed=1, errors={"SQLITE_CORRUPT": 1}, traceback="Traceback\ncorrupt")
    locked = {**LOCKED, "value": {**LOCKED["value"], "traceback": "Traceback\nlocked"}}
    series = Pairs(BURST_THAT_FAILS, [locked] * 8, [locked] + [corrupt] * 7)
    fresh = Pairs(BURST_THAT_FAILS, [locked] * 20, [locked] * 6 + [corrupt] * 14)
    evidence = Evidence(failures=[series], times=all_timed(), confirmed_failures=[fresh])
    (finding,) = judged(evidence).findings
    assert finding.base == "0 of 28 failed other than by a lock"
    assert finding.head == "21 of 28 failed other than by a lock"
    assert finding.details.endswith("corrupt")


def test_a_long_timeout_of_which_a_busy_machine_takes_a_part_is_kept() -> None:
    for left, verdict in ((59.0, "PASS"), (54.0, "NEW FAILURE")):
        evidence = promises(busy_timeout=left)
        evidence.facts[0].base = [value(**{**PROMISE, "busy timeout": 60.0})] * 2
        assert judged(evidence).verdict == verdict


@pytest.mark.parametrize(
    ("base", "fresh", "is_cut_short", "verdict"),
    [
        (0, (0, 4, 6), True, "INCONCLUSIVE"),
        (0, (0, 1, 40), True, "INCONCLUSIVE"),  # it has failed on the head alone, and again
        (0, (0, 0, 40), True, "PASS"),
        (0, (0, 0, 2), True, "INCONCLUSIVE"),  # hardly looked at
        (1, (0, 2, 6), True, "PASS"),  # p = 0.23 of the fresh ones
        (1, (0, 4, 6), True, "INCONCLUSIVE"),
        (0, (0, 8, 200), False, "INCONCLUSIVE"),  # p = 0.0036: not enough for one look of four
        (0, (0, 4, 200), False, "PASS"),
        (3, None, False, "PASS"),  # as often as before
        (1, None, False, "INCONCLUSIVE"),  # nobody has looked again
    ],
)
def test_a_suspicion(base: int, fresh: tuple[int, int, int] | None, is_cut_short: bool, verdict: str) -> None:
    """One that is neither confirmed nor cleared is inconclusive."""
    evidence = failing(base, 3, 10, fresh)
    evidence.cut_short = {BURST_THAT_FAILS.name} if is_cut_short else set()
    assert judged(evidence).verdict == verdict


@pytest.mark.parametrize("wrong", [{"lost": 1}, {"altered": 1}, {"duplicated": 1}])
def test_one_lost_or_doubled_row_is_enough(wrong: dict[str, int]) -> None:
    """Where failures are looked for again, and where a time is measured again."""
    measured_again = slower(1.30, 1.0)
    measured_again.confirmed_times[0].head[3] = burst(**wrong)
    for evidence in (failing(0, 1, 10, (0, 0, 20), **wrong), measured_again):
        assert judged(evidence).verdict == "NEW FAILURE"


def test_a_lost_row_is_enough_where_rows_fail_on_the_base_every_time() -> None:
    evidence = failing(3, 3, 3)
    evidence.failures[0].head[1] = burst(failed=1, lost=1)
    judgement = judged(evidence)
    assert (judgement.verdict, len(judgement.findings)) == ("NEW FAILURE", 1)
    assert "1 of 24 rows lost without an error" in judgement.findings[0].cause
    assert judgement.failures[0][1:] == ("3 of 3 (3 of 24 rows)", "3 of 3 (3 of 24 rows)")


HANGS = {"error": "it did not end within 30 s", "timed out": True}


@pytest.mark.parametrize("base", [0, 2])
def test_a_head_that_hangs_is_a_failure_wherever_the_base_fails(base: int) -> None:
    evidence = failing(base, 0, 2)
    evidence.times = []  # sampling has ended there
    evidence.failures[0].head = [HANGS] * 2
    evidence.hangs = evidence.failures[0]
    judgement = judged(evidence)
    assert (judgement.verdict, causes(judgement)) == ("NEW FAILURE", ["it did not end within 30 s"])
    assert judgement.suspicions == []
    assert judgement.notes == ["sampling ended with the second sample that did not end: the rest was not compared"]


def test_one_sample_that_did_not_end_is_to_be_looked_at_again() -> None:
    evidence = failing(0, 0, 2, (0, 0, 3))
    evidence.failures[0].head[1] = HANGS
    evidence.confirmed_failures[0].base[0] = HANGS
    assert "not surely more often when looked at again" in passed(evidence)


def test_what_the_head_can_no_longer_do_is_a_failure() -> None:
    evidence = failing(0, 0, 2)
    evidence.failures[0].head = [{"not possible": "this commit has no settings 'grouped'"}] * 2
    assert causes(judged(evidence)) == ["this commit has no settings 'grouped'"]
    evidence = promises()
    evidence.facts[0].head = [{"not possible": "this commit has no settings 'patient'"}] * 2
    assert causes(judged(evidence)) == ["this commit has no settings 'patient'"]


def slower(factor: float, fresh_factor: float | None, fresh: int = 40) -> Evidence:
    flagged = timed(factor, 24)
    evidence = Evidence(times=[flagged, *all_timed()[1:]], flagged=[flagged.benchmark.name])
    if fresh_factor is not None:
        evidence.confirmed_times = [timed(fresh_factor, fresh, seed=2)]
    return evidence


def test_a_slowdown_that_fresh_samples_confirm_is_a_regression_with_their_estimate() -> None:
    judgement = judged(slower(1.30, 1.20))
    (finding,) = judgement.findings
    assert (judgement.verdict, finding.confirmed) == ("REGRESSION", True)
    assert 19 < float(finding.change.strip("+%")) < 21
    assert "24 pairs" in finding.evidence
    assert "40 fresh ones" in finding.evidence


def test_a_slowdown_that_fresh_samples_do_not_show_is_a_note() -> None:
    assert "not when measured again" in passed(slower(1.30, 1.0))


def test_a_slowdown_that_there_was_no_time_to_confirm_is_inconclusive() -> None:
    assert judged(slower(1.30, None)).verdict == "INCONCLUSIVE"
    evidence = slower(1.30, 1.20, fresh=3)
    evidence.cut_short = {BURST.name}
    assert judged(evidence).verdict == "INCONCLUSIVE"
    for factors, verdict in (((0.98, 1.14), "INCONCLUSIVE"), ((0.97, 0.98), "PASS")):
        head = [burst(seconds=0.04 * factor) for factor in factors]
        evidence.confirmed_times = [Pairs(BURST, [burst(), burst()], head)]
        assert judged(evidence).verdict == verdict


def test_faster_is_a_note() -> None:
    assert "faster, -5" in passed(Evidence(times=[timed(0.5, 24), *all_timed()[1:]]))
