"""The first make on a machine that lacks something: one line says what, and with that the next make works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

# Plays an interpreter: makes a .venv with itself in it, has pip, and runs anything else with the Python of the tests.
PLAYED = """#!/bin/sh
case "$*" in
"-m venv"*) rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo made with {name};;
"-m pip"*) {pip};;
*) exec {real} "$@";;
esac
"""
OLD = "#!/bin/sh\n[ $1 != --version ] || echo Python 3.9.18\nexit 1\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the first make looks at, and a PATH that has make and no Python yet."""
    for name in ("Makefile", "asv.conf.json", "setup.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "sed", "grep", "sort", "tail", "touch", "mkdir", "cp", "rm"):
        path = shutil.which(tool)
        assert path
        (tmp_path / "bin" / tool).symlink_to(path)
    return tmp_path


def play(clone: Path, name: str, script: str = "", pip: str = ":") -> Path:
    """Put an interpreter of that name on the PATH."""
    file = clone / "bin" / name
    file.write_text(script or PLAYED.format(name=name, real=sys.executable, pip=pip))
    file.chmod(0o755)
    return file


def make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make for what every command needs first."""
    program = shutil.which("make")
    assert program
    return subprocess.run(
        [program, "--no-print-directory", ".venv/ready", *arguments],
        cwd=clone,
        env={"PATH": str(clone / "bin"), "HOME": str(clone)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python3_is_named_in_one_line_and_the_right_one_works_afterwards(clone: Path) -> None:
    play(clone, "python3", OLD)
    failed = make(clone)
    said, of_make = failed.stderr.splitlines()
    assert failed.returncode == 2
    assert said == (
        "Python 3.11 or newer with ensurepip is needed (Debian: python3-venv); python3 is Python 3.9.18: "
        "name another: make .venv/ready PYTHON=python3.12"
    )
    assert of_make.startswith("make: *** ")
    assert not (clone / ".venv").exists()
    play(clone, "mine")
    assert "made with mine" in make(clone, "PYTHON=mine").stdout
    assert (clone / ".venv" / "ready").exists()


def test_the_newest_python_on_the_path_is_taken_where_python3_is_too_old(clone: Path) -> None:
    play(clone, "python3", OLD)
    for name in ("python3.10", "python3.12", "python3.13", "python3.13t"):
        play(clone, name, OLD if name == "python3.10" else "")
    assert "made with python3.13\n" in make(clone).stdout


def test_a_python_that_is_named_is_taken_or_refused_and_no_other(clone: Path) -> None:
    play(clone, "python3")
    play(clone, "old", OLD)
    refused = make(clone, "PYTHON=old")
    assert "; old is Python 3.9.18: name another" in refused.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("left", ["no pip", "an old Python", "a Python that is gone"])
def test_a_venv_that_cannot_be_used_is_made_anew(left: str, clone: Path) -> None:
    """One that was interrupted, was made with an old Python, or whose Python was removed after all was installed."""
    play(clone, "python3")
    assert make(clone).returncode == 0
    python, ready = clone / ".venv" / "bin" / "python", clone / ".venv" / "ready"
    if left == "a Python that is gone":
        python.unlink()
        python.symlink_to(clone / "removed")
    else:
        ready.unlink()
        script = OLD if left == "an old Python" else PLAYED.format(name="half", real=sys.executable, pip="exit 1")
        python.write_text(script)
    again = make(clone)
    assert again.returncode == 0, again.stderr
    assert "made with python3\n" in again.stdout
    assert "made" not in make(clone).stdout


def test_help_fits_on_a_screen_and_names_every_command_and_variable() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    lines = subprocess.check_output(["make", "--no-print-directory", "help"], cwd=PROJECT, text=True).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    (phony,) = re.findall(r"^\.PHONY: (help .*)$", makefile, re.MULTILINE)
    assert {line.split()[1] for line in lines if line.startswith("make ")} == set(phony.split())
    # What a user may set has a value unless it is given, or a command asks whether it is.
    settable = set(re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE))
    settable |= set(re.findall(r"\$\((?:if|filter-out slow,)\s*\$\(([A-Z]+)\)", makefile)) - {"MACHINE"}
    assert {"COMMITS", "DISK", "ONLY"} <= settable
    named = {name for line in lines if not line.startswith("make ") for name in re.findall(r"\b([A-Z]+)=", line)}
    assert settable <= named


def test_without_a_home_the_machine_is_known_in_the_project(tmp_path: Path) -> None:
    """Asv has one file for all projects, at home; a home that is a file cannot be written even by root."""
    home = tmp_path / "home"
    home.touch()
    for _ in range(2):  # the second time it is there
        done = subprocess.run(
            [sys.executable, "-m", "asv_plugins.machine", "here"],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(home), "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert json.loads((tmp_path / ".asv" / "machine.json").read_text())["here"]["machine"] == "here"


def test_a_home_that_can_be_written_has_the_machine(tmp_path: Path) -> None:
    """And nothing of it is in the project."""
    subprocess.run(
        [sys.executable, "-m", "asv_plugins.machine", "here"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)},
        check=True,
    )
    assert json.loads((tmp_path / ".asv-machine.json").read_text())["here"]["machine"] == "here"
    assert not (tmp_path / ".asv").exists()
