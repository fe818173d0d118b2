"""How many more processes the system lets this user start, and which of its limits says so.

Reads the limits; knows nothing of what the processes are for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_room_for_processes(count: int) -> None:
    """Raise ``OSError``, naming the limit and how many processes would fit, if ``count`` more do not.

    Every worker keeps a handful of descriptors, whatever their number, so the descriptor limit does not bound them.
    """
    for limit, room in _limits():
        if count > room:
            raise OSError(f"{count} more processes do not fit: {limit} leaves room for {max(room, 0)}")


def _limits() -> Iterator[tuple[str, int]]:
    """Each limit on processes that is known here, described, with the room that it leaves."""
    import resource  # absent on Windows, where nothing is started

    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and os.getuid() != 0:  # the kernel does not hold root to it
        yield f"the limit of {soft} processes for this user (ulimit -u)", soft - _tasks_of_this_user()
    if sys.platform.startswith("linux"):
        for name in ("threads-max", "pid_max"):
            with contextlib.suppress(OSError, ValueError):  # a sandbox may lack them
                most = int(Path("/proc/sys/kernel", name).read_text())
                tasks = int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])
                yield f"the limit of {most} processes on this machine (kernel.{name})", most - tasks
        yield from _control_group_limits()


def _tasks_of_this_user() -> int:
    """Processes and threads of this user; 0 where there is no ``/proc`` to count them."""
    tasks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == os.getuid():
                tasks += len(list((folder / "task").iterdir()))
        except OSError:  # it has ended meanwhile
            continue
    return tasks


def _control_group_limits() -> Iterator[tuple[str, int]]:
    """``pids.max`` of this process's control group and of those above it (a container's limit)."""
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in groups:
        if controllers not in ("", "pids"):
            continue
        root = Path("/sys/fs/cgroup", controllers)
        folder: Path | None = root / path.lstrip("/")
        while folder is not None:
            try:
                most = (folder / "pids.max").read_text().strip()
                current = int((folder / "pids.current").read_text())
            except (OSError, ValueError):
                most, current = "max", 0
            if most != "max":
                yield f"the limit of {most} processes in this control group (pids.max)", int(most) - current
            folder = folder.parent if folder != root else None
