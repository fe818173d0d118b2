"""The suite end to end, and where a project can be: asv measures it, and pages and answer are made of it.

All of them measure one commit in one environment, which takes longest to make. It is a merge, and every path has a
space and an umlaut in it. Real git and real asv.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from asv.config import Config

from asv_plugins.place import problem
from benchmarks import common

from .conftest import PROJECT
from .test_interpreters import THIS

# A cell and a number without one: little to measure, and all that the answer and the pages begin with.
BENCH = r"--bench 'burst\.Burst\.(time_burst|track_(failed|lost)_rows)\(5, .default.\)' --bench cost.Library"
# Nothing can be written there; but pip finds its settings and what it has downloaded.
NO_HOME = {"HOME": "/dev/null"} | {
    f"XDG_{what.upper()}_HOME": os.environ.get(f"XDG_{what.upper()}_HOME", str(Path.home() / f".{what}"))
    for what in ("config", "cache")
}
FOLDER = "Maß für Maß"
# Another configuration, with a Python that nobody has.
TWO_PYTHONS = "asv.two.json"
BROKEN = """
class Broken:
    version = "1"

    def track_nothing(self):
        raise RuntimeError("on purpose")
"""


def run(*command: str, folder: Path, status: int = 0, **more: str) -> str:
    """Run it there; it ends with that status, and this is what it says."""
    names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **names, **NO_HOME, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return (done.stdout + done.stderr * bool(status)).strip()


def git(folder: Path, *arguments: str) -> str:
    return run("git", "-c", "protocol.file.allow=always", *arguments, folder=folder)


def copy_project(folder: Path, environments: Path) -> None:
    """Put the working tree there, with one Python, and one environment for all places."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=PROJECT, text=True
    )
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    configure(folder, pythons=[THIS], include=[], env_dir=str(environments))


def configure(folder: Path, **settings: object) -> None:
    """Change asv.conf.json."""
    file = folder / "asv.conf.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a repository of its own, whose HEAD is a merge commit."""
    folder = tmp_path_factory.mktemp("places") / FOLDER / "project"
    copy_project(folder, folder.parent / "env")
    (folder / "benchmarks" / "broken.py").write_text(BROKEN)
    two = {**json.loads((folder / "asv.conf.json").read_text()), "pythons": [THIS, "3.99"]}
    (folder / TWO_PYTHONS).write_text(json.dumps(two))
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "All of it")
    git(folder, "checkout", "-q", "-b", "side")
    git(folder, "commit", "-q", "--allow-empty", "-m", "On the side")
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "--no-ff", "-m", "Merge it", "side")
    return folder


@pytest.fixture(params=["root", "worktree", "submodule", "shallow clone", "subfolder"])
def place(request: pytest.FixtureRequest, root: Path) -> Path:
    """The project's folder; in a worktree, a submodule and a shallow clone its HEAD is detached."""
    name: str = request.param
    other = root.parent / name
    if name == "root":
        return root
    if name == "worktree":
        git(root, "worktree", "add", "-q", "--detach", str(other))
    elif name == "shallow clone":
        git(root.parent, "clone", "-q", "--depth", "1", f"file://{root}", str(other))
        git(other, "checkout", "-q", "--detach")
    else:
        other.mkdir()
        git(other, "init", "-q")
        if name == "submodule":
            git(other, "submodule", "--quiet", "add", str(root), "sub")
            git(other / "sub", "checkout", "-q", "--detach")
            return other / "sub"
        copy_project(other / FOLDER, root.parent / "env")
        configure(other / FOLDER, repo="..", repo_subdir=FOLDER)
        git(other, "add", "-A")
        git(other, "commit", "-qm", "All of it")
        return other / FOLDER
    return other


def test_it_is_measured_published_and_answered_as_anywhere_else(place: Path) -> None:
    """By make itself. There is no home that could be written, either."""
    if not (place / ".venv").exists():
        (place / ".venv").symlink_to(sys.prefix)
    commit = git(place, "rev-parse", "HEAD")
    make = ("make", "--no-print-directory", "-o", ".venv/ready", "bench-full", f"RANGE=HEAD^! {BENCH}", "BURSTS=1")
    said = run(*make, folder=place, PYTHONPATH="")
    assert f"Python {THIS}: measured in" in said
    assert "With default settings no row failed up to 5 concurrent inserts." in said
    assert f"Means of the bursts of commit {commit[:8]}" in said
    (result,) = (place / ".asv" / "results").glob(f"*/{commit[:8]}-virtualenv-py{THIS}*.json")
    assert json.loads(result.read_text())["commit_hash"] == commit
    index = json.loads((place / ".asv" / "html" / "limits" / "index.json").read_text())
    assert [of["hash"] for of in index["commits"]] == [commit]
    assert list((place / ".asv" / "databases").iterdir()) == []


ASV = (sys.executable, "-m", "asv", "--config", TWO_PYTHONS)


@pytest.fixture(scope="module")
def measured(root: Path) -> tuple[Path, str]:
    """The project's folder, measured by plain asv, as another machine; asv's words."""
    run(sys.executable, "-m", "asv_plugins.machine", "plain", folder=root)
    said = run(
        *(*ASV, "run", "HEAD^!", "--machine", "plain"),
        *("--bench", r"burst\.Burst\.(time_burst|track_(failed|lost)_rows)\((1|5), '(default|wal)'\)"),
        *("--bench", r"caller\.Held.*\(50\)", "--bench", r"cost\.Library", "--bench", "broken"),
        folder=root,
        status=2,
        SQLITE_WRITES_BURSTS="2",
    )
    return root, said


def results_of(folder: Path) -> dict[str, list[float | None] | None]:
    """What asv has stored of each benchmark, by parameters."""
    (path,) = (folder / ".asv" / "results" / "plain").glob("*-virtualenv-*.json")
    return {name: row[0] for name, row in json.loads(path.read_text())["results"].items()}


def test_asv_runs_the_selected_cells_and_stores_their_values(measured: tuple[Path, str]) -> None:
    folder, said = measured
    assert "Traceback" not in said
    named = [line for line in said.splitlines() if re.search(r"py(thon)?[ -]?3\.99", line)]  # not a time of 3.99 ms
    assert named == ["· No executable found for python 3.99"]
    stored = results_of(folder)
    real = {
        name: [one for one in values or () if one is None or not math.isnan(one)] for name, values in stored.items()
    }
    cells = len(common.WORKERS) * len(common.SETTINGS)
    assert len(stored["burst.Burst.track_failed_rows"] or ()) == cells  # NaN, asv's n/a, in all but four
    assert real["burst.Burst.track_failed_rows"] == real["burst.Burst.track_lost_rows"] == [0.0] * 4
    assert len(real["burst.Burst.time_burst"]) == 4
    assert all(0 < (seconds or 0) < 30 for seconds in real["burst.Burst.time_burst"])
    assert (real["cost.Library.track_sqlite_version"][0] or 0) > 3_000_000
    assert list((folder / ".asv" / "databases").iterdir()) == []


def test_a_benchmark_that_fails_fails_alone(measured: tuple[Path, str]) -> None:
    failed = [name for name, values in results_of(measured[0]).items() if values is None or None in values]
    assert failed == ["broken.Broken.track_nothing"]


def test_settings_that_the_library_lacks_are_n_a_and_say_why(root: Path) -> None:
    try:
        common.skip_unless_possible("concurrent")
    except NotImplementedError:
        asv = (*ASV, "run", "HEAD^!", "--machine", "plain", "--show-stderr", "--dry-run")
        said = run(*asv, "--bench", r"burst\.Burst\.track_failed_rows\(5, 'concurrent'\)", folder=root)
        assert "does not know BEGIN CONCURRENT; its begin-concurrent branch does" in said
        assert "failed" not in said.replace("track_failed_rows", "")
    else:
        pytest.skip("this SQLite has BEGIN CONCURRENT")


def test_everything_that_asv_writes_is_under_one_folder(measured: tuple[Path, str]) -> None:
    assert git(measured[0], "status", "--porcelain", "--", ":!.venv") == ""


def test_the_answer_is_read_from_the_results(measured: tuple[Path, str]) -> None:
    said = run(sys.executable, "-m", "dashboard.answer", "plain", folder=measured[0], COLUMNS="100")
    assert re.search(rf"Python {re.escape(THIS)}, SQLite 3\.\d+\.\d+: failed / lost rows of a burst", said)
    assert re.search(r"^ +5 +0 / 0 +0 / 0\b", said, re.MULTILINE)
    assert "With default settings no row failed up to 5 concurrent inserts. With wal none failed up to 5.\n" in said


def test_the_answer_without_results_says_what_to_do(root: Path) -> None:
    said = run(sys.executable, "-m", "dashboard.answer", "another-machine", folder=root, status=1)
    assert said.endswith("run make bench first")
    assert len(said.splitlines()) == 1


def test_each_of_asvs_rounds_has_bursts_of_its_own(root: Path) -> None:
    """Asv run -a rounds=3: every benchmark reads three bursts, all of them the same three."""
    asv = (sys.executable, "-m", "asv", "run", "-a", "rounds=3", "--record-samples", "--machine", "rounds", "HEAD^!")
    run(sys.executable, "-m", "asv_plugins.machine", "rounds", folder=root)
    metrics = ("time_burst", "track_slowest_insert", "track_failed_rows_by_burst")
    bench = rf"burst\.Burst\.({'|'.join(metrics)})\(5, .wal.\)"
    run(*asv, "--bench", bench, folder=root, SQLITE_WRITES_BURSTS="1")
    (file,) = (root / ".asv" / "results" / "rounds").glob("*-virtualenv-*.json")
    stored = json.loads(file.read_text())
    column = stored["result_columns"].index("samples")
    times, slowest, failed = (next(filter(None, stored["results"][f"burst.Burst.{name}"][column])) for name in metrics)
    assert len(set(times)) == len(set(slowest)) == 3
    assert all(insert <= burst for insert, burst in zip(slowest, times))
    assert failed == [0.0, 0.0, 0.0]


def test_a_subfolder_that_asv_is_not_told_of_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it says to write is right."""
    folder = tmp_path / FOLDER / "deeper"
    folder.mkdir(parents=True)
    config = Config()
    config.repo = "."
    monkeypatch.chdir(folder)
    assert problem(config).startswith("this is no git repository, and asv measures commits: ")
    git(tmp_path, "init", "-q")
    assert problem(config) == "this repository has no commit yet, and asv measures commits: git commit"
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Begin")
    assert problem(config) == (
        f"this project is in the folder {FOLDER}/deeper of its repository, and asv.conf.json says otherwise: "
        f'set "repo": "../..", "repo_subdir": "{FOLDER}/deeper" there'
    )
    config.repo, config.repo_subdir = "../..", f"{FOLDER}/deeper"
    assert problem(config) == ""
    monkeypatch.chdir(tmp_path)
    assert problem(config).endswith('says otherwise: set "repo": "." there, and no "repo_subdir"')
