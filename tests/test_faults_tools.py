"""asv, the pages and the check when they are interrupted, run twice at once, or find a full or read-only disk.

On small projects: one benchmark of one burst, and results that asv's own classes wrote. What a check does when it is
interrupted, killed, or started twice, is in test_pr_check.py. A server that is interrupted: test_dashboard_published.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import TYPE_CHECKING

import pytest

from sqlite_writes.folders import MEMORY

from .conftest import PROJECT, READS_PROC, wait_until
from .dashboard_project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Living

pytestmark = READS_PROC

SUITE = """
from sqlite_writes.asv import Burst

class Rows(Burst):
    writer = "wal"
    params = [[WORKERS]]
    bursts = BURSTS
"""

# No file of more than so many kilobytes, as on a disk that is nearly full: too few for pages, or for a burst alone. The
# import system would leave a module's bytecode cut in this very tree (https://github.com/python/cpython/issues/126606).
LIMITED, NO_BURST = (f'export PYTHONDONTWRITEBYTECODE=1; ulimit -f {most}; exec "$@"' for most in (4, 30))


class Small:
    """A repository with one class of benchmarks; asv runs it with this Python, as it is."""

    def __init__(self, folder: Path, workers: int = 2, bursts: int = 1) -> None:
        self.folder = folder
        (folder / "benchmarks").mkdir(parents=True)
        (folder / "benchmarks" / "__init__.py").touch()
        suite = SUITE.replace("WORKERS", str(workers)).replace("BURSTS", str(bursts))
        (folder / "benchmarks" / "small.py").write_text(suite)
        configuration = {"version": 1, "project": "small", "repo": ".", "branches": ["HEAD"]}
        configuration["environment_type"] = "virtualenv"
        places = {name: f".asv/{name.removesuffix('_dir')}" for name in ("env_dir", "results_dir", "html_dir")}
        (folder / "asv.conf.json").write_text(json.dumps({**configuration, **places}))
        names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        (folder / "home").mkdir()
        self.environment = {
            **os.environ,
            **names,
            "HOME": str(folder / "home"),
            "PYTHONPATH": str(PROJECT),
            "ASV_PYTHONPATH": str(PROJECT),
            "SQLITE_WRITES_FOLDER": str(folder / ".asv" / "databases"),
        }
        for command in (
            "init -q",
            "commit -q --allow-empty -m Nothing",
            "add benchmarks asv.conf.json",
            "commit -qm All",
        ):
            subprocess.run(["git", *command.split()], cwd=folder, env=self.environment, check=True)
        self.commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, env=self.environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def start(self, *before: str) -> subprocess.Popen[str]:
        """Start ``asv run``."""
        asv = [sys.executable, "-m", "asv", "run", "--python=same", "--set-commit-hash", self.commit, "--show-stderr"]
        return subprocess.Popen(
            [*before, *asv, "--machine", "small", "--quick"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def results(self) -> dict[str, object]:
        """What asv has stored of the commit."""
        (path,) = self.folder.glob(f".asv/results/small/{self.commit[:8]}-*.json")
        found: dict[str, object] = json.loads(path.read_text())["results"]
        return found

    def databases_left(self) -> list[Path]:
        """What lies where the bursts make their databases."""
        return [*self.folder.glob(".asv/databases/*")]


@pytest.fixture
def small(tmp_path: Path, marked: Living) -> Small:
    """Such a repository, described to asv as measured on the machine "small"."""
    made = Small(tmp_path / "project")
    described = dict.fromkeys(("arch", "cpu", "num_cpu", "os", "ram"), "x")
    known = {"small": {"machine": "small", **described}, "version": 1}
    (made.folder / "home" / ".asv-machine.json").write_text(json.dumps(known))
    return made


def test_asv_run_that_is_interrupted_in_a_burst_leaves_no_process_and_its_database_to_the_next(
    small: Small, marked: Living
) -> None:
    """It kills the benchmark outright, so the next one, a minute later, removes what that one could not."""
    suite = small.folder / "benchmarks" / "small.py"
    hanging = suite.read_text().replace('"wal"', '"tests.fault_writers:hangs"')
    suite.write_text(hanging)
    with small.start() as asv:
        wait_until(
            lambda: any((path / "hangs").exists() for path in small.databases_left()), "the burst is under way", 120
        )
        os.killpg(asv.pid, signal.SIGINT)
        asv.communicate(timeout=60)
    wait_until(lambda: not marked(), "all have ended")
    for left in small.databases_left():
        os.utime(left, (0, 0))
    suite.write_text(hanging.replace("tests.fault_writers:hangs", "wal"))
    with small.start() as asv:
        asv.communicate(timeout=120)
    assert asv.returncode == 0
    assert small.databases_left() == []


def test_two_asv_runs_at_once_both_end_and_their_results_can_be_read(small: Small) -> None:
    """Each writes asv's file of machines anew, and the other may just then find it empty: asv then says so and ends."""
    runs = small.start(), small.start()
    said = [run.communicate(timeout=120)[0] for run in runs]
    assert 0 in [run.returncode for run in runs], said
    assert all(run.returncode == 0 or ".asv-machine.json" in text for run, text in zip(runs, said)), said
    assert "small.Rows.track_failed_rows" in small.results()
    assert small.databases_left() == []


def test_asv_run_on_a_full_disk_is_a_failure_that_says_so_and_leaves_nothing(small: Small) -> None:
    """The database does not fit: each benchmark fails with SQLite's or the system's words, and asv ends."""
    with small.start("bash", "-c", NO_BURST, "bash") as asv:
        said, _ = asv.communicate(timeout=120)
    assert asv.returncode != 0
    assert re.search(r"sqlite-writes: .*(disk|File too large)", said), said
    assert "Traceback" not in said
    assert small.databases_left() == []


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing can be written there, not even by root."""
    if os.geteuid():
        modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}
        for path, mode in modes.items():
            path.chmod(mode & 0o555)
        try:
            yield
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    if subprocess.run(["mount", "--bind", folder, folder], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


READ_ONLY = [
    ("-m", "pr_check", "HEAD^", "HEAD"),
    ("-m", "asv_plugins.quick", "first", "HEAD^!"),
    ("-m", "sqlite_writes", "burst", "2", "--writer", "wal"),
    ("-m", "sqlite_writes", "burst", "2", "--writer", "wal", "--directory", MEMORY, "--export-json", "a.json"),
]


@pytest.mark.parametrize("command", READ_ONLY, ids=lambda command: " ".join(command[1:3]))
def test_in_a_read_only_checkout_each_tool_says_so_in_one_line(command: tuple[str, ...], small: Small) -> None:
    with read_only(small.folder):
        done = subprocess.run(
            [sys.executable, "-P", *command],
            cwd=small.folder,
            env={**small.environment, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode in {1, 2, 4}, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Read-only" in done.stderr or "cannot be written" in done.stderr or "Permission denied" in done.stderr


def publish(project: Project, *before: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, sys.executable, "-m", "asv", "publish", "--no-pull"],
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def parent_of_publishers() -> None:
    """What ``Project.publish`` forks from, started before a test is marked: it outlives the test."""
    forkserver.ensure_running()


@pytest.fixture
def measured(tmp_path: Path, parent_of_publishers: None, marked: Living) -> Project:
    """A repository with the results of one commit."""
    project = Project(tmp_path / "pages")
    project.commit()
    project.measure()
    return project


@pytest.mark.parametrize("fault", ["interrupted", "on a full disk", "twice at once"])
def test_after_a_publish_that_was_disturbed_the_next_one_is_whole(
    fault: str, measured: Project, marked: Living
) -> None:
    """Publishing empties the folder of its pages first. So what a disturbed one left is gone."""
    if fault == "interrupted":
        with publish(measured) as publishing:
            wait_until(measured.html.exists, "it has begun to write")
            os.killpg(publishing.pid, signal.SIGINT)
            publishing.communicate(timeout=60)  # however far it has come
    elif fault == "on a full disk":
        with publish(measured, "bash", "-c", LIMITED, "bash") as publishing:
            said, _ = publishing.communicate(timeout=60)
        assert publishing.returncode != 0
        assert "File too large" in said
    else:
        with publish(measured) as first, publish(measured) as second:
            for publishing in (first, second):
                publishing.communicate(timeout=60)
    assert marked() == []
    measured.publish()
    assert "With default settings" in measured.first_page()


def test_two_servers_at_once_have_an_address_each(measured: Project, marked: Living) -> None:
    from .test_dashboard_published import make_dashboard

    with make_dashboard(measured) as first:
        assert first.stdout is not None
        one = first.stdout.readline()
        with make_dashboard(measured) as second:
            assert second.stdout is not None
            other = second.stdout.readline()
            for server in (first, second):
                os.killpg(server.pid, signal.SIGINT)
                server.wait(30)
    assert "http://127.0.0.1:" in one
    assert "http://127.0.0.1:" in other
    assert one != other
    assert marked() == []
