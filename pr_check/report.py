"""The report: Markdown and JSON from one data structure; no statistics, and what comes from outside is escaped."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from .findings import STATUS, Finding, Judgement, Timing, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

# What is worth a place in a comment: a traceback's end, a reason. GitHub refuses more than 65,536 characters.
_LONGEST_TEXT = 600

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass
class CheckReport:
    """Everything that a check has to say."""

    base: str
    head: str
    judgement: Judgement
    environment: dict[str, str]
    command: str
    seconds: float = 0.0
    benchmarks: dict[str, list[str]] = field(default_factory=dict)
    nothing_to_measure: str = ""

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> CheckReport:
        """Return the report that ``to_json`` gave; ``ValueError`` for anything else: it may come from a stranger."""
        try:
            known = json.loads(text)
            judgement = known.pop("judgement")
            report = cls(judgement=Judgement(), **known)
            report.judgement = Judgement(
                verdict=judgement["verdict"],
                findings=[Finding(**one) for one in judgement["findings"]],
                suspicions=[Finding(**one) for one in judgement["suspicions"]],
                notes=list(judgement["notes"]),
                timings=[Timing(**one) for one in judgement["timings"]],
                failures=[tuple(one) for one in judgement["failures"]],
                costs=[tuple(one) for one in judgement["costs"]],
                judged=int(judgement["judged"]),
                left_out=[tuple(one) for one in judgement["left_out"]],
                needed=int(judgement["needed"]),
            )
            if report.judgement.verdict not in STATUS:
                raise ValueError(f"no such verdict: {report.judgement.verdict!r}")
            report.to_markdown()
        except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"this is not a report: {error!r}") from None
        return report

    def sentence(self) -> str:
        """Return the verdict in one line."""
        judgement = self.judgement
        pair = f"{self.base[:8]} → {self.head[:8]}"
        if self.nothing_to_measure:
            return f"PASS: {pair}: nothing to measure: {self.nothing_to_measure}"
        kinds = {"failure": "new failure", "cost": "higher exact cost", "time": "slower benchmark"}
        counts = [
            f"{count} {words}{'s' if count > 1 else ''}"
            for kind, words in kinds.items()
            if (count := sum(finding.kind == kind for finding in judgement.findings))
        ]
        if judgement.verdict == "INCONCLUSIVE":
            counts = [f"{len(judgement.suspicions)} suspected, not confirmed"] if judgement.suspicions else [
                "not measured often enough"
            ]  # fmt: skip
        counts = counts or [f"nothing got worse in {judgement.judged} benchmarks"]
        return f"{judgement.verdict}: {pair}: {', '.join(counts)}{self._not_judged()}"

    def _not_judged(self, most: int = 2) -> str:
        """Return how many were not judged, some of their names, and the time that it takes to judge them."""
        names = [name for name, _ in self.judgement.left_out]
        if not names:
            return ""
        some = ", ".join(names[:most]) + (", …" if len(names) > most else "")
        minutes = math.ceil((self.seconds + self.judgement.needed) / 60)
        time = f"; --time-limit {60 * minutes} may be enough for all" if self.judgement.needed else ""
        return f"; {len(names)} NOT JUDGED ({some}{time})"

    def to_markdown(self) -> str:
        """Return the report for people: what changed first, the rest folded."""
        if self.nothing_to_measure:
            return f"**{escape(self.sentence())}**\n"
        judgement = self.judgement
        parts = [f"**{escape(self.sentence())}**", ""]
        parts += _table_of(judgement.findings)
        if judgement.suspicions:
            parts += ["", "Suspected, and not confirmed:", "", *_table_of(judgement.suspicions)]
        for finding in (*judgement.findings, *judgement.suspicions):
            if finding.details:
                parts += ["", f"{escape(finding.benchmark)} ends with:", "", *_quoted(finding.details)]
        parts += ["", *(f"- {escape(note)}" for note in judgement.notes)]
        for what, names in self.benchmarks.items():
            if names:
                of = "files that change how it is measured" if what == "files" else f"{what} benchmarks"
                parts.append(f"- {escape(of)}: {', '.join(map(escape, names))}")
        disturbed = self.environment.get("disturbed")
        if disturbed:
            parts.append(f"- **The machine was disturbed**: {escape(disturbed)}. Times are less sure than usual.")
        parts += [
            "",
            *_folded("Times: what was measured, and what would have been noticed", _timings(judgement.timings)),
        ]
        parts += _folded("Not judged", _table(("benchmark", "why"), judgement.left_out))
        parts += _folded(
            "Samples in which something failed",
            _table(("benchmark", "base", "head"), judgement.failures),
        )
        parts += _folded("Values that do not vary", _table(("value", "base", "head"), judgement.costs))
        parts += _folded(
            "Environment", [f"- {escape(name)}: {escape(what)}" for name, what in self.environment.items()]
        )
        parts += [f"Repeat it: `{_CONTROL.sub(' ', self.command).replace('`', '')[:_LONGEST_TEXT]}`", ""]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


def escape(text: str) -> str:
    """Return text from outside as text: nothing in it is Markdown, HTML, a mention or a reference."""
    text = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + " …"
    text = html.escape(_CONTROL.sub(" ", text), quote=False)
    text = re.sub(r"([\\`*_{}\[\]|~])", r"\\\1", text)
    # GitHub looks for mentions, references and addresses in the finished text: an invisible space parts them.
    return re.sub(r"([@#]|:(?=//)|\bwww(?=\.)|\bGH(?=-\d))", "\\1\u200b", text, flags=re.IGNORECASE)


def _quoted(text: str) -> list[str]:
    """Return the end of a text as it is, in a block that nothing in it can end."""
    lines = text[-4 * _LONGEST_TEXT :].splitlines()
    return ["<pre>", *(html.escape(_CONTROL.sub(" ", line)) or " " for line in lines), "</pre>"]


def _table_of(findings: list[Finding]) -> list[str]:
    if not findings:
        return []
    rows = [
        (
            finding.benchmark,
            f"{finding.base} → {finding.head}" if finding.base else "",
            finding.change + (f" ({finding.interval})" if finding.interval else ""),
            finding.cause,
            finding.evidence,
            "yes" if finding.confirmed else "no",
        )
        for finding in findings
    ]
    return _table(("benchmark", "base → head", "change (95% interval)", "what", "evidence", "confirmed"), rows)


def _timings(timings: list[Timing]) -> list[str]:
    rows = []
    for timing in timings:
        if timing.base is None or timing.head is None or timing.factor is None or timing.low is None:
            rows.append((timing.benchmark, "0", "", "", "", "nothing"))
            continue
        rows.append(
            (
                timing.benchmark,
                str(timing.pairs),
                in_words(timing.base, timing.unit),
                in_words(timing.head, timing.unit),
                f"{_percent(timing.factor)} ({_percent(timing.low)} to {_percent(timing.high or 1)})",
                "nothing: too few pairs" if timing.noticed is None else f"{_percent(timing.noticed)} or more",
            )
        )
    return _table(("benchmark", "pairs", "base", "head", "change (95% interval)", "would have noticed"), rows)


def _percent(factor: float) -> str:
    return f"{100 * (factor - 1):+.1f}%"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [
        f"| {' | '.join(names)} |",
        f"|{' --- |' * len(names)}",
        *(f"| {' | '.join(map(escape, row))} |" for row in rows),
    ]


def _folded(title: str, lines: list[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""] if lines else []
