"""What a check has found, as data, and what each verdict means for a program; knows no statistics and no Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field

STATUS = {"PASS": 0, "REGRESSION": 1, "NEW FAILURE": 2, "INCONCLUSIVE": 3}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that changed, or seems to have.

    kind: ``failure``, ``cost`` or ``time``. base, head: what each side did. interval: of the change, 95%.
    evidence: what it rests on. confirmed: by fresh samples, or because it is exact. cause: in words.
    details: the end of a traceback.
    """

    kind: str
    benchmark: str
    base: str = ""
    head: str = ""
    change: str = ""
    evidence: str
    confirmed: bool = True
    cause: str
    interval: str = ""
    details: str = ""


@dataclass(frozen=True)
class Timing:
    """What is known of one benchmark's time: ``noticed`` is the factor from which a change would have been seen."""

    benchmark: str
    pairs: int
    base: float | None = None
    head: float | None = None
    factor: float | None = None
    low: float | None = None
    high: float | None = None
    noticed: float | None = None
    unit: str = "seconds"


@dataclass
class Judgement:
    """The verdict, what it rests on, and what else there is to know.

    judged: how many benchmarks were. left_out: those that were not, each with the reason. needed: about how many
    seconds more it takes to judge these too.
    """

    verdict: str = "PASS"
    findings: list[Finding] = field(default_factory=list)
    suspicions: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    costs: list[tuple[str, str, str]] = field(default_factory=list)
    judged: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    needed: int = 0


def in_words(value: float, unit: str = "seconds") -> str:
    """Return a value with its unit, at a size that reads well."""
    if unit != "seconds":
        return f"{value:,.6g} {unit}"
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.2f} ms" if value >= 1e-4 else f"{1e6 * value:.2f} µs"
