"""Pipes with an end: read until a moment or the end of the caller, and messages that many may write at once.

Knows nothing of jobs and workers.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# A pipe write of up to PIPE_BUF bytes is never mixed with another's. So messages travel in chunks of that size, each
# behind its item's number, its length, and whether it is the last: no lock, and a killed worker leaves no half chunk.
_CHUNK_HEADER = struct.Struct("<IH?")
_CHUNK_BYTES = getattr(select, "PIPE_BUF", 512) - _CHUNK_HEADER.size


class Pipe(NamedTuple):
    """The two ends of one pipe."""

    read_end: int
    write_end: int


def open_pipes(count: int) -> list[Pipe]:
    """Open so many pipes, or raise ``OSError`` and leave none open."""
    pipes: list[Pipe] = []
    try:
        while len(pipes) < count:
            pipes.append(Pipe(*os.pipe()))
    except OSError:
        for end in itertools.chain(*pipes):
            os.close(end)
        raise
    return pipes


@dataclass(frozen=True)
class Pipes:
    """The launcher's ends of its two pipes to the caller, and the pipes between it and all its workers.

    control: it ends when the caller has ended, or wants the launcher to.
    report: what the launcher tells the caller.
    gate: the launcher closes it when all are ready.
    ready, done: each worker closes its end, when it waits at the gate and when its function has ended.
    collection: the launcher closes it when all are done: then they send.
    messages: what came of each item.
    """

    control: int
    report: int
    gate: Pipe
    ready: Pipe
    done: Pipe
    collection: Pipe
    messages: Pipe

    def keep_workers_ends(self) -> None:
        """Close what a worker must not hold: a pipe ends when nobody can write into it any more."""
        for end in (
            self.control,
            self.report,
            self.gate.write_end,
            self.ready.read_end,
            self.done.read_end,
            self.collection.write_end,
            self.messages.read_end,
        ):
            os.close(end)

    def keep_launchers_ends(self) -> None:
        """Close what the launcher must not hold once all workers are started."""
        for end in (
            self.gate.read_end,
            self.ready.write_end,
            self.done.write_end,
            self.collection.read_end,
            self.messages.write_end,
        ):
            os.close(end)


def read(
    pipe: int,
    until: float,
    control: int | None = None,
    caller: int = 0,
    is_whole: Callable[[bytes], bool] | None = None,
) -> tuple[bytes, bool]:
    """Read until the pipe closes, the deadline passes or the caller exits; return the bytes and whether it closed.

    The control pipe closes when the caller has ended, or wants us to. Another process that it has forked may keep that
    open; then we have another parent. A process that a worker has started and left may keep the pipe open: so when
    nothing comes for a second, ``is_whole`` is asked whether what was read is all that will come.
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
        elif is_whole is not None and is_whole(b"".join(chunks)):
            return b"".join(chunks), True


def write(pipe: int, data: bytes, until: float) -> None:
    """Write until all is written, the deadline passes or nobody reads any more."""
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


def send(pipe: int, index: int, message: bytes) -> None:
    """Write one worker's message in chunks that no other's can be mixed with."""
    for first in range(0, len(message), _CHUNK_BYTES):
        chunk = message[first : first + _CHUNK_BYTES]
        os.write(pipe, _CHUNK_HEADER.pack(index, len(chunk), first + _CHUNK_BYTES >= len(message)) + chunk)


def reassemble(stream: bytes, count: int) -> list[bytes | None]:
    """Return each worker's whole message, or None where its last chunk did not come."""
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
