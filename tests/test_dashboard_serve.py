"""``python -m dashboard.serve``, which make dashboard runs: publishes, serves, stops cleanly, says what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from .conftest import PROJECT, Living
from .test_dashboard import Project, burst, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The server as a process of its own, which does not outlive the test."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "dashboard.serve"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_publishes_serves_and_stops_without_a_word_or_a_process_left(
    tmp_path: Path, stop: signal.Signals, marked: Living
) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({**burst(), **quiet()})
    with started(project.folder) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[1]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=30) as page:  # noqa: S310 # it is ours
            assert b"With default settings" in page.read()
            assert page.headers["Cache-Control"] == "no-cache"
        process.send_signal(stop)
        said, complained = process.communicate(timeout=30)
    assert (process.returncode, said, complained) == (0, "", "")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=30)  # noqa: S310 # the same
    assert marked() == []


def test_without_results_it_says_what_to_do_in_one_line(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    with started(project.folder) as process:
        said, complained = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")
    assert complained.endswith("yet: run make bench first\n")
    assert len(complained.splitlines()) == 1


def test_where_the_pages_cannot_be_written_it_says_so_in_one_line(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({**burst(), **quiet()})
    project.html.write_text("in the way")
    with started(project.folder) as process:
        said, complained = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")
    assert complained.startswith("asv publish failed: ")
    assert len(complained.splitlines()) == 1
