"""One side while it is sampled: its sampler's process, asked and replying, with a deadline, and surely ended.

Knows processes and lines of JSON; nothing of what is sampled or judged.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import SetUpError

Reply = dict[str, Any]

_SAMPLER = Path(__file__).with_name("sampler")
_MARK = "PR_CHECK_MARK"

# Seconds for a sampler to start, or to import a module of benchmarks.
LONGEST_START = 120.0

# Seconds for what was killed to be gone: one in a disk's sync ends after that.
LONGEST_END = 10.0


@dataclass
class Side:
    """Base or head: the interpreter with that commit installed, and the benchmark files and folder that both share.

    samples_each: a sampler's process is replaced after so many, so that its memory's layout is sampled as well.
    Before a fresh sample it is replaced if it has taken one of the same benchmark. Both sides' samplers of one number
    have the same hash seed: the order of a set is not what tells two commits apart.
    space_in_use: bytes that samples may have needed at one time, and have given back: with less left the disk was full.
    """

    name: str
    interpreter: str
    benchmarks: Path
    databases: Path
    variables: dict[str, str]
    samples_each: int = 50
    space_in_use: int = 100_000_000
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    hash_seed: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _is_ready: bool = False
    _asked: int = 0
    _seen: set[str] = field(default_factory=set)
    _written: float = 0.0
    _buffer: bytes = b""

    def ask(self, sample: str, arguments: dict[str, Any], deadline: float) -> Reply:
        """Return one sample, or that it waits before a part, or that it did not end within so many seconds."""
        self.send(sample, arguments)
        return self.receive(time.monotonic() + deadline)

    def go_on(self, deadline: float) -> Reply:
        """Have the sample that waits take its next part; return the next reply, as ``ask`` does."""
        self._write(b"\n")
        return self.receive(time.monotonic() + deadline)

    def prepare(self, fresh: str = "") -> None:
        """Have a sampler start, if a new one is needed: for the fresh sample of that name, or after so many."""
        if self._process is None or self._asked >= self.samples_each or fresh in self._seen:
            self._start()
        self._seen |= {fresh} - {""}

    def await_start(self) -> None:
        """Wait until the sampler is there, so that its start takes no time from anybody's sample."""
        if self._process is not None and not self._is_ready:
            self._written = time.monotonic()
            self._is_ready = "ready" in self.receive(self._written + LONGEST_START)

    def load(self, module: str) -> bool:
        """Have the sampler import a module of benchmarks; say whether there is a reply to wait for."""
        self.await_start()
        if module in self._seen or self._process is None:
            return False
        self._seen.add(module)
        self._write(json.dumps({"sample": "load", "arguments": {"module": module}}).encode() + b"\n")
        return True

    def send(self, sample: str, arguments: dict[str, Any]) -> None:
        """Ask for a sample, to be received later."""
        if not self._is_ready or self._asked >= self.samples_each:
            self.prepare()
            self.await_start()
        self._asked += 1
        if self._process is not None:
            self._write(json.dumps({"sample": sample, "arguments": arguments}).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        assert self._process is not None  # noqa: S101
        assert self._process.stdin is not None  # noqa: S101
        self._written = time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # then there is no reply either
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def receive(self, until: float) -> Reply:
        """Return the reply, if it comes until that moment on ``time.monotonic``; else end the sampler."""
        if self._process is None:
            return {"error": "its process does not start"}
        assert self._process.stdout is not None  # noqa: S101
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([pipe], [], [], max(until - time.monotonic(), 0))
            if not readable:
                self.end()
                return {"error": f"it did not end within {until - self._written:.0f} s", "timed out": True}
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                self.end()
                return {"error": "its process ended without an answer"}
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: Reply = json.loads(line)
        is_full = reply.get("disk is full") or "SQLITE_FULL" in (reply.get("value") or {}).get("errors", ())
        if is_full and shutil.disk_usage(self.databases).free < self.space_in_use:  # else it is the commit's own doing
            raise SetUpError(f"the disk of {str(self.databases)!r} is full")
        return reply

    def _start(self) -> None:
        self.end()
        self.hash_seed += 1
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ASV_"))}
        self._process = subprocess.Popen(
            # The environment's own packages alone; not -I, by which the hash seed would not count.
            [self.interpreter, "-s", str(_SAMPLER), str(self.benchmarks)],
            env={
                **environment,
                "PYTHONHASHSEED": str(self.hash_seed),
                **self.variables,
                # Of our own suite: where it makes databases, and how many bursts it runs where asv wants several.
                "SQLITE_WRITES_FOLDER": str(self.databases),
                "SQLITE_WRITES_BURSTS": "1",
                _MARK: self.mark,
            },
            cwd=self.databases,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end(self) -> None:
        """End the sampler and whatever it has started, by the mark that all of them carry."""
        process, self._process = self._process, None
        self._asked, self._buffer, self._is_ready, self._seen = 0, b"", False, set()
        if process is None:
            return
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait()
        until = time.monotonic() + LONGEST_END
        while (strays := self._strays()) and time.monotonic() < until:
            for stray in strays:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stray, signal.SIGKILL)
            time.sleep(0.01)

    def _strays(self) -> list[int]:
        """Return the processes with our mark in their environment, on Linux: what an ended sampler left behind."""
        mark = f"{_MARK}={self.mark}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found
