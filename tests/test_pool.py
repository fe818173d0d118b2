"""The pool: the gate, one outcome per item whatever happens, and no process left on any way out.

Knows nothing of SQLite. What the workers do is in workers.py; scripts show what only a whole program can.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sqlite_writes import Outcome, pool_map

from . import workers
from .conftest import PROJECT, READS_PROC, Living, run_script, wait_until, wait_until_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BOTH_STARTS = pytest.mark.parametrize("start_method", ["forkserver", "fork"])


def results(outcomes: Iterable[Outcome[Any]]) -> list[Any]:
    return [outcome.result for outcome in outcomes]


def statuses(outcomes: Iterable[Outcome[Any]]) -> list[str]:
    return [outcome.status for outcome in outcomes]


@BOTH_STARTS
def test_gate(start_method: str, marked: Living) -> None:
    """Every item has a process of its own, and none starts before all are ready."""
    outcomes = pool_map(workers.process_id, range(100), start_method=start_method)
    pids = results(outcomes)
    assert pids == [outcome.pid for outcome in outcomes]
    assert len(set(pids)) == 100
    assert os.getpid() not in pids
    assert max(outcome.ready or 0 for outcome in outcomes) <= min(outcome.started or 0 for outcome in outcomes)
    assert all((outcome.started or 0) <= (outcome.ended or 0) for outcome in outcomes)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_results(marked: Living) -> None:
    """Results come in the order of the items, and whole though they are larger than a pipe. No items give none."""
    assert results(pool_map(workers.megabyte, range(20))) == [bytes([number]) * (1 << 20) for number in range(20)]
    assert pool_map(workers.megabyte, []) == []


def test_misbehaviour(marked: Living) -> None:
    """Each way in which a worker can end is one outcome, is told apart and hides no other."""
    ways = ["fine", "killed", "exits", "sys.exit", "unpicklable result", "unpicklable exception", "interrupted", "fine"]
    outcomes = pool_map(workers.misbehave, ways, deadline=50)
    assert statuses(outcomes) == ["returned", "killed", *["raised"] * 5, "returned"]
    assert results(outcomes) == ["fine", *[None] * 6, "fine"]
    assert outcomes[1].killed_by == signal.SIGKILL
    assert "status 3" in str(outcomes[2].exception)
    assert repr(outcomes[3].exception) == "SystemExit(4)"
    assert "in misbehave" in outcomes[3].traceback
    assert "cannot be pickled" in str(outcomes[4].exception)
    assert "cannot be unpickled" in str(outcomes[5].exception)
    assert "BadToPickle" in outcomes[5].traceback
    assert isinstance(outcomes[6].exception, KeyboardInterrupt)


def test_what_a_function_starts(marked: Living) -> None:
    """A process that it leaves running holds nobody up and is ended; a copy of the worker itself has nothing to say."""
    twice = "returns twice" + "!" * 100_000  # in many parts, which would be mixed
    ways = ["fine", "leaves a process", "exits and leaves a process", twice]
    outcomes = pool_map(workers.misbehave, ways, deadline=600)
    assert results(outcomes) == ["fine", "leaves a process", None, twice]
    assert outcomes[2].exit_status == 3


# A program of its own: a fork of this process takes ten times as long, so large is it.
LAST_TO_END = """
import sys
from sqlite_writes import pool_map
from tests import workers
for _ in range(40):
    (one,) = pool_map(workers.misbehave, [sys.argv[1]], start_method="fork")
    print(one.status, one.killed_by, one.exit_status)
"""


@pytest.mark.parametrize(("how", "said"), [("killed", "killed 9 None"), ("exits", "raised None 3")])
def test_the_last_to_end(how: str, said: str, marked: Living) -> None:
    """The end of the last worker is told apart too, whether its pipes or its status come first."""
    done = run_script(LAST_TO_END, how)
    assert (done.stdout.splitlines(), done.stderr) == ([said] * 40, "")


def test_sending(marked: Living) -> None:
    """Nothing is sent while a worker is at work."""
    outcomes = pool_map(workers.sleep_and_tell_when_it_is_sent, [0, 0, 0.3, 0])
    assert min(map(float, results(outcomes))) >= max(outcome.ended or 0 for outcome in outcomes)


@pytest.mark.parametrize("how", ["hangs", "stopped"])
def test_deadline(how: str, marked: Living) -> None:
    """A worker that does not end is killed at the deadline."""
    called = time.monotonic()
    outcomes = pool_map(workers.misbehave, ["fine", how, "fine"], deadline=3)
    assert statuses(outcomes) == ["returned", "timed out", "returned"]
    assert outcomes[1].started is not None
    assert outcomes[1].ended is None
    # The kill and the reaping come after the deadline, on a busy machine some seconds. It would hang for an hour.
    assert 3 <= time.monotonic() - called < 60


def test_extreme_deadlines(marked: Living) -> None:
    """A deadline before the gate opens leaves it shut; the longest one fits the kernel's timers."""
    outcomes = pool_map(workers.double, [1, 2], deadline=0.001)
    assert [(outcome.status, outcome.started) for outcome in outcomes] == [("timed out", None)] * 2
    assert results(pool_map(workers.double, [1], deadline=10_000_000)) == [2]


@pytest.mark.parametrize("deadline", [0, float("nan"), float("inf"), "5", True, 10_000_001])
def test_bad_deadline(deadline: Any) -> None:
    """A deadline that will not do is named."""
    with pytest.raises(ValueError, match=r"deadline .* is not a number of seconds above 0 and up to 10000000"):
        pool_map(workers.double, [1], deadline=deadline)


def test_warm_up(marked: Living) -> None:
    """Every worker is warm before the gate."""
    outcomes = pool_map(workers.calls_so_far, range(5), warm_up=workers.count_call)
    assert results(outcomes) == [2] * 5  # once in the launcher, once in the worker


@pytest.mark.parametrize(("warm_up", "error"), [(workers.fail_to_warm_up, RuntimeError), (sys.exit, SystemExit)])
def test_failing_warm_up(warm_up: Callable[[], object], error: type, marked: Living) -> None:
    """A warm-up that fails, or ends the process, is every outcome, and no function is called."""
    outcomes = pool_map(workers.double, range(300), warm_up=warm_up)
    assert {(one.status, one.started, type(one.exception)) for one in outcomes} == {("raised", None, error)}


def test_failing_and_hanging_warm_up(marked: Living) -> None:
    """A warm-up that fails is told although another hangs."""
    outcomes = pool_map(workers.double, range(6), warm_up=workers.fail_or_hang_to_warm_up, deadline=2)
    assert statuses(outcomes) == ["timed out" if outcome.pid % 2 else "raised" for outcome in outcomes]


def test_printing() -> None:
    """What was printed before a start, and what a worker prints, is printed once."""
    script = (
        "from sqlite_writes import pool_map; from tests.workers import print_and_return; print('first');"
        "[pool_map(print_and_return, ['second'], start_method=method) for method in ('forkserver', 'fork')]"
    )
    assert sorted(run_script(script).stdout.split()) == ["first", "second", "second"]


def test_inherited_descriptors(marked: Living) -> None:
    """A worker inherits no descriptor of the caller, unless it is forked from it."""
    descriptor = os.dup2(2, 500)  # a number that no descriptor of the pool's own has
    try:
        assert results(pool_map(workers.is_open, [descriptor])) == [False]
        assert results(pool_map(workers.is_open, [descriptor], start_method="fork")) == [True]
    finally:
        os.close(descriptor)


@BOTH_STARTS
def test_closed_standard_streams(start_method: str, tmp_path: Path) -> None:
    """A caller without standard streams, whose numbers the pipes take, gets its outcomes."""
    script = (
        "import os, sys; from sqlite_writes import pool_map; os.closerange(0, 3)\n"
        f"results = [one.result for one in pool_map(abs, [-1, -2], start_method={start_method!r}, deadline=30)]\n"
        "open(sys.argv[1], 'w').write(str(results))"
    )
    run_script(script, str(tmp_path / "said"))
    assert (tmp_path / "said").read_text() == "[1, 2]"


MANY_DESCRIPTORS = """
import os, resource
from sqlite_writes import pool_map
resource.setrlimit(resource.RLIMIT_NOFILE, (1400, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
print(pool_map(abs, [-4])[0].result)
"""


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] in range(1400), reason="allows too few descriptors")
def test_many_descriptors(marked: Living) -> None:
    """A caller with more than 1024 open descriptors gets its outcomes."""
    done = run_script(MANY_DESCRIPTORS)
    assert (done.stdout, done.stderr) == ("4\n", "")


FEW_DESCRIPTORS = """
import os, resource, sys
from sqlite_writes import pool_map
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for limit in range(3, 19):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        print([outcome.result for outcome in pool_map(abs, [-1, -2], start_method=sys.argv[1])])
    except OSError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert set(os.listdir("/dev/fd")) == {"0", "1", "2", "3"}  # 3 is the listing's own
"""


@BOTH_STARTS
def test_few_descriptors(start_method: str, marked: Living) -> None:
    """Too few descriptors are one line that names the limit, wherever they run out. The pool leaves none open."""
    done = run_script(FEW_DESCRIPTORS, start_method)
    assert done.stderr == ""
    said = done.stdout.splitlines()
    refusal = r"\[Errno \d+\] (.*): Too many open files \(raise ulimit -n\)"
    refused = [match[1] for match in map(partial(re.fullmatch, refusal), said) if match]
    assert set(refused) == {
        "the process that starts the workers could not be started",
        "the pool's pipes could not be opened",
    }
    assert said[len(refused) :] == ["[1, 2]"] * (16 - len(refused)) != []


# Root is not held to the limit, so the script gives root up.
FEW_PROCESSES = """
import os, resource
from sqlite_writes import pool_map
from tests.workers import fail_or_hang_to_warm_up
resource.setrlimit(resource.RLIMIT_NPROC, (30, 30))
if os.getuid() == 0:
    os.setuid(54321)
try:
    pool_map(len, [""] * 100, start_method="fork", warm_up=fail_or_hang_to_warm_up)
except OSError as error:
    print(error)
"""


def test_few_processes(marked: Living) -> None:
    """Too few processes are one line that says how many could be started and what to raise. None is left."""
    done = run_script(FEW_PROCESSES)
    refused = r"only (\d+) of 100 workers could be started|the process that starts the workers could not be started"
    said = re.fullmatch(rf"\[Errno \d+\] ({refused}): .* \(raise ulimit -u, .*pids.max\)\n", done.stdout + done.stderr)
    assert said is not None, done
    assert int(said[2] or 0) <= 28  # caller and launcher are two of the 30
    assert said[2] or os.getuid() != 0  # a user's own processes may leave room for none


def test_standard_input(marked: Living) -> None:
    """Workers do not read the caller's standard input."""
    script = (
        "import sys; from sqlite_writes import pool_map; from tests import workers;"
        "print([pool_map(workers.standard_input, [None])[0].result, sys.stdin.read()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, input="typed", capture_output=True, text=True, check=False
    )
    assert done.stdout == "['', 'typed']\n", done.stderr


def test_ignored_children(marked: Living) -> None:
    """A caller that ignores its children still gets outcomes."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert statuses(pool_map(workers.misbehave, ["killed", "fine"])) == ["killed", "returned"]
    finally:
        signal.signal(signal.SIGCHLD, before)


@BOTH_STARTS
def test_blocked_signals(start_method: str, marked: Living) -> None:
    """Workers have no signal blocked."""
    assert results(pool_map(workers.blocked_signals, [1], start_method=start_method)) == [set()]


def test_pickling(marked: Living) -> None:
    """``fork`` takes any function and any item; ``forkserver`` says that they cannot be pickled."""
    items: list[Callable[[], int]] = [lambda: 1, lambda: 2]
    assert results(pool_map(lambda item: item() + 1, items, start_method="fork")) == [2, 3]
    with pytest.raises(ValueError, match="cannot be pickled"):
        pool_map(workers.double, items)  # type: ignore[arg-type]


def test_unknown_start_method() -> None:
    """An unknown start method lists the known."""
    with pytest.raises(ValueError, match="'spawn' is not one of forkserver, fork"):
        pool_map(workers.double, [1], start_method="spawn")


INTERRUPTED_START = """
import os, signal
from sqlite_writes.pool import pool_map
from tests import workers

started, spawn = [], os.posix_spawn

def interrupted(*arguments, **named):
    started.append(spawn(*arguments, **named))
    os.kill(os.getpid(), signal.SIGINT)
    return started[0]

os.posix_spawn = interrupted
try:
    pool_map(workers.double, [1])
except KeyboardInterrupt:
    print("interrupted")
try:
    os.waitpid(started[0], 0)
except ChildProcessError:
    print("reaped")
"""


def test_ctrl_c_during_the_start(marked: Living) -> None:
    """A Ctrl-C while the launcher is started leaves none behind; in a process with one thread, as most are."""
    done = run_script(INTERRUPTED_START)
    assert done.stdout.split() == ["interrupted", "reaped"]


def test_killed_launcher(tmp_path: Path, marked: Living) -> None:
    """A killed launcher is an error and leaves no worker, and those at the gate do not run."""
    touched, first = tmp_path / "touched", tmp_path / "first"
    called = time.monotonic()
    with pytest.raises(ChildProcessError, match="was killed by signal 9"):
        pool_map(Path.touch, [touched] * 2, warm_up=partial(kill_the_launcher_as_the_second, first))
    assert time.monotonic() - called < 30  # long before the deadline
    wait_until(lambda: not marked(), "all workers have ended")
    assert not touched.exists()


def kill_the_launcher_as_the_second(first: Path) -> None:
    """Let one worker reach the gate; kill the launcher from the other, which is still warming up."""
    if os.getpid() == os.getpgid(0):
        return  # the launcher itself
    try:
        first.touch(exist_ok=False)
    except FileExistsError:
        time.sleep(1)  # the first has only to reach the gate
        workers.kill_the_launcher(None)


MAIN_SCRIPT = """
import sys
from sqlite_writes import pool_map
ARGUMENT = sys.argv[1:]
class Number(int):
    pass
def triple(number):
    return [3 * number, ARGUMENT, sys.argv[1:]]
{guard}
    print([outcome.result for outcome in pool_map({function}, [Number(1)])])
"""
GUARD = "if __name__ == '__main__':"


def run_main(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a main script from a file in that folder."""
    script = folder / "script.py"
    script.write_text(text)
    return subprocess.run(
        [sys.executable, "-W", "error", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("function", "said"), [("triple", "[[3, ['given'], ['given']]]\n"), ("int", "[1]\n")])
def test_main_script(function: str, said: str, tmp_path: Path, marked: Living) -> None:
    """A function or an item of a guarded main script works, and finds the script's arguments."""
    done = run_main(tmp_path, MAIN_SCRIPT.format(guard=GUARD, function=function), "given")
    assert (done.stdout, done.stderr) == (said, "")


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        ("if True:", "put the call behind if __name__ == '__main__'"),
        ("if __name__ != '__main__':\n    raise SystemExit(3)\nelse:", "SystemExit(3)"),
    ],
)
def test_bad_main_script(guard: str, said: str, tmp_path: Path, marked: Living) -> None:
    """A main script without a guard is told to have one; one that ends when it is imported is told so."""
    last_line = run_main(tmp_path, MAIN_SCRIPT.format(guard=guard, function="triple")).stderr.splitlines()[-1]
    assert said in last_line
    assert "(start_method='fork' need not)" in last_line


def test_main_script_without_a_file() -> None:
    """A function of a main script without a file is said to be unreachable."""
    done = run_script(MAIN_SCRIPT.format(guard=GUARD, function="triple"))
    assert "(start_method='fork' need not)" in done.stderr.splitlines()[-1]


def test_main_script_not_imported(tmp_path: Path, marked: Living) -> None:
    """A main script is imported only for something of it, so another needs no guard; a text that names it does not."""
    text = "from sqlite_writes import pool_map\nprint([one.result for one in pool_map(len, ['in __main__'])])\n"
    done = run_main(tmp_path, text)
    assert (done.stdout, done.stderr) == ("[11]\n", "")


def test_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marked: Living) -> None:
    """What lies in the current folder is not imported in place of the standard library."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("os", "pickle", "struct"):
        (folder / f"{name}.py").write_text("raise SystemExit('mine')")
    done = run_main(tmp_path, MAIN_SCRIPT.format(guard=GUARD, function="int"))
    assert (done.stdout, done.stderr) == ("[1]\n", "")


HELD = """
from sqlite_writes import pool_map
from tests.workers import sleep
pool_map(sleep, [60.0] * 50)
"""

# Its pipes hold little: nobody is to wait until a report is read that nobody reads.
FORKED = """
import fcntl, os, threading, time
from sqlite_writes.pool import caller, pool_map
from tests.workers import sleep
def open_small_pipes(count, open_pipes=caller.open_pipes):
    pipes = open_pipes(count)
    for pipe in pipes:
        fcntl.fcntl(pipe.write_end, fcntl.F_SETPIPE_SZ, 4096)
    return pipes
caller.open_pipes = open_small_pipes
threading.Thread(target=pool_map, args=(sleep, [60.0] * 100)).start()
time.sleep(2)
os.fork()
time.sleep(3600)
"""


def start_held(script: str, count: int, marked: Living) -> subprocess.Popen[bytes]:
    """Start a caller that holds workers, and wait until so many processes run."""
    caller = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(marked()) == count, f"{count} processes run")
    return caller


@READS_PROC
def test_ctrl_c(marked: Living) -> None:
    """Ctrl-C ends everything, with the status that a shell expects."""
    caller = start_held(HELD, 52, marked)
    os.killpg(caller.pid, signal.SIGINT)  # as a terminal does: the foreground group, which the workers are not in
    assert caller.wait(8) == -signal.SIGINT  # before it would end the launcher by force
    assert marked() == []


@READS_PROC
@pytest.mark.parametrize(("script", "count", "children"), [(HELD, 52, 0), (FORKED, 103, 1)])
def test_killed_caller(script: str, count: int, children: int, marked: Living) -> None:
    """A killed caller takes its workers with it, though a child of its own keeps the launcher's pipes open."""
    caller = start_held(script, count, marked)
    caller.kill()
    caller.wait(20)
    wait_until(lambda: len(marked()) == children, "launcher and workers have ended")
    for child in marked():
        os.kill(child, signal.SIGKILL)


# An alarm goes off two seconds after the call, not ten after the deadline.
HUNG = """
import sys
from functools import partial
from pathlib import Path
from sqlite_writes.pool import pool_map, worker
from tests.workers import hang_as_the_second, hang_beside
worker.GRACE = -58.0
begun, touched = map(Path, sys.argv[1:3])
function, items, warm_up = {
    "worker": (partial(hang_beside, begun), [1], None),
    "warm-up": (Path.touch, [touched] * 2, partial(hang_as_the_second, begun)),
    "launcher": (Path.touch, [touched], partial(hang_beside, begun)),
}[sys.argv[3]]
pool_map(function, items, start_method="fork", deadline=60.0, warm_up=warm_up)
"""


@READS_PROC
@pytest.mark.parametrize("hangs", ["worker", "warm-up", "launcher"])
def test_all_who_would_end_it_are_killed(hangs: str, tmp_path: Path, marked: Living) -> None:
    """What hangs is ended by an alarm that the kernel keeps, and who waits at the gate does not run."""
    begun, touched = tmp_path / "begun", tmp_path / "touched"
    caller = subprocess.Popen(
        [sys.executable, "-c", HUNG, begun, touched, hangs], env={**os.environ, "PYTHONPATH": str(PROJECT)}
    )
    wait_until(begun.exists, "it hangs")
    if hangs != "launcher":
        caller.send_signal(signal.SIGSTOP)  # so that it does not end what its launcher leaves
        wait_until_stopped(caller.pid)
        (launcher,) = (pid for pid in marked() if os.getpgid(pid) == pid)
        os.kill(launcher, signal.SIGKILL)
    caller.kill()
    caller.wait(20)
    wait_until(lambda: not marked(), "the kernel has ended it")
    assert not touched.exists()
