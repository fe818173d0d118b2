"""One verdict from all the evidence: asks each kind's judge, and weighs what they found; knows no kind itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pr_check.findings import Finding, Judgement

from .facts import judge_facts
from .failures import NOT_SAMPLED, judge_failures, judge_hangs
from .times import judge_times
from .tracked import judge_tracked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pr_check.accepted import AcceptedCost
    from pr_check.evidence import Evidence
    from pr_check.plan import Plan


def judge_evidence(evidence: Evidence, accepted: Sequence[AcceptedCost], plan: Plan) -> Judgement:
    """Return all findings, failures first, and the verdict that follows from them."""
    judgement = Judgement()
    for pairs in evidence.facts:
        judge_facts(pairs, accepted, judgement, plan)
    judge_failures(evidence, judgement, plan)
    judge_hangs(evidence, judgement)
    judge_tracked(evidence, accepted, judgement, plan)
    judge_times(evidence, judgement, plan)
    judgement.findings.sort(key=lambda finding: finding.kind != "failure")
    too_few = _note_left_out(evidence, judgement, plan)
    if any(finding.kind == "failure" for finding in judgement.findings):
        judgement.verdict = "NEW FAILURE"
    elif judgement.findings:
        judgement.verdict = "REGRESSION"
    elif judgement.suspicions or too_few > plan.unjudged * len(judgement.timings) or not judgement.judged:
        judgement.verdict = "INCONCLUSIVE"
    return judgement


def _note_left_out(evidence: Evidence, judgement: Judgement, plan: Plan) -> int:
    """Say what was judged, what was not and what time that takes; return how many chosen times were not."""
    left_out = dict(evidence.left_out)
    if evidence.is_head_broken:
        judgement.notes.append("sampling ended, since nothing runs on the head: the rest was not compared")
    if evidence.hangs is not None:
        judgement.notes.append("sampling ended with the second sample that did not end: the rest was not compared")
    else:
        left_out |= {
            name: "there was no time for its failures" for name, base, _ in judgement.failures if base == NOT_SAMPLED
        }
    shown = {pairs.benchmark.name: pairs for pairs in evidence.times}
    too_few = [timing for timing in judgement.timings if timing.pairs < plan.fewest_pairs]
    judged = {shown[timing.benchmark].benchmark.shown for timing in judgement.timings if timing not in too_few}
    for timing in too_few:
        pairs = shown[timing.benchmark]
        left_out[timing.benchmark if pairs.benchmark.shown in judged else pairs.benchmark.shown] = (
            f"{timing.pairs} pairs, too few to judge its time"
        )
        evidence.needed += (2 * plan.fewest_pairs - timing.pairs) * pairs.seconds_each
    every = {
        pairs.benchmark.shown
        for pairs in (*evidence.facts, *evidence.failures, *evidence.once, *evidence.times)
        if not all("not possible" in reply for reply in (*pairs.base, *pairs.head)) or not pairs.base
    }
    judgement.left_out = sorted(left_out.items())
    judgement.judged = len(every - left_out.keys())
    judgement.needed = round(evidence.needed / (1 - plan.confirmation)) if left_out else 0
    return len(too_few)


def import_failure(error: str) -> Judgement:
    """Return the judgement of a head whose benchmarks cannot be imported, all or one module of them."""
    finding = Finding(
        kind="failure",
        benchmark="import of the benchmarks",
        base="imports",
        head="does not",
        evidence="tried once",
        cause=error.splitlines()[-1],
        details=error,
    )
    return Judgement("NEW FAILURE", [finding])
