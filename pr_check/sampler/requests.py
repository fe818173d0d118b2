"""One side's requests and their replies: each sample in a process of its own. Knows nothing of the other side.

Says once that it is ready, and then replies to each request, a line of JSON, with one line. A sample of several parts
says before each that it waits, and goes on at an empty line. The sampler runs no benchmark itself: each sample's
process is forked from it, and leaves nothing behind that a later one could find.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from types import GeneratorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TextIO

    from .suite_of_asv import Sample, Suite

# Seconds after which the kernel ends a sample that nobody waits for any more: more than any is waited for.
LONGEST_SAMPLE = 3600


def serve(root: str) -> None:
    """Reply to requests until there are no more."""
    requests, replies = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a benchmark prints is no reply
    try:
        from .suite_of_asv import Suite, clear
    except ImportError as error:
        problem = {"error": f"asv_runner is needed in the environment: {error}"}
        _write(replies, {"ready": True})
        for _ in requests:
            _write(replies, problem)
        return
    suite = Suite(root)
    _write(replies, {"ready": True})
    for line in requests:
        if line.strip():  # else the sample that was to go on is no more
            request = json.loads(line)
            if request["sample"] == "load":  # here, so that the samples' processes have it
                _write(replies, {"loaded": suite.load(**request["arguments"])})
                continue
            reply = _take_in_a_new_process(suite, request, replies)
            clear(request["arguments"].get("folder", ""))
            _write(replies, reply)


def _take_in_a_new_process(suite: Suite, request: dict[str, Any], replies: TextIO) -> dict[str, Any]:
    """Return the reply of a process of its own, and hand on that it waits; say so if it ends without a reply."""
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

                _write(pipe, _take(suite, request, wait))
        finally:
            os._exit(0)
    os.close(ours)
    reply: dict[str, Any] = {}
    with os.fdopen(result) as pipe:
        while not reply and (line := pipe.readline()).endswith("\n"):
            found = json.loads(line)
            if "waits" in found:
                _write(replies, found)
            else:
                reply = found
    _, status = os.waitpid(pid, 0)
    return reply or {"error": f"the process of the sample ended without a result (wait status {status})"}


def _take(suite: Suite, request: dict[str, Any], wait: Callable[[], object]) -> dict[str, Any]:
    """Return the reply to a request: a value; or why it is not possible here; or the end of a traceback."""
    from .suite_of_asv import end_of

    samples = {method.__name__: method for method in (suite.identity, suite.declared_sample, suite.run, suite.profile)}
    try:
        value = samples[request["sample"]](**request["arguments"])
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
