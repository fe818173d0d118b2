"""A writer that does not hold for one process: it is named before any other is measured, and ends as it would have."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from .test_command_line import folder, in_one_line, refused, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder"]

PREPARE = ("--prepare", f"{sys.executable} -c 'import notes; notes.create()'")
BURST = ("burst", "2")
LIMIT = ("limit", "--max-workers", "2", "--bursts", "1")
RATE = ("rate", "--seconds", "1", "--workers", "4")

# More mistakes than those in notes.py.
MORE = """
import notes

def elsewhere(row):
    notes.PATH += "-other"
    notes.create()
    notes.write(row)

def refuses(row):
    raise ValueError("no more notes")
"""

MISTAKES = {
    "notes:forgets": "in bursts of 1: 1 of 1 rows lost without an error",
    "more:elsewhere": "in bursts of 1: 1 of 1 rows lost without an error",
    "notes:cuts": "in bursts of 1: 1 of 1 rows altered",
    "more:refuses": "could not be measured: one process alone fails, ValueError: no more notes",
}


def in_order(folder: Path, *arguments: str) -> tuple[int, str]:
    """The status, and all that the command says, in the order in which it says it."""
    done = run(folder, *arguments, is_one_stream=True)
    return done.returncode, in_one_line(done.stdout)


@pytest.mark.parametrize("name", MISTAKES)
def test_what_does_not_hold_for_one_process_is_named_before_others_are_measured(folder: Path, name: str) -> None:
    (folder / "more.py").write_text(MORE)
    status, said = in_order(folder, *LIMIT, "--writer", f"wal,{name}", "--rows", "notes:texts", *PREPARE)
    before, _, after = re.split(r"wal( \(1 of 2\))?: growing, 1 process, burst 1", said)
    assert MISTAKES[name] in before
    assert MISTAKES[name] in after
    assert "wal: none up to 2" in after
    assert status == ("could not" in MISTAKES[name])
    if "lost" in MISTAKES[name]:
        assert f"{name}, noticed: alone, too, its row is not there afterwards" in before


@pytest.mark.parametrize("measure", [BURST, RATE])
def test_so_do_the_other_commands(folder: Path, measure: tuple[str, ...]) -> None:
    status, said = in_order(folder, *measure, "--writer", "wal,notes:forgets", "--rows", "notes:texts", *PREPARE)
    before, _, after = said.partition(" wal")
    assert MISTAKES["notes:forgets"] in before
    assert "lost without an error" in after
    assert status == 0


@pytest.mark.parametrize("measure", [BURST, LIMIT, RATE])
def test_a_writer_that_is_alone_and_cannot_be_measured_is_one_line(folder: Path, measure: tuple[str, ...]) -> None:
    line = refused(run(folder, *measure, "--writer", "notes:write", "--rows", "notes:texts"), 1)
    assert "no such table: notes: make it first, or before each burst with --prepare" in line


def test_a_threshold_ends_as_it_would_have(folder: Path) -> None:
    writers = ("--writer", "wal,notes:cuts", "--rows", "notes:texts", *PREPARE)
    assert run(folder, *LIMIT, "--workers", "2", *writers, "--max-failed", "0").returncode == 3
