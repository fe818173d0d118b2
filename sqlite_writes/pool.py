"""Call one function in many processes at one moment: a process per item, all held at a gate, released together.

Knows processes, pipes and clocks; knows no SQL, nothing of what the function does, and prints nothing.

Three kinds of process take part. The caller starts a launcher, a fresh interpreter that holds none of the caller's
open files; the launcher forks the workers, which is cheap because it is small; each worker warms up, waits at the gate,
calls the function on its item, waits until all have, sends what came of it and ends. Whoever dies, the rest notices:
the launcher reads a pipe that ends with the caller, the caller one that ends with the launcher, and every worker has an
alarm set in the kernel.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import select
import signal
import struct
import sys
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Generic, NoReturn, TypeVar

from .process_limits import check_room_for_processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")

START_METHODS = ("forkserver", "fork")

# Seconds beyond the deadline after which the kernel ends a worker, and the caller a launcher, that nobody ended.
_GRACE = 10.0

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
    sys.path[:], sys.argv[:] = pickle.load(control)
except EOFError:  # the caller is gone already
    sys.exit()
from sqlite_writes.pool import _launch
_launch(control, report, caller, deadline)
"""

# How a pickle names the main script's module, or holds a string that is the same.
_MAIN = b"\x8c\x08__main__"

# A pipe write of up to PIPE_BUF bytes is never mixed with another's. So messages travel in chunks of that size, each
# behind its item's number, its length, and whether it is the last: no lock, and a killed worker leaves no half chunk.
_CHUNK_HEADER = struct.Struct("<IH?")
_CHUNK_BYTES = getattr(select, "PIPE_BUF", 512) - _CHUNK_HEADER.size


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
    ends them. Before any start it raises ``ValueError`` for a deadline or start method that will not do or what cannot
    be pickled, ``OSError`` if the system's limits do not leave room for so many processes, and ``NotImplementedError``
    elsewhere than on Linux and macOS. Later: ``RuntimeError`` if the function cannot be loaded in a fresh process,
    ``OSError`` if the system refuses to start so many after all, ``ChildProcessError`` if the launcher itself is
    killed, or hangs in ``warm_up``.
    """
    if not hasattr(os, "fork"):
        raise NotImplementedError(f"pool_map needs os.fork, which {sys.platform} lacks: it runs on Linux and macOS")
    if start_method not in START_METHODS:
        raise ValueError(f"start_method {start_method!r} is not one of {', '.join(START_METHODS)}")
    if isinstance(deadline, bool) or not isinstance(deadline, (int, float)) or not 0 < deadline <= _LONGEST:
        raise ValueError(f"deadline {deadline!r} is not a number of seconds above 0 and up to {_LONGEST}")
    job = _Job(function, list(items), warm_up, time.monotonic() + deadline)
    if not job.items:
        return []
    check_room_for_processes(len(job.items) + 1)

    start = _start_launcher if start_method == "forkserver" else _fork_launcher
    control_read, control_write = os.pipe()
    try:
        report_read, report_write = os.pipe()
    except OSError:
        os.close(control_read)
        os.close(control_write)
        raise
    launcher = status = 0
    report = b""
    try:
        # A Ctrl-C comes after the start, not in the midst of it: else the launcher's number would be lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            launcher, payload = start(job, control_read, report_write, (control_write, report_read), mask)
        finally:
            os.close(control_read)
            os.close(report_write)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _write(control_write, payload, until=job.deadline + _GRACE)
        report, _ = _read(report_read, until=job.deadline + _GRACE)
    finally:
        # The end of the control pipe tells the launcher to kill and reap whatever is left, and to end.
        os.close(control_write)
        os.close(report_read)
        if launcher:
            status = _end_launcher(launcher, reported=bool(report))
    return _outcomes(report, status)


@dataclass(frozen=True)
class _Job:
    """What the launcher is asked to do; ``deadline`` is a moment on ``time.monotonic``."""

    function: Callable[[Any], Any]
    items: Sequence[Any]
    warm_up: Callable[[], object] | None
    deadline: float


@dataclass(frozen=True)
class _Record:
    """What the launcher reports of one worker; ``wait_status`` is None if the launcher killed it at the deadline."""

    pid: int
    wait_status: int | None
    message: bytes | None
    ready: float | None
    started: float | None
    ended: float | None


# --------------------------------------------------------------------------------------------------- in the caller


def _start_launcher(
    job: _Job, control: int, report: int, _: tuple[int, int], mask: set[int | signal.Signals]
) -> tuple[int, bytes]:
    """Start a fresh interpreter as the launcher; its process id and what to write into its control pipe.

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
        pickled_job = pickle.dumps(job)
    except Exception as error:
        raise ValueError(
            f"the function or an item cannot be pickled, which start_method 'forkserver' needs: {error}"
        ) from error
    main = _origin_of_main() if _MAIN in pickled_job else None
    payload = pickle.dumps((sys.path, sys.argv)) + pickle.dumps(main) + pickled_job
    # Inheritable, and none of them in the place of a standard stream that the caller has closed.
    inherited: list[int] = []
    try:
        inherited += (fcntl(end, F_DUPFD, 3) for end in (control, report))
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


def _fork_launcher(
    job: _Job, control: int, report: int, callers: tuple[int, int], mask: set[int | signal.Signals]
) -> tuple[int, bytes]:
    """Fork the launcher from the caller, whose ends of the two pipes are ``callers``."""
    _flush_output()
    caller = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _set_alarm(job.deadline)
            for descriptor in callers:
                os.close(descriptor)
            _report(lambda: job, control, report, caller)
        finally:
            os._exit(0)
    return pid, b""


def _origin_of_main() -> tuple[str | None, str] | None:
    """The name, or else the path, from which a fresh process can import the caller's main module, if it can."""
    main = sys.modules["__main__"]
    spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return spec.name, ""
    return (None, os.path.abspath(path)) if path is not None and os.path.exists(path) else None


def _end_launcher(launcher: int, *, reported: bool) -> int:
    """Wait until the launcher has ended, by force if it does not; its wait status.

    Without a report from it, it was killed, hangs, or a second Ctrl-C came: its workers may be alive and are killed.
    """
    until = time.monotonic() + _GRACE
    pause = 0.0005
    status = None
    try:
        while status is None and time.monotonic() < until:
            status = _wait_status(launcher, os.WNOHANG)
            if status is None:
                time.sleep(pause)
                pause = min(2 * pause, 0.02)
    finally:
        if status != 0 or not reported:
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


def _outcome(record: _Record) -> Outcome[Any]:
    """Make sense of what is known about one worker."""
    status, result, exception, text, killed_by = "returned", None, None, "", None
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
        code = os.WEXITSTATUS(record.wait_status)
        status, exception = "raised", ChildProcessError(f"the worker exited with status {code} and without a result")
    return Outcome(
        status=status,
        pid=record.pid,
        result=result,
        exception=exception,
        traceback=text,
        killed_by=killed_by,
        ready=record.ready,
        started=record.started,
        ended=record.ended,
    )


# ------------------------------------------------------------------------------------------------- in the launcher


def _launch(control: BinaryIO, report: int, caller: int, deadline: float) -> NoReturn:
    """The launcher's whole life, in a fresh interpreter whose control pipe has already given it ``sys.path``."""
    _set_alarm(deadline)

    def load_job() -> _Job:
        main = pickle.load(control)
        if main is not None:
            _import_main(*main)
        job: _Job = pickle.load(control)
        return job

    # posix_spawn hands on whatever the caller has made inheritable.
    for descriptor in [int(name) for name in os.listdir("/dev/fd")]:
        if descriptor > 2 and descriptor not in (control.fileno(), report):
            with contextlib.suppress(OSError):  # the listing's own
                os.close(descriptor)
    _report(load_job, control.fileno(), report, caller)
    os._exit(0)


def _import_main(name: str | None, path: str) -> None:
    """Import the caller's main script under another name, as multiprocessing does for its spawned processes."""
    from multiprocessing import process, spawn

    current: Any = process.current_process()
    current._inheriting = True
    try:
        spawn.prepare({"init_main_from_name": name} if name else {"init_main_from_path": path})
    finally:
        del current._inheriting


def _report(load_job: Callable[[], _Job], control: int, report: int, caller: int) -> None:
    """Run the job and write ``(exception or None, records)`` to the report pipe, unless the caller is gone."""
    error: Exception | None = None
    records: list[_Record] = []
    try:
        job = load_job()
    except BaseException as reason:  # a main script may end the program when it is imported
        error = RuntimeError(
            f"the function cannot be loaded in a fresh process, which has to import it "
            f"(start_method='fork' need not): {reason!r}"
        )
    else:
        try:
            records = _run_workers(job, control, report, caller)
        except OSError as reason:
            error = reason
    if os.getppid() == caller:  # else nobody may read what another process of the caller's keeps open
        with contextlib.suppress(BrokenPipeError), os.fdopen(report, "wb") as pipe:
            pipe.write(pickle.dumps((error, records)))


def _run_workers(job: _Job, control: int, report: int, caller: int) -> list[_Record]:
    """Fork the workers, open the gate when all are there, collect what they send, and reap every one of them."""
    count = len(job.items)
    # Shared with the workers: when the gate opened, then for each worker when it was ready, started and ended, and
    # whether it is done, with a message to send.
    clock = memoryview(mmap.mmap(-1, 8 * (1 + 4 * count))).cast("d")
    gate, ready, done, collection, messages = (os.pipe() for _ in range(5))
    launchers_ends = (gate[1], ready[0], done[0], collection[1], messages[0], control, report)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as a caller may have it, there would be no wait status
    if job.warm_up is not None:
        # Once here, so that what it initialises is in pages that the workers share (500 of them: 690 MB, not 820). If
        # it fails it fails in every worker too, and there it is reported.
        with contextlib.suppress(BaseException):
            job.warm_up()
    _flush_output()
    gc.collect()
    gc.freeze()  # a collection in a worker would write to, and so copy, every page that holds an object
    pids: list[int] = []
    statuses: dict[int, int | None] = {}
    stream, at_end, all_done = b"", False, False
    try:
        for index in range(count):
            try:
                pid = os.fork()
            except OSError as error:
                raise OSError(error.errno, f"only {index} of {count} workers could be started: {error}") from error
            if pid == 0:
                _work(job, index, clock, launchers_ends, gate[0], ready[1], done[1], collection[0], messages[1])
            pids.append(pid)
        for descriptor in (gate[0], ready[1], done[1], collection[0], messages[1]):
            os.close(descriptor)
        _, all_ready = _read(ready[0], job.deadline, control, caller)
        if all_ready and time.monotonic() < job.deadline:
            clock[0] = time.monotonic()
            os.close(gate[1])
            _, all_done = _read(done[0], job.deadline, control, caller)
        _end_workers([pid for pid, is_done in zip(pids, clock[4::4]) if not is_done], all_done, statuses)
        os.close(collection[1])
        until = max(job.deadline, time.monotonic() + _GRACE / 2)
        stream, at_end = _read(messages[0], until, control, caller)
    finally:
        _end_workers([pid for pid in pids if pid not in statuses], at_end, statuses)
    rest, _ = _read(messages[0], until=0.0)  # what was sent in the last moment: all have ended
    return [
        _Record(pid, statuses[pid], message, *(moment or None for moment in clock[4 * index + 1 : 4 * index + 4]))
        for index, (pid, message) in enumerate(zip(pids, _reassemble(stream + rest, count)))
    ]


def _end_workers(pids: list[int], at_end: bool, statuses: dict[int, int | None]) -> None:
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


def _reassemble(stream: bytes, count: int) -> list[bytes | None]:
    """Each worker's whole message, or None where its last chunk did not come."""
    chunks: list[list[bytes]] = [[] for _ in range(count)]
    whole: list[bytes | None] = [None] * count
    position = 0
    while position + _CHUNK_HEADER.size <= len(stream):
        index, length, last = _CHUNK_HEADER.unpack_from(stream, position)
        position += _CHUNK_HEADER.size
        chunks[index].append(stream[position : position + length])
        position += length
        if last:
            whole[index] = b"".join(chunks[index])
    return whole


# --------------------------------------------------------------------------------------------------- in the worker


def _work(
    job: _Job,
    index: int,
    clock: memoryview[float],
    launchers_ends: Sequence[int],
    gate: int,
    ready: int,
    done: int,
    collection: int,
    messages: int,
) -> NoReturn:
    """A worker's whole life: warm up, wait at the gate, call the function, wait until all have, send what came of it.

    To send, and to exit, takes time of a processor that the workers which are still at work would do without.
    """
    try:
        for descriptor in launchers_ends:
            os.close(descriptor)
        _set_alarm(job.deadline)  # if caller and launcher are both killed while this worker hangs
        result, exception, text = None, None, ""
        try:
            try:
                if job.warm_up is not None:
                    job.warm_up()
                # The first use of a page that the workers share, were it only to count references, copies it: so now.
                function, item = job.function, job.items[index]
                gc.get_referents(item)
                clock[4 * index + 1] = time.monotonic()
            finally:
                os.close(ready)  # even if it failed: until all have closed it, the gate stays shut
            os.read(gate, 1)  # returns when the launcher closes the other end, or dies
            if clock[0]:
                clock[4 * index + 2] = time.monotonic()
                try:
                    result = function(item)
                finally:
                    clock[4 * index + 3] = time.monotonic()
        except BaseException as error:
            exception = error
        clock[4 * index + 4] = True
        os.close(done)
        with contextlib.suppress(BaseException):  # an alarm that the function left behind may go off now
            os.read(collection, 1)  # returns when the launcher closes the other end, or dies
        if exception is not None:
            text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
        _flush_output()
        _send(messages, index, _pickle_message(result, exception, text))
    finally:
        os._exit(0)


def _pickle_message(result: object, exception: BaseException | None, text: str) -> bytes:
    try:
        payload = pickle.dumps((result, exception))
    except Exception as error:
        what = result if exception is None else exception
        payload = pickle.dumps((None, pickle.PicklingError(f"{what!r} cannot be pickled: {error}")))
    return pickle.dumps((payload, text))


def _send(pipe: int, index: int, message: bytes) -> None:
    for first in range(0, len(message), _CHUNK_BYTES):
        chunk = message[first : first + _CHUNK_BYTES]
        os.write(pipe, _CHUNK_HEADER.pack(index, len(chunk), first + _CHUNK_BYTES >= len(message)) + chunk)


# ------------------------------------------------------------------------------------------------ pipes with an end


def _read(pipe: int, until: float, control: int | None = None, caller: int = 0) -> tuple[bytes, bool]:
    """Read the pipe until its end, the moment ``until``, or that of the caller; the bytes, and was it the first.

    The end of the control pipe says that the caller has ended, or wants us to. Another process that it has forked may
    keep that open; then we have another parent.
    """
    chunks: list[bytes] = []
    poll = select.poll()  # not select(), which refuses descriptors from 1024 on
    for source in (pipe,) if control is None else (pipe, control):
        poll.register(source, select.POLLIN)
    while True:
        # A second at most: a Ctrl-C that comes just before a wait begins is noticed only when it ends; so is a caller.
        ready = dict(poll.poll(min(_milliseconds_to(until), 1000)))
        if pipe in ready:
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                return b"".join(chunks), True
            chunks.append(chunk)
        elif ready or time.monotonic() >= until or (caller and os.getppid() != caller):
            return b"".join(chunks), False


def _write(pipe: int, data: bytes, until: float) -> None:
    """Write until all is written, or until the moment ``until``, or until nobody reads any more."""
    os.set_blocking(pipe, False)
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    view = memoryview(data)
    with contextlib.suppress(BrokenPipeError):
        while view and poll.poll(_milliseconds_to(until)):
            view = view[os.write(pipe, view) :]


def _milliseconds_to(moment: float) -> float:
    # poll() takes a C int of milliseconds, some 24 days.
    return 1000 * min(max(moment - time.monotonic(), 0), 86_400)


# ----------------------------------------------------------------------------------------- in launcher and workers


def _set_alarm(deadline: float) -> None:
    """Have the kernel end this process some time after the deadline, should nobody else be left to do it."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 0) + _GRACE)


def _flush_output() -> None:
    """Write out what was printed, before a fork would print it twice or ``os._exit`` drop it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
