"""The script that runs a command with a PostgreSQL server: the command's signals and status, and nothing left behind.

Knows nothing of what is written to the server; test_other_stores.py does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from experiments.postgres import DATA, SOCKETS, VARIABLE, find_programs

from .conftest import PROJECT, READS_PROC, wait_until

SCRIPT = PROJECT / "experiments" / "postgres.py"
HAS_SERVER = pytest.mark.skipif(find_programs() is None, reason="no PostgreSQL server is installed")

# A command for the script: it says which server it was given, and ends when its standard input does.
TELL_AND_WAIT = "import os, sys; print(os.environ.get('SQLITE_WRITES_POSTGRES'), flush=True); sys.stdin.read()"


def without_server() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


def start_script(command: str, **options: Any) -> subprocess.Popen[str]:
    """Start the script with a Python program as its command."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), sys.executable, "-c", command],
        **{"text": True, "env": without_server(), **pipes, **options},
    )


def left_of(script: subprocess.Popen[Any]) -> list[str]:
    """Return the folders that the script has made and the processes of its server."""
    mine = f"postgres-{script.pid}-"
    found = [str(path) for folder in (DATA, Path(SOCKETS)) for path in folder.glob(f"{mine}*")]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mine in os.readlink(process / "cwd"):
                found.append(str(process))
    return found


@HAS_SERVER
def test_the_script_gives_the_command_a_server_and_ends_as_it_does() -> None:
    with start_script("import sys; print(sys.argv[1:]); sys.exit(3)") as script:
        _, said = script.communicate()
    assert script.returncode == 3
    assert re.fullmatch(r"postgres \(PostgreSQL\) \d.*max_connections 1100\n", said)
    assert left_of(script) == []


@HAS_SERVER
@READS_PROC
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_script_hands_on_a_signal_and_cleans_up(number: signal.Signals) -> None:
    with start_script(
        f"import signal; signal.signal({int(number)}, lambda *_: sys.exit(5)); {TELL_AND_WAIT}"
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline().startswith("host=/tmp/postgres-")
        assert len(left_of(script)) > 2
        script.send_signal(number)
        script.wait()
    assert script.returncode == 5
    assert left_of(script) == []


@HAS_SERVER
def test_the_script_cleans_up_after_a_command_that_is_killed() -> None:
    with start_script("import os; os.kill(os.getpid(), 9)") as script:
        script.communicate()
    assert script.returncode == 128 + signal.SIGKILL
    assert left_of(script) == []


@HAS_SERVER
@READS_PROC
@pytest.mark.parametrize("stage", ["initdb", "postgres"])
def test_the_script_cleans_up_when_it_is_stopped_while_the_server_starts(stage: str) -> None:
    with start_script("print('never')") as script:

        def names() -> list[str]:
            found = []
            for path in left_of(script):
                with contextlib.suppress(OSError):
                    found.append(Path(path, "comm").read_text().strip())
            return found

        wait_until(lambda: stage in names(), f"{stage} runs")
        script.terminate()
        said, _ = script.communicate()
    assert (script.returncode, said) == (128 + signal.SIGTERM, "")
    assert left_of(script) == []


CTRL_C = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("waiting", flush=True)
signal.sigwait([signal.SIGINT])
print("again" if signal.sigtimedwait([signal.SIGINT], 0.5) else "once", flush=True)
"""


@HAS_SERVER
@READS_PROC
def test_ctrl_c_at_a_terminal_reaches_the_command_once_and_the_server_never() -> None:
    terminal, theirs = os.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    try:
        with start_script(CTRL_C, stdin=theirs, start_new_session=True, preexec_fn=take_terminal) as script:
            assert script.stdout is not None
            assert script.stdout.readline() == "waiting\n"
            os.write(terminal, b"\x03")
            said, _ = script.communicate()
    finally:
        os.close(terminal)
        os.close(theirs)
    assert (script.returncode, said) == (0, "once\n")
    assert left_of(script) == []


@HAS_SERVER
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_the_server_ends_with_a_script_that_is_killed() -> None:
    with start_script(TELL_AND_WAIT) as script:
        assert script.stdout is not None
        assert script.stdout.readline().startswith("host=")
        script.kill()
        script.communicate()  # the command reads the end of its input, and ends
    try:
        wait_until(lambda: not any(path.startswith("/proc/") for path in left_of(script)), "the server has ended")
    finally:
        for path in left_of(script):
            shutil.rmtree(path)


def test_the_script_uses_the_server_that_is_named_already() -> None:
    with start_script(TELL_AND_WAIT, env={**os.environ, VARIABLE: "host=elsewhere"}) as script:
        assert script.communicate() == ("host=elsewhere\n", "")
    assert script.returncode == 0


def test_where_no_server_is_installed_the_command_runs_without(tmp_path: Path) -> None:
    script = (
        "import sys; from experiments import postgres; postgres.DEBIAN = '/nowhere'; "
        "sys.exit(postgres.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, sys.executable, "-c", TELL_AND_WAIT]
    environment = {**without_server(), "PATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=PROJECT, input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n")
    assert done.stderr == "no PostgreSQL server is installed, so the command runs without SQLITE_WRITES_POSTGRES\n"


@HAS_SERVER
def test_a_server_that_does_not_start_is_told_in_one_line(tmp_path: Path) -> None:
    script = (
        "import sys; from experiments import postgres; postgres.CONNECTIONS = 0; sys.exit(postgres.main(sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, "true"], env=without_server(), cwd=PROJECT, stderr=subprocess.PIPE, text=True
    ) as process:
        _, said = process.communicate()
    assert process.returncode == 2
    assert re.fullmatch(r"the server did not start: .*max_connections.*\n", said)
    assert left_of(process) == []


@pytest.mark.parametrize(("command", "status"), [([], 2), (["/nowhere/command"], 127)])
def test_a_command_that_cannot_be_run_is_told_in_one_line(command: list[str], status: int) -> None:
    environment = {**os.environ, VARIABLE: "host=elsewhere"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == 1
