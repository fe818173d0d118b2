"""What several test files need: a database, a way to see that no process is left, and interpreters to run."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sqlite_writes import create_table, line
from sqlite_writes.scenarios.strace import can_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

# A shell's background jobs ignore Ctrl-C, and those of nohup a closed terminal: so would every process that a test
# starts and then interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# macOS allows 256 descriptors, and a burst of 250 takes two a worker.
SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
if SOFT in range(1024) and HARD not in range(1024):
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, HARD))

# What the fixture ``marked`` gives.
Living = Callable[[], list[int]]

READS_PROC = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
STRACE = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace")
PROJECT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Have one worker run all of a file whose tests share an environment, pages or a server; these files come first.

    pytest-xdist 3.8.0 has groups for that, which pytest 9.2 does not know.
    """
    from xdist.scheduler import LoadScopeScheduling

    shared = {path.name for path in (PROJECT / "tests").glob("test_*.py") if 'scope="module"' in path.read_text()}

    class SharedFilesFirst(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if path.rpartition("/")[2] in shared else nodeid

    return SharedFilesFirst(config, log)


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The path of a database that does not exist yet."""
    return str(tmp_path / "messages.db")


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Living]:
    """Mark, by an environment variable, every process that this test starts; gives the ids of those that live.

    At the end of the test, whatever it was, none may be left.
    """
    resource_tracker.ensure_running()  # one process for all tests, whichever is the first to need it
    mark = f"SQLITE_WRITES_TEST={uuid.uuid4()}"
    monkeypatch.setenv(*mark.split("=", 1))

    def living() -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:  # ended meanwhile, or a zombie, or not ours
                continue
        return sorted(set(found) - {os.getpid()})

    yield living
    if sys.platform.startswith("linux"):
        try:
            wait_until(lambda: not living(), "every process that the test started has ended")
        finally:
            for pid in living():
                os.kill(pid, signal.SIGKILL)


def wait_until(true: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait for a condition that has no event of its own; fail, saying what was awaited."""
    until = time.monotonic() + seconds
    pause = 0.002
    while not true():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(pause)
        pause = min(1.2 * pause, 0.1)  # most conditions read all of /proc


def wait_until_stopped(pid: int) -> None:
    """Wait until a child has been stopped by a signal."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for a long run by hand: on the project's disk, and where git does not see it."""
    parent = PROJECT / ".asv" / "databases"
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=parent)


def run_script(
    script: str, *arguments: str, python: str = sys.executable, flags: tuple[str, ...] = ("-W", "error")
) -> subprocess.CompletedProcess[str]:
    """Run a script as a program of its own that can import this project."""
    return subprocess.run(
        [python, *flags, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def table(database: str) -> str:
    """The path of a database with the table, in WAL mode."""
    create_table(database, "grouped")
    return database


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The files that this process has synced after a turn, each by device and number, in order."""
    found: list[tuple[int, int]] = []
    sync = line._sync

    def sync_and_note(descriptor: int) -> None:
        sync(descriptor)
        status = os.fstat(descriptor)
        found.append((status.st_dev, status.st_ino))

    monkeypatch.setattr(line, "_sync", sync_and_note)
    return found
