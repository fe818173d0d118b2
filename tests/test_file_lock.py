"""The queue: in order, no ring missed, not longer than wanted, and not where locks mean nothing."""

from __future__ import annotations

import fcntl
import io
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sqlite_writes import (
    SETTINGS,
    create_table,
    file_lock,
    generate_example_rows,
    insert_row,
    insert_rows_in_parallel,
    row_count,
)
from sqlite_writes.file_lock import FileLock, Queue, real_path

from .conftest import PROJECT, run_script, wait_until

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def existing(database: str) -> str:
    """The path of a database that is an empty file."""
    Path(database).touch()
    return database


def listening(bell: Path) -> int:
    """How many descriptors of this process listen to the bell, as the kernel lists them."""
    found = 0
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += bell.exists() and f" ino:{bell.stat().st_ino:x} " in descriptor.read_text()
    return found


@LINUX
def test_those_who_wait_are_served_in_the_order_of_their_coming(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "LOOK_AGAIN", 3600.0)
    first = Queue(existing)
    assert first.wait()
    served: list[int] = []
    bell = Path(f"{first.path}-bell")

    def wait(number: int) -> None:
        with closing(Queue(existing)) as queue:
            assert queue.wait(time.monotonic() + 60)
            served.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(20)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(lambda number=number: listening(bell) == number + 1, "it waits")  # type: ignore[misc]
    first.close()
    for thread in threads:
        thread.join(60)
    assert served == list(range(20))


def test_a_wait_that_is_given_up_leaves_nothing_behind(existing: str) -> None:
    holder = Queue(existing)
    holder.wait()
    before = len(os.listdir("/dev/fd")), threading.active_count()
    for _ in range(3):
        with closing(Queue(existing)) as queue:
            assert not queue.wait(time.monotonic() + 0.01)
    assert (len(os.listdir("/dev/fd")), threading.active_count()) == before
    holder.close()
    with closing(Queue(existing)) as free:
        assert free.wait()


@pytest.mark.parametrize("shared", [False, True])
def test_a_process_that_was_forked_meanwhile_does_not_keep_the_lock(shared: bool, existing: str) -> None:
    holder = FileLock(existing, "-queue", os.O_CREAT)
    assert holder.acquire(shared=shared)
    asleep, awake = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(awake)
        os.read(asleep, 1)
        os._exit(0)
    try:
        holder.close()
        with closing(Queue(existing)) as queue:
            assert queue.wait()
    finally:
        os.close(awake)
        os.close(asleep)
        os.waitpid(pid, 0)


def test_an_insert_with_queued_has_its_turn_when_nobody_is_before_it(existing: str) -> None:
    create_table(existing, "queued")
    hurried = replace(SETTINGS["queued"], busy_timeout=0.3)
    with closing(Queue(existing)) as queue:
        assert queue.wait()
        with pytest.raises(sqlite3.OperationalError, match=r"database is locked: not the first in .*-queue"):
            insert_row(existing, ("before its turn",), hurried)
        assert row_count(existing) == 0
    insert_row(existing, ("in its turn",), hurried)
    assert row_count(existing) == 1


def test_no_ring_is_missed(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who would miss one would wait for an hour."""
    monkeypatch.setattr(file_lock, "LOOK_AGAIN", 3600.0)
    for settings in ("queued", "grouped"):
        patient = replace(SETTINGS[settings], busy_timeout=7200.0)
        create_table(existing, patient)
        for _ in range(10):
            rows = generate_example_rows(40)
            insert_rows_in_parallel(existing, rows, patient, start_method="fork", deadline=60.0).raise_for_failures()


def test_who_finds_it_locked_again_after_the_ring_does_not_sleep_on(
    existing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_lock, "LOOK_AGAIN", 3600.0)
    holder, passing, waiting = (FileLock(existing, "-batch", os.O_CREAT) for _ in range(3))
    holder.acquire()
    holder.listen(os.O_CREAT)
    waiting.listen()
    tries: list[bool] = []
    acquire = waiting.acquire

    def noted(*, shared: bool = False) -> bool:
        tries.append(acquire(shared=shared))
        return tries[-1]

    monkeypatch.setattr(waiting, "acquire", noted)
    thread = threading.Thread(target=waiting.acquire_by, args=(time.monotonic() + 3600,), kwargs={"shared": True})
    thread.start()
    wait_until(lambda: tries, "it has tried once, and waits")
    fcntl.flock(holder.descriptor, fcntl.LOCK_UN)
    assert passing.acquire()
    holder.close()  # rings
    wait_until(lambda: tries.count(False) > 1, "the one who waits has heard it, and found it locked")
    os.close(passing.descriptor)
    thread.join(60)
    assert tries[-1]
    waiting.close()


@pytest.mark.parametrize("why", ["killed", "deleted", "impossible", "somebody's file", "a folder"])
def test_who_hears_no_bell_is_served_all_the_same(why: str, existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "LOOK_AGAIN", 0.05)
    bell = Path(f"{existing}-queue-bell")
    if why == "impossible":
        monkeypatch.setattr(os, "mkfifo", refuse)
    if why == "somebody's file":
        bell.write_text("mine")
    if why == "a folder":
        bell.mkdir()
    script = (
        "import sys; from sqlite_writes.file_lock import Queue; queue = Queue(sys.argv[1]);"
        "print(queue.wait(), flush=True); sys.stdin.read(); queue.close()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, existing], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    served = threading.Event()

    def wait() -> None:
        with closing(Queue(existing)) as queue:
            assert queue.wait(time.monotonic() + 60)
            served.set()

    thread = threading.Thread(target=wait)
    thread.start()
    if why in ("killed", "deleted"):
        wait_until(bell.exists, "it waits")
    assert not served.is_set()
    if why == "deleted":
        bell.unlink()
    if why == "killed":
        holder.kill()
    holder.communicate()
    thread.join(60)
    assert served.is_set()
    assert why != "somebody's file" or bell.read_text() == "mine"


def refuse(*_arguments: object) -> None:
    raise PermissionError("this file system has no FIFOs")


def test_a_queue_whose_file_was_deleted_is_the_new_one_for_all(existing: str) -> None:
    holder = Queue(existing)
    holder.wait()
    late = Queue(existing)
    assert not late.wait()  # it has the old file open now
    os.unlink(holder.path)
    with closing(Queue(existing)) as queue:
        assert queue.wait()
        holder.close()
        assert not late.wait(time.monotonic() + 0.05)
    assert late.wait(time.monotonic() + 60)
    late.close()


def test_a_lock_is_free_when_its_holder_is_killed(existing: str) -> None:
    script = (
        "import os, sys, signal; from sqlite_writes.file_lock import Queue;"
        "assert Queue(sys.argv[1]).wait(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run_script(script, existing).returncode < 0
    with closing(Queue(existing)) as queue:
        assert queue.wait()


def test_ctrl_c_ends_a_wait(existing: str) -> None:
    with closing(Queue(existing)) as holder:
        holder.wait()
        script = (
            "import os, sys, signal, threading, time; from sqlite_writes.file_lock import Queue;"
            "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start();"
            "Queue(sys.argv[1]).wait(time.monotonic() + 60)"
        )
        began = time.monotonic()
        done = run_script(script, existing)
        assert time.monotonic() - began < 30
        assert "KeyboardInterrupt" in done.stderr


def test_a_file_that_its_maker_has_yet_to_share_is_waited_for(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made with its maker's permissions, and gets the database's a moment later."""
    refused, opening = [True] * 3, os.open

    def open_later(path: str, flags: int, mode: int = 0o777) -> int:
        if path.endswith("-queue") and refused.pop():
            raise PermissionError(13, "Permission denied", path)
        return opening(path, flags, mode)

    Path(f"{existing}-queue").touch()
    refused.insert(0, False)
    monkeypatch.setattr(os, "open", open_later)
    with closing(Queue(existing)) as queue:
        assert queue.wait()
    assert refused == []
    refused += [True] * 1000
    with pytest.raises(PermissionError, match="-queue"):
        Queue(existing).wait()


def test_an_owner_that_is_unknown_here_is_no_obstacle(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that does not know the database's group."""

    def refuse(*_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fchown", refuse)
    with closing(Queue(existing)) as queue:
        assert queue.wait()


def test_an_interrupted_close_closes_nothing_twice(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By then the number may be another file's."""
    closing_it, closed = os.close, []

    def close_and_interrupt(descriptor: int) -> None:
        closing_it(descriptor)
        closed.append(descriptor)
        raise KeyboardInterrupt

    queue = Queue(existing)
    assert queue.wait()
    monkeypatch.setattr(os, "close", close_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        queue.close()
    queue.close()
    assert len(closed) == 1


def test_writers_by_way_of_a_link_are_in_the_same_queue(existing: str) -> None:
    link = Path(existing).parent / "link.db"
    link.symlink_to(existing)
    assert real_path(link) == os.path.realpath(existing)


def test_a_network_file_system_is_refused_in_one_line_that_names_it(
    existing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "major", lambda _: 0)  # as those of network file systems
    line = f"36 35 0:{os.minor(os.stat(existing).st_dev)} / /mnt rw,noatime shared:1 - nfs4 host:/x rw\n"
    mounts = "1 2 0:0 / / rw - ext4 /dev/x rw\n" + line
    monkeypatch.setattr(file_lock, "open", lambda *_, **__: io.StringIO(mounts), raising=False)
    file_lock._file_system.cache_clear()
    with pytest.raises(NotImplementedError, match=r"is on a network file system \(nfs4\)") as raised:
        real_path(existing)
    assert existing in str(raised.value)
    file_lock._file_system.cache_clear()


def test_a_burst_that_a_network_file_system_cannot_lock_is_refused_before_it_starts(
    existing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table(existing, "queued")
    monkeypatch.setattr(file_lock, "_file_system", lambda _: "nfs4")
    with pytest.raises(NotImplementedError, match=r"is on a network file system \(nfs4\)"):
        insert_rows_in_parallel(existing, generate_example_rows(2), "queued")


def test_windows_is_refused_in_one_line(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Windows"):
        real_path(existing)
