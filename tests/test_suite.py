"""The suite end to end: plain ``asv run`` on a commit of this tree, publish, and the answer that is read from it."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import burst, common
from dashboard.answer import Answer, Cell

from .conftest import PROJECT
from .test_interpreters import THIS

if TYPE_CHECKING:
    from pathlib import Path


def run(*command: str, cwd: Path, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **identity, "HOME": str(home), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A repository with this tree as its only commit, measured by plain asv with this Python; its home; asv's words."""
    home = tmp_path_factory.mktemp("home")
    clone = tmp_path_factory.mktemp("clone") / "sqlite-writes"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, clone / name)
    configuration = json.loads((clone / "asv.conf.json").read_text())
    configuration["pythons"] = [THIS, "3.99"]
    (clone / "asv.conf.json").write_text(json.dumps(configuration))
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "All of it"]):
        run("git", *arguments, cwd=clone, home=home)
    run(sys.executable, "-m", "dashboard.machine", cwd=clone, home=home)
    said = run(
        *(sys.executable, "-m", "asv", "run", "HEAD^!"),
        *("--bench", r"burst\.Burst\..*\((1|5), '(default|wal)'\)"),
        *("--bench", r"burst\.NaiveBurst\..*\(50\)", "--bench", r"burst\.Library"),
        cwd=clone,
        home=home,
        SQLITE_WRITES_BURSTS="2",
    )
    run(sys.executable, "-m", "asv", "publish", "--no-pull", cwd=clone, home=home)
    return clone, home, said.stdout + said.stderr


def test_asv_runs_the_selected_cells_and_stores_their_values(measured: tuple[Path, Path, str]) -> None:
    clone, _, said = measured
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if "3.99" in line] == ["· No executable found for python 3.99"]
    (path,) = (clone / ".asv" / "results").glob("*/*-virtualenv-*.json")
    stored = json.loads(path.read_text())
    real = {name: [value for value in row[0] if not math.isnan(value)] for name, row in stored["results"].items()}
    cells = len(common.WORKERS) * len(common.SETTINGS)
    assert len(stored["results"]["burst.Burst.track_failed_rows"][0]) == cells  # NaN, asv's n/a, in all but four
    assert real["burst.Burst.track_failed_rows"] == real["burst.Burst.track_lost_rows"] == [0.0] * 4
    assert len(real["burst.Burst.time_burst"]) == 4
    assert all(0 < seconds < 30 for seconds in real["burst.Burst.time_burst"])
    assert real["burst.Library.track_sqlite_version"][0] > 3_000_000
    assert list((clone / ".asv" / "databases").iterdir()) == []


def test_everything_that_asv_writes_is_under_one_folder(measured: tuple[Path, Path, str]) -> None:
    clone, home, _ = measured
    assert run("git", "status", "--porcelain", cwd=clone, home=home).stdout == ""
    assert (clone / ".asv" / "html" / "index.html").exists()


def test_the_answer_is_read_from_the_results(measured: tuple[Path, Path, str]) -> None:
    clone, home, _ = measured
    said = run(sys.executable, "-m", "dashboard.answer", cwd=clone, home=home, COLUMNS="100").stdout
    assert re.search(rf"Python {re.escape(THIS)}, SQLite 3\.\d+\.\d+: failed / lost rows of a burst", said)
    assert re.search(r"│\s+5 │\s+0 / 0 │\s+0 / 0 │", said)
    assert "  default: no row failed or was lost up to 5 workers\n" in said


def test_the_answer_without_results_says_what_to_do(tmp_path: Path, measured: tuple[Path, Path, str]) -> None:
    clone, _, _ = measured
    done = subprocess.run(
        [sys.executable, "-m", "dashboard.answer"],
        cwd=clone,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("run make bench first\n")
    assert len(done.stderr.splitlines()) == 1


def test_an_answer_says_where_failures_begin_and_never_hides_a_lost_row() -> None:
    clean, failed = Cell(0.0, 0.0), Cell(16.0, 0.0)
    answer = Answer("env", "3.12")
    answer.cells = {
        "default": {500: failed, 50: clean, 250: clean},
        "wal": {50: clean, 500: clean},
        "the naive way": {500: Cell(0.5, 478.5)},
        "broken": {50: clean, 250: Cell(None, None)},
        "patchy": {50: failed, 500: clean},
    }
    assert answer.sentences() == [
        "default: no row failed up to 250 workers; at 500, 16 failed",
        "wal: no row failed or was lost up to 500 workers",
        "the naive way: already at 500, 0.5 failed and 478.5 were lost",
        "broken: no row failed up to 50 workers; at 250, the benchmark itself failed",
        "patchy: already at 50, 16 failed",
    ]


# ----------------------------------------------------------------------------- the benchmarks' values, without asv


@pytest.fixture
def bench_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where asv would run a class, with the databases under it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLITE_WRITES_FOLDER", str(tmp_path / "databases"))
    return tmp_path


@pytest.mark.parametrize("settings", common.SETTINGS)
def test_a_cells_metrics_come_from_the_same_bursts(settings: str, bench_folder: Path) -> None:
    cell = burst.Burst()
    cell.setup(5, settings)
    kept = json.loads((bench_folder / f"5 {settings}.json").read_text())
    assert len(kept) == common.BURSTS
    again = burst.Burst()
    again.setup(5, settings)
    assert again.reports == kept
    assert {report["attempted"] for report in kept} == {5}
    assert cell.track_failed_rows(5, settings) == 0
    assert cell.track_lost_rows(5, settings) == 0
    assert list((bench_folder / "databases").iterdir()) == []


def test_the_clock_replays_each_bursts_time_in_turn() -> None:
    clock = common.BurstClock()
    readings = [clock()]
    for _ in range(3):
        clock.replay([{"burst_time": 0.5}, {"burst_time": 2.0}])
        readings.append(clock())
    assert readings == [0.0, 0.5, 2.5, 3.0]


def test_one_burst_with_failures_shows_in_the_mean() -> None:
    assert common.mean([{"failed": 0}] * 9 + [{"failed": 1}], "failed") == 0.1


def test_settings_that_a_commit_lacks_are_skipped(bench_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(burst_settings(), "wal")
    with pytest.raises(NotImplementedError, match="this commit has no settings 'wal'"):
        burst.Burst().setup(5, "wal")


def burst_settings() -> dict[str, object]:
    import sqlite_writes

    return sqlite_writes.SETTINGS  # type: ignore[return-value]
