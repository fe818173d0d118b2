"""The whole check, end to end: once on this project's own suite, and every way out on a small one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import measure_check, results_of_check
from experiments.laboratory import Laboratory
from pr_check.build import THIS_PYTHON, Build
from pr_check.command_line import main
from pr_check.commits import git
from pr_check.plan import PLAN
from pr_check.suite import find_suite
from pr_check.workplace import workplace

from .conftest import PROJECT, READS_PROC, Living, wait_until
from .tiny_project import BACKEND, NUMBERS, TINY, Project

# Of our suite one of each kind, a single look at its time, and on a busy machine too as much time as that takes.
UNTIMED = replace(PLAN, only=r"(Promises|InsertCost)\('wal'", looks=PLAN.looks[:1], least_seconds=60.0)
OURS = replace(UNTIMED, only=rf"{UNTIMED.only}|sequence\.InsertRow\('wal-normal'|ReadThenWrite\('wal', 'immediate'")

# Of the small one what is no time, so that no verdict depends on the machine.
SMALL = replace(PLAN, only="pages|never_judged")


def test_the_check_is_measured(tmp_path: Path) -> None:
    """Its own measurement, in short: each verdict with its cause, and a table of them; asv's environments are below."""
    laboratory = Laboratory(tmp_path / "clone", UNTIMED, "existing")
    raw = tmp_path / "raw.jsonl"
    measure_check.same(laboratory, 1, False, 20.0, raw)
    laboratory.plan = OURS
    measure_check.mutants(laboratory, "a sleep outside", 20.0, raw)
    same, sleep = results_of_check.read(raw)
    assert (same["status"], same["flagged"], same["said"]) == (0, [], "")
    assert sleep["benchmark"] == "sequence.InsertRow('wal-normal')"
    assert "% longer" in sleep["cause"]
    assert "cost cost.InsertCost('wal', 'disk') python_calls" in sleep["flagged"]
    written = results_of_check.tables(raw)
    assert "| all | 1 | 0 | 0.0% to 97.5% | 0 | 0 |" in written
    assert "1 of 1 found with the right verdict, 1 with the right cause" in written
    left = sorted(path.name for path in (laboratory.clone / ".asv" / "pr_check").iterdir())
    assert left == [".gitignore", "base", "head", "lock"]


def test_what_is_published_names_no_path_of_a_machine() -> None:
    for published in (results_of_check.RAW, results_of_check.PAGE):
        assert not re.findall(r"[^\w.]/(?:[\w.-]+/){2}[^'\"]*", published.read_text())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("check") / "project")


@pytest.fixture
def project(shared: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The small project's folder as the current one, with nothing checked out but its first commit."""
    git(shared.folder, "reset", "-q", "--hard", shared.base)
    monkeypatch.chdir(shared.suite)
    return shared


def test_a_check_writes_both_reports_and_a_seed_repeats_its_order(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a benchmark that was removed, and one that is new, are named."""
    project.commit((NUMBERS, "track_of_no_use", "track_of_some_use"))
    monkeypatch.setenv("COLUMNS", "200")
    files = ["--report", str(tmp_path / "report.md"), "--json", str(tmp_path / "report.json")]
    assert main(["HEAD^", "HEAD", "--time-limit", "20", "--seed", "7", *files], SMALL) == 0
    assert "PASS: " in capsys.readouterr().out
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("**PASS: ")
    assert "--seed 7 --time-limit 20 --only" in text
    known = json.loads((tmp_path / "report.json").read_text())
    assert known["judgement"]["verdict"] == "PASS"
    assert known["judgement"]["left_out"] == [["numbers.track_of_no_use", "the head removes it"]]
    assert known["benchmarks"] == {
        "removed": ["numbers.track_of_no_use"],
        "new": ["numbers.track_of_some_use"],
        "changed": [],
        "files": ["python/bench/numbers.py"],
    }


def test_too_little_time_is_inconclusive(project: Project) -> None:
    project.nothing()
    assert main(["HEAD^", "HEAD", "--time-limit", "1"], replace(PLAN, only="Work", least_seconds=0.0)) == 3


def test_a_head_that_has_not_ended_when_the_time_is_over_is_no_pass(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.commit((TINY, "return 3 * n", "import time; time.sleep(600)"))
    assert main(["HEAD^", "HEAD", "--time-limit", "4"], replace(SMALL, least_seconds=1.0)) == 3
    assert "it may hang on the head" in " ".join(capsys.readouterr().out.split())


def test_a_side_is_built_in_an_environment_of_asvs_own(project: Project) -> None:
    """Where the suite or ``--environment`` asks for one: it has that commit, and the check's folder has it."""
    suite = replace(find_suite(project.suite / "asv.conf.json"), environment_type="virtualenv")
    build = Build("base", suite, suite.configuration, THIS_PYTHON, project.base, 120.0)
    try:
        interpreter, _ = build.wait()
    finally:
        build.process.terminate()
        build.end()
    assert Path(interpreter).is_relative_to(project.suite / ".asv" / "pr_check" / "base")
    told = "import asv_runner, tiny; print(tiny.pages(5), tiny.__file__)"
    said = subprocess.run([interpreter, "-c", told], cwd="/", check=True, capture_output=True, text=True).stdout
    assert re.match(rf"15 {re.escape(str(project.suite))}/.*/site-packages/tiny/__init__.py$", said)


@pytest.mark.parametrize("broken_side", ["base", "head"])
def test_a_side_that_does_not_build_is_named(
    broken_side: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = project.commit((BACKEND, "import pathlib", "raise SystemError('on purpose')\nimport pathlib"))
    pair = [broken, project.base] if broken_side == "base" else [project.base, broken]
    assert main([*pair, "--as-given"]) == 4
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"pr_check: the {broken_side} {broken[:8]} does not build: SystemError: on purpose")
    project.assert_nothing_is_left()


def test_a_build_that_does_not_end_is_ended(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.nothing()
    assert main(["HEAD^", "HEAD"], replace(PLAN, building=0.1)) == 4
    assert f"the base {project.base[:8]} does not build: not done after 0.1 s" in capsys.readouterr().err
    project.assert_nothing_is_left()


def test_a_head_that_cannot_be_imported_has_removed_no_benchmark(project: Project, tmp_path: Path) -> None:
    project.commit((TINY, "def work(n)", "import nowhere\ndef work(n)"))
    assert main(["HEAD^", "HEAD", "--json", str(tmp_path / "report.json")]) == 2
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["judgement"]["findings"][0]["cause"] == "ModuleNotFoundError: No module named 'nowhere'"
    assert report["benchmarks"] == {}


def test_where_nothing_runs_on_the_head_sampling_ends(project: Project, tmp_path: Path) -> None:
    project.commit((TINY, "    return ", "    nowhere\n    return "))
    plan = replace(PLAN, only="Work|other|pages")
    assert main(["HEAD^", "HEAD", "--json", str(tmp_path / "report.json")], plan) == 2
    judgement = json.loads((tmp_path / "report.json").read_text())["judgement"]
    assert judgement["findings"][0]["cause"] == "NameError: name 'nowhere' is not defined"
    notes = judgement["notes"]
    assert "sampling ended, since nothing runs on the head: the rest was not compared" in notes


def test_a_python_that_is_not_there_is_named_and_an_older_report_is_gone(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.nothing()
    report = tmp_path / "report.json"
    report.write_text("PASS of an older check")
    wanted = ["--environment", "virtualenv", "--python", "3.99", "--json", str(report)]
    assert main(["HEAD^", "HEAD", *wanted]) == 4
    assert "no Python 3.99 starts here" in capsys.readouterr().err
    assert not report.exists()


def test_a_full_disk_and_a_second_check_are_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.nothing()
    left = project.suite / ".asv" / "pr_check" / "run-left"
    left.mkdir(parents=True)
    with workplace(project.suite, PLAN):
        assert not left.exists()  # by a check that was killed
        assert main(["HEAD^", "HEAD"]) == 4
    assert capsys.readouterr().err == "pr_check: another check of this repository is running\n"
    assert main(["HEAD^", "HEAD"], replace(PLAN, space=10**18)) == 4
    assert "is full: " in capsys.readouterr().err


def test_a_report_that_does_not_fit_on_its_disk_is_one_line(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["HEAD", "HEAD", "--as-given", "--report", "/dev/full"]) == 4
    assert re.fullmatch("pr_check: the disk is full: .*\n", capsys.readouterr().err)


def test_a_head_that_breaks_the_benchmarks_themselves_is_a_failure(project: Project, tmp_path: Path) -> None:
    """They fail beside the base's package too, but those of the base do not."""
    project.commit((NUMBERS, "import itertools", "import nowhere\nimport itertools"))
    assert main(["HEAD^", "HEAD", "--json", str(tmp_path / "report.json")]) == 2
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["judgement"]["findings"][0]["cause"] == "ModuleNotFoundError: No module named 'nowhere'"


@READS_PROC
@pytest.mark.parametrize(
    ("moment", "ending"),
    [
        ("building", signal.SIGINT),
        ("building", signal.SIGHUP),
        ("building", signal.SIGKILL),
        ("sampling", signal.SIGTERM),
        ("sampling", signal.SIGKILL),
    ],
)
def test_whatever_ends_it_nothing_is_left_running(
    moment: str, ending: signal.Signals, project: Project, marked: Living
) -> None:
    if moment == "building":
        slow = "import time\ntime.sleep(600)\nimport pathlib"
        project.commit((BACKEND, "import pathlib", slow))
        awaited, count = "_in_process.py", 0
    else:
        project.nothing()
        awaited, count = "pr_check/sampler", 1
    check = subprocess.Popen(
        [sys.executable, "-P", "-m", "pr_check", "HEAD^", "HEAD", "--time-limit", "300"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def is_there() -> bool:
        assert check.poll() is None
        return sum(awaited in _command(pid) for pid in marked()) > count

    wait_until(is_there, f"it is {moment}", 120.0)
    check.send_signal(ending)
    out, err = check.communicate(timeout=60)
    if ending == signal.SIGKILL:
        wait_until(lambda: not marked(), "builds and samplers have ended with it")
        return
    assert check.returncode == 130, out + err
    assert err.splitlines()[-1] == "interrupted: nothing was judged, and nothing is left running"
    assert marked() == []
    project.assert_nothing_is_left()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
