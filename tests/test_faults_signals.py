"""Signals at random moments to the caller, its launcher and its workers, whatever they do; and what is left then.

``python -m tests.test_faults_signals COUNT SEED`` torments as many more, and prints what came of it.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from sqlite_writes.command_line.around import commands_around
from sqlite_writes.folders import PREFIX, fresh_folder

from .conftest import PROJECT, READS_PROC, run_script, scratch_folder, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Living

pytestmark = READS_PROC

# What a program does that is tormented. It says in one line how many rows are lost, or which error it met.
LIBRARY = """
import sys
from sqlite_writes import *
from sqlite_writes.kept_open import insert_rows_kept_open
from sqlite_writes.rate import measure_rate
from tests.workers import sleep
try:
    if sys.argv[1] == "pool":
        pool_map(sleep, [0.3] * 8, deadline=8)
        said = "0 lost"
    elif sys.argv[1] == "rate":
        said = f"{len(measure_rate('wal', 200, 0.6, workers=8, deadline=8).which('lost'))} lost"
    else:
        settings = sys.argv[2]
        create_table("messages.db", settings)
        rows = generate_example_rows(200 if sys.argv[1] == "kept open" else 20)
        if sys.argv[1] == "kept open":
            report = insert_rows_kept_open("messages.db", rows, settings, workers=8, deadline=8)
        else:
            report = insert_rows_in_parallel("messages.db", rows, settings, deadline=8)
        said = f"{report.lost} lost {report.duplicated} duplicated"
except ChildProcessError as error:
    said = f"error: {error}"
print(said)
"""
COMMAND = [sys.executable, "-m", "sqlite_writes"]
JOBS: dict[str, list[str]] = {
    "pool": [sys.executable, "-c", LIBRARY, "pool"],
    "burst default": [sys.executable, "-c", LIBRARY, "burst", "default"],
    "kept open grouped": [sys.executable, "-c", LIBRARY, "kept open", "grouped"],
    "rate": [sys.executable, "-c", LIBRARY, "rate"],
    "burst command": [*COMMAND, "burst", "12", "--bursts", "2", "--writer", "grouped,apsw-in-turn", "--deadline", "8s"],
    "limit command": [*COMMAND, "limit", "--max-workers", "8", "--bursts", "1", "--writer", "wal", "--deadline", "8s"],
}
VICTIMS = ("caller", "launcher", "worker")

# A process that is stopped goes on after a while: what becomes of one that never does, test_pool.py says.
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)


class Ending(NamedTuple):
    """How the program ended that was tormented."""

    signal: signal.Signals
    was_there: bool
    status: int
    said: str
    complaint: str


def victims(caller: int, living: Callable[[], list[int]]) -> dict[str, list[int]]:
    """Tell the processes of one program apart: a launcher leads a group of its own, and its workers are in it."""
    found: dict[str, list[int]] = {"caller": [caller], "launcher": [], "worker": []}
    for pid in living():
        with suppress(ProcessLookupError):
            if os.getpgid(pid) != os.getpgid(caller):
                found["launcher" if os.getpgid(pid) == pid else "worker"].append(pid)
    return found


def torment(job: str, victim: str, folder: Path, living: Callable[[], list[int]], chance: random.Random) -> Ending:
    """Start the program, send a signal to one of its processes at a random moment, and wait for its end."""
    number = chance.choice(SIGNALS)
    with subprocess.Popen(
        JOBS[job],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as caller:
        until, chosen = time.monotonic() + 5, None
        time.sleep(chance.uniform(0, 0.15))
        while chosen is None and caller.poll() is None and time.monotonic() < until:
            there = victims(caller.pid, living)[victim]
            chosen = chance.choice(there) if there else None
        time.sleep(chance.uniform(0, 0.4) if victim != "worker" else chance.uniform(0, 0.05))
        was_there = chosen is not None
        with suppress(ProcessLookupError):
            if chosen is not None and (chosen != caller.pid or caller.poll() is None):
                os.kill(chosen, number)
                if number == signal.SIGSTOP:
                    time.sleep(0.3)
                    os.kill(chosen, signal.SIGCONT)
        said, complaint = caller.communicate(timeout=240)
    return Ending(number, was_there, caller.returncode, said, complaint)


def faults_of(job: str, victim: str, ending: Ending, folder: Path) -> list[str]:
    """What is wrong with the ending: anything but a whole answer, one line, or the end that the signal asked for."""
    found = []
    is_ended_by_it = victim == "caller" and ending.status in {-ending.signal, 130}
    if "Traceback" in ending.complaint and not is_ended_by_it:
        found.append(f"a traceback: {ending.complaint}")
    if ending.status not in {0, 1} and not is_ended_by_it:
        found.append(f"status {ending.status}: {ending.complaint}")
    if re.search(r"[1-9]\d* (lost|duplicated)", ending.said):
        found.append(ending.said)
    is_tidy = not (victim == "caller" and ending.status < 0)  # who is killed outright leaves its folder to the next
    found += [f"left: {path.name}" for path in folder.glob(".*") if is_tidy]
    return found


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("job", JOBS)
def test_whoever_is_signalled_whenever_no_row_is_lost_and_no_process_left(
    job: str, victim: str, tmp_path: Path, marked: Living
) -> None:
    ending = torment(job, victim, tmp_path, marked, random.Random(f"{job} {victim}"))
    assert not faults_of(job, victim, ending, tmp_path)


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    """The kernel frees the lock of the one that is gone; one that is young may not have come to take its lock."""
    with fresh_folder(tmp_path) as in_use:
        for name in ("abandoned", "young"):
            (tmp_path / f"{PREFIX}{name}").mkdir()
        (tmp_path / f"{PREFIX}abandoned" / "writes.db").touch()
        (tmp_path / "mine").mkdir()
        for path in [*tmp_path.iterdir()]:
            if "young" not in path.name:
                os.utime(path, (0, 0))
        with fresh_folder(tmp_path) as another:
            there = {path.name for path in tmp_path.iterdir()}
            assert there == {Path(in_use).name, Path(another).name, f"{PREFIX}young", "mine"}
    assert {path.name for path in tmp_path.iterdir()} == {f"{PREFIX}young", "mine"}


def interrupt_after(act: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same, and be interrupted at once."""

    def interrupted(*arguments: Any, **named: Any) -> Any:
        done = act(*arguments, **named)
        signal.raise_signal(signal.SIGINT)  # in this thread, which may have it blocked
        return done

    return interrupted


def test_ctrl_c_while_a_folder_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "mkdtemp", interrupt_after(tempfile.mkdtemp))
    with pytest.raises(KeyboardInterrupt), fresh_folder(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_a_command_around_a_burst_starts_ends_it(monkeypatch: pytest.MonkeyPatch, marked: Living) -> None:
    monkeypatch.setattr(os, "posix_spawn", interrupt_after(os.posix_spawn))
    with pytest.raises(KeyboardInterrupt), commands_around("exec sleep 600", None, "writes.db"):
        pass


# A module that is long in being imported, and in the end cannot be.
SLOW = """
import pathlib, time
pathlib.Path("begun").touch()
while not pathlib.Path("goes on").exists():
    time.sleep(0.01)
raise ImportError("in the end")
"""


@pytest.mark.parametrize(
    ("before", "status", "said"), [((), 130, "interrupted: nothing is left running"), (("nohup",), 2, "in the end")]
)
def test_a_terminal_that_is_closed_ends_the_command_unless_nohup_started_it(
    before: tuple[str, ...], status: int, said: str, tmp_path: Path, marked: Living
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    with subprocess.Popen(
        [*before, *COMMAND, "burst", "2", "--writer", "slow:write", "--rows", "slow:texts"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until((tmp_path / "begun").exists, "it imports the module")
        process.send_signal(signal.SIGHUP)
        if before:
            (tmp_path / "goes on").touch()
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == status, complaint
    assert said in complaint.splitlines()[-1]
    assert "Traceback" not in complaint


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("lambda: os.kill(os.getpid(), signal.SIGTERM)", 130),
        ("lambda: atexit.register(os.kill, os.getpid(), signal.SIGTERM) and 3", 3),
    ],
)
def test_a_signal_as_the_command_begins_or_ends_gives_a_status_and_no_traceback(command: str, status: int) -> None:
    script = f"import atexit, os, signal; from sqlite_writes import __main__ as program; program._run = {command}"
    done = run_script(f"{script}; program.main()")
    assert (done.returncode, done.stderr) == (status, "")


def test_a_folder_without_locks_is_used_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    with fresh_folder(tmp_path) as folder:
        os.utime(folder, (0, 0))
        with fresh_folder(tmp_path):
            assert Path(folder).is_dir()
    assert not list(tmp_path.iterdir())


def by_hand(count: str, seed: str = "1") -> None:
    """Torment so many, and print what came of it."""
    chance, found, mark = random.Random(seed), Counter[str](), f"{uuid.uuid4()}"
    os.environ["SQLITE_WRITES_TEST"] = mark

    def living() -> list[int]:
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark.encode() in (path / "environ").read_bytes():
                    pids.append(int(path.name))
        return pids

    for _ in range(int(count)):
        job, victim = chance.choice(list(JOBS)), chance.choice(VICTIMS)
        with scratch_folder() as folder:
            ending = torment(job, victim, Path(folder), living, chance)
            found[f"{ending.signal.name} to the {victim}" if ending.was_there else "ended before"] += 1
            found.update(f"FAULT: {job}: {what}" for what in faults_of(job, victim, ending, Path(folder)))
        wait_until(lambda: not living(), "every process has ended")
    sys.stdout.write("".join(f"{count:5} {what}\n" for what, count in found.most_common()))


if __name__ == "__main__":
    import_module("tests.test_faults_signals").by_hand(*sys.argv[1:])
