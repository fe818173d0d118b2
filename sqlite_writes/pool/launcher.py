"""The launcher's part of the pool: fork the workers, open the gate when all are there, collect, and reap every one.

Runs in a process of its own, small so that forking it is cheap. Knows neither the caller's files nor what a result is.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import mmap
import os
import pickle
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from .pipes import Pipes, open_pipes, read, reassemble
from .worker import GRACE, Job, flush_output, set_alarm, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# What to raise when the system refuses a process or a pipe. It does not say which of its limits was met.
_LIMITS = {
    errno.EMFILE: "ulimit -n",
    errno.ENFILE: "fs.file-max",
    errno.EAGAIN: "ulimit -u, kernel.pid_max, kernel.threads-max or a container's pids.max",
    errno.ENOMEM: "ulimit -v or a container's memory.max",
}

# Seconds that workers have to end their warm-up when nothing will come of them any more.
WARM_UP = 1.0


@dataclass(frozen=True)
class Record:
    """What the launcher reports of one worker; ``wait_status`` is None if the launcher killed it at the deadline."""

    pid: int
    wait_status: int | None
    message: bytes | None
    ready: float | None
    started: float | None
    ended: float | None


@contextlib.contextmanager
def limits_named(what_failed: str) -> Iterator[None]:
    """Have an ``OSError`` say in one line what failed, and which of the system's limits to raise."""
    try:
        yield
    except OSError as error:
        if error.errno not in _LIMITS:
            raise
        raise OSError(error.errno, f"{what_failed}: {error.strerror} (raise {_LIMITS[error.errno]})") from error


def launch(control: BinaryIO, report: int, caller: int, deadline: float, main: dict[str, str]) -> NoReturn:
    """Live the launcher's whole life, in a fresh interpreter that has the caller's ``sys.path`` already.

    ``main`` says where the caller's main script is, in the words of ``multiprocessing.spawn.prepare``.
    """
    # posix_spawn hands on whatever the caller has made inheritable.
    for descriptor in [int(name) for name in os.listdir("/dev/fd")]:
        if descriptor > 2 and descriptor not in (control.fileno(), report):
            with contextlib.suppress(OSError):  # the listing's own
                os.close(descriptor)
    run_and_report(_JobUnpickler(control, main).load, control.fileno(), report, caller, deadline)
    os._exit(0)


class _JobUnpickler(pickle.Unpickler):
    """Load the job, and import the caller's main script when something of it is asked for.

    multiprocessing imports it always. A script without a guard could then not use the pool at all, and each worker
    would carry whatever the script imports.
    """

    def __init__(self, stream: BinaryIO, main: dict[str, str]) -> None:
        super().__init__(stream)
        self.main = main

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__":
            _import_main(self.main)
        return super().find_class(module, name)


def _import_main(main: dict[str, str]) -> None:
    """Import the main script under another name, as multiprocessing does; do nothing the second time."""
    from multiprocessing import process, spawn

    current: Any = process.current_process()
    current._inheriting = True
    try:
        spawn.prepare(main)
    finally:
        del current._inheriting


def run_and_report(load_job: Callable[[], Job], control: int, report: int, caller: int, deadline: float) -> None:
    """Run the job and write ``(exception or None, records)`` to the report pipe, unless the caller is gone."""
    set_alarm(deadline)  # if the caller is killed while the job is loaded, or warms up, and hangs
    error: Exception | None = None
    records: list[Record] = []
    try:
        job = load_job()
    except BaseException as reason:  # a main script may end the program when it is imported
        error = RuntimeError(
            f"the function cannot be loaded in a fresh process, which has to import it "
            f"(start_method='fork' need not): {reason!r}"
        )
    else:
        try:
            records = run_workers(job, control, report, caller)
        except OSError as reason:
            error = reason
    if os.getppid() == caller:  # else nobody may read what another process of the caller's keeps open
        with contextlib.suppress(BrokenPipeError), os.fdopen(report, "wb") as pipe:
            pipe.write(pickle.dumps((error, records)))


def run_workers(job: Job, control: int, report: int, caller: int) -> list[Record]:
    """Fork the workers, open the gate when all are there, collect what they send, and reap every one of them."""
    count = len(job.items)
    # Shared with the workers: when the gate opened, then for each worker when it was ready, started and ended, and
    # whether it is done, with a message to send.
    clock = memoryview(mmap.mmap(-1, 8 * (1 + 4 * count))).cast("d")
    with limits_named("the pool's pipes could not be opened"):
        pipes = Pipes(control, report, *open_pipes(5))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as a caller may have it, there would be no wait status
    _be_ready_to_fork(job)
    pids: list[int] = []
    statuses: dict[int, int | None] = {}
    stream, at_end, all_done = b"", False, False
    try:
        for index in range(count):
            with limits_named(f"only {index} of {count} workers could be started"):
                pid = os.fork()
            if pid == 0:
                work(job, index, clock, pipes)
            pids.append(pid)
        pipes.keep_launchers_ends()
        _, all_ready = read(pipes.ready.read_end, job.deadline, control, caller)
        if all_ready and time.monotonic() < job.deadline:
            clock[0] = time.monotonic()
            os.close(pipes.gate.write_end)
            _, all_done = read(
                pipes.done.read_end, job.deadline, control, caller, lambda _: all_ended(pids, clock[4::4], statuses)
            )
        else:
            let_warm_up(pids, clock)
        unfinished = [pid for pid, is_done in zip(pids, clock[4::4]) if not is_done and pid not in statuses]
        end_workers(unfinished, all_done, statuses)
        os.close(pipes.collection.write_end)
        until = max(job.deadline, time.monotonic() + GRACE / 2)
        stream, at_end = read(
            pipes.messages.read_end,
            until,
            control,
            caller,
            lambda stream: all_ended(pids, [message is not None for message in reassemble(stream, count)], statuses),
        )
    except OSError:
        let_warm_up(pids, clock)
        raise
    finally:
        end_workers([pid for pid in pids if pid not in statuses], at_end, statuses)
    rest, _ = read(pipes.messages.read_end, until=0.0)  # what was sent in the last moment: all have ended
    return [
        Record(pid, statuses[pid], message, *(moment or None for moment in clock[4 * index + 1 : 4 * index + 4]))
        for index, (pid, message) in enumerate(zip(pids, reassemble(stream + rest, count)))
    ]


def _be_ready_to_fork(job: Job) -> None:
    """Have in this process's pages what the workers are to share: 500 of them take 690 MB then, and not 820."""
    if job.warm_up is not None:
        # If it fails it fails in every worker too, and there it is reported.
        with contextlib.suppress(BaseException):
            job.warm_up()
    flush_output()
    gc.collect()
    gc.freeze()  # a collection in a worker would write to, and so copy, every page that holds an object


def let_warm_up(pids: list[int], clock: memoryview[float]) -> None:
    """Wait a moment for workers in their warm-up: killed there, they would leave its folder behind."""
    until = time.monotonic() + WARM_UP
    while time.monotonic() < until and any(
        not (clock[4 * index + 1] or clock[4 * index + 4]) for index in range(len(pids))
    ):
        time.sleep(0.005)


def all_ended(pids: list[int], are_done: Sequence[object], statuses: dict[int, int | None]) -> bool:
    """Whether every worker has done its part or has ended; note the wait statuses of those that ended without."""
    for pid, is_done in zip(pids, are_done):
        if not is_done and pid not in statuses:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                return False
            statuses[pid] = status
    return True


def end_workers(pids: list[int], at_end: bool, statuses: dict[int, int | None]) -> None:
    """Kill the workers that still run and reap all; note their wait statuses, None for one that we had to kill.

    At the end of a pipe that all of them held, each has done its part, and its status says no more, or it is exiting
    already.
    """
    for pid in pids:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            statuses[pid] = status
        else:
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        if pid not in statuses:
            _, status = os.waitpid(pid, 0)
            statuses[pid] = status if at_end else None
