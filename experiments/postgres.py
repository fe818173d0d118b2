"""Run a command with a fresh PostgreSQL server: ``python experiments/postgres.py COMMAND…``.

Knows nothing of what it runs. The command finds the server by ``SQLITE_WRITES_POSTGRES``; where that is set already, or
no server is installed, the command just runs. The server has PostgreSQL's defaults, so it syncs each commit. Its data
lie under .asv, on the project's disk. However the command ends, the server is stopped and all of it is removed. Only
after ``kill -9`` of this script the folder stays; on Linux the server stops all the same.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "SQLITE_WRITES_POSTGRES"
DATA = Path(__file__).resolve().parent.parent / ".asv"

# A socket's path has at most 107 bytes, so it is not beside the data.
SOCKETS = "/tmp"  # noqa: S108 a folder of its own in there, which nobody else may enter

# The default is 100; a burst has up to 1000 workers.
CONNECTIONS = 1100

# Seconds for the server to start, and then to stop.
PATIENCE = 60.0

# Where Debian keeps the server's programs, which are not on PATH.
DEBIAN = "/usr/lib/postgresql"


class ServerError(RuntimeError):
    """The server could not be started; the message is one line."""


class Stopping:
    """The signals that ask this script to end: kept, and handed on to the process that it waits for."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._process: subprocess.Popen[Any] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, self._receive)

    def wait(self, process: subprocess.Popen[Any]) -> int:
        """Wait for the process, and return its exit status as a shell has it."""
        self._process = process
        if self.received is not None:  # before the process was there
            process.send_signal(self.received)
        status = process.wait()
        self._process = None
        return status if status >= 0 else 128 - status

    def _receive(self, number: int, _frame: object) -> None:
        self.received = self.received or signal.Signals(number)
        if self._process is not None and not (number == signal.SIGINT and is_typed()):
            self._process.send_signal(number)


def is_typed() -> bool:
    """Return whether this script is what Ctrl-C at the terminal ends; the command then has got it too."""
    try:
        with open("/dev/tty", "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:  # no terminal
        return False


def find_programs() -> Path | None:
    """Return the folder with the newest server's programs; None if none is installed."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path(DEBIAN).glob("[0-9]*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def unprivileged() -> pwd.struct_passwd | None:
    """Return who the server runs as if this script is root, whom PostgreSQL refuses; else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerError("PostgreSQL does not run as root, and there is no user postgres or nobody")


@contextmanager
def server(programs: Path, stopping: Stopping) -> Iterator[str]:
    """A new server, and the connection string of its owner; stopped and removed in the end."""
    owner = unprivileged()
    DATA.mkdir(parents=True, exist_ok=True)
    mine = f"postgres-{os.getpid()}-"
    with TemporaryDirectory(prefix=mine, dir=DATA) as data, TemporaryDirectory(prefix=mine, dir=SOCKETS) as sockets:
        options: dict[str, Any] = {"cwd": data, "stdin": subprocess.DEVNULL, "start_new_session": True}
        options["env"] = {**os.environ, "LC_ALL": "C"}
        if owner is not None:
            for folder in (data, sockets):
                os.chown(folder, owner.pw_uid, owner.pw_gid)
            options.update(user=owner.pw_uid, group=owner.pw_gid, extra_groups=[])
        with Path(data, "log").open("w+") as log:
            options.update(stdout=log, stderr=log)
            cluster = [str(programs / "initdb"), "-D", f"{data}/cluster", "-U", "postgres"]
            # The folder of the socket lets in its owner and root only.
            cluster += ["--auth=trust", "--encoding=UTF8", "--locale=C"]
            # Not told of signals, because it leaves children behind when it is stopped. It takes a second.
            if subprocess.run(cluster, check=False, **options).returncode != 0:
                raise ServerError(f"initdb failed: {_last_line(log.name)}")
            process = subprocess.Popen([*_ending_with_us(), *_postgres(programs, data, sockets)], **options)
            try:
                _wait_until_ready(process, programs, sockets, stopping, log.name)
                yield f"host={sockets} port=5432 user=postgres dbname=postgres"
            finally:
                _stop(process)


def _postgres(programs: Path, data: str, sockets: str) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": sockets,
        "port": "5432",
        "max_connections": str(CONNECTIONS),
    }
    command = [str(programs / "postgres"), "-D", f"{data}/cluster"]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command


def _ending_with_us() -> list[str]:
    """Return what has the kernel stop the server if this script is killed; nothing where that cannot be had."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "QUIT"] if setpriv else []


def _wait_until_ready(
    process: subprocess.Popen[Any], programs: Path, sockets: str, stopping: Stopping, log: str
) -> None:
    """Wait, though this script may have been told to end: a server that starts may forget that it was told to stop."""
    until = time.monotonic() + PATIENCE
    is_ready = [str(programs / "pg_isready"), "-q", "-h", sockets, "-p", "5432", "-d", "postgres", "-U", "postgres"]
    while subprocess.run(is_ready, check=False, start_new_session=True).returncode != 0:
        if process.poll() is not None or time.monotonic() > until:
            raise ServerError(f"the server did not start: {_last_line(log)}")
        time.sleep(0.02)
    if stopping.received is not None:
        raise ServerError(f"stopped by {stopping.received.name}")


def _stop(process: subprocess.Popen[Any]) -> None:
    """Have the server end at once, without a checkpoint: nothing of it is kept."""
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: str) -> str:
    lines = Path(log).read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")


def run(command: list[str], stopping: Stopping, environment: dict[str, str]) -> int:
    """Run the command, and return its exit status; 127 and one line if it cannot be started."""
    if stopping.received is not None:
        return 128 + stopping.received
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    return stopping.wait(process)


def main(command: list[str]) -> int:
    """Run the command, and return its exit status; 2 and one line if an installed server does not start."""
    if not command:
        sys.stderr.write("usage: python experiments/postgres.py COMMAND [ARGUMENT …]\n")
        return 2
    stopping = Stopping()
    environment = dict(os.environ)
    if environment.get(VARIABLE):
        return run(command, stopping, environment)
    programs = find_programs()
    if programs is None:
        sys.stderr.write(f"no PostgreSQL server is installed, so the command runs without {VARIABLE}\n")
        return run(command, stopping, environment)
    try:
        with server(programs, stopping) as address:
            version = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
            sys.stderr.write(f"{version.stdout.strip()}: its defaults (fsync on), but max_connections {CONNECTIONS}\n")
            return run(command, stopping, {**environment, VARIABLE: address})
    except ServerError as error:
        if stopping.received is not None:
            return 128 + stopping.received
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
