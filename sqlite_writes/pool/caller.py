"""The caller's part of the pool: check the job, start the launcher, make sense of its report, leave nothing running.

Knows nothing of how workers are started and watched (launcher.py), nor of what they do (worker.py).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .launcher import limits_named, run_and_report
from .pipes import Pipe, open_pipes, read, write
from .worker import GRACE, Job, flush_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .launcher import Record

    _Signals = set[int | signal.Signals]  # as signal.pthread_sigmask gives them

Item = TypeVar("Item")
Result = TypeVar("Result")

START_METHODS = ("forkserver", "fork")

# The largest deadline, in seconds: some months. A timer of the kernel takes no number that is much larger.
_LONGEST = 10_000_000

# What the launcher's interpreter runs: the caller's sys.path first, so that it imports the caller's packages, and never
# what lies in the current folder by one of their names.
_BOOTSTRAP = """\
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
import os, pickle
control, report, caller, deadline = os.fdopen(int(sys.argv[1]), "rb"), *map(int, sys.argv[2:4]), float(sys.argv[4])
try:
    sys.path[:], sys.argv[:], main = pickle.load(control)
except EOFError:  # the caller is gone already
    sys.exit()
from sqlite_writes.pool.launcher import launch
launch(control, report, caller, deadline, main)
"""


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one item.

    status: ``"returned"``, ``"raised"``, ``"killed"`` (by a signal that was not ours; if that came while it waited for
        the others, its ``ended`` is set) or ``"timed out"`` (it had not ended at the deadline, or not sent its result
        within a few seconds from then, and we killed it).
    result: what the function returned.
    exception: what it raised, and its ``traceback`` as text. An exit without a word (``os._exit``) is a
        ``ChildProcessError``.
    killed_by: the number of the signal.
    exit_status: what the worker exited with, if it did so without a word.
    pid: the worker's process id; no two outcomes of one call share it.
    ready, started, ended: seconds on ``time.monotonic``, one clock for all processes: when the worker was warm and
        waited at the gate, when it called the function, when the function returned or raised. ``None`` if it never did.
    """

    status: str
    pid: int
    result: Result | None = None
    exception: BaseException | None = None
    traceback: str = ""
    killed_by: int | None = None
    exit_status: int | None = None
    ready: float | None = None
    started: float | None = None
    ended: float | None = None


def pool_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    start_method: str = "forkserver",
    deadline: float = 60.0,
    warm_up: Callable[[], object] | None = None,
) -> list[Outcome[Result]]:
    """Call ``function(item)`` for every item at the same moment, each in a process of its own.

    Every worker first calls ``warm_up`` (imports are done already), then waits at the gate; the launcher has called it
    once too. When all wait there, the gate opens, once. Returns one outcome per item, in the order of the items; an
    exception, a kill or a hang in one worker is data about its item and hides no other.

    What is measured is ``function`` alone: ``started`` is taken after the gate, ``ended`` before anything is sent
    back. Not measured: starting and ending processes, imports, ``warm_up``, pickling.

    start_method: ``"forkserver"`` (the default, on every Python): the workers are forked from a freshly started
        interpreter, so that nothing the caller holds open can reach them. The function and the items must be
        picklable; a function of the main script works if the script guards its start with ``__name__``. ``"fork"``:
        the workers descend from the caller; any function will do, and a SQLite connection that the caller holds open
        loses rows (https://sqlite.org/howtocorrupt.html, section 2.6).
    deadline: seconds from the call, up to 10,000,000, after which every worker that has not ended is killed; its
        outcome is ``"timed out"``. If the workers are not all at the gate by then, it stays shut.

    Every process is gone when this returns or raises, Ctrl-C included; if the caller itself is killed, the launcher
    ends them. Raises ``ValueError`` for a deadline or start method that will not do, or for what cannot be pickled;
    ``NotImplementedError`` elsewhere than on Linux and macOS; ``OSError`` if the system refuses so many processes, or a
    handful of open files, with the limits to raise; ``RuntimeError`` if the function cannot be loaded in a fresh
    process; ``ChildProcessError`` if the launcher itself is killed, or hangs in ``warm_up``.
    """
    if not hasattr(os, "fork"):
        raise NotImplementedError(f"pool_map needs os.fork, which {sys.platform} lacks: it runs on Linux and macOS")
    if start_method not in START_METHODS:
        raise ValueError(f"start_method {start_method!r} is not one of {', '.join(START_METHODS)}")
    if isinstance(deadline, bool) or not isinstance(deadline, (int, float)) or not 0 < deadline <= _LONGEST:
        raise ValueError(f"deadline {deadline!r} is not a number of seconds above 0 and up to {_LONGEST}")
    job = Job(function, list(items), warm_up, time.monotonic() + deadline)
    if not job.items:
        return []
    with limits_named("the process that starts the workers could not be started"):
        report, status = _run_launcher(job, _start_launcher if start_method == "forkserver" else _fork_launcher)
    return _outcomes(report, status)


def _run_launcher(job: Job, start: Callable[[Job, Pipe, Pipe, _Signals], tuple[int, bytes]]) -> tuple[bytes, int]:
    """Start the launcher, wait until it has ended, and return its report and its wait status."""
    launcher = status = 0
    message = b""
    control, report = open_pipes(2)
    try:
        # A Ctrl-C comes after the start, not in the midst of it: else the launcher's number would be lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            launcher, payload = start(job, control, report, mask)
        finally:
            os.close(control.read_end)
            os.close(report.write_end)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        write(control.write_end, payload, until=job.deadline + GRACE)
        message, _ = read(report.read_end, until=job.deadline + GRACE)
    finally:
        # The end of the control pipe tells the launcher to kill and reap whatever is left, and to end.
        os.close(control.write_end)
        os.close(report.read_end)
        if launcher:
            status = _end_launcher(launcher)
    return message, status


def _start_launcher(job: Job, control: Pipe, report: Pipe, mask: _Signals) -> tuple[int, bytes]:
    """Start a fresh interpreter as the launcher; return its process id and what to write into its control pipe.

    ``mask``: the signals that it is to have blocked.
    """
    from fcntl import F_DUPFD, fcntl
    from multiprocessing import process
    from subprocess import _args_from_interpreter_flags  # type: ignore[attr-defined]  # as multiprocessing does

    if getattr(process.current_process(), "_inheriting", False):
        raise RuntimeError(
            "pool_map was called while a fresh process imports the main script: "
            "put the call behind if __name__ == '__main__'"
        )
    if not sys.executable:
        raise RuntimeError("sys.executable is empty: there is no interpreter to start the workers from")
    try:
        payload = pickle.dumps((sys.path, sys.argv, _origin_of_main())) + pickle.dumps(job)
    except Exception as error:
        raise ValueError(
            f"the function or an item cannot be pickled, which start_method 'forkserver' needs: {error}"
        ) from error
    # Inheritable, and none of them in the place of a standard stream that the caller has closed.
    inherited: list[int] = []
    try:
        inherited += (fcntl(end, F_DUPFD, 3) for end in (control.read_end, report.write_end))
        # A process group of its own keeps a terminal's Ctrl-C from the workers: the caller alone decides what to do.
        pid = os.posix_spawn(
            sys.executable,
            [
                sys.executable,
                *_args_from_interpreter_flags(),
                "-c",
                _BOOTSTRAP,
                *map(str, (*inherited, os.getpid())),
                repr(job.deadline),
            ],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setpgroup=0,
            setsigmask=mask,
        )
    finally:
        for descriptor in inherited:
            os.close(descriptor)
    return pid, payload


def _fork_launcher(job: Job, control: Pipe, report: Pipe, mask: _Signals) -> tuple[int, bytes]:
    """Fork the launcher from the caller; return its process id and nothing to write: it has the job already."""
    flush_output()
    caller = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(control.write_end)
            os.close(report.read_end)
            run_and_report(lambda: job, control.read_end, report.write_end, caller, job.deadline)
        finally:
            os._exit(0)
    return pid, b""


def _origin_of_main() -> dict[str, str]:
    """Return where a fresh process can import the main script from, in the words of multiprocessing.spawn.prepare."""
    main = sys.modules["__main__"]
    spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return {"init_main_from_name": spec.name}
    return {"init_main_from_path": os.path.abspath(path)} if path is not None and os.path.exists(path) else {}


def _end_launcher(launcher: int) -> int:
    """Wait until the launcher has ended, by force if it does not; its wait status.

    Whatever is left of its process group is killed: workers, if it was killed, hangs, or a second Ctrl-C came; and what
    a worker's function has started and left running.
    """
    until = time.monotonic() + GRACE
    pause = 0.0005
    status = None
    try:
        while status is None and time.monotonic() < until:
            status = _wait_status(launcher, os.WNOHANG)
            if status is None:
                time.sleep(pause)
                pause = min(2 * pause, 0.02)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(launcher, signal.SIGKILL)
        if status is None:
            status = _wait_status(launcher, 0)
    return status or 0


def _wait_status(pid: int, options: int) -> int | None:
    """The process's wait status, or None while it runs; 0 if somebody else in this process has already reaped it."""
    try:
        done, status = os.waitpid(pid, options)
    except ChildProcessError:
        return 0
    return status if done else None


def _outcomes(report: bytes, launcher_status: int) -> list[Outcome[Any]]:
    try:
        error, records = pickle.loads(report)
    except Exception:
        code = os.waitstatus_to_exitcode(launcher_status)
        how = f"was killed by signal {-code}" if code < 0 else f"exited with status {code} before it reported"
        raise ChildProcessError(f"the process that starts the workers {how}; no worker is left running") from None
    if error is not None:
        raise error
    return [_outcome(record) for record in records]


def _outcome(record: Record) -> Outcome[Any]:
    """Make sense of what is known about one worker."""
    status, result, exception, text, killed_by, exit_status = "returned", None, None, "", None, None
    if record.message is not None:
        payload, text = pickle.loads(record.message)
        try:
            result, exception = pickle.loads(payload)
        except Exception as error:
            exception = pickle.UnpicklingError(f"what the worker sent cannot be unpickled: {error}")
        if exception is not None:
            status = "raised"
    elif record.wait_status is None:
        status = "timed out"
    elif os.WIFSIGNALED(record.wait_status):
        status, killed_by = "killed", os.WTERMSIG(record.wait_status)
    else:
        status, exit_status = "raised", os.WEXITSTATUS(record.wait_status)
        exception = ChildProcessError(f"the worker exited with status {exit_status} and without a result")
    return Outcome(
        status=status,
        pid=record.pid,
        result=result,
        exception=exception,
        traceback=text,
        killed_by=killed_by,
        exit_status=exit_status,
        ready=record.ready,
        started=record.started,
        ended=record.ended,
    )
