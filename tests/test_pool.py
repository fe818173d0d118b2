"""The pool: the gate, one outcome per item whatever happens, and no process left on any way out."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

import pytest

from sqlite_writes import pool_map

from . import workers
from .conftest import PROJECT, READS_PROC, Living, run_script, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_results_come_in_the_order_of_the_items(marked: Living) -> None:
    outcomes = pool_map(workers.double, range(20))
    assert [outcome.result for outcome in outcomes] == [2 * number for number in range(20)]
    assert {outcome.status for outcome in outcomes} == {"returned"}


def test_no_items_give_no_outcomes() -> None:
    assert pool_map(workers.double, []) == []


@pytest.mark.parametrize("start_method", ["forkserver", "fork"])
def test_every_item_has_a_process_of_its_own_and_all_wait_at_the_gate(start_method: str, marked: Living) -> None:
    outcomes = pool_map(workers.process_id, range(100), start_method=start_method)
    pids = [outcome.result for outcome in outcomes]
    assert pids == [outcome.pid for outcome in outcomes]
    assert len(set(pids)) == 100
    assert os.getpid() not in pids
    assert max(outcome.ready or 0 for outcome in outcomes) <= min(outcome.started or 0 for outcome in outcomes)
    assert all((outcome.started or 0) <= (outcome.ended or 0) for outcome in outcomes)
    for outcome in outcomes:
        with pytest.raises(ProcessLookupError):
            os.kill(outcome.pid, 0)


def test_an_exception_is_one_outcome_and_hides_no_other(marked: Living) -> None:
    outcomes = pool_map(workers.fail_on_odd, range(10))
    assert [outcome.status for outcome in outcomes] == ["returned", "raised"] * 5
    assert [outcome.result for outcome in outcomes[::2]] == [0, 2, 4, 6, 8]
    assert [repr(outcome.exception) for outcome in outcomes[1::2]] == [f"KeyError({n})" for n in (1, 3, 5, 7, 9)]
    assert "fail_on_odd" in outcomes[1].traceback


def test_large_results_arrive_whole(marked: Living) -> None:
    outcomes = pool_map(workers.megabyte, range(20))
    assert [outcome.result for outcome in outcomes] == [bytes([number]) * (1 << 20) for number in range(20)]


def test_each_misbehaviour_is_told_apart(marked: Living) -> None:
    ways = ["fine", "killed", "exits", "sys.exit", "unpicklable result", "unpicklable exception", "interrupted", "fine"]
    outcomes = dict(enumerate(pool_map(workers.misbehave, ways, deadline=50)))
    assert [outcome.status for outcome in outcomes.values()] == ["returned", "killed", *["raised"] * 5, "returned"]
    assert outcomes[1].killed_by == signal.SIGKILL
    assert "status 3" in str(outcomes[2].exception)
    assert isinstance(outcomes[3].exception, SystemExit)
    assert "cannot be pickled" in str(outcomes[4].exception)
    assert "cannot be unpickled" in str(outcomes[5].exception)
    assert "BadToPickle" in outcomes[5].traceback
    assert isinstance(outcomes[6].exception, KeyboardInterrupt)


@pytest.mark.parametrize(("how", "status", "said"), [("killed", "killed", 9), ("exits", "raised", "status 3")])
def test_the_last_of_all_to_end_is_told_apart_too(how: str, status: str, said: object, marked: Living) -> None:
    for _ in range(40):
        (outcome,) = pool_map(workers.misbehave, [how], start_method="fork")
        assert outcome.status == status
        assert outcome.killed_by == said or str(said) in str(outcome.exception)


def test_nothing_is_sent_while_a_worker_is_at_work(marked: Living) -> None:
    outcomes = pool_map(workers.sleep_and_tell_when_it_is_sent, [0, 0, 0.3, 0])
    sent = [float(str(outcome.result)) for outcome in outcomes]
    assert min(sent) >= max(outcome.ended or 0 for outcome in outcomes)


@pytest.mark.parametrize("how", ["hangs", "stopped"])
def test_a_worker_that_does_not_end_is_killed_at_the_deadline(how: str, marked: Living) -> None:
    called = time.monotonic()
    outcomes = pool_map(workers.misbehave, ["fine", how, "fine"], deadline=3)
    assert [outcome.status for outcome in outcomes] == ["returned", "timed out", "returned"]
    assert outcomes[1].started is not None
    assert outcomes[1].ended is None
    # The kill and the reaping come after the deadline; the grace for a launcher that does not answer is 10 s.
    assert 3 <= time.monotonic() - called < 10


def test_a_deadline_before_the_gate_opens_leaves_it_shut(marked: Living) -> None:
    outcomes = pool_map(workers.double, [1, 2], deadline=0.001)
    assert [(outcome.status, outcome.started) for outcome in outcomes] == [("timed out", None)] * 2


def test_every_worker_is_warm_before_the_gate(marked: Living) -> None:
    outcomes = pool_map(workers.calls_so_far, range(5), warm_up=workers.count_call)
    assert [outcome.result for outcome in outcomes] == [2] * 5  # once in the launcher, once in the worker


def test_a_warm_up_that_fails_is_every_outcome(marked: Living) -> None:
    outcomes = pool_map(workers.double, range(300), warm_up=workers.fail_to_warm_up)
    assert [(outcome.status, outcome.started, str(outcome.exception)) for outcome in outcomes] == [
        ("raised", None, "cold")
    ] * 300


def test_a_warm_up_that_ends_the_process_is_every_outcome(marked: Living) -> None:
    outcomes = pool_map(workers.double, range(3), warm_up=sys.exit)
    assert [type(outcome.exception) for outcome in outcomes] == [SystemExit] * 3


def test_a_warm_up_that_fails_is_told_although_another_hangs(marked: Living) -> None:
    outcomes = pool_map(workers.double, range(6), warm_up=workers.fail_or_hang_to_warm_up, deadline=2)
    assert [outcome.status for outcome in outcomes] == [
        "timed out" if outcome.pid % 2 else "raised" for outcome in outcomes
    ]


def test_what_a_worker_prints_is_printed_once() -> None:
    script = (
        "from sqlite_writes import pool_map; from tests.workers import print_and_return; print('first');"
        "[pool_map(print_and_return, ['second'], start_method=method) for method in ('forkserver', 'fork')]"
    )
    assert sorted(run_script(script).stdout.split()) == ["first", "second", "second"]


def test_a_worker_inherits_no_descriptor_of_the_caller_unless_forked_from_it(tmp_path: Path, marked: Living) -> None:
    with (tmp_path / "open").open("w") as file:
        # A high number, which no descriptor of the pool's own has.
        descriptor = os.dup2(file.fileno(), 500)
        try:
            assert [outcome.result for outcome in pool_map(workers.is_open, [descriptor])] == [False]
            assert [o.result for o in pool_map(workers.is_open, [descriptor], start_method="fork")] == [True]
        finally:
            os.close(descriptor)


def test_the_caller_keeps_no_descriptor(marked: Living) -> None:
    before = os.listdir("/dev/fd")
    pool_map(workers.double, range(3))
    assert os.listdir("/dev/fd") == before


@pytest.mark.parametrize("method", ["forkserver", "fork"])
@pytest.mark.parametrize("closed", ["0", "0, 1, 2"])
def test_a_caller_without_standard_streams_gets_its_outcomes(closed: str, method: str, tmp_path: Path) -> None:
    """Whose pipes take their numbers."""
    script = (
        f"import os, sys; from sqlite_writes import pool_map; [os.close(one) for one in ({closed},)]\n"
        f"results = [one.result for one in pool_map(abs, [-1, -2], start_method={method!r}, deadline=30)]\n"
        "open(sys.argv[1], 'w').write(str(results))"
    )
    run_script(script, str(tmp_path / "said"))
    assert (tmp_path / "said").read_text() == "[1, 2]"


def test_it_works_with_more_than_1024_open_descriptors(marked: Living) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1400:
        pytest.skip(f"only {hard} descriptors are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1400, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert [outcome.result for outcome in pool_map(workers.double, [4])] == [8]
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_workers_do_not_read_the_callers_standard_input(marked: Living) -> None:
    script = (
        "import sys; from sqlite_writes import pool_map; from tests import workers;"
        "print([pool_map(workers.standard_input, [None])[0].result, sys.stdin.read()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, input="typed", capture_output=True, text=True, check=False
    )
    assert done.stdout == "['', 'typed']\n", done.stderr


def test_a_caller_that_ignores_its_children_still_gets_outcomes(marked: Living) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert [outcome.status for outcome in pool_map(workers.misbehave, ["killed", "fine"])] == ["killed", "returned"]
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_fork_takes_any_function_and_any_item(marked: Living) -> None:
    items: list[Callable[[], int]] = [lambda: 1, lambda: 2]  # neither can be pickled

    def call(item: Callable[[], int]) -> int:
        return item() + 1

    assert [outcome.result for outcome in pool_map(call, items, start_method="fork")] == [2, 3]


def test_a_function_that_cannot_be_pickled_is_said_to_be_so() -> None:
    with pytest.raises(ValueError, match="cannot be pickled"):
        pool_map(lambda x: x, [1])


@pytest.mark.parametrize("deadline", [0, -1, float("nan"), float("inf"), "5", None, True, 10_000_001, 10**400])
def test_a_deadline_that_will_not_do_is_named(deadline: object) -> None:
    with pytest.raises(ValueError, match=r"deadline .* is not a number of seconds above 0 and up to 10000000"):
        pool_map(workers.double, [1], deadline=deadline)  # type: ignore[arg-type]


def test_the_longest_deadline_will_do(marked: Living) -> None:
    assert [outcome.result for outcome in pool_map(workers.double, [1], deadline=10_000_000)] == [2]


def test_an_unknown_start_method_lists_the_known() -> None:
    with pytest.raises(ValueError, match="'spawn' is not one of forkserver, fork"):
        pool_map(workers.double, [1], start_method="spawn")


def test_a_ctrl_c_during_the_start_leaves_no_launcher(monkeypatch: pytest.MonkeyPatch, marked: Living) -> None:
    started, spawn = [], os.posix_spawn

    def interrupted(*arguments: Any, **named: Any) -> int:
        started.append(spawn(*arguments, **named))
        os.kill(os.getpid(), signal.SIGINT)
        return started[0]

    monkeypatch.setattr(os, "posix_spawn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool_map(workers.double, [1])
    with pytest.raises(ChildProcessError):
        os.waitpid(started[0], 0)  # it has been reaped


@pytest.mark.parametrize("start_method", ["forkserver", "fork"])
def test_workers_have_no_signal_blocked(start_method: str, marked: Living) -> None:
    (outcome,) = pool_map(workers.blocked_signals, [1], start_method=start_method)
    assert outcome.result == set()


def test_a_start_that_lacks_descriptors_leaves_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    make = os.pipe
    made: list[tuple[int, int]] = []

    def make_one() -> tuple[int, int]:
        if made:
            raise OSError(24, "Too many open files")
        made.append(make())
        return made[0]

    monkeypatch.setattr(os, "pipe", make_one)
    with pytest.raises(OSError, match="Too many open files"):
        pool_map(workers.double, [1])
    for descriptor in made[0]:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_killed_launcher_is_an_error_and_leaves_no_worker(marked: Living) -> None:
    with pytest.raises(ChildProcessError, match="was killed by signal 9"):
        pool_map(workers.kill_the_launcher, range(20))


def test_workers_at_the_gate_do_not_run_when_the_launcher_dies(tmp_path: Path, marked: Living) -> None:
    script = "from tests.workers import *; from tests.test_pool import *; die_at_the_gate()"
    done = run_script(script, str(tmp_path / "touched"))
    assert "was killed by signal 9" in done.stderr
    assert not (tmp_path / "touched").exists()


def die_at_the_gate() -> None:
    """Of two workers one reaches the gate; then the other, still warming up, kills the launcher."""
    touched = sys.argv[1]
    pool_map(touch, [touched] * 2, warm_up=partial(kill_the_launcher_as_the_second, touched + ".first"))


def kill_the_launcher_as_the_second(first: str) -> None:
    if os.getpid() == os.getpgid(0):
        return  # the launcher itself
    try:
        touch(first)
    except FileExistsError:
        time.sleep(1)  # the first has only to reach the gate
        os.kill(os.getpgid(0), signal.SIGKILL)
        time.sleep(60)


def touch(path: str) -> None:
    with open(path, "x"):
        pass


MAIN_SCRIPT = """
from sqlite_writes import pool_map
def triple(number):
    return 3 * number
{guard}
    print([outcome.result for outcome in pool_map(triple, [1, 2])])
"""


def run_main(
    folder: Path, text: str, *arguments: str, in_folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a main script from a file in that folder."""
    script = folder / "script.py"
    script.write_text(text)
    return subprocess.run(
        [sys.executable, "-W", "error", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        cwd=in_folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_function_of_the_main_script_works_behind_a_guard(tmp_path: Path, marked: Living) -> None:
    done = run_main(tmp_path, MAIN_SCRIPT.format(guard="if __name__ == '__main__':"))
    assert (done.stdout, done.stderr) == ("[3, 6]\n", "")


def test_a_main_script_without_a_guard_is_told_to_have_one(tmp_path: Path, marked: Living) -> None:
    done = run_main(tmp_path, MAIN_SCRIPT.format(guard="if True:"))
    assert "put the call behind if __name__ == '__main__'" in done.stderr.splitlines()[-1]


def test_only_a_function_or_an_item_of_the_main_script_has_it_imported(tmp_path: Path, marked: Living) -> None:
    """A text that names it does not."""
    text = "from sqlite_writes import pool_map\nprint([one.result for one in pool_map(len, ['in __main__'])])\n"
    done = run_main(tmp_path, text)
    assert (done.stdout, done.stderr) == ("[11]\n", "")


@pytest.mark.parametrize("function", ["work", "workers.arguments"])
def test_a_worker_finds_the_arguments_of_the_main_script(function: str, tmp_path: Path, marked: Living) -> None:
    text = f"""
import sys
from sqlite_writes import pool_map
from tests import workers
ARGUMENT = sys.argv[1]
def work(_):
    return [ARGUMENT]
if __name__ == "__main__":
    print([outcome.result for outcome in pool_map({function}, [1])])
"""
    done = run_main(tmp_path, text, "given")
    assert (done.stdout, done.stderr) == ("[['given']]\n", "")


def test_a_main_script_that_ends_when_it_is_imported_is_said_to_be_unreachable(tmp_path: Path, marked: Living) -> None:
    text = MAIN_SCRIPT.format(guard="if __name__ != '__main__':\n    raise SystemExit(3)\nelse:")
    done = run_main(tmp_path, text)
    assert "SystemExit(3)" in done.stderr.splitlines()[-1]
    assert "(start_method='fork' need not)" in done.stderr.splitlines()[-1]


def test_what_lies_in_the_current_folder_is_not_imported(tmp_path: Path, marked: Living) -> None:
    (tmp_path / "here").mkdir()
    for name in ("os", "pickle", "struct"):
        (tmp_path / "here" / f"{name}.py").write_text("raise SystemExit('mine')")
    done = run_main(tmp_path, MAIN_SCRIPT.format(guard="if __name__ == '__main__':"), in_folder=tmp_path / "here")
    assert (done.stdout, done.stderr) == ("[3, 6]\n", "")


def test_a_function_without_a_file_is_said_to_be_unreachable() -> None:
    done = run_script(MAIN_SCRIPT.format(guard="if __name__ == '__main__':"))
    assert "(start_method='fork' need not)" in done.stderr.splitlines()[-1]


HELD = """
from sqlite_writes import pool_map
from tests.workers import sleep
pool_map(sleep, [60.0] * 50)
"""


def _start_held(marked: Living) -> subprocess.Popen[bytes]:
    caller = subprocess.Popen(
        [sys.executable, "-c", HELD],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(marked()) == 52, "caller, launcher and 50 workers run")
    return caller


@READS_PROC
def test_ctrl_c_ends_everything_with_the_status_that_a_shell_expects(marked: Living) -> None:
    caller = _start_held(marked)
    os.killpg(caller.pid, signal.SIGINT)  # as a terminal does: the foreground group, which the workers are not in
    assert caller.wait(20) == -signal.SIGINT
    assert marked() == []


@READS_PROC
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_caller_takes_its_workers_with_it(number: int, marked: Living) -> None:
    caller = _start_held(marked)
    os.kill(caller.pid, number)
    assert caller.wait(20) == -number
    wait_until(lambda: not marked(), "launcher and workers have ended")


FORKED = """
import os, threading, time
from sqlite_writes import pool_map
from tests.workers import sleep
threading.Thread(target=pool_map, args=(sleep, [60.0] * 50)).start()
time.sleep(2)
os.fork()
time.sleep(3600)
"""


@READS_PROC
def test_a_killed_caller_takes_its_workers_with_it_though_a_child_of_its_own_lives(marked: Living) -> None:
    """The child has the pipe open that would tell the launcher."""
    caller = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(marked()) == 53, "caller, its child, launcher and 50 workers run")
    os.kill(caller.pid, signal.SIGKILL)
    caller.wait(20)
    wait_until(lambda: len(marked()) == 1, "only the child is left")
    os.kill(marked()[0], signal.SIGKILL)
