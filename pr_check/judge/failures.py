"""Whether something fails on the head that did not on the base, or fails more often; knows no times and no costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pr_check import inference, rules
from pr_check.evidence import WRONG_ROWS, Failed, Pairs, has_failed
from pr_check.findings import Finding

from .values import count, has_value, last_line, no_longer_possible, not_comparable, traceback_of, why

if TYPE_CHECKING:
    from pr_check.evidence import Evidence
    from pr_check.findings import Judgement
    from pr_check.plan import Plan
    from pr_check.side import Reply

NOT_SAMPLED = "not sampled"


def judge_failures(evidence: Evidence, judgement: Judgement, plan: Plan) -> None:
    """Find what fails, in all samples of bursts and times, those taken anew among them."""
    again = {pairs.benchmark.name: pairs for pairs in evidence.confirmed_failures}
    measured_again = {pairs.benchmark.name: pairs for pairs in evidence.confirmed_times}
    hanging = "" if evidence.hangs is None else evidence.hangs.benchmark.name
    sampled: dict[str, Pairs] = {}
    for pairs in (*evidence.once, *evidence.failures, *evidence.times):
        known = sampled.get(pairs.benchmark.name, Pairs(pairs.benchmark))
        sampled[pairs.benchmark.name] = known.joined(pairs)
    for name, pairs in sampled.items():
        if not pairs.base:
            judgement.failures.append((name, NOT_SAMPLED, NOT_SAMPLED))
            continue
        if all("not possible" in reply for reply in (*pairs.base, *pairs.head)):
            continue
        if name in evidence.before:
            _judge_by_base_benchmarks(pairs, evidence, judgement)
            continue
        nothing = Pairs(pairs.benchmark)
        fresh = again.get(name, nothing)
        both = pairs.joined(fresh, measured_again.get(name, nothing))
        (base, base_count), (head, head_count) = both.failed()
        if base or head or pairs.benchmark.is_declared:
            rows = (name, _failed(both.base, base, base_count), _failed(both.head, head, head_count))
            judgement.failures.append(rows)
        if head_count == 0:
            judgement.findings.append(no_longer_possible(pairs))
        elif base_count and not has_value(both.base) and not has_value(both.head) and evidence.hangs is None:
            judgement.suspicions.append(not_comparable(both))
        elif (rules.is_suspect(pairs, plan) and name != hanging) or _has_wrong_rows(both):
            _judge_suspect(pairs, fresh, both, evidence, judgement, plan)


def _judge_by_base_benchmarks(pairs: Pairs, evidence: Evidence, judgement: Judgement) -> None:
    """Judge a benchmark that fails with both packages by those of the base: is the benchmark broken."""
    before = evidence.before[pairs.benchmark.name]
    if has_failed(before) and "Could not find benchmark" not in last_line(before):
        reason = f"it fails on the base too: {last_line(pairs.base[-1])}"
        evidence.left_out.setdefault(pairs.benchmark.group, reason)
        return
    judgement.findings.append(
        Finding(
            kind="failure",
            benchmark=pairs.benchmark.name,
            base="not there" if has_failed(before) else "runs",
            head="fails, with the base's package too",
            evidence="run once with each package",
            cause=last_line(pairs.head[-1]),
            details=traceback_of(pairs.head),
        )
    )


def judge_hangs(evidence: Evidence, judgement: Judgement) -> None:
    """Find a head whose samples did not end: sampling has stopped, whatever else was to be sampled.

    One that had less time than it is allowed is a suspicion.
    """
    judgement.suspicions += [
        Finding(
            kind="failure",
            benchmark=name,
            base=f"ends in {of_base:.2g} s",
            head=f"did not end in {left:.0f} s",
            evidence="run once",
            confirmed=False,
            cause="it may hang on the head: there was no time to wait for it longer",
        )
        for name, (of_base, left) in evidence.hanging.items()
    ]
    pairs = evidence.hangs
    if pairs is not None and pairs.benchmark.name not in {finding.benchmark for finding in judgement.findings}:
        judgement.findings.append(
            Finding(
                kind="failure",
                benchmark=pairs.benchmark.name,
                base="ends",
                head="does not end",
                evidence="two samples of the head did not end",
                cause=why(pairs.head[-1:]),
            )
        )


def _has_wrong_rows(pairs: Pairs) -> bool:
    """Say whether rows were lost, altered or doubled on the head alone."""
    return count(pairs.head, *WRONG_ROWS) > 0 and count(pairs.base, *WRONG_ROWS) == 0


def _failed(replies: list[Reply], failed: int, samples: int) -> str:
    rows = count(replies, "failed")
    return f"{failed} of {samples}" + (f" ({rows} of {count(replies, 'attempted')} rows)" if rows else "")


def _judge_suspect(
    pairs: Pairs, fresh: Pairs, both: Pairs, evidence: Evidence, judgement: Judgement, plan: Plan
) -> None:
    how = rules.suspected_way(both)
    (base, base_count), (head, head_count) = both.failed(how)
    p_value = inference.p_value_of_failing_more(*fresh.failed(how)) if fresh.base else 1.0
    was_cut_short = pairs.benchmark.name in evidence.cut_short or evidence.hangs is not None
    confirmed = True
    if _has_wrong_rows(both):
        rests_on = "rows acknowledged, and then lost, altered or there twice: once is enough"
    elif rules.always_fails(pairs, fresh):
        rests_on = "never on the base, every time on the head"
    else:
        rests_on = f"Fisher's exact test on fresh samples, p = {p_value:.2g}"
        confirmed = bool(fresh.base) and rules.surely_fails_more(fresh, plan)
    what = "failed" if how is has_failed else "failed other than by a lock"
    finding = Finding(
        kind="failure",
        benchmark=pairs.benchmark.name,
        base=f"{base} of {base_count} {what}",
        head=f"{head} of {head_count} {what}",
        evidence=rests_on,
        confirmed=confirmed,
        cause=why(both.head),
        details=traceback_of([reply for reply in both.head if how(reply)]),
    )
    if confirmed:
        judgement.findings.append(finding)
    elif _is_still_suspect(fresh.failed(how), base, p_value, was_cut_short, plan):
        judgement.suspicions.append(finding)
    else:
        judgement.notes.append(
            f"{finding.benchmark}: {what} in {head} of {head_count} samples on the head and {base} of {base_count} on "
            f"the base, not surely more often when looked at again (p = {p_value:.2g}): {finding.cause}"
        )


def _is_still_suspect(
    fresh: tuple[Failed, Failed], base_failed: int, p_value: float, was_cut_short: bool, plan: Plan
) -> bool:
    """Say whether fresh samples neither confirm nor clear it.

    Where there was no time for more of them, what failed on the head alone and again is suspect, however rarely.
    """
    if fresh[0][1] == 0:  # nobody has looked again
        return True
    if not was_cut_short:
        return p_value < plan.confirmation_level  # enough if it had been looked at once
    (_, samples), (head_failed_again, _) = fresh
    return samples < 3 or p_value < plan.still_suspect or (base_failed == 0 and head_failed_again > 0)
