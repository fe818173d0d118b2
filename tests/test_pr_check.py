"""The whole check, end to end: a clone of this project, asv's environments, each verdict and each way out."""

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
from pr_check.command_line import main
from pr_check.plan import PLAN
from pr_check.workplace import workplace

from .conftest import PROJECT, READS_PROC, Living, wait_until

# One of each kind, a single look at its time, and on a busy machine too as much time as that takes.
SMALL = replace(
    PLAN,
    only=r"(Promises|InsertCost)\('wal'|sequence\.InsertRow\('wal-normal'|ReadThenWrite\('wal', 'immediate'",
    looks=PLAN.looks[:1],
    least_seconds=60.0,
)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A clone of this project's HEAD, whose two environments all these tests share."""
    return Laboratory(tmp_path_factory.mktemp("laboratory") / "clone", SMALL)


def test_the_check_is_measured(laboratory: Laboratory, tmp_path: Path) -> None:
    """Its own measurement, in short: each verdict with its cause, and a table of them."""
    raw = tmp_path / "raw.jsonl"
    measure_check.same(laboratory, 1, False, 20.0, raw)
    for name in ("a second statement", "a sleep outside", "a lost WAL mode", "cannot be imported"):
        measure_check.mutants(laboratory, name, 20.0, raw)
    same, statement, sleep, lost, broken = results_of_check.read(raw)
    assert (same["status"], same["flagged"], same["said"]) == (0, [], "")
    assert statement["benchmark"] == "cost.InsertCost('wal', 'disk') sql_statements"
    assert "% longer" in sleep["cause"]
    assert lost["cause"] == "create_table leaves the file in another journal mode"
    assert broken["cause"].startswith("NameError")
    written = results_of_check.tables(raw)
    assert "| all | 1 | 0 | 0.0% to 97.5% | 0 | 0 |" in written
    assert "4 of 4 found with the right verdict, 4 with the right cause" in written
    assert_nothing_is_left(laboratory)


def assert_nothing_is_left(laboratory: Laboratory) -> None:
    """Of the check: no temporary file."""
    left = sorted(path.name for path in (laboratory.clone / ".asv" / "pr_check").iterdir())
    assert left == [".gitignore", "base", "head", "lock"]


@pytest.fixture
def clone(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clone as the current folder, with a head checked out that does what its base does."""
    laboratory.nothing()
    monkeypatch.chdir(laboratory.clone)
    return laboratory.clone


def test_what_is_published_names_no_path_of_a_machine() -> None:
    for published in (results_of_check.RAW, results_of_check.PAGE):
        assert not re.findall(r"[^\w.]/(?:[\w.-]+/){2}[^'\"]*", published.read_text())


def test_a_check_writes_both_reports_and_a_seed_repeats_its_order(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    files = ["--report", str(tmp_path / "report.md"), "--json", str(tmp_path / "report.json")]
    assert main(["HEAD^", "HEAD", "--time-limit", "20", "--seed", "7", *files], SMALL) == 0
    assert "PASS: " in capsys.readouterr().out
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("**PASS: ")
    assert "--seed 7 --time-limit 20 --only" in text
    known = json.loads((tmp_path / "report.json").read_text())
    assert known["judgement"]["verdict"] == "PASS"
    assert known["benchmarks"] == {"removed": [], "new": [], "changed": [], "files": []}


def test_too_little_time_is_inconclusive(clone: Path) -> None:
    assert main(["HEAD^", "HEAD", "--time-limit", "1"], replace(SMALL, least_seconds=0.0)) == 3


def test_a_benchmark_that_was_removed_and_one_that_is_new_are_named(
    laboratory: Laboratory, clone: Path, tmp_path: Path
) -> None:
    head = laboratory.commit("benchmarks/transaction.py", "class ReadThenWrite", "class ReadBeforeWrite", "Rename")
    main([laboratory.base, head, "--time-limit", "20", "--json", str(tmp_path / "report.json")], SMALL)
    benchmarks = json.loads((tmp_path / "report.json").read_text())["benchmarks"]
    for what, name in (("removed", "ReadThenWrite"), ("new", "ReadBeforeWrite")):
        assert benchmarks[what] == [f"transaction.{name}.track_{count}_rows" for count in ("failed", "lost")]
    assert benchmarks["files"] == ["benchmarks/transaction.py"]


@pytest.mark.parametrize("broken_side", ["base", "head"])
def test_a_side_that_does_not_build_is_named(
    broken_side: str, laboratory: Laboratory, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = laboratory.commit("setup.py", "setup(", "raise SystemError('on purpose')\nsetup(", "Break the build")
    pair = [broken, laboratory.base] if broken_side == "base" else [laboratory.base, broken]
    assert main([*pair, "--as-given"]) == 4
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"pr_check: the {broken_side} {broken[:8]} does not build: SystemError: on purpose")
    assert_nothing_is_left(laboratory)


def test_a_build_that_does_not_end_is_ended(
    laboratory: Laboratory, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["HEAD^", "HEAD"], replace(PLAN, building=0.1)) == 4
    assert f"the base {laboratory.base[:8]} does not build: not done after 0.1 s" in capsys.readouterr().err
    assert_nothing_is_left(laboratory)


def test_a_head_that_cannot_be_imported_has_removed_no_benchmark(
    laboratory: Laboratory, clone: Path, tmp_path: Path
) -> None:
    head = laboratory.commit("sqlite_writes/__init__.py", "from .burst", "import nowhere\nfrom .burst", "Break it")
    assert main([laboratory.base, head, "--json", str(tmp_path / "report.json")], SMALL) == 2
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["judgement"]["findings"][0]["cause"] == "ModuleNotFoundError: No module named 'nowhere'"
    assert "sampling ended, since nothing runs on the head: the rest was not compared" in report["judgement"]["notes"]
    assert report["benchmarks"]["removed"] == []


def test_a_python_that_is_not_there_is_named_and_an_older_report_is_gone(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    report.write_text("PASS of an older check")
    assert main(["HEAD^", "HEAD", "--python", "3.99", "--json", str(report)]) == 4
    assert "no Python 3.99 starts here" in capsys.readouterr().err
    assert not report.exists()


def test_a_full_disk_and_a_second_check_are_refused(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = clone / ".asv" / "pr_check" / "run-left"
    left.mkdir(parents=True)
    with workplace(clone, PLAN):
        assert not left.exists()  # by a check that was killed
        assert main(["HEAD^", "HEAD"]) == 4
    assert capsys.readouterr().err == "pr_check: another check of this repository is running\n"
    assert main(["HEAD^", "HEAD"], replace(PLAN, space=10**18)) == 4
    assert "is full: " in capsys.readouterr().err


def test_a_head_that_breaks_the_benchmarks_themselves_is_a_failure(
    laboratory: Laboratory, clone: Path, tmp_path: Path
) -> None:
    """They fail beside the base's package too, but those of the base do not."""
    future = "from __future__ import annotations\n"
    broken = laboratory.commit("benchmarks/common.py", future, f"{future}import nowhere\n", "Break it")
    assert main([laboratory.base, broken, "--time-limit", "20", "--json", str(tmp_path / "report.json")], SMALL) == 2
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["judgement"]["findings"][0]["cause"] == "ModuleNotFoundError: No module named 'nowhere'"


@READS_PROC
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["building", "sampling"])
def test_whatever_ends_it_nothing_is_left_running(
    moment: str, ending: signal.Signals, clone: Path, marked: Living, laboratory: Laboratory
) -> None:
    if moment == "building":
        slow = "import time\ntime.sleep(600)\nsetup("
        head, awaited, count = laboratory.commit("setup.py", "setup(", slow, "Build slowly"), "_in_process.py", 0
    else:
        head, awaited, count = "HEAD", "pr_check/sampler", 1
    check = subprocess.Popen(
        [sys.executable, "-P", "-m", "pr_check", "HEAD^", head, "--time-limit", "300"],
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
    assert_nothing_is_left(laboratory)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
