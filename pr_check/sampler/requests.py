"""One side's requests and their replies: each sample in a process of its own. Knows nothing of the other side.

Reads one request a line, as JSON, and replies with one line. A sample of several parts says before each that it waits,
and goes on at an empty line. The sampler opens no database itself: each sample's process is forked from it, and leaves
nothing behind that a later one could find.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from .bursts import burst, bursts, sequence
from .outcomes import end_of
from .promises import accounting, promises
from .suite import identity, suite

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TextIO

    from .outcomes import Sample

# Seconds after which the kernel ends a sample that nobody waits for any more: more than any is waited for.
LONGEST_SAMPLE = 900

SAMPLES: dict[str, Callable[..., Sample | Generator[None, None, Sample]]] = {
    function.__name__: function for function in (burst, bursts, sequence, suite, promises, accounting, identity)
}


def serve() -> None:
    """Reply to requests until there are no more."""
    requests, replies = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a benchmark prints is no reply
    problem = None
    try:
        importlib.import_module("benchmarks.common")
        importlib.import_module("sqlite_writes")
    except Exception:
        problem = {"error": end_of(traceback.format_exc())}
    for line in requests:
        if problem:
            _write(replies, problem)
        elif line.strip():  # else the sample that was to go on is no more
            _take_in_a_new_process(json.loads(line), replies)


def _take_in_a_new_process(request: dict[str, Any], replies: TextIO) -> None:
    """Hand on the replies of a process of its own; if that ends without a result, say so in its place."""
    result, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(LONGEST_SAMPLE)
            os.close(result)
            with os.fdopen(ours, "w") as pipe:

                def wait() -> None:
                    _write(pipe, {"waits": True})
                    os.read(0, 1)

                _write(pipe, _take(request, wait))
        finally:
            os._exit(0)
    os.close(ours)
    has_result = False
    with os.fdopen(result) as pipe:
        while not has_result and (line := pipe.readline()).endswith("\n"):
            found = json.loads(line)
            has_result = "waits" not in found
            _write(replies, found)
    _, status = os.waitpid(pid, 0)
    if not has_result:
        _write(replies, {"error": f"the process of the sample ended without a result (wait status {status})"})


def _take(request: dict[str, Any], wait: Callable[[], object]) -> dict[str, Any]:
    """Return the reply to a request: a value; or why it is not possible here; or the end of a traceback."""
    settings = request["arguments"].get("settings")
    try:
        if settings is not None:
            from benchmarks.common import skip_unless_possible

            skip_unless_possible(settings)
        value = SAMPLES[request["sample"]](**request["arguments"])
        return {"value": _last_of(value, wait) if isinstance(value, GeneratorType) else value}
    except NotImplementedError as reason:
        return {"not possible": str(reason)}
    except BaseException as error:
        full = getattr(error, "errno", None) == 28 or "disk is full" in str(error)
        return {"error": end_of(traceback.format_exc()), "disk is full": full}


def _last_of(parts: Generator[None, None, Sample], wait: Callable[[], object]) -> Sample:
    """Return what the generator returns, after a wait before each of its parts."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            sample: Sample = end.value
            return sample
        wait()


def _write(replies: TextIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()
