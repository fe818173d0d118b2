"""One verdict from all the evidence: asks each kind's judge, and weighs what they found; knows no kind itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pr_check.findings import Finding, Judgement

from .costs import changed_statements, judge_cost
from .failures import NOT_SAMPLED, judge_failures, judge_hangs
from .promises import judge_promises
from .times import judge_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pr_check.commits import AcceptedCost
    from pr_check.evidence import Evidence
    from pr_check.plan import Plan


def judge_evidence(evidence: Evidence, accepted: Sequence[AcceptedCost], plan: Plan) -> Judgement:
    """Return all findings, failures first, and the verdict that follows from them."""
    judgement = Judgement()
    for pairs in evidence.promises:
        judge_promises(pairs, judgement, plan)
    judge_failures(evidence, judgement, plan)
    judge_hangs(evidence, judgement)
    statements = changed_statements(evidence.promises)
    for pairs in evidence.costs:
        judge_cost(pairs, accepted, statements.get(pairs.benchmark.settings, ""), judgement, plan)
    judge_times(evidence, judgement, plan)
    too_few = [timing.benchmark for timing in judgement.timings if timing.pairs < plan.fewest_pairs]
    never = [name for name, base, _ in judgement.failures if base == NOT_SAMPLED]
    if too_few:
        every = len(judgement.timings)
        judgement.notes.append(f"{len(too_few)} of {every} not timed often enough to be judged: {', '.join(too_few)}")
    if evidence.hangs is not None:
        judgement.notes.append("sampling ended with the second sample that did not end: the rest was not compared")
    elif never:
        judgement.notes.append(f"no time for the failures of: {', '.join(never)}")
    if any(finding.kind == "failure" for finding in judgement.findings):
        judgement.verdict = "NEW FAILURE"
    elif judgement.findings:
        judgement.verdict = "REGRESSION"
    elif judgement.suspicions or 3 * len(too_few) > 2 * len(judgement.timings):
        judgement.verdict = "INCONCLUSIVE"
    return judgement


def import_failure(error: str) -> Judgement:
    """Return the judgement of a head that is installed and cannot be imported."""
    finding = Finding(
        kind="failure",
        benchmark="import sqlite_writes",
        base="imports",
        head="does not",
        evidence="tried once",
        cause=error.splitlines()[-1],
        details=error,
    )
    return Judgement("NEW FAILURE", [finding])
