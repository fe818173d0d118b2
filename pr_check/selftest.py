"""The check tests itself: how often it cries wolf, what it sees, and what asv's own rule would have said.

Each command adds its results, a line of JSON for each check or trial, to ``pr_check/selftest.jsonl``, so that a long
measurement can be made in parts; ``table`` writes what all of them say to ``pr_check/selftest.md`` and the README.

    python -m pr_check.selftest same --count 10 [--loaded]     whole checks of two commits that do the same
    python -m pr_check.selftest mutants [--only NAME]          whole checks of bad changes (mutants.py); made twice,
                                                               also how far two checks of a pair agree
    python -m pr_check.selftest power --count 10 [--cell few|many] [--place lock|python|commit] [--percent 5]
    python -m pr_check.selftest rare --count 10                a failure in 10% of bursts on the head only
    python -m pr_check.selftest table
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import os
import random
import re
import statistics
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asv.commands.compare import _is_result_better
from asv_runner.statistics import compute_stats
from rich.console import Console

from . import judge
from .__main__ import build_both, check, parse, workplace
from .cells import TIMES, Cell
from .commits import find_comparison, git
from .errors import SetUpError
from .mutants import MUTANTS, Mutant
from .sampling import FEWEST_PAIRS, Evidence, Sampling, Series
from .verdict import judge_evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .side import Side

PROJECT = Path(__file__).resolve().parent.parent
RAW = Path(__file__).with_name("selftest.jsonl")
TABLE = Path(__file__).with_name("selftest.md")
README_MARKS = ("<!-- selftest -->\n", "<!-- end of selftest -->\n")

SHORT = 60.0  # the time limit, in seconds, of most of these checks

# The bases of what was measured by the rules as they are now. Whoever changes a rule empties this; results on another
# base count as an earlier rule's.
TODAYS = ("bb2d1e2",)

CELLS = {"few": "burst.Burst(8, 'queued')", "many": "burst.Burst(100, 'queued')"}

# Where a slowdown is injected: between insert and commit, with the lock held; in Python, before the lock is asked for;
# after the commit. Each takes a number: of microseconds, but of turns of a loop in Python. Busy, because a sleep takes
# sixty microseconds more than it is asked for, which is more than what 5% of a burst of 8 are for each of them.
_INSERT = "            execute(INSERT_ROW, row)\n"
_COMMIT = '            execute("COMMIT")\n'
_CALLED = "    called = time.monotonic()\n    with open_writer(database, settings) as insert:\n"
_BUSY = """\
            _until = time.perf_counter() + {0} / 1e6
            while time.perf_counter() < _until:
                pass
"""
PLACES = {
    "lock": (_INSERT, _INSERT + _BUSY),
    "python": (_CALLED, f"    for _ in range({{0}}):\n        pass\n{_CALLED}"),
    "commit": (_COMMIT, _COMMIT + _BUSY),
}


class Laboratory:
    """A clone of this project with commits of its own, and the two environments that all its checks share."""

    def __init__(self, project: Path = PROJECT, folder: Path | None = None) -> None:
        self.clone = folder or project / ".asv" / "selftest"
        head = git(project, "rev-parse", "HEAD")
        if not (self.clone / ".git").exists():
            self.clone.parent.mkdir(parents=True, exist_ok=True)
            git(project, "clone", "--quiet", "--no-checkout", str(project), str(self.clone))
        git(self.clone, "fetch", "--quiet", str(project), head)
        git(self.clone, "checkout", "--quiet", "--force", "--detach", head)
        self.base = head

    def commit(self, file: str, old: str, new: str, message: str) -> str:
        """A commit on top of the project's HEAD in which one text is another."""
        git(self.clone, "checkout", "--quiet", "--force", "--detach", self.base)
        path = self.clone / file
        text = path.read_text()
        if old not in text:
            raise LookupError(f"{message}: its place in {file} is gone")
        path.write_text(text.replace(old, new, 1))
        author = ("-c", "user.name=selftest", "-c", "user.email=selftest@localhost")
        git(self.clone, *author, "commit", "--quiet", "--no-verify", "--all", "--message", message)
        return git(self.clone, "rev-parse", "HEAD")

    def nothing(self) -> str:
        """A commit that changes the package's text and not what it does."""
        return self.commit("sqlite_writes/settings.py", "from __future__", "# Nothing.\nfrom __future__", "Nothing")

    def mutant(self, mutant: Mutant) -> str:
        """A commit that is this bad change."""
        return self.commit(mutant.file, mutant.old, mutant.new, mutant.name)

    def slowdown(self, place: str, amount: float) -> str:
        """A commit that is slower there by that much."""
        old, new = PLACES[place]
        return self.commit("sqlite_writes/database.py", old, new.format(round(amount)), f"Slower: {place} {amount:.0f}")

    def check(self, head: str, *options: str) -> dict[str, Any]:
        """A whole check of that commit: what it ended with, its report, its samples, its duration."""
        report, raw = self.clone / ".asv" / "report.json", self.clone / ".asv" / "raw.json"
        report.parent.mkdir(exist_ok=True)
        result: dict[str, Any] = {}
        started = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                files = ("--json", str(report), "--raw", str(raw))
                result["status"] = check(parse([self.base, head, *files, *options]), self.clone)
            except SetUpError as error:
                result["status"], result["said"] = 4, str(error)
        result["seconds"] = round(time.monotonic() - started, 1)
        if report.exists():
            result["judgement"] = json.loads(report.read_text())["judgement"]
        if raw.exists():
            result["raw"] = json.loads(raw.read_text())
        return result

    @contextmanager
    def sides(self, head: str) -> Iterator[tuple[Side, Side]]:
        """Both sides, built, to take samples of single benchmarks with the check's own code."""
        comparison = find_comparison(self.clone, self.base, head)
        with workplace(self.clone) as folder:
            python = "{}.{}".format(*sys.version_info)
            base, after = build_both(comparison, python, folder, Console(stderr=True))
            try:
                yield base, after
            finally:
                base.end()
                after.end()


def keep(result: dict[str, Any], raw: Path = RAW) -> None:
    """Add one result to the raw data."""
    with raw.open("a") as file:
        file.write(json.dumps(result, separators=(",", ":")) + "\n")


def read(raw: Path = RAW) -> list[dict[str, Any]]:
    """All results so far."""
    return [json.loads(line) for line in raw.read_text().splitlines()] if raw.exists() else []


# --------------------------------------------------------------------------------------------------- the measurements


def same(laboratory: Laboratory, count: int, loaded: bool, limit: float, raw: Path = RAW) -> None:
    """Whole checks of two commits that do the same: whatever is flagged is a false alarm."""
    head = laboratory.nothing()
    for _ in range(count):
        with load() if loaded else nothing():
            result = laboratory.check(head, "--time-limit", f"{limit:g}")
        version = {"base": laboratory.base[:7], "loaded": loaded, "limit": limit}
        keep({"kind": "same", **version, **_short(result)}, raw)
        _say(f"same{' (loaded)' if loaded else ''}: status {result['status']}, {result['seconds']:.0f} s")


def mutants(laboratory: Laboratory, only: str | None, limit: float, raw: Path = RAW) -> None:
    """Whole checks of bad changes: whether each is found, and the cause that is named the right one."""
    for mutant in MUTANTS:
        if only is not None and only not in mutant.name:
            continue
        result = laboratory.check(laboratory.mutant(mutant), "--time-limit", f"{limit:g}")
        findings = result.get("judgement", {}).get("findings", [])
        named = [one for one in findings if re.search(mutant.cause, f"{one['cause']} {one['details']}")]
        keep(
            {
                "kind": "mutant",
                "base": laboratory.base[:7],
                "name": mutant.name,
                "expected": mutant.verdict,
                "verdict": result.get("judgement", {}).get("verdict", result.get("said")),
                "cause": named[0]["cause"] if named else None,
                "benchmark": named[0]["benchmark"] if named else None,
                "flagged": sorted(f"{one['kind']} {one['benchmark']}" for one in findings),
                "seconds": result["seconds"],
            },
            raw,
        )
        found = "named" if named else f"NOT NAMED: {[one['cause'] for one in findings]}"
        _say(f"{mutant.name}: status {result['status']}, {result['seconds']:.0f} s, {found}")


def power(laboratory: Laboratory, cell: str, place: str, percent: float, count: int, raw: Path = RAW) -> None:
    """Trials of a single benchmark, slower by a known part of its measured time, through the same code."""
    wanted = next(one for one in TIMES if one.name == CELLS[cell])
    head = (
        laboratory.slowdown(place, _calibrated(laboratory, wanted, place, percent)) if percent else laboratory.nothing()
    )
    with laboratory.sides(head) as (base, after):
        for _ in range(count):
            seed = random.SystemRandom().randrange(1_000_000)
            started = time.monotonic()
            evidence = trial(base, after, wanted, seed)
            judgement = judge_evidence(evidence, [])
            keep(
                {
                    "kind": "power",
                    "base": laboratory.base[:7],
                    "cell": cell,
                    "place": place,
                    "percent": percent,
                    "found": any(finding.kind == "time" for finding in judgement.findings),
                    "seconds": round(time.monotonic() - started, 1),
                    "seed": seed,
                    "screening": _microseconds(evidence.times),
                    "confirmation": _microseconds(evidence.confirmed_times),
                },
                raw,
            )
            change = judge.compare(*evidence.times[0].times())
            _say(
                f"{cell}, {place}, {percent:g}%: {judgement.verdict}, measured {100 * (change.factor - 1):+.1f}% "
                f"in {change.pairs} pairs, {time.monotonic() - started:.0f} s"
            )


def trial(base: Side, head: Side, cell: Cell, seed: int, limit: float = 480.0) -> Evidence:
    """One benchmark alone, judged as one of the suite: the same looks, the same levels, the same confirmation."""
    sampling = Sampling(base, head, random.Random(seed), time.monotonic() + limit, lambda _what, _done: None)
    sampling.sample_times([cell], time.monotonic() + limit * 2 / 3)
    sampling.confirm()
    return sampling.evidence


def _calibrated(laboratory: Laboratory, cell: Cell, place: str, percent: float) -> float:
    """The amount that makes the benchmark's measured time that much longer, in proportion to another's effect."""
    known = laboratory.clone / ".asv" / "calibration.json"
    amounts: dict[str, float] = json.loads(known.read_text()) if known.exists() else {}
    name = f"{laboratory.base[:12]} {cell.name} {place}"
    if name not in amounts:
        amount = {"lock": 50.0, "python": 5000.0, "commit": 50.0}[place]
        for rounds in (1, 4):  # the second time near to what is wanted, and more closely
            with laboratory.sides(laboratory.slowdown(place, amount)) as (base, head):
                sampling = Sampling(base, head, random.Random(1), 0.0, lambda _what, _done: None)
                series = Series(cell)
                for _ in range(rounds * (60 if "100" in cell.name else 150)):
                    sampling.add_pair(series)
            factor, _, _ = judge.hodges_lehmann(judge.log_ratios(*series.times()), 0.95)
            amount *= 0.05 / max(factor, 0.005)
        amounts[name] = amount
        known.write_text(json.dumps(amounts))
        _say(f"{name}: {amount:.0f} for +5%")
    return amounts[name] * percent / 5


def rare(laboratory: Laboratory, count: int, raw: Path = RAW) -> None:
    """Checks of the evidence of failing alone, with a head on which a burst of 8 fails in one of ten."""
    # Single bursts, in which a failure is rarer than in a sample of several.
    arguments = {"workers": 8, "settings": "queued", "storage": "disk", "deadline": 20.0}
    cell = Cell(CELLS["few"], "queued", "burst", arguments)
    # A worker survives by the eighth root of what all eight are to survive together. Rows of a warm-up are shorter.
    old, new = _CALLED, (
        f"{_CALLED}    if len(row[0]) == 36 and int.from_bytes(os.urandom(4), 'big') < {1 - 0.9 ** (1 / 8)} * 2**32:\n"
        "        raise RuntimeError('now and then')\n"
    )  # fmt: skip
    head = laboratory.commit("sqlite_writes/database.py", old, new, "Fail now and then")
    with laboratory.sides(head) as (base, after):
        for _ in range(count):
            started = time.monotonic()
            seed = random.SystemRandom().randrange(1_000_000)
            sampling = Sampling(base, after, random.Random(seed), time.monotonic() + 120, lambda _what, _done: None)
            # As many bursts as a check with the time limit of nine minutes has at least, in each settings.
            series = Series(cell)
            sampling.evidence.times = [series]
            for _ in range(48):
                sampling.add_pair(series)
            sampling.confirm()
            judgement = judge_evidence(sampling.evidence, [])
            found = any(finding.kind == "failure" for finding in judgement.findings)
            failed = [one.failed() for one in (series, *sampling.evidence.confirmed_failures)]
            seconds = round(time.monotonic() - started, 1)
            measured = {"found": found, "failed": failed, "seconds": seconds, "seed": seed}
            keep({"kind": "rare", "base": laboratory.base[:7], **measured}, raw)
            _say(f"rare: {'found' if found else 'NOT FOUND'}, {failed}, {seconds:.0f} s")


@contextmanager
def load() -> Iterator[None]:
    """Another program beside the check: one processor busy half of the time, and a sync a hundred times a second."""
    process = multiprocessing.get_context("spawn").Process(target=_be_busy, args=(os.getpid(),), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _be_busy(parent: int) -> None:
    import tempfile

    with tempfile.TemporaryFile(dir=PROJECT) as file:
        while os.getppid() == parent:
            until = time.monotonic() + 0.005
            while time.monotonic() < until:
                pass
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            time.sleep(0.005)


@contextmanager
def nothing() -> Iterator[None]:
    """No load."""
    yield


def _short(result: dict[str, Any]) -> dict[str, Any]:
    judgement = result.get("judgement", {})
    return {
        "status": result["status"],
        "seconds": result["seconds"],
        "flagged": [f"{one['kind']} {one['benchmark']}" for one in judgement.get("findings", [])],
        "suspected": [f"{one['kind']} {one['benchmark']}" for one in judgement.get("suspicions", [])],
        "said": result.get("said", ""),
        "screening": result.get("raw", {}).get("times", {}),
        "confirmation": result.get("raw", {}).get("confirmed_times", {}),
    }


def _microseconds(all_series: list[Series]) -> list[list[int]]:
    return [[round(1e6 * seconds) for seconds in side] for series in all_series for side in series.times()]


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


# ---------------------------------------------------------------------------------------------------------- the table


def asv_says_slower(base: list[int], head: list[int]) -> bool:
    """What asv's own rule makes of the same samples: its factor of 1.1 and its Mann-Whitney test."""
    before, after = ((compute_stats(side, 1), side) for side in (base, head))
    medians = [statistics.median(side) for side in (base, head)]
    return bool(
        _is_result_better(
            medians[0], medians[1], (before[0][1], base), (after[0][1], head), 1.1
        )
    )  # fmt: skip


def table(raw: Path = RAW) -> str:
    """What all results so far say, as Markdown."""
    results = read(raw)
    rows = (_same_rows, _power_rows, _rare_rows, _agreement_rows, _mutant_rows)
    parts = [line for part in rows for line in part(results)]
    return "\n".join(parts) + "\n"


def _interval(successes: int, trials: int) -> str:
    low, high = judge.clopper_pearson(successes, trials)
    return f"{100 * low:.1f}% to {100 * high:.1f}%"


def _is_todays(one: dict[str, Any]) -> bool:
    return one.get("base") in TODAYS


def _same_rows(results: list[dict[str, Any]]) -> list[str]:
    every = [one for one in results if one["kind"] == "same" and one["status"] != 4]
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(filter(_is_todays, every), key=lambda one: (one["limit"], one["loaded"])):
        name = f"`--time-limit {one['limit']:.0f}`{', with a load beside it' if one['loaded'] else ''}"
        groups.setdefault(name, []).append(one)
    groups["by earlier rules"] = [one for one in every if not _is_todays(one)]
    groups["all"] = every
    rows = []
    for name, checks in groups.items():
        if not checks:
            continue
        alarms = sum(bool(one["flagged"]) for one in checks)
        inconclusive = sum(one["status"] == 3 for one in checks)
        asv_alarms = sum(
            any(asv_says_slower(*one) for one in check["screening"].values() if one[0]) for check in checks
        )
        rows.append(
            f"| {name} | {len(checks)} | {alarms} | {_interval(alarms, len(checks))} | {inconclusive} | "
            f"{asv_alarms} | {statistics.median(one['seconds'] for one in checks):.0f} s |"
        )
    return [
        "**False alarms**: whole checks of two commits that do the same.",
        "",
        "| | checks | false alarms | 95% interval | inconclusive | asv's rule, same samples | median duration |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: |",
        *rows,
        "",
    ] if rows else []  # fmt: skip


def _power_rows(results: list[dict[str, Any]]) -> list[str]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in results:
        if one["kind"] == "power":
            groups.setdefault((one["cell"], one["place"], one["percent"]), []).append(one)
    rows = []
    for (cell, place, percent), trials in sorted(groups.items()):
        # Not those after the first look: they are more where the effect seemed smaller.
        firsts = [(base[:FEWEST_PAIRS], head[:FEWEST_PAIRS]) for base, head in (one["screening"] for one in trials)]
        ratios = [ratio for first in firsts for ratio in judge.log_ratios(*first)]
        effect, low, high = (100 * math.expm1(value) for value in judge.hodges_lehmann(ratios, 0.95))
        found = sum(one["found"] for one in trials)
        asv_found = sum(asv_says_slower(*one["screening"]) for one in trials)
        rows.append(
            f"| {CELLS[cell]} | {place} | {percent:g}% | {effect:+.1f}% ({low:+.1f} to {high:+.1f}) | "
            f"{found} of {len(trials)} | {_interval(found, len(trials))} | {asv_found} | "
            f"{statistics.median(one['seconds'] for one in trials):.0f} s |"
        )
    return [
        "**Power**: trials of one benchmark with a slowdown injected; its effect as the first pairs of all show it.",
        "",
        "| benchmark | place | meant | measured effect | found | 95% interval | asv's rule, same samples | duration |",
        "| --- | --- | ---: | --- | ---: | --- | ---: | ---: |",
        *rows,
        "",
    ] if rows else []  # fmt: skip


def _rare_rows(results: list[dict[str, Any]]) -> list[str]:
    every = [one for one in results if one["kind"] == "rare"]
    trials = [one for one in every if _is_todays(one)] or every
    if not trials:
        return []
    by = "" if _is_todays(trials[0]) else ", by earlier rules"
    found = sum(one["found"] for one in trials)
    return [
        (
            f"**A failure in 10% of bursts, on the head only**: found in {found} of {len(trials)} checks of that "
            f"evidence alone (95% interval {_interval(found, len(trials))}){by}."
        ),
        "",
    ]


def _agreement_rows(results: list[dict[str, Any]]) -> list[str]:
    """How far the two newest checks of a bad change to one base flag the same: what both do, of what either does."""
    runs: dict[tuple[str, str], list[set[str]]] = {}
    for one in results:
        if one["kind"] == "mutant" and "base" in one:  # older results do not say on which base
            runs.setdefault((one["name"], one["base"]), []).append(set(one["flagged"]))
    every = [(base, sets[-2:]) for (_, base), sets in runs.items() if len(sets) > 1]
    pairs = [sets for base, sets in every if base in TODAYS]
    by = "" if pairs else ", by earlier rules"
    pairs = pairs or [sets for _, sets in every]
    if not pairs:
        return []
    shares = [len(one & other) / len(one | other) if one | other else 1.0 for one, other in pairs]
    mean = f"{statistics.mean(shares):.2f} on average, {min(shares):.2f} at least"
    agreement = (
        f"**Agreement** of two checks of the same pair of commits, {len(pairs)} pairs: of all that either flags, "
        f"both flag a share of {mean} (Jaccard){by}."
    )
    return [agreement, ""]


def _mutant_rows(results: list[dict[str, Any]]) -> list[str]:
    newest = {one["name"]: one for one in results if one["kind"] == "mutant"}
    if not newest:
        return []
    older = sum(not _is_todays(one) for one in newest.values())
    by = f", {older} of them by earlier rules" if older else ""
    caught = sum(one["verdict"] == one["expected"] for one in newest.values())
    named = sum(one["cause"] is not None for one in newest.values())
    return [
        (
            f"**Bad changes to the package**: {caught} of {len(newest)} found with the right verdict, "
            f"{named} with the right cause{by}."
        ),
        "",
        "| change | verdict | cause that is named | seconds |",
        "| --- | --- | --- | ---: |",
        *(
            f"| {name} | {one['verdict']} | {_cell(one['cause'])} | {one['seconds']:.0f} |"
            for name, one in newest.items()
        ),
        "",
    ]


def _cell(text: str | None) -> str:
    return "NOT NAMED" if text is None else text.replace("|", "\\|")


def write_table() -> None:
    """Write the table to its file, and what comes before the list of mutants between the README's marks."""
    TABLE.write_text(f"# What the check of a pull request finds, by its own tests\n\n{table()}")
    readme = PROJECT / "README.md"
    text = readme.read_text()
    start, end = README_MARKS
    if start in text and end in text:
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        summary = table().split("| change |")[0].rstrip()
        readme.write_text(f"{before}{start}\n{summary}\n\n{end}{after}")


def main(arguments: list[str]) -> int:
    """Run the named part, or write the table."""
    parser = argparse.ArgumentParser(prog="python -m pr_check.selftest", description="Measure the check itself.")
    parser.add_argument("part", choices=("same", "mutants", "power", "rare", "table"))
    parser.add_argument("--count", type=int, default=1, help="how many checks or trials")
    parser.add_argument("--loaded", action="store_true", help="same: with a load beside it")
    parser.add_argument("--time-limit", type=float, default=SHORT, help="same, mutants: of each check")
    parser.add_argument("--only", help="mutants: those whose name contains this")
    parser.add_argument("--cell", choices=sorted(CELLS), default="few", help="power: a burst of few or of many workers")
    parser.add_argument("--place", choices=sorted(PLACES), default="lock", help="power: where it is slower")
    parser.add_argument("--percent", type=float, default=5.0, help="power: by how much")
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], None]] = {
        "same": lambda: same(Laboratory(), options.count, options.loaded, options.time_limit),
        "mutants": lambda: mutants(Laboratory(), options.only, options.time_limit),
        "power": lambda: power(Laboratory(), options.cell, options.place, options.percent, options.count),
        "rare": lambda: rare(Laboratory(), options.count),
        "table": write_table,
    }
    try:
        parts[options.part]()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
