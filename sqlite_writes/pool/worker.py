"""A worker's part of the pool: warm up, wait at the gate, call the function, send what came of it, and exit.

Knows one item of the job, and nothing of the other workers.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from .pipes import Pipes, send

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Seconds beyond the deadline after which the kernel ends a worker, and the caller a launcher, that nobody ended.
GRACE = 10.0


@dataclass(frozen=True)
class Job:
    """What the launcher is asked to do; ``deadline`` is a moment on ``time.monotonic``."""

    function: Callable[[Any], Any]
    items: Sequence[Any]
    warm_up: Callable[[], object] | None
    deadline: float


def work(job: Job, index: int, clock: memoryview[float], pipes: Pipes) -> NoReturn:
    """Live a worker's whole life: warm up, wait at the gate, call the function, send what came of it, and exit.

    ``clock`` is shared. It holds the moment when the gate opened, then four numbers for each worker: when it was ready,
    started and ended, and whether it is done. A worker sends only when all are done: sending takes time of a processor
    that others still need.
    """
    try:
        pipes.keep_workers_ends()
        set_alarm(job.deadline)  # if caller and launcher are both killed while this worker hangs
        result, exception, text = None, None, ""
        try:
            result = _call_once_the_gate_opens(job, index, clock, pipes)
        except BaseException as error:
            exception = error
        clock[4 * index + 4] = True
        os.close(pipes.done.write_end)
        with contextlib.suppress(BaseException):  # an alarm that the function left behind may go off now
            os.read(pipes.collection.read_end, 1)  # returns when the launcher closes the other end, or dies
        if exception is not None:
            text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
        flush_output()
        send(pipes.messages.write_end, index, _pickle_message(result, exception, text))
    finally:
        os._exit(0)


def _call_once_the_gate_opens(job: Job, index: int, clock: memoryview[float], pipes: Pipes) -> object:
    """Return what the function returns; None if the launcher dies before it opens the gate."""
    try:
        if job.warm_up is not None:
            job.warm_up()
        # The first use of a page that the workers share copies it, even to count references. So use the item now.
        function, item = job.function, job.items[index]
        gc.get_referents(item)
        clock[4 * index + 1] = time.monotonic()
    finally:
        os.close(pipes.ready.write_end)  # even if it failed: until all have closed it, the gate stays shut
    os.read(pipes.gate.read_end, 1)  # returns when the launcher closes the other end, or dies
    if not clock[0]:
        return None
    me = os.getpid()
    clock[4 * index + 2] = time.monotonic()
    try:
        return function(item)
    finally:
        ended = time.monotonic()
        if os.getpid() != me:
            os._exit(0)  # a copy of us that the function has forked has nothing to say
        clock[4 * index + 3] = ended


def _pickle_message(result: object, exception: BaseException | None, text: str) -> bytes:
    try:
        payload = pickle.dumps((result, exception))
    except Exception as error:
        what = result if exception is None else exception
        payload = pickle.dumps((None, pickle.PicklingError(f"{what!r} cannot be pickled: {error}")))
    return pickle.dumps((payload, text))


def set_alarm(deadline: float) -> None:
    """Have the kernel end this process some time after the deadline, should nobody else be left to do it."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 0) + GRACE)


def flush_output() -> None:
    """Write out what was printed, before a fork would print it twice or ``os._exit`` drop it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
