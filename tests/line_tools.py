"""What the tests of the line share: children and threads that act step by step, and looks at files. No tests."""

from __future__ import annotations

import errno
import functools
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    connect,
    create_table,
    line,
    write_turn,
)

from .conftest import wait_until_stopped

if TYPE_CHECKING:
    from collections.abc import Callable


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, or has sockets without a file")


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


STRANGER, OTHER, COMMON = 12345, 12346, 54321


INSERT = "INSERT INTO messages (msg) VALUES (?)"


INSERT_ONE = "INSERT INTO messages (msg) VALUES (1)"


class Child(AbstractContextManager["Child"]):
    """A forked process that runs a function, and is killed at the end of the ``with``, unless it has ended.

    It says when it is so far, and then waits until it is let go.
    """

    def __init__(self, act: Callable[[Child], object]) -> None:
        self.heard, self.said = os.pipe()
        self.waits, self.goes = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, where there are threads
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(self.goes)
                act(self)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        self.code: int | None = None
        os.close(self.said)

    def say(self) -> None:
        """In the child: say that it is so far, and wait until it may go on."""
        os.write(self.said, b"x")
        os.read(self.waits, 1)

    def hear(self) -> None:
        """In the parent: wait until it is so far."""
        assert os.read(self.heard, 1) == b"x", "it died"

    def let_go(self) -> None:
        """In the parent: let it go on."""
        os.write(self.goes, b"x")

    def end(self, number: int = 0) -> int:
        """Send it a signal, if one is given, and wait for its end: its exit code, or the signal's number below zero."""
        if self.code is None:
            if number:
                os.kill(self.pid, number)
            _, status = os.waitpid(self.pid, 0)
            self.code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.code

    def stop(self) -> None:
        """Stop it, and wait until it has."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until_stopped(self.pid)

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)
        for descriptor in (self.heard, self.waits, self.goes):
            os.close(descriptor)


class Thread(threading.Thread):
    """A thread that runs a function, and raises at its end what that raised."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.act = act
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Run it."""
        try:
            self.act()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Wait for its end."""
        self.join(60)
        assert not self.is_alive(), "it still runs"
        if self.error:
            raise self.error


class TooLateError(AssertionError):
    """It has taken longer than is promised, of which a busy machine may be the reason."""


def assert_within(seconds: float, began: float) -> None:
    """Say that it is too late, more seconds after the beginning."""
    took = time.monotonic() - began
    if took >= seconds:
        raise TooLateError(f"it took {took:.2f} s instead of {seconds:g} s at most")


def in_time_once(test: Callable[..., None]) -> Callable[..., None]:
    """Try a test of the table again that was too late, four times: what is always late is not so by a busy machine."""

    @functools.wraps(test)
    def tried(table: str, **others: object) -> None:
        for attempt in range(5):
            another = f"{table}-{attempt}"
            create_table(another, "grouped")
            try:
                test(table=another, **others)
            except TooLateError:
                if attempt == 4:
                    raise
            else:
                return

    return tried


def identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def line_of(database: str) -> Path:
    return Path(f"{database}-write-line")


def came(database: str) -> int:
    """How many have stood in line since its file was made: each has left an address, or the place of one."""
    return (line_of(database).stat().st_size - line._FIRST) // line._LENGTH


def write(database: str, message: str = "row", timeout: float = 60.0) -> None:
    """Write a row over a connection of one's own, in one's turn."""
    with closing(connect(database, "grouped")) as connection, write_turn(database, timeout):
        connection.execute(INSERT, (message,))


def hold(database: str, me: Child) -> None:
    """Have the turn until one is let go."""
    with write_turn(database):
        me.say()


def in_turn(database: str, act: Callable[[], object]) -> None:
    """Do it in one's turn."""
    with write_turn(database):
        act()


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


class Patient(socket.socket):
    """A socket that does not wake to look again, only when it is called, or at the deadline."""

    def settimeout(self, seconds: float | None) -> None:
        """Have it sleep for an hour where it would look again at the latest."""
        super().settimeout(3600 if seconds == 0.5 else seconds)


def refuse(*_: object) -> None:
    raise OSError(errno.EPERM, "not in this sandbox")
