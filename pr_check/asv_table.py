"""The table of ``asv compare``, from a check's report, for tools that post that. Knows no samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .findings import in_words

if TYPE_CHECKING:
    from .report import CheckReport


def asv_table(report: CheckReport) -> str:
    """Return all that was compared as ``asv compare`` has it: ``+`` worse, ``-`` better, ``!`` fails on the head."""
    judgement = report.judgement
    found = {finding.benchmark: finding for finding in judgement.findings}
    rows = []
    for timing in judgement.timings:
        if timing.base is not None and timing.head is not None and timing.factor is not None:
            base, head = (in_words(value, timing.unit) for value in (timing.base, timing.head))
            is_better = timing.high is not None and timing.high < 1 and timing.noticed is not None
            mark = "+" if timing.benchmark in found else "-" if is_better else " "
            rows.append((mark, base, head, f"{timing.factor:.2f}", timing.benchmark))
    for name, before, after in judgement.costs:
        rows.append(("+" if name in found else " ", before, after, "n/a", name))
    named = {row[-1] for row in rows}
    for name, finding in found.items():
        if finding.kind == "failure" and name not in named:
            rows.append(("!", finding.base, "failed", "n/a", name))
    first = ("Change", f"Before [{report.base[:8]}]", f"After [{report.head[:8]}]", "Ratio", "Benchmark (Parameter)")
    table = [first, *(tuple(field.replace("|", "/") for field in row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    lines = [f"| {' | '.join(field.ljust(width) for field, width in zip(row, widths))} |" for row in table]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "All benchmarks:\n\n" + "\n".join(lines) + "\n"
