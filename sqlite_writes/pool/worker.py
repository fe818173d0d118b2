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
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from .pipes import Pipes, send

if TYPE_CHECKING:
    from collections.abc import Sequence

# Seconds beyond the deadline after which the kernel ends a worker, and the caller a launcher, that nobody ended.
GRACE = 10.0


@dataclass(frozen=True)
class Job:
    """What the launcher is asked to do; ``deadline`` is a moment on ``time.monotonic``."""

    function: Callable[[Any], Any]
    items: Sequence[Any]
    warm_up: Callable[[], object] | None
    deadline: float


def work(
    job: Job,
    index: int,
    clock: memoryview[float],
    pipes: Pipes,
    others: Sequence[int],
) -> NoReturn:
    """A worker's whole life: warm up, wait at the gate, call the function, wait until all have, send what came of it.

    ``clock`` is shared: the moment when the gate opened, then four numbers for each worker: when it was ready, started
    and ended, and whether it is done. ``others`` are more descriptors that a worker must not keep. Sending waits until
    all are done, because it takes time of a processor that workers still need.
    """
    try:
        for descriptor in (*pipes.launchers_ends(), *others):
            os.close(descriptor)
        set_alarm(job.deadline)  # if caller and launcher are both killed while this worker hangs
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
                os.close(pipes.ready[1])  # even if it failed: until all have closed it, the gate stays shut
            os.read(pipes.gate[0], 1)  # returns when the launcher closes the other end, or dies
            if clock[0]:
                clock[4 * index + 2] = time.monotonic()
                try:
                    result = function(item)
                finally:
                    clock[4 * index + 3] = time.monotonic()
        except BaseException as error:
            exception = error
        clock[4 * index + 4] = True
        os.close(pipes.done[1])
        with contextlib.suppress(BaseException):  # an alarm that the function left behind may go off now
            os.read(pipes.collection[0], 1)  # returns when the launcher closes the other end, or dies
        if exception is not None:
            text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
        flush_output()
        send(pipes.messages[1], index, _pickle_message(result, exception, text))
    finally:
        os._exit(0)


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
