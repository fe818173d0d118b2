"""One check, from two commits to a report; puts the parts together, and knows no statistics and no options."""

from __future__ import annotations

import random
import shlex
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from . import environment
from .accepted import AcceptedCost, accepted_costs
from .build import THIS_PYTHON
from .choose import choose
from .commits import Comparison, find_comparison, git
from .errors import SetUpError
from .evidence import Evidence
from .findings import Judgement
from .judge import import_failure, judge_evidence
from .plan import PLAN, Plan
from .report import CheckReport
from .sampling import Sampling
from .side import LONGEST_START, Reply, Side
from .suite import Suite, find_suite
from .workplace import built_sides, workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TIME_LIMIT = 540.0


@dataclass(frozen=True)
class Options:
    """What a check is told beside its suite and its two commits.

    as_given: compare with the base itself, not with where head has left it. environment_type: in place of the suite's.
    itself: measure although nothing changed, to learn of the check's own false alarms.
    """

    python: str = THIS_PYTHON
    seed: int | None = None
    time_limit: float = TIME_LIMIT
    pull_request_text: Path | None = None
    as_given: bool = False
    environment_type: str = ""
    itself: bool = False


def check(
    configuration: Path,
    base: str | None = None,
    head: str = "HEAD",
    options: Options = Options(),
    plan: Plan = PLAN,
) -> tuple[CheckReport, Evidence]:
    """Compare two commits of what that suite measures; the base is the merge base unless it is given.

    ``SetUpError`` if the check cannot be made. Whatever was started has ended afterwards, and no file is left.
    """
    started = time.monotonic()
    suite = find_suite(configuration)
    if options.environment_type:
        suite = replace(suite, environment_type=options.environment_type)
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    comparison = find_comparison(suite.repository, base, head, suite.measured, as_given=options.as_given)
    text = "" if options.pull_request_text is None else options.pull_request_text.read_text(errors="replace")
    accepted_in_text = accepted_costs(text)
    accepted = accepted_costs(comparison.messages) + accepted_in_text
    _refuse_unknown(accepted, suite, comparison)
    command = ["python", "-m", "pr_check", comparison.base, comparison.head, "--python", options.python]
    command += ["--seed", str(seed), "--time-limit", f"{options.time_limit:g}"]
    command += ["--config", _relative(configuration)] if _relative(configuration) != "asv.conf.json" else []
    command += ["--pull-request-text", str(options.pull_request_text)] if accepted_in_text else []
    command += ["--as-given"] if options.as_given else []
    command += ["--only", plan.only] if plan.only else []
    command += ["--environment", options.environment_type] if options.environment_type else []
    report = CheckReport(comparison.base, comparison.head, Judgement(), {}, shlex.join(command))
    evidence = Evidence()
    if comparison.measurable or options.itself:
        evidence = _measure(report, suite, comparison, accepted, random.Random(seed), started, options, plan)
    elif comparison.changed:
        plural = "s" if len(comparison.changed) > 1 else ""
        report.nothing_to_measure = (
            f"{len(comparison.changed)} changed file{plural}, none of the package, the benchmarks or the build"
        )
    else:
        report.nothing_to_measure = "nothing changed"
    report.judgement.notes[:0] = comparison.notes
    report.seconds = round(time.monotonic() - started, 1)
    report.environment["duration"] = f"{report.seconds:.0f} s"
    return report, evidence


def _relative(path: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _refuse_unknown(accepted: list[AcceptedCost], suite: Suite, comparison: Comparison) -> None:
    """Refuse what accepts a metric that no benchmark has, before anything is built."""
    for one in accepted:
        searched = ["grep", "-qwE", f"track_{one.metric}|{one.metric}", comparison.head, "--", suite.benchmarks_inside]
        try:
            if suite.inside is not None:
                git(suite.repository, *searched)
        except SetUpError:
            raise SetUpError(f"Accept-Cost: {one.metric!r} is no metric of {suite.benchmarks_inside}") from None


def _measure(
    report: CheckReport,
    suite: Suite,
    comparison: Comparison,
    accepted: list[AcceptedCost],
    order: random.Random,
    started: float,
    options: Options,
    plan: Plan,
) -> Evidence:
    """Build and sample both sides, complete the report, and return the evidence."""
    console = Console(stderr=True)
    evidence = Evidence()
    with ExitStack() as resources:
        folder = resources.enter_context(workplace(suite.folder, plan))
        sides = resources.enter_context(built_sides(suite, comparison, options.python, folder, plan, console))
        stolen = environment.stolen_time()
        # New environments may have taken most of the time.
        until = max(started + options.time_limit, time.monotonic() + options.time_limit / 2)
        before, base, head = identities = identify(*sides)
        is_same = base.get("installed") == head.get("installed") and not _touches_suite(suite, comparison)
        if is_same and not options.itself:
            report.nothing_to_measure = f"{len(comparison.changed)} changed files, and both commits install the same"
        elif "benchmarks" not in head:
            report.judgement = import_failure(head["reason"])
        else:
            chosen = choose(head, plan, suite.timeout, comparison.measurable)
            own = sides[0] if _touches_suite(suite, comparison) else None
            sampling = Sampling(sides[1], sides[2], chosen, order, until, before=own,
                                touches=touching(comparison), is_never_judged=suite.is_never_judged)  # fmt: skip
            evidence = _sample(sampling, console)
            report.judgement = judge_evidence(evidence, accepted, sampling.plan)
            _judge_broken(before, base, head, report.judgement)
            report.benchmarks = _compare_suites(before, head, suite, comparison)
            report.judgement.left_out += [
                (name, "the head removes it") for name in report.benchmarks.get("removed", ())
            ]
        report.environment = environment.describe(identities[1], evidence, stolen)
    return evidence


def identify(before: Side, base: Side, head: Side) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return who the base with its own benchmarks, base and head say they are; the reason of one that does not say.

    ``SetUpError`` if the base cannot be sampled, or the two have not the same Python and SQLite.
    """
    sides = (before, base, head)
    for side in sides:  # at the same time: a suite may take long to be imported
        side.prepare()
    for side in sides:
        side.send("identity", {})
    until = time.monotonic() + LONGEST_START
    own, base_is, head_is = (_identity(side, side.receive(until)) for side in sides)
    if "benchmarks" not in base_is and ("benchmarks" in head_is or "benchmarks" not in own):
        what = "the head's benchmarks beside the base" if "benchmarks" in own else "the base"
        raise SetUpError(f"{what} cannot be sampled: {base_is['reason'].splitlines()[-1]}")
    base_has, head_has = (
        "Python {python} with SQLite {sqlite}".format(**one) if "python" in one else "" for one in (base_is, head_is)
    )
    if base_has and head_has and base_has != head_has:
        raise SetUpError(
            f"the environment of the base has {base_has}, and that of the head {head_has}: "
            "remove '.asv/pr_check', so that both are made anew"
        )
    return own, base_is, head_is


def _identity(side: Side, reply: Reply) -> dict[str, Any]:
    """Return who a side says it is; ask once more if it does not: a process may have been killed for want of memory."""
    if "value" not in reply:
        reply = side.ask("identity", {}, LONGEST_START)
    found: dict[str, Any] = reply.get("value") or {}
    if found.get("benchmarks") or found.get("declared"):
        return found
    broken = found.get("broken", {})
    reason = str(next(iter(broken.values()), "") or reply.get("error") or "it has no benchmarks")
    return {"reason": reason, **{name: found[name] for name in ("python", "sqlite", "installed") if name in found}}


def touching(comparison: Comparison) -> Callable[[Iterable[str]], bool]:
    """Return what says whether one of these executed files has changed: by the end of its path, as it is installed.

    A file that is no Python, or no part of a package, may change anything.
    """
    ends = {f"/{'/'.join(Path(name).parts[-2:])}" for name in comparison.measurable if name.endswith(".py")}
    unclear = any(not name.endswith(".py") or "/" not in name for name in comparison.measurable)

    def touches(files: Iterable[str]) -> bool:
        return unclear or any(f"/{'/'.join(Path(file).parts[-2:])}" in ends for file in files)

    return touches


def _sample(sampling: Sampling, console: Console) -> Evidence:
    with console.status("") as status:

        def progress(what: str, done: float) -> None:
            left = max(sampling.until - time.monotonic(), 0)
            status.update(f"{what}{f', {100 * done:.0f}% decided' if done else ''}; {left:.0f} s left at most")

        sampling.progress = progress
        return sampling.run()


def _touches_suite(suite: Suite, comparison: Comparison) -> bool:
    inside = (f"{suite.benchmarks_inside}/",) if suite.inside is not None else ()
    return any(name.startswith(inside) or name.endswith(suite.configuration.name) for name in comparison.changed)


def _judge_broken(before: dict[str, Any], base: dict[str, Any], head: dict[str, Any], judgement: Judgement) -> None:
    """Add the modules of benchmarks that cannot be imported: a failure, unless the base's own cannot either."""
    for module, error in head["broken"].items():
        finding = replace(import_failure(error).findings[0], benchmark=f"import of {module}")
        if module in before.get("broken", {}):
            judgement.left_out.append((module, f"it cannot be imported on the base either: {finding.cause}"))
        else:
            judgement.findings.insert(0, finding)
            judgement.verdict = "NEW FAILURE"
    judgement.notes += [
        f"{module}: it cannot be imported beside the base's package, so there is nothing to compare with"
        for module in base["broken"].keys() - head["broken"].keys()
    ]


def _compare_suites(
    before: dict[str, Any], head: dict[str, Any], suite: Suite, comparison: Comparison
) -> dict[str, list[str]]:
    """Return which benchmarks were removed, are new, or have another version or other parameters, if both are known."""
    if "benchmarks" not in before:
        return {}
    old, new = ({one["name"]: (one["version"], one["params"]) for one in side["benchmarks"]} for side in (before, head))
    files = [name for name in comparison.changed if _touches_suite(suite, replace(comparison, changed=(name,)))]
    return {
        "removed": sorted(old.keys() - new.keys()),
        "new": sorted(new.keys() - old.keys()),
        "changed": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
        "files": files,
    }
