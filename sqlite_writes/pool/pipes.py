"""Pipes with an end: read until a moment or the end of the caller, and messages that many may write at once.

Knows nothing of jobs and workers.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import time
from dataclasses import dataclass

# A pipe write of up to PIPE_BUF bytes is never mixed with another's. So messages travel in chunks of that size, each
# behind its item's number, its length, and whether it is the last: no lock, and a killed worker leaves no half chunk.
_CHUNK_HEADER = struct.Struct("<IH?")
_CHUNK_BYTES = getattr(select, "PIPE_BUF", 512) - _CHUNK_HEADER.size


@dataclass(frozen=True)
class Pipes:
    """The pipes between the launcher and all its workers, each as the end to read and the end to write.

    gate: the launcher closes it when all are ready.
    ready, done: each worker closes its end, when it waits at the gate and when its function has ended.
    collection: the launcher closes it when all are done: then they send.
    messages: what came of each item.
    """

    gate: tuple[int, int]
    ready: tuple[int, int]
    done: tuple[int, int]
    collection: tuple[int, int]
    messages: tuple[int, int]

    def launchers_ends(self) -> tuple[int, ...]:
        """Return what a worker has to close."""
        return self.gate[1], self.ready[0], self.done[0], self.collection[1], self.messages[0]

    def workers_ends(self) -> tuple[int, ...]:
        """Return what the launcher has to close once all are started."""
        return self.gate[0], self.ready[1], self.done[1], self.collection[0], self.messages[1]


def read(pipe: int, until: float, control: int | None = None, caller: int = 0) -> tuple[bytes, bool]:
    """Read until the pipe closes, the deadline passes or the caller exits; return the bytes and whether it closed.

    The control pipe closes when the caller has ended, or wants us to. Another process that it has forked may keep that
    open; then we have another parent.
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
