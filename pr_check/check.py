"""One check, from two commits to a report; puts the parts together, and knows no statistics and no options."""

from __future__ import annotations

import platform
import random
import shlex
import sysconfig
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rich.console import Console

from . import environment
from .commits import AcceptedCost, Comparison, accepted_costs, find_comparison
from .errors import SetUpError
from .evidence import Evidence
from .findings import Judgement
from .judge import import_failure, judge_evidence
from .judge.costs import UNITS
from .plan import PLAN, Plan
from .report import CheckReport
from .sampling import Sampling
from .side import Side
from .workplace import built_sides, workplace

if TYPE_CHECKING:
    from pathlib import Path

FREE_THREADED = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
THIS_PYTHON = ".".join(platform.python_version_tuple()[:2]) + FREE_THREADED
TIME_LIMIT = 540.0


def check(
    folder: Path,
    base: str | None = None,
    head: str = "HEAD",
    *,
    python: str = THIS_PYTHON,
    seed: int | None = None,
    time_limit: float = TIME_LIMIT,
    pull_request_text: Path | None = None,
    plan: Plan = PLAN,
) -> tuple[CheckReport, Evidence]:
    """Compare two commits of the repository in that folder; the base is the merge base unless it is given.

    ``SetUpError`` if the check cannot be made. Whatever was started has ended afterwards, and no file is left.
    """
    started = time.monotonic()
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    comparison = find_comparison(folder, base, head)
    text = "" if pull_request_text is None else pull_request_text.read_text(errors="replace")
    accepted_in_text = accepted_costs(text)
    accepted = accepted_costs(comparison.messages) + accepted_in_text
    for one in accepted:
        if one.metric not in UNITS:
            raise SetUpError(f"Accept-Cost: {one.metric!r} is not a cost: {', '.join(UNITS)} are")
    command = ["python", "-m", "pr_check", comparison.base, comparison.head, "--python", python]
    command += ["--seed", str(seed), "--time-limit", f"{time_limit:g}"]
    if accepted_in_text:
        command += ["--pull-request-text", str(pull_request_text)]
    report = CheckReport(comparison.base, comparison.head, Judgement(), {}, shlex.join(command))
    evidence = Evidence()
    if comparison.measurable:
        evidence = _measure(report, comparison, accepted, python, random.Random(seed), started, time_limit, plan)
    elif comparison.changed:
        plural = "s" if len(comparison.changed) > 1 else ""
        report.nothing_to_measure = (
            f"{len(comparison.changed)} changed file{plural}, none of the package, the benchmarks or the build"
        )
    else:
        report.nothing_to_measure = "nothing changed"
    report.seconds = round(time.monotonic() - started, 1)
    report.environment["duration"] = f"{report.seconds:.0f} s"
    return report, evidence


def _measure(
    report: CheckReport,
    comparison: Comparison,
    accepted: list[AcceptedCost],
    python: str,
    order: random.Random,
    started: float,
    time_limit: float,
    plan: Plan,
) -> Evidence:
    """Build and sample both sides, complete the report, and return the evidence."""
    console = Console(stderr=True)
    with ExitStack() as resources:
        folder = resources.enter_context(workplace(comparison.root, plan))
        base, head = resources.enter_context(built_sides(comparison, python, folder, plan, console))
        before = environment.stolen_time()
        # New environments may have taken most of the time.
        until = max(started + time_limit, time.monotonic() + time_limit / 2)
        identities = identify(comparison, base, head, folder)
        if "value" in identities["head"]:
            evidence = _sample(Sampling(base, head, plan, order, until), console)
            report.judgement = judge_evidence(evidence, accepted, plan)
            report.benchmarks = _compare_suites(identities)
        else:
            evidence = Evidence()
            report.judgement = import_failure(_reason(identities["head"]))
        report.environment = environment.describe(identities["base"]["value"], evidence, before)
    return evidence


def identify(comparison: Comparison, base: Side, head: Side, folder: Path) -> dict[str, Any]:
    """Return who base, head and ``before``, the base with its own benchmarks, say they are.

    ``SetUpError`` if the base cannot be sampled, or the two have not the same Python and SQLite.
    """
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
    base_has, head_has = (
        "Python {python} with SQLite {sqlite}".format(**identities[name].get("value", identities["base"]["value"]))
        for name in ("base", "head")
    )
    if base_has != head_has:
        raise SetUpError(
            f"the environment of the base has {base_has}, and that of the head {head_has}: "
            f"remove {str(comparison.root / '.asv' / 'pr_check')!r}, so that both are made anew"
        )
    return identities


def _identity(side: Side) -> dict[str, Any]:
    """Ask a side who it is, and once more if it does not say: a process may have been killed for want of memory."""
    reply = side.ask("identity", {}, 60.0)
    return reply if "value" in reply else side.ask("identity", {}, 60.0)


def _reason(reply: dict[str, Any]) -> str:
    return str(reply.get("error") or reply.get("not possible") or "no reason was given")


def _sample(sampling: Sampling, console: Console) -> Evidence:
    with console.status("") as status:

        def progress(what: str, done: float) -> None:
            left = max(sampling.until - time.monotonic(), 0)
            status.update(f"{what}{f', {100 * done:.0f}% decided' if done else ''}; {left:.0f} s left at most")

        sampling.progress = progress
        return sampling.run()


def _compare_suites(identities: dict[str, Any]) -> dict[str, list[str]]:
    """Return which benchmarks were removed, are new, or have another version or other parameters, if both are known."""
    if "value" not in identities["before"]:
        return {}
    before, after = (identities[side]["value"]["benchmarks"] for side in ("before", "head"))
    return {
        "removed": sorted(before.keys() - after.keys()),
        "new": sorted(after.keys() - before.keys()),
        "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
    }
