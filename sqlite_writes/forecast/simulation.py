"""One simulated burst: who waits for a processor, for the lock and for the disk, and what happens next.

Knows settings and times. No process, no file, no SQL. What it assumes is said in answer.py.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from .waiting_table import busy_waits

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from sqlite_writes.settings import Settings

# A try at a lock, as a share of an insert without its commit: 16 of 250 us, measured. Closing takes two.
_TRY = 1 / 16

# Who has not run for 2 ms finds its caches cold, and takes twice as long. Measured, microseconds of processor time: a
# try 16 among 20 who try each millisecond, 24 to 29 among 200, who come round in 3 ms, and 28 to 30 among those who
# sleep 100 ms; a commit 210 to 240 among 20 to 120 who try each millisecond, 450 to 530 among 200 to 500.
_COLD = 2
_LONG = 0.002

# At each try the kernel walks the list of all locks on the file (posix_lock_inode in fs/locks.c), and in WAL mode each
# open connection holds some. Seconds a connection: a try takes 28.2, 30.7 and 35.4 us among 200, 500 and 1000.
_WALK = 9e-9

# How often a commit sleeps for the disk: voluntary switches of an insert (getrusage), ext4, Linux 6.18.
_DISK_WAITS = {"delete": 11, "wal": 5}

# Seconds by which Linux wakes a sleeper late: its timer slack of 50 us (PR_SET_TIMERSLACK) and the way back. Measured
# among 200 who sleep 100 ms: 66, 82, 104 and 115 us at the 5%, 50%, 90% and 95% quantiles.
_LATE = 65e-6
_LATER = 17e-6  # on average, exponentially

# What the same work takes, times its mean: this at least, and the rest at random, exponentially. An insert's processor
# time at the 5%, 50%, 90%, 95% and 99% quantiles, measured: 0.90, 1, 1.20, 1.30, 1.55 of the median.
_AT_LEAST = 0.88

# More writers than these are simulated as so many lots of neighbours, who sleep together and try one after another.
_LOTS = 2_000


class _Writer:
    """A process, or a lot of them: what it does next, and ``served``, the processor time that is counted for it."""

    __slots__ = ("called", "cost", "count", "ends", "is_shut_out", "served", "slept", "synced", "then")

    def __init__(self, count: int, cost: float, then: Callable[[_Writer], None]) -> None:
        self.count, self.cost, self.then = count, cost, then
        self.called, self.served, self.ends = -1.0, 0.0, 0.0
        self.slept = self.synced = 0
        self.is_shut_out = False


class Simulation:
    """A burst. All times in seconds from its start.

    cpu, disk: a commit's processor time, and its waiting for the disk. rest: the rest of an insert, processor time.
    """

    def __init__(self, settings: Settings, cpu: float, disk: float, rest: float, cores: int, random: Random) -> None:
        self.settings, self.cores, self.random = settings, cores, random
        self.has_journal = settings.journal_mode == "delete"
        self.reads_schema = self.has_journal and settings.transaction == "implicit"
        self.walk = 0.0 if self.has_journal else _WALK
        self.waits = busy_waits(settings.busy_timeout)
        self.disk_waits = _DISK_WAITS[settings.journal_mode] if disk > cpu / 100 else 0
        self.disk = disk / max(self.disk_waits, 1)
        self.writing = cpu / (1 + self.has_journal + self.disk_waits)
        self.trying = rest * _TRY
        self.opening = rest * (1 - (3 + self.reads_schema) * _TRY)
        self.events: list[tuple[float, int, _Writer, bool]] = []
        self.ready: list[tuple[float, int, _Writer]] = []
        self.running: set[_Writer] = set()
        self.line: deque[_Writer] = deque()
        self.holder: _Writer | None = None
        self.is_pending = False
        self.now = self.since = self.served = 0.0
        self.held = self.used = self.slowest = 0.0
        self.failed = self.number = self.connections = 0

    def burst(self, workers: int) -> None:
        """Let so many processes start now, and go on until all have ended."""
        lots = min(workers, _LOTS)
        for lot in range(lots):
            count = workers * (lot + 1) // lots - workers * lot // lots
            self._queue(_Writer(count, self.opening, self._opened))
        while self.events:
            self.now, _, writer, is_awake = heappop(self.events)
            if is_awake:
                self._queue(writer)
                continue
            self.running.remove(writer)
            writer.then(writer)
            while self.ready and len(self.running) < self.cores:
                served, _, writer = heappop(self.ready)
                self.served = max(self.served, served)
                self._use(writer, writer.cost, writer.then)

    # Processors, and time.

    def _queue(self, writer: _Writer) -> None:
        writer.served = max(writer.served, self.served)  # whoever sleeps saves nothing up
        if len(self.running) < self.cores:
            self._use(writer, writer.cost, writer.then)
        else:
            self.number += 1
            heappush(self.ready, (writer.served, self.number, writer))

    def _use(self, writer: _Writer, cost: float, then: Callable[[_Writer], None]) -> None:
        seconds = writer.count * cost * (_AT_LEAST + self.random.expovariate(1 / (1 - _AT_LEAST)))
        if writer.called < 0:
            writer.called = self.now
        elif self.now - writer.ends > _LONG:
            seconds *= _COLD
        seconds += writer.count * self.connections * self.walk
        writer.cost, writer.then, writer.ends, writer.is_shut_out = cost, then, self.now + seconds, self.is_pending
        writer.served += seconds
        self.used += seconds
        self.running.add(writer)
        self._after(seconds, writer, is_awake=False)

    def _after(self, seconds: float, writer: _Writer, *, is_awake: bool) -> None:
        self.number += 1
        heappush(self.events, (self.now + seconds, self.number, writer, is_awake))

    def _sleep(self, writer: _Writer) -> None:
        retry, slept = self.settings.retry, writer.slept
        if self.now - writer.called >= self.settings.busy_timeout if retry else slept == len(self.waits):
            self._fail(writer)
            return
        writer.slept += 1
        late = _LATE + self.random.expovariate(1 / _LATER)
        self._after((retry or self.waits[slept]) + late, writer, is_awake=True)

    # An insert, step by step.

    def _opened(self, writer: _Writer) -> None:
        self.connections += writer.count
        self._use(writer, self.trying, self._has_read_schema if self.reads_schema else self._has_tried)

    def _has_read_schema(self, writer: _Writer) -> None:
        if writer.is_shut_out:
            self._sleep(writer)
            return
        writer.slept = 0  # each statement's wait begins anew
        self._use(writer, self.trying, self._has_tried)

    def _has_tried(self, writer: _Writer) -> None:
        if self.holder is None and not writer.is_shut_out:
            holder = self._hold(writer)
            self._use(holder, self.writing, self._has_written)
            if holder is writer:
                return
        if self.settings.line:
            self.line.append(writer)
        else:
            self._sleep(writer)

    def _hold(self, writer: _Writer) -> _Writer:
        """Give the lock to the writer, or to one of the lot, and return it."""
        holder = writer
        if writer.count > 1:
            writer.count -= 1
            holder = _Writer(1, self.writing, self._has_written)
            holder.called, holder.served, holder.ends = writer.called, writer.served, writer.ends
        holder.slept = 0
        self.holder, self.since = holder, self.now
        return holder

    def _has_written(self, writer: _Writer) -> None:
        """A part of the commit is done: the disk, and then the next part."""
        if self.has_journal and not self.is_pending:
            self._make_exclusive(writer)
            return
        is_done = writer.synced == self.disk_waits
        if is_done:
            self._use(writer, 2 * self.trying, self._closed)
        if self.holder is writer and (is_done or self.settings.sync_after):
            self._release()
        if not is_done:
            writer.synced += 1
            self._after(self.random.expovariate(1 / self.disk), writer, is_awake=True)

    def _make_exclusive(self, writer: _Writer) -> None:
        self.is_pending = True
        tries = [other for other in self.running if other.then in (self._has_tried, self._has_read_schema)]
        if any(not other.is_shut_out and (other.ends - self.now) % other.cost < other.cost / 2 for other in tries):
            writer.cost, writer.then = self.trying, self._make_exclusive
            self._sleep(writer)
        else:
            self._use(writer, self.writing, self._has_written)

    def _release(self) -> None:
        self.held += self.now - self.since
        self.holder, self.is_pending = None, False
        while self.line and self.now - self.line[0].called >= self.settings.busy_timeout:
            self._fail(self.line.popleft())
        if self.line:
            holder = self._hold(self.line[0])
            if holder is self.line[0]:
                self.line.popleft()
            holder.cost, holder.then = self.writing, self._has_written
            self._queue(holder)

    def _fail(self, writer: _Writer) -> None:
        self.failed += writer.count
        self._closed(writer)
        if self.holder is writer:
            self._release()

    def _closed(self, writer: _Writer) -> None:
        self.connections -= writer.count
        self.slowest = max(self.slowest, self.now - writer.called)
