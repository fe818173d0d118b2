"""The command's options, and every way in which it ends; knows nothing of how a check is made.

Ends with 0 PASS, 1 REGRESSION, 2 NEW FAILURE, 3 INCONCLUSIVE, 4 the check could not be made, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from .asv_table import asv_table
from .build import THIS_PYTHON
from .calibrate import calibrate
from .check import TIME_LIMIT, Options, check
from .commits import GIT_VARIABLES
from .errors import SetUpError
from .findings import STATUS
from .plan import PLAN, Plan

if TYPE_CHECKING:
    from .report import CheckReport


# Of what was not judged for the same reason, so many names stand in a terminal; all are in the report.
_MOST = 3


def main(arguments: list[str], plan: Plan = PLAN) -> int:
    """Run one check by that plan; every way out is one line and a status."""
    for name in GIT_VARIABLES:
        os.environ.pop(name, None)
    try:
        return run(parse(arguments), plan)
    except SetUpError as error:
        reason = str(error)
    except OSError as error:
        reason = f"the disk is full: {error}" if error.errno == 28 else str(error)
    except Exception as error:  # a defect: it must not look like a verdict
        traceback.print_exc()
        reason = f"a defect of the check, see above: {error!r}"
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was judged, and nothing is left running\n")
        return 130
    sys.stderr.write(f"pr_check: {' '.join(reason.split())}\n")
    return 4


def run(options: argparse.Namespace, plan: Plan) -> int:
    """Check the named suite, write and print the report, and return the verdict's status."""
    for file in filter(None, (options.report, options.json, options.raw, options.table)):
        if file.is_file() and not file.is_symlink():  # and not /dev/null
            file.unlink()  # an older check's: whatever comes, it is not this one's
    told = Options(
        python=options.python,
        seed=options.seed,
        time_limit=options.time_limit,
        pull_request_text=options.pull_request_text,
        as_given=options.as_given,
        environment_type=options.environment,
    )
    plan = replace(plan, only=options.only) if options.only else plan
    console = Console()
    if options.calibrate:
        return min(
            calibrate(
                options.config, options.head, options.calibrate, told, plan, partial(console.print, markup=False)
            ),
            1,
        )
    report, evidence = check(options.config, options.base, options.head, told, plan)
    if options.report is not None:
        options.report.write_text(report.to_markdown(), encoding="utf-8")
    if options.json is not None:
        options.json.write_text(report.to_json(), encoding="utf-8")
    if options.table is not None:
        options.table.write_text(asv_table(report), encoding="utf-8")
    if options.raw is not None:
        options.raw.write_text(json.dumps(evidence.raw()) + "\n")
    with suppress(SystemExit):  # rich's, when nobody reads on
        _print(report, console)
    return STATUS[report.judgement.verdict]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; what is wrong with them is a ``SetUpError``."""
    parser = argparse.ArgumentParser(prog="python -m pr_check", description="Compare two commits by an asv suite.")
    parser.error = _wrong_usage  # type: ignore[method-assign, assignment]
    parser.add_argument("base", nargs="?", help="compare with where head has left this (the main branch)")
    parser.add_argument("head", nargs="?", default="HEAD", help="the commit to judge (HEAD)")
    parser.add_argument(
        "--config", type=Path, default=Path("asv.conf.json"), metavar="FILE", help="the suite's (asv.conf.json)"
    )
    parser.add_argument("--as-given", action="store_true", help="compare with the base itself, wherever head left it")
    parser.add_argument("--only", type=_pattern, default="", metavar="REGEX", help="benchmarks whose names hold this")
    parser.add_argument("--environment", default="", metavar="TYPE", help="asv's, as virtualenv (the suite's)")
    parser.add_argument("--calibrate", type=_count, default=0, metavar="N", help="check head against itself N times")
    parser.add_argument("--python", default=THIS_PYTHON, metavar="3.X", help="of both sides (this one)")
    parser.add_argument("--report", type=_writable, metavar="FILE.md", help="write the report as Markdown")
    parser.add_argument("--json", type=_writable, metavar="FILE", help="write the report as JSON")
    parser.add_argument("--table", type=_writable, metavar="FILE", help="write the table of asv compare")
    parser.add_argument("--raw", type=_writable, metavar="FILE", help="write the raw samples as JSON")
    parser.add_argument("--seed", type=int, help="of the order of the samples (random)")
    parser.add_argument(
        "--time-limit",
        type=seconds,
        default=TIME_LIMIT,
        metavar="SECONDS",
        help=f"of the whole check ({TIME_LIMIT:g})",
    )
    parser.add_argument("--pull-request-text", type=Path, metavar="FILE", help="may hold Accept-Cost lines")
    return parser.parse_args(arguments)


def seconds(text: str) -> float:
    """Return a time limit; ``ArgumentTypeError`` if it is none."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 1 <= found <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 86400")
    return found


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of checks from 1 to 1000")
    return int(text)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None
    return text


def _writable(name: str) -> Path:
    """Return a file to write at the end: now is the time to say that it cannot be."""
    path = Path(name)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{name!r} cannot be written: a file in an existing folder is needed")
    return path


def _wrong_usage(message: str) -> None:
    raise SetUpError(f"{message} (python -m pr_check --help)")


def _print(report: CheckReport, console: Console) -> None:
    style = {"PASS": "bold green", "INCONCLUSIVE": "bold yellow"}.get(report.judgement.verdict, "bold red")
    for finding in (*report.judgement.findings, *report.judgement.suspicions):
        mark = "" if finding.confirmed else " (not confirmed)"
        console.print(f"  {finding.benchmark}: {finding.base} → {finding.head} {finding.change}{mark}", markup=False)
        console.print(f"    {finding.cause}; {finding.evidence}", markup=False)
    for note in report.judgement.notes:
        console.print(f"  note: {note}", markup=False)
    noticed = sorted(timing.noticed for timing in report.judgement.timings if timing.noticed is not None)
    if noticed:
        least, most = (100 * (factor - 1) for factor in (noticed[0], noticed[-1]))
        console.print(f"  would have noticed slowdowns from {least:.0f}% (quietest benchmark) to {most:.0f}%")
    by_reason: dict[str, list[str]] = {}
    for name, why in report.judgement.left_out:
        by_reason.setdefault(why, []).append(name)
    for why, names in by_reason.items():
        more = f", and {len(names) - _MOST} more" if len(names) > _MOST else ""
        console.print(f"  not judged, {why}: {', '.join(names[:_MOST])}{more}", markup=False, soft_wrap=True)
    console.print(report.sentence(), style=style, markup=False)
