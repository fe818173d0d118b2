"""Functions for the tests' workers to call; a fresh process imports them from here."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from sqlite_writes import insert_row

if TYPE_CHECKING:
    from pathlib import Path

CALLS: list[str] = []


def double(number: int) -> int:
    return 2 * number


def fail_on_odd(number: int) -> int:
    if number % 2:
        raise KeyError(number)
    return number


def process_id(_: object) -> int:
    return os.getpid()


def megabyte(number: int) -> bytes:
    return bytes([number]) * (1 << 20)


def misbehave(how: str) -> str:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(3600)
    if how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "exits":
        os._exit(3)
    if how == "exits and leaves a process":
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(3)
    if how == "leaves a process" and os.fork() == 0:
        time.sleep(3600)
    if how.startswith("returns twice"):
        os.fork()
    if how == "sys.exit":
        sys.exit(4)
    if how == "unpicklable result":
        return lambda: None  # type: ignore[return-value]
    if how == "unpicklable exception":
        raise BadToPickle("one", "two")
    if how == "interrupted":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    return how


class MomentOfSending:
    """It arrives as the moment when it was pickled."""

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (time.monotonic(),)


def sleep_and_tell_when_it_is_sent(seconds: float) -> MomentOfSending:
    time.sleep(seconds)
    return MomentOfSending()


class BadToPickle(Exception):  # noqa: N818
    """It pickles, and cannot be unpickled: its constructor takes more than its args hold."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.second = second


def kill_the_launcher(_: object) -> None:
    os.kill(os.getpgid(0), signal.SIGKILL)  # it leads the group; the parent may be another by now
    time.sleep(3600)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def hang_beside(path: Path, *_: object) -> None:
    """Make that file, and never return."""
    path.touch()
    time.sleep(3600)


def hang_as_the_second(path: Path) -> None:
    """Let the launcher pass, and one worker; hang in the other."""
    if os.getpid() != os.getpgid(0):
        try:
            path.with_suffix(".first").touch(exist_ok=False)
        except FileExistsError:
            hang_beside(path)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def count_call() -> None:
    CALLS.append("warm")


def calls_so_far(_: object) -> int:
    return len(CALLS)


def arguments(_: object) -> list[str]:
    return sys.argv[1:]


def blocked_signals(_: object) -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def fail_to_warm_up() -> None:
    raise RuntimeError("cold")


def fail_or_hang_to_warm_up() -> None:
    if os.getpid() != os.getpgid(0):  # not in the launcher, which leads the group
        if os.getpid() % 2:
            time.sleep(3600)
        raise RuntimeError("cold")


def print_and_return(text: str) -> str:
    sys.stdout.write(f"{text}\n")
    return text


def standard_input(_: object) -> str:
    return sys.stdin.read()


def insert_or_be_killed(database: str, row_and_delay: tuple[str, float | None]) -> None:
    """Insert the row; with a delay in seconds, be killed then, wherever that finds the process."""
    message, delay = row_and_delay
    if delay is not None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the kernel ends the process, as with SIGKILL
        signal.setitimer(signal.ITIMER_REAL, delay)
    insert_row(database, (message,), "grouped")
    signal.setitimer(signal.ITIMER_REAL, 0)
