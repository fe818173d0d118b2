"""How both commands end: the files that were asked for, and the status. Knows no burst."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .errors import ANSWERED, COULD_NOT_MEASURE, INTERRUPTED, THRESHOLD_PASSED
from .output import document, machine_text, markdown, printable, say, write_json, write_markdown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .measured import Measured
    from .options import Options
    from .output import Table

_ADVICE = "Advice, from what was just measured"


def complain(text: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(printable(f"sqlite-writes: {text}\n", sys.stderr))


def end(
    command: str,
    title: str,
    options: Options,
    found: Sequence[Measured],
    tables: Sequence[Table],
    sentences: Sequence[str],
    advice: Sequence[str],
    passed: Sequence[str],
    *,
    workers: int | None,
    is_interrupted: bool,
    rows_each: int | None = None,
) -> int:
    """Show the advice and the thresholds that were passed, write the files, and return the status."""
    if advice:
        say()
        say(_ADVICE, style="bold")
        for line in advice:
            say(f"- {line}", indent=2)
    for line in passed:
        say(f"threshold passed: {line}", style="bold red")
    if options.export_json is not None:
        content = document(
            command,
            directory=os.path.abspath(options.directory),
            workers=workers,
            rows_each=rows_each,
            bursts=options.bursts,
            seed=options.seed,
            is_interrupted=is_interrupted,
            thresholds={"max_failed": options.max_failed, "p99": options.p99, "passed": list(passed)},
            writers=[one.to_dict() for one in found],
            advice=list(advice),
        )
        write_json(options.export_json, content)
    if options.export_markdown is not None:
        _write_markdown(options.export_markdown, title, tables, sentences, advice, passed)
    if options.plot is not None and any(one.sizes for one in found):
        from .plot import draw

        draw(options.plot, title, found)
    return _status([one.problem for one in found if one.problem is not None], passed, is_interrupted)


def _write_markdown(
    path: Path,
    title: str,
    tables: Sequence[Table],
    sentences: Sequence[str],
    advice: Sequence[str],
    passed: Sequence[str],
) -> None:
    parts = [
        f"# {title}",
        f"{machine_text()}.",
        *map(markdown, tables),
        _list(sentences),
        f"## {_ADVICE}" if advice else "",
        _list(advice),
        _list([f"threshold passed: {line}" for line in passed]),
    ]
    write_markdown(path, parts)


def _status(problems: Sequence[str], passed: Sequence[str], is_interrupted: bool) -> int:
    """Say each problem once, and return the status."""
    for problem in dict.fromkeys(problems):
        complain(problem)
    if is_interrupted:
        complain("interrupted: what was measured so far is above, and nothing is left running")
        return INTERRUPTED
    if problems:
        return COULD_NOT_MEASURE
    return THRESHOLD_PASSED if passed else ANSWERED


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
