"""Run a command as on a disk that does 1,000 write operations a second: ``python experiments/slow_disk.py COMMAND…``.

Knows nothing of what it runs. A cloud volume does few operations a second, where a disk at hand does tens of thousands.
As root with the ``blkio`` controller of cgroup v1, the kernel holds the command to that rate on the disk of the current
folder. Elsewhere ``strace``, if it is there, makes each sync 2 ms longer; that slows the rest too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

OPERATIONS = 1000
DELAY = 2000  # microseconds

CONTROLLER = Path("/sys/fs/cgroup/blkio")


def limited_group() -> Path | None:
    """Make a control group that limits writes to the disk of this folder; None where that is not allowed."""
    device = os.stat(".").st_dev
    group = CONTROLLER / f"sqlite-writes-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        limit = f"{os.major(device)}:{os.minor(device)} {OPERATIONS}"
        (group / "blkio.throttle.write_iops_device").write_text(limit)
    except OSError:
        group.rmdir()
        return None
    return group


def main(command: list[str]) -> int:
    """Run the command, and return its exit status; 2 and one line if no slow disk can be had."""
    if not command:
        sys.stderr.write("usage: python experiments/slow_disk.py COMMAND [ARGUMENT …]\n")
        return 2
    group = limited_group()
    if group is None:
        strace = shutil.which("strace")
        if strace is None:
            sys.stderr.write("no slow disk: that needs root and cgroup v1's blkio controller, or strace\n")
            return 2
        sys.stderr.write(f"a sync takes {DELAY} us longer (strace)\n")
        inject = f"inject=fdatasync,fsync:delay_exit={DELAY}"
        command = [strace, "-f", "-qq", "--seccomp-bpf", "-o", os.devnull, "-e", inject, *command]
        return subprocess.run(command, check=False).returncode
    sys.stderr.write(f"{OPERATIONS} write operations a second on the disk of this folder (blkio)\n")
    # The command enters the group by itself, so that we stay out of it and can remove it.
    enter = 'echo $$ > "$0" && exec "$@"'
    process = subprocess.Popen(["sh", "-c", enter, str(group / "cgroup.procs"), *command])
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the command has it too, and decides
                continue
    finally:
        try:
            group.rmdir()
        except OSError as error:
            sys.stderr.write(f"{group} is left: {error.strerror}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
