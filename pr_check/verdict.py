"""From evidence to findings and one verdict, with the cause of each in words; knows no processes and no Markdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from . import judge
from .cells import TIMES
from .findings import Finding, Judgement, Timing
from .sampling import (
    CONFIRMATION_LEVEL,
    FEWEST_PAIRS,
    SCREENING_LEVEL,
    VARYING,
    Evidence,
    Series,
    fails_always,
    fails_more,
    has_failed,
    is_slower,
    is_suspect,
    suspected_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .commits import AcceptedCost
    from .side import Answer

# What is suspected, not confirmed for want of time, and still looks so, leaves the check inconclusive; so does what
# fails on the head alone, and again in fresh samples, however rarely.
STILL_SUSPECT = 0.1

NOT_SAMPLED = "not sampled"


def judge_evidence(evidence: Evidence, accepted: Sequence[AcceptedCost]) -> Judgement:
    """All findings, failures first, and the verdict that follows from them."""
    judgement = Judgement()
    for series in evidence.promises:
        _judge_promises(series, judgement)
    _judge_failures(evidence, judgement)
    _judge_hangs(evidence, judgement)
    statements = _changed_statements(evidence.promises)
    for series in evidence.costs:
        _judge_cost(series, accepted, statements.get(series.cell.settings, ""), judgement)
    _judge_times(evidence, judgement)
    kinds = {finding.kind for finding in judgement.findings}
    too_few = [timing.benchmark for timing in judgement.timings if timing.pairs < FEWEST_PAIRS]
    never = [name for name, base, _ in judgement.failures if base == NOT_SAMPLED]
    if too_few:
        every = len(judgement.timings)
        judgement.notes.append(f"{len(too_few)} of {every} not timed often enough to be judged: {', '.join(too_few)}")
    if evidence.hangs is not None:
        judgement.notes.append("sampling ended with the second sample that did not end: the rest was not compared")
    elif never:
        judgement.notes.append(f"no time for the failures of: {', '.join(never)}")
    if "failure" in kinds:
        judgement.verdict = "NEW FAILURE"
    elif kinds:
        judgement.verdict = "REGRESSION"
    elif judgement.suspicions or 3 * len(too_few) > 2 * len(judgement.timings):
        judgement.verdict = "INCONCLUSIVE"
    return judgement


def import_failure(error: str) -> Judgement:
    """The judgement of a head that is installed and cannot be imported."""
    finding = Finding("failure", "import sqlite_writes", "imports", "does not", "", "tried once", True,
                      error.splitlines()[-1], details=error)  # fmt: skip
    return Judgement("NEW FAILURE", [finding])


# --------------------------------------------------------------------------------------------------------- promises


def _same(base: list[Any], head: list[Any]) -> bool:
    return any(value in base for value in head)


def _not_less(base: list[Any], head: list[Any]) -> bool:
    return None in base or (None not in head and max(head) >= 0.9 * min(base))


def _not_more(base: list[Any], head: list[Any]) -> bool:
    return None in head or None in base or min(head) <= max(base)


def _not_shorter(base: list[Any], head: list[Any]) -> bool:
    """Of seconds that are left of a timeout, so that a busy machine takes a part of a long one."""
    return None in base or (None not in head and max(head) >= min(base) - max(0.25, 0.02 * min(base)))


def _every_time(base: list[Any], head: list[Any]) -> bool:
    return bool(min(head) >= min(base))


def _nearly_as_soon(base: list[Any], head: list[Any]) -> bool:
    return bool(min(head) <= max(base) + 0.3)


def _in_time(base: list[Any], head: list[Any]) -> bool:
    return _not_less(base, head) and min(head) <= max(base) + 1.0


# Each fact that a sample of promises holds: when it is kept, and what it means if it is not.
_PROMISES: dict[str, tuple[Callable[[list[Any], list[Any]], bool], str]] = {
    "journal mode": (_same, "create_table leaves the file in another journal mode"),
    "synchronous": (_not_less, "an insert syncs at a weaker level: a power loss may take acknowledged rows"),
    "busy timeout": (_not_shorter, "an insert waits for a shorter time before `database is locked`"),
    "wait for a lock": (_in_time, "the busy timeout is not kept while somebody holds the write lock"),
    "wait in line": (_in_time, "the busy timeout is not kept while somebody has the turn"),
    "error behind a lock": (_same, "an insert that finds the database locked ends in another way"),
    "error in line": (_same, "an insert that does not get its turn ends in another way"),
    "connections left open": (_not_more, "an insert does not close its connection"),
    "descriptors left open": (_not_more, "an insert leaves files of the database open"),
    "files left beside the database": (_same, "an insert leaves other files beside the database"),
    "rows kept of 2": (_every_time, "an acknowledged row is not in the table exactly once"),
    "rows written by a refused insert": (_same, "a row is in the table whose insert failed"),
    "connections left open by a refused insert": (_not_more, "an insert that fails does not close its connection"),
    "synchronous of rows that wait together": (
        _not_less,
        "rows that wait together are synced at a weaker level: a power loss may take acknowledged rows",
    ),
    "connections left open by rows that wait together": (
        _not_more,
        "an insert that waits with others does not close its connection",
    ),
    "rows that wait together have a sync each": (_not_more, "rows that wait together no longer share a sync"),
    "rows acknowledged before their turn": (_not_more, "an insert returns before it had its turn"),
    "seconds until all had their turn": (_nearly_as_soon, "who leaves does not call the next in line"),
    "schema": (_same, "the table is made in another way"),
}

# Facts that a busy machine changes: one sample that keeps the promise is enough.
_TIMED = {"wait for a lock", "wait in line", "seconds until all had their turn",
          "rows that wait together have a sync each"}  # fmt: skip


def _judge_promises(series: Series, judgement: Judgement) -> None:
    base, head = _values(series, judgement)
    for name in base[0] if base and head else ():
        if name == "statements" or name not in head[0]:
            continue
        before, after = ([facts.get(name) for facts in side] for side in (base, head))
        kept, cause = _PROMISES.get(name, (_same, "a burst's report no longer counts what happened"))
        always = not kept(before, after)
        steady = name not in _TIMED and all(one == before[0] for one in before)
        if not always and (not steady or all(kept(before, [one]) for one in after)):
            continue
        if name == "schema":
            judgement.notes.append(f"{series.cell.name}: {cause}: {_texts(before)} → {_texts(after)}")
            continue
        (judgement.findings if always else judgement.suspicions).append(
            Finding(
                "failure", series.cell.name, f"{name}: {_texts(before)}", f"{name}: {_texts(after)}", "",
                f"a promise, looked at {len(after)} times", always, cause,
            )
        )  # fmt: skip


def _values(series: Series, judgement: Judgement) -> tuple[list[Any], list[Any]]:
    """Both sides' values, to be compared if each has any; a finding if it is head that gives none, or fewer."""
    base, head = (
        [answer["value"] for answer in answers if "value" in answer] for answers in (series.base, series.head)
    )
    if len(base) == len(series.base) and len(head) == len(series.head):
        return base, head
    if all("not possible" in answer for answer in series.head) and all("not possible" in one for one in series.base):
        judgement.notes.append(f"{series.cell.name}: n/a on both sides ({series.head[0]['not possible']})")
    elif not base and "not possible" in series.base[-1]:
        judgement.notes.append(
            f"{series.cell.name}: nothing to compare with on the base ({_last_line(series.base[-1])})"
        )
    elif not base:
        judgement.suspicions.append(_not_comparable(series))
    elif all("not possible" in answer for answer in series.head):
        judgement.findings.append(_no_longer_possible(series))
    else:
        (before, base_count), (after, head_count) = series.failed()
        chance = judge.fails_more((before, base_count), (after, head_count))
        finding = Finding(
            "failure", series.cell.name, f"{before} of {base_count} failed", f"{after} of {head_count} failed", "",
            f"Fisher's exact test, p = {chance:.2g}" if head else "it fails every time",
            not head or chance < CONFIRMATION_LEVEL, _why(series.head), details=_traceback(series.head),
        )  # fmt: skip
        if finding.confirmed:
            judgement.findings.append(finding)
        elif after > before:
            judgement.suspicions.append(finding)
        else:
            judgement.notes.append(f"{series.cell.name}: some samples failed: {_last_line_of(series)}")
    return base, head


def _not_comparable(series: Series) -> Finding:
    return Finding("failure", series.cell.name, "no answer", "an answer" if _answers(series.head) else "no answer", "",
                   f"looked at {len(series.base)} times", False,
                   f"it fails on the base, so that there is nothing to compare with: {_last_line(series.base[-1])}",
                   details=_traceback(series.base))  # fmt: skip


def _answers(answers: list[Answer]) -> bool:
    return any("value" in answer for answer in answers)


# --------------------------------------------------------------------------------------------------------- failures


def _judge_failures(evidence: Evidence, judgement: Judgement) -> None:
    confirmations = {series.cell.name: series for series in evidence.confirmed_failures}
    measured_again = {series.cell.name: series for series in evidence.confirmed_times}
    for series in (*evidence.failures, *evidence.times):
        name = series.cell.name
        if not series.base:
            judgement.failures.append((name, NOT_SAMPLED, NOT_SAMPLED))
            continue
        if all("not possible" in answer for answer in (*series.base, *series.head)):
            continue
        fresh = confirmations.get(name, Series(series.cell))
        both = _joined(series, fresh, measured_again.get(name, Series(series.cell)))
        (base, base_count), (head, head_count) = both.failed()
        judgement.failures.append((name, _failed(both.base, base, base_count), _failed(both.head, head, head_count)))
        if head_count == 0:
            judgement.findings.append(_no_longer_possible(series))
        elif base_count and not _answers(both.base) and not _answers(both.head) and evidence.hangs is None:
            judgement.suspicions.append(_not_comparable(both))
        elif (is_suspect(series) and series is not evidence.hangs) or _are_impossible(both):
            _judge_suspect(series, fresh, both, evidence, judgement)


def _no_longer_possible(series: Series) -> Finding:
    return Finding("failure", series.cell.name, "possible", "not possible", "", "every sample", True,
                   str(series.head[-1]["not possible"]))  # fmt: skip


def _judge_hangs(evidence: Evidence, judgement: Judgement) -> None:
    """A head whose samples did not end: sampling has stopped, whatever else was to be sampled."""
    series = evidence.hangs
    if series is not None and series.cell.name not in {finding.benchmark for finding in judgement.findings}:
        judgement.findings.append(
            Finding("failure", series.cell.name, "ends", "does not end", "",
                    "two samples of the head did not end", True, _why(series.head[-1:]))
        )  # fmt: skip


def _are_impossible(both: Series) -> bool:
    """Whether rows were lost or doubled on the head alone."""
    return _sum(both.head, "lost", "duplicated") > 0 and _sum(both.base, "lost", "duplicated") == 0


def _failed(answers: list[Answer], failed: int, count: int) -> str:
    rows = _sum(answers, "failed")
    return f"{failed} of {count}" + (f" ({rows} of {_sum(answers, 'attempted')} rows)" if rows else "")


def _judge_suspect(series: Series, fresh: Series, both: Series, evidence: Evidence, judgement: Judgement) -> None:
    how = suspected_of(both)
    (base, base_count), (head, head_count) = both.failed(how)
    chance = judge.fails_more(*fresh.failed(how)) if fresh.base else 1.0
    was_cut_short = series.cell.name in evidence.cut_short or evidence.hangs is not None
    impossible = _are_impossible(both)
    always = fails_always(series, fresh)
    confirmed = impossible or always or (bool(fresh.base) and fails_more(fresh))
    if impossible:
        evidence_in_words = "rows acknowledged and then lost, or there twice: once is enough"
    elif always:
        evidence_in_words = "never on the base, every time on the head"
    else:
        evidence_in_words = f"Fisher's exact test on fresh samples, p = {chance:.2g}"
    what = "failed" if how is has_failed else "failed other than by a lock"
    finding = Finding(
        "failure",
        series.cell.name,
        f"{base} of {base_count} {what}",
        f"{head} of {head_count} {what}",
        "",
        evidence_in_words,
        confirmed,
        _why(both.head),
        details=_traceback([answer for answer in both.head if how(answer)]),
    )
    if confirmed:
        judgement.findings.append(finding)
    elif _is_still_suspect(fresh.failed(how), base, chance, was_cut_short):
        judgement.suspicions.append(finding)
    else:
        judgement.notes.append(
            f"{series.cell.name}: {what} in {head} of {head_count} samples on the head and {base} of {base_count} on "
            f"the base, not surely more often when looked at again (p = {chance:.2g}): {finding.cause}"
        )


def _is_still_suspect(
    fresh: tuple[tuple[int, int], tuple[int, int]], base_failed: int, chance: float, was_cut_short: bool
) -> bool:
    """Whether fresh samples, by how many failed of how many, neither confirm nor clear it."""
    if not was_cut_short:
        return chance < CONFIRMATION_LEVEL  # enough if it had been looked at once
    (_, count), (head_failed_again, _) = fresh
    return count < 3 or chance < STILL_SUSPECT or (base_failed == 0 and head_failed_again > 0)


def _why(answers: list[Answer]) -> str:
    """What failed, in words: rows by SQLite's error names, and whatever else is not right."""
    words = []
    for name, what in (("lost", "lost without an error"), ("duplicated", "in the table more than once"),
                       ("recovered", "in the table although their insert failed"), ("failed", "failed")):  # fmt: skip
        if count := _sum(answers, name):
            errors = _errors(answers) if name == "failed" else ""
            words.append(f"{count} of {_sum(answers, 'attempted') or 'the'} rows {what}{errors}")
    if any(answer.get("value", {}).get("miscounted") for answer in answers):
        words.append("the report's counts are not those of the table")
    without = [answer for answer in answers if "error" in answer]
    if without:
        words.append(_last_line(without[-1]))
    return "; ".join(words)


def _errors(answers: list[Answer]) -> str:
    counts: dict[str, int] = {}
    for answer in answers:
        for name, count in answer.get("value", {}).get("errors", {}).items():
            counts[name] = counts.get(name, 0) + count
    return " (" + ", ".join(f"{name} {count}" for name, count in counts.items()) + ")" if counts else ""


def _sum(answers: list[Answer], *names: str) -> int:
    return sum(int(answer.get("value", {}).get(name) or 0) for answer in answers for name in names)


def _traceback(answers: list[Answer]) -> str:
    for answer in answers:
        if text := answer.get("error") or answer.get("value", {}).get("traceback"):
            return str(text)
    return ""


def _last_line(answer: Answer) -> str:
    return (str(answer.get("error") or answer.get("not possible") or "").splitlines() or [""])[-1]


def _last_line_of(series: Series) -> str:
    return next(_last_line(answer) for answer in (*series.head, *series.base) if "value" not in answer)


def _joined(*parts: Series) -> Series:
    base, head = ([answer for part in parts for answer in getattr(part, side)] for side in ("base", "head"))
    return Series(parts[0].cell, base, head)


# ------------------------------------------------------------------------------------------------------------ costs

# Each cost, and what it counts.
UNITS = {
    "bytes_written": ("byte", "written"),
    "write_calls": ("write call", ""),
    "syncs": ("sync", ""),
    "sql_statements": ("SQL statement", ""),
    "virtual_machine_steps": ("step", "of SQLite's virtual machine"),
    "python_calls": ("Python call", ""),
}


def _judge_cost(series: Series, accepted: Sequence[AcceptedCost], statements: str, judgement: Judgement) -> None:
    base, head = _values(series, judgement)
    for metric in base[0] if base and head else ():
        before, after = ([costs.get(metric) for costs in side] for side in (base, head))
        name = f"{series.cell.name} {metric}"
        if None in before or None in after:
            judgement.costs.append((name, _text(before[0]), _text(after[0])))
            if None not in before:
                judgement.notes.append(f"{name}: counted on the base, n/a on the head, so not compared")
            continue
        judgement.costs.append((name, _range(before), _range(after)))
        exact = min(before) == max(before) and min(after) == max(after)
        if not exact and len(before) < VARYING:
            continue
        more, less = min(after) - max(before), min(before) - max(after)
        amount = round(max(after) - min(before) if more > 0 else min(after) - max(before), 1)
        cause = _per_row(metric, amount)
        if metric == "sql_statements" and statements:
            cause += f" ({statements})"
        if more > 0 or (less > 0 and metric == "syncs"):
            acceptance = next((one for one in accepted if _accepts(one, metric, amount)), None)
            if acceptance is not None:
                judgement.notes.append(f"{name}: {cause}, accepted: {acceptance.reason}")
                continue
            weaker = less > 0
            judgement.findings.append(
                Finding(
                    "failure" if weaker else "cost", name, _range(before), _range(after), _number(amount, "+"),
                    f"{'exact' if exact else 'varies, but every head run is above every base run'}, "
                    f"{len(before)} runs a side", True,
                    cause + (": rows may be acknowledged before they are safe" if weaker else ""),
                )
            )  # fmt: skip
        elif less > 0:
            judgement.notes.append(f"{name}: improved, {cause}")


def _changed_statements(promises: Sequence[Series]) -> dict[str, str]:
    """For each settings, the SQL statements of an insert that are there on one side only, without their values."""
    changed = {}
    for series in promises:
        before, after = (one[0].get("value", {}).get("statements", []) for one in (series.base, series.head))
        new, gone = list(after), list(before)
        for statement in before:
            if statement in new:
                new.remove(statement)
                gone.remove(statement)
        changed[series.cell.settings] = ", ".join([*(f"new: {one}" for one in new), *(f"gone: {one}" for one in gone)])
    return changed


def _accepts(acceptance: AcceptedCost, metric: str, amount: float) -> bool:
    """Whether it is that metric, in that direction, and at most that amount."""
    same_direction = acceptance.amount * amount > 0
    return acceptance.metric == metric and same_direction and abs(amount) <= abs(acceptance.amount)


def _per_row(metric: str, amount: float) -> str:
    unit, what = UNITS.get(metric, (metric, ""))
    plural = "" if abs(amount) == 1 else "s"
    return f"{_number(amount, '+')} {unit}{plural} {what}".rstrip() + " per row"


def _range(values: list[Any]) -> str:
    low, high = min(values), max(values)
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


def _number(value: float, sign: str = "") -> str:
    """All of it: a cost is a mean of ten rows, so it has one decimal."""
    return f"{value:{sign},.1f}".removesuffix(".0")


def _texts(values: list[Any]) -> str:
    return " or ".join(dict.fromkeys(map(_text, values)))


def _text(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------------------------ times


def _judge_times(evidence: Evidence, judgement: Judgement) -> None:
    fresh = {series.cell.name: series for series in evidence.confirmed_times}
    questions = len(TIMES)
    changes = {}
    for series in evidence.times:
        base, head = series.times()
        if not base:
            judgement.timings.append(Timing(series.cell.name, 0))
            continue
        change = judge.compare(base, head)
        noticed = judge.noticed(base, head, SCREENING_LEVEL / questions) if len(base) >= FEWEST_PAIRS else math.inf
        judgement.timings.append(
            Timing(
                series.cell.name, change.pairs, _median(base), _median(head), change.factor, change.low, change.high,
                max(noticed, change.floor) if math.isfinite(noticed) else None,
            )
        )  # fmt: skip
        changes[series.cell.name] = change
        if series.cell.name not in evidence.flagged:
            faster = judge.slower([-ratio for ratio in judge.log_ratios(base, head)])
            if faster < SCREENING_LEVEL / questions and 1 / change.factor > change.floor:
                judgement.notes.append(f"{series.cell.name}: faster, {_percent(change)} (not measured again)")
    again = [series for name, series in fresh.items() if name in evidence.flagged and series.times()[0]]
    chances = judge.holm([judge.compare(*series.times()).chance for series in again])
    for series, chance in zip(again, chances):
        base, head = series.times()
        change = judge.compare(base, head)
        confirmed = chance < CONFIRMATION_LEVEL and is_slower(change, CONFIRMATION_LEVEL)
        first = changes[series.cell.name]
        finding = Finding(
            "time",
            series.cell.name,
            _duration(_median(base)),
            _duration(_median(head)),
            f"{100 * (change.factor - 1):+.1f}%",
            f"{first.pairs} pairs ({_percent(first)}), and {change.pairs} fresh ones, p = {chance:.2g}",
            confirmed,
            f"a {'sequence of inserts' if series.cell.sample == 'sequence' else 'burst'} takes "
            f"{100 * (change.factor - 1):.1f}% longer",
            interval=f"{100 * (change.low - 1):+.1f}% to {100 * (change.high - 1):+.1f}%",
        )
        if confirmed:
            judgement.findings.append(finding)
        elif series.cell.name in evidence.cut_short and change.high > 1:
            judgement.suspicions.append(finding)
        else:
            judgement.notes.append(
                f"{series.cell.name}: seemed slower ({_percent(first)}), not when measured again ({_percent(change)})"
            )
    for name in evidence.flagged:
        if name not in {series.cell.name for series in again}:
            judgement.suspicions.append(
                Finding("time", name, "", "", _percent(changes[name]), f"{changes[name].pairs} pairs", False,
                        "there was no time to measure it again")
            )  # fmt: skip


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"


def _percent(change: judge.Change) -> str:
    return f"{100 * (change.factor - 1):+.1f}%"
