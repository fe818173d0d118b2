"""Whatever is typed after ``sqlite-writes``: an answer or one line, a status, and nothing left; never a traceback.

The examples are drawn by hypothesis and run within this process, with a burst and a run that were measured once.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from sqlite_writes.command_line import attempts, limit_command, rate_command
from sqlite_writes.command_line.main import run
from sqlite_writes.fresh_burst import run_burst
from sqlite_writes.rate import RateLimit, measure_rate
from sqlite_writes.settings import SETTINGS

from .conftest import PROJECT
from .test_properties import examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Living

COUNTS = ["1", "3", "0", "-1", "1e3", "9" * 40, "", "many", "٣"]
TIMES = ["10ms", "2s", "1m", "0s", "-1s", "1", "nan", "9" * 300 + "s", ""]
FILES = ["answer.json", "answer.svg", "answer.png", "nowhere/answer.md", ".", "", "a" * 300, "notes.py", "ä\udcff.md"]
NAMES = [
    "wal",
    *SETTINGS,
    "wal,grouped",
    "wal,,fair",
    "",
    ",",
    "groupd",
    "a:b",
    "notes:write",
    "notes:",
    ":",
    "os:path",
    "[red]",
]
RATES = ["1000/day", "50/s", "0/s", "1/0", "1e9/s", "-3/min", "50", "9" * 400 + "/s", ""]

# Each option, and what may be given to it, what will do first; None where it takes nothing.
OPTIONS: dict[str, list[str] | None] = {
    "--writer": NAMES,
    "-w": NAMES,
    "--rows": ["notes:texts", "notes:write", "nope", ""],
    "--directory": [".", "nowhere", "notes.py", "", "a" * 300],
    "--bursts": COUNTS,
    "--seed": [*COUNTS, "-7"],
    "--deadline": TIMES,
    "--prepare": ["true", ""],
    "--cleanup": ["false", ""],
    "--max-failed": COUNTS,
    "--p99": TIMES,
    "--export-json": FILES,
    "--export-markdown": FILES,
    "--plot": FILES,
    "--keep-open": None,
    "--rows-each": COUNTS,
    "--max-workers": COUNTS,
    "--workers": COUNTS,
    "--forecast": COUNTS,
    "--rate": RATES,
    "--seconds": ["14", "1", "0", "x", ""],
    "--help": None,
    "--version": None,
    "-h": None,
    "--": None,
    "-": None,
}

# No separator of paths, so that no example can name a file elsewhere.
TEXT = st.text(st.characters(blacklist_characters="/.~\0"), max_size=8)


# What a command takes besides; "burst" takes a number first.
OF_ALL = ["--writer", "-w", "--rows", "--directory", "--seed", "--prepare", "--cleanup"]
COMMON = [*OF_ALL, "--p99", "--max-failed", "--export-json"]
BURSTS = [*COMMON, "--bursts", "--deadline", "--export-markdown", "--plot"]
TAKEN = {
    "burst": [*BURSTS, "--keep-open", "--rows-each"],
    "limit": [*BURSTS, "--max-workers", "--workers", "--forecast"],
    "rate": [*COMMON, "--rate", "--seconds", "--workers", "--keep-open"],
    "brust": ["--version"],
    "": ["--version", "--help"],
}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with options that it takes, each given what will do; or one word of it is another."""
    command = draw(st.sampled_from(["burst", "limit", "rate", "burst", "limit", "rate", "brust", ""]))
    words = [command, "3"] if command == "burst" else [command]
    wrong = draw(st.integers(0, 9))
    taken = list(OPTIONS) if wrong == 9 else TAKEN[command]
    for place, option in enumerate(draw(st.lists(st.sampled_from(taken), max_size=6, unique=True))):
        values = OPTIONS[option]
        words.append(option)
        if values is not None:
            words.append(draw(st.one_of(st.sampled_from(values), TEXT)) if place == wrong else values[0])
    return [*words, *(draw(st.lists(TEXT, max_size=1)) if wrong == 8 else [])]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Have every burst and every run be one that was measured here, once, and every forecast be empty."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "notes.py").write_text("number = 3\ndef write(row): pass\ndef texts(): return []\n")
    report = run_burst("wal", 3, directory=folder)
    kept = run_burst("wal", 3, directory=folder, rows_each=20)
    rated = measure_rate("wal", 100, 0.3, directory=folder, workers=3)

    def burst(*_: object, rows_each: int | None = None, **__: object) -> object:
        return report if rows_each is None else kept

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setattr(attempts, "run_burst", burst)
        patch.setattr("sqlite_writes.limit.run_burst", burst)
        patch.setattr(limit_command, "expect", lambda *_: ())
        patch.setattr(rate_command, "measure_rate", lambda *_, **__: rated)
        patch.setattr(rate_command, "find_rate", lambda *_, **__: RateLimit(rated.writer, 0.1, (rated,), 100.0))
        yield patch


@given(words=command_lines(), encoding=st.sampled_from(["utf-8", "utf-8", "ascii"]))
@examples(250)
def test_whatever_is_typed_is_answered_or_refused_in_one_line(
    words: list[str], encoding: str, measured: pytest.MonkeyPatch
) -> None:
    said, complaint = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    with redirect_stdout(said), redirect_stderr(complaint):
        status = run(words)
    event(f"status {status}")
    lines = complaint.buffer.getvalue().decode(encoding).splitlines()
    assert status in {0, 1, 2, 3}, lines
    assert not any("Traceback" in line or "a defect of" in line for line in lines), lines
    if status == 2:
        assert len(lines) == 1 or (words == [""] and not lines), lines
        assert lines[0].startswith("sqlite-writes: ")
    assert not [name for name in os.listdir() if name.startswith(".")]


PROCESSES = [
    ["burst", "2", "--writer", "wal", "--seed", "\udcff"],
    ["burst", "2", "--writer", "wal", "--export-json", "ä\udcff ?#%.json", "--directory", "."],
    ["limit", "--writer", "wal", "--max-workers", "2", "--bursts", "1", "--export-markdown", "x" * 300],
    ["rate", "--rate", "1e400/s"],
]


@pytest.mark.parametrize("words", PROCESSES)
def test_the_same_holds_for_a_process_of_its_own(words: list[str], tmp_path: Path, marked: Living) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "sqlite_writes", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {0, 2}, done.stderr
    assert b"Traceback" not in done.stderr
    assert not list(tmp_path.glob(".*"))
