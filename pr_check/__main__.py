"""The command line: ``python -m pr_check [BASE] [HEAD]``; puts the parts together, and knows no statistics.

Ends with 0 PASS, 1 REGRESSION, 2 NEW FAILURE, 3 INCONCLUSIVE, 4 the check could not be made, 130 interrupted.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import os
import platform
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from .build import Build
from .commits import GIT_VARIABLES, AcceptedCost, Comparison, accepted_costs, find_comparison
from .errors import SetUpError
from .findings import STATUS, Judgement
from .report import Report
from .sampling import Evidence, Sampling, steal
from .side import Side
from .verdict import UNITS, import_failure, judge_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes that the databases, the wheels and the two environments need.
SPACE = 300_000_000


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; argparse says what is wrong with them in its own way, and with status 4."""
    parser = argparse.ArgumentParser(prog="python -m pr_check", description="Compare two commits of this repository.")
    parser.error = _wrong_usage  # type: ignore[method-assign, assignment]
    parser.add_argument("base", nargs="?", help="the commit to compare with (merge base with the main branch)")
    parser.add_argument("head", nargs="?", default="HEAD", help="the commit to judge (HEAD)")
    parser.add_argument(
        "--python",
        default=".".join(platform.python_version_tuple()[:2]),
        metavar="3.X",
        help="of both sides (this one)",
    )
    parser.add_argument("--report", type=_writable, metavar="FILE.md", help="write the report as Markdown")
    parser.add_argument("--json", type=_writable, metavar="FILE", help="write the report as JSON")
    parser.add_argument("--raw", type=_writable, metavar="FILE", help="write the raw samples as JSON")
    parser.add_argument("--seed", type=int, default=None, help="of the order of the samples (random)")
    parser.add_argument(
        "--time-limit", type=_seconds, default=540.0, metavar="SECONDS", help="of the whole check (540)"
    )
    parser.add_argument("--pull-request-text", type=Path, metavar="FILE", help="may hold Accept-Cost lines")
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 86400")
    return seconds


def _writable(name: str) -> Path:
    """A file to write at the end: now is the time to say that it cannot be."""
    path = Path(name)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{name!r} cannot be written: a file in an existing folder is needed")
    return path


def _wrong_usage(message: str) -> None:
    raise SetUpError(f"{message} (python -m pr_check --help)")


def main(arguments: list[str]) -> int:
    """Run one check; every way out is one line and a status."""
    for name in GIT_VARIABLES:
        os.environ.pop(name, None)
    try:
        return check(parse(arguments), Path.cwd())
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


def check(options: argparse.Namespace, folder: Path) -> int:
    """Compare two commits of the repository in that folder, report, and the verdict's status."""
    started = time.monotonic()
    for file in filter(None, (options.report, options.json, options.raw)):
        if file.is_file() and not file.is_symlink():  # and not /dev/null
            file.unlink()  # an older check's: whatever comes, it is not this one's
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    comparison = find_comparison(folder, options.base, options.head)
    text = options.pull_request_text
    accepted_in_text = [] if text is None else accepted_costs(text.read_text(errors="replace"))
    accepted = accepted_costs(comparison.messages) + accepted_in_text
    for one in accepted:
        if one.metric not in UNITS:
            raise SetUpError(f"Accept-Cost: {one.metric!r} is not a cost: {', '.join(UNITS)} are")
    command = ["python", "-m", "pr_check", comparison.base, comparison.head, "--python", options.python]
    command += ["--seed", str(seed), "--time-limit", f"{options.time_limit:g}"]
    if accepted_in_text:
        command += ["--pull-request-text", str(text)]
    report = Report(comparison.base, comparison.head, Judgement(), {}, shlex.join(command))
    if not comparison.measurable:
        changed = len(comparison.changed)
        report.nothing_to_measure = (
            f"{changed} changed file{'s' if changed > 1 else ''}, none of the package, the benchmarks or the build"
            if changed
            else "nothing changed"
        )
    else:
        _measure(report, comparison, accepted, options, random.Random(seed), started + options.time_limit)
    report.seconds = round(time.monotonic() - started, 1)
    report.environment["duration"] = f"{report.seconds:.0f} s"
    if options.report is not None:
        options.report.write_text(report.to_markdown(), encoding="utf-8")
    if options.json is not None:
        options.json.write_text(report.to_json(), encoding="utf-8")
    with suppress(SystemExit):  # rich's, when nobody reads on
        _print(report, Console())
    return STATUS[report.judgement.verdict]


def _measure(
    report: Report,
    comparison: Comparison,
    accepted: list[AcceptedCost],
    options: argparse.Namespace,
    order: random.Random,
    until: float,
) -> None:
    """Build and sample both sides, and complete the report; whatever was started is ended, and no file is left."""
    console = Console(stderr=True)
    with ExitStack() as resources:
        folder = resources.enter_context(workplace(comparison.root))
        base, head = build_both(comparison, options.python, folder, console)
        for side in (base, head):
            resources.callback(side.end)
        before = steal()
        until = max(until, time.monotonic() + options.time_limit / 2)  # new environments may have taken most of it
        judgement, evidence, identities = _sample(comparison, base, head, order, until, folder, console)
        report.judgement = judge_evidence(evidence, accepted) if judgement is None else judgement
        report.benchmarks = _compare_suites(identities)
        report.environment = _environment(identities, evidence, before, steal())
        if options.raw is not None:
            options.raw.write_text(json.dumps(_raw(evidence)) + "\n")


@contextmanager
def workplace(root: Path) -> Iterator[Path]:
    """A folder for this check alone, gone afterwards; only one check at a time has the two environments."""
    parent = root / ".asv" / "pr_check"
    parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(parent).free
    if free < SPACE:
        raise SetUpError(
            f"the disk of {str(parent)!r} is full: {free // 1_000_000} MB free, {SPACE // 1_000_000} needed"
        )
    with (parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetUpError("another check of this repository is running") from None
        for left in parent.glob("run-*"):  # by a check that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix="run-", ignore_cleanup_errors=True) as folder:
            (Path(folder) / "databases").mkdir()
            yield Path(folder)


def build_both(comparison: Comparison, python: str, folder: Path, console: Console) -> tuple[Side, Side]:
    """Both sides, built at the same time; each with the head's benchmarks."""
    configuration = folder / "asv.conf.json"
    configuration.write_text(comparison.read("asv.conf.json"))
    commits = {"base": comparison.base, "head": comparison.head}
    builds: list[Build] = []
    try:
        with console.status(f"building {comparison.base[:8]} and {comparison.head[:8]} for Python {python}"):
            for side, commit in commits.items():
                _extract(comparison, commit, folder / f"{side}-benchmarks")
                builds.append(Build(side, comparison.root, configuration, python, commit))
            built = [build.wait() for build in builds]
    finally:
        for build in builds:
            build.process.terminate()  # all of them, before one is waited for
        for build in builds:
            build.end()
    base, head = (
        Side(name, interpreter, folder / "head-benchmarks", folder / "databases", variables)
        for name, (interpreter, variables) in zip(commits, built)
    )
    return base, head


def _extract(comparison: Comparison, commit: str, folder: Path) -> None:
    """A commit's benchmark files, and nothing else of it."""
    folder.mkdir()
    done = subprocess.run(
        ["git", "archive", commit, "benchmarks"], cwd=comparison.root, capture_output=True, check=False
    )
    if done.returncode == 0:
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            # Older ones of 3.11 know no filter; what is extracted is the repository's own.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)  # noqa: S202


def _sample(
    comparison: Comparison, base: Side, head: Side, order: random.Random, until: float, folder: Path, console: Console
) -> tuple[Judgement | None, Evidence, dict[str, Any]]:
    """Both sides' identities, and the evidence; a judgement already if the head cannot even be imported."""
    before = Side("before", base.interpreter, folder / "base-benchmarks", base.databases, base.variables)
    try:
        identities = {side.name: _identity(side) for side in (before, base, head)}
    finally:
        before.end()
    if "value" not in identities["base"]:
        what = f"the head's benchmarks beside the base {comparison.base[:8]}"
        if "value" not in identities["before"]:
            what = f"the base {comparison.base[:8]}"
        raise SetUpError(f"{what} cannot be sampled: {_reason(identities['base']).splitlines()[-1]}")
    if "value" not in identities["head"]:
        return import_failure(_reason(identities["head"])), Evidence(), identities
    with_what = [
        "Python {python} with SQLite {sqlite}".format(**identities[side.name]["value"]) for side in (base, head)
    ]
    if with_what[0] != with_what[1]:
        raise SetUpError(
            f"the environment of the base has {with_what[0]}, and that of the head {with_what[1]}: "
            f"remove {str(comparison.root / '.asv' / 'pr_check')!r}, so that both are made anew"
        )
    with console.status("") as status:

        def progress(what: str, done: float) -> None:
            left = max(until - time.monotonic(), 0)
            status.update(f"{what}{f', {100 * done:.0f}% decided' if done else ''}; {left:.0f} s left at most")

        return None, Sampling(base, head, order, until, progress).run(), identities


def _identity(side: Side) -> dict[str, Any]:
    """Who a side is, asked again if it does not say: a process may have been killed for want of memory."""
    answer = side.ask("identity", {}, 60.0)
    return answer if "value" in answer else side.ask("identity", {}, 60.0)


def _reason(answer: dict[str, Any]) -> str:
    return str(answer.get("error") or answer.get("not possible") or "no reason was given")


def _compare_suites(identities: dict[str, Any]) -> dict[str, list[str]]:
    """Which benchmarks were removed, are new, or have another version or other parameters; of two that are known."""
    if not all("value" in identities[side] for side in ("before", "head")):
        return {}
    before, after = (identities[side]["value"]["benchmarks"] for side in ("before", "head"))
    return {
        "removed": sorted(before.keys() - after.keys()),
        "new": sorted(after.keys() - before.keys()),
        "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
    }


def _environment(
    identities: dict[str, Any], evidence: Evidence, before: tuple[int, int], after: tuple[int, int]
) -> dict[str, str]:
    known = identities["base"]["value"]  # the head's as well, or it cannot be imported
    ticks = after[1] - before[1]
    stolen = (after[0] - before[0]) / ticks if ticks else 0.0
    environment = {
        "Python": known["python"],
        "SQLite": known["sqlite"],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} processors",
        "stolen time": f"{100 * stolen:.1f}%",
    }
    if evidence.durations:
        environment["time spent"] = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in evidence.durations.items())
    spread = 0.0
    if len(evidence.control) >= 20:
        tenths = statistics.quantiles(evidence.control, n=10)
        spread = tenths[-1] / statistics.median(evidence.control)
        environment["control"] = (
            f"median {1000 * statistics.median(evidence.control):.2f} ms, slowest tenth from {spread:.1f} times that"
        )
    reasons = [f"{100 * stolen:.0f}% of its time was stolen"] if stolen > 0.05 else []
    reasons += [f"a tenth of the fixed control work took {spread:.1f} times as long"] if spread > 3 else []
    if reasons:
        environment["disturbed"] = " and ".join(reasons)
    return environment


def _raw(evidence: Evidence) -> dict[str, Any]:
    """Times in microseconds, and how many samples failed, by benchmark: what a selftest keeps."""
    raw: dict[str, Any] = {}
    for phase in ("times", "confirmed_times"):
        raw[phase] = {
            series.cell.name: [[round(1e6 * seconds) for seconds in side] for side in series.times()]
            for series in getattr(evidence, phase)
        }
    for phase in ("failures", "times", "confirmed_failures"):
        raw[f"failed {phase}"] = {series.cell.name: series.failed() for series in getattr(evidence, phase)}
    return raw


def _print(report: Report, console: Console) -> None:
    style = {"PASS": "bold green", "INCONCLUSIVE": "bold yellow"}.get(report.judgement.verdict, "bold red")
    for finding in (*report.judgement.findings, *report.judgement.suspicions):
        mark = "" if finding.confirmed else " (not confirmed)"
        console.print(f"  {finding.benchmark}: {finding.base} → {finding.head} {finding.change}{mark}", markup=False)
        console.print(f"    {finding.cause}; {finding.evidence}", markup=False)
    for note in report.judgement.notes:
        console.print(f"  note: {note}", markup=False)
    noticed = [timing.noticed for timing in report.judgement.timings if timing.noticed is not None]
    if noticed:
        factors = [100 * (factor - 1) for factor in sorted(noticed) if math.isfinite(factor)]
        console.print(
            f"  would have noticed slowdowns from {factors[0]:.0f}% (quietest benchmark) to {factors[-1]:.0f}%"
        )
    console.print(report.sentence(), style=style, markup=False)


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):  # ended politely, it cleans up as after Ctrl-C
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup has it
            signal.signal(ending, signal.default_int_handler)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow that the terminal lacks is no reason to end
    sys.exit(main(sys.argv[1:]))
