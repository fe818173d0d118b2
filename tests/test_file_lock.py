"""The queue: in order, in the kernel, not longer than wanted, and not where locks mean nothing."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from sqlite_writes import file_lock
from sqlite_writes.file_lock import Queue, real_path

from .conftest import run_script, wait_until

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def existing(database: str) -> str:
    """The path of a database that is an empty file."""
    Path(database).touch()
    return database


def waiting_in_the_kernel(path: str) -> int:
    """How many wait for the file's lock, as the kernel lists them."""
    inode = f":{os.stat(path).st_ino} "
    return sum(" -> " in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


@LINUX
def test_those_who_wait_are_served_in_the_order_of_their_coming(existing: str) -> None:
    first = Queue(existing)
    assert first.wait()
    served: list[int] = []

    def wait(number: int) -> None:
        with closing(Queue(existing)) as queue:
            assert queue.wait(time.monotonic() + 60)
            served.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(20)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_until(lambda number=number: waiting_in_the_kernel(first.path) == number + 1, "it waits")  # type: ignore[misc]
    first.close()
    for thread in threads:
        thread.join(60)
    assert served == list(range(20))


def test_a_wait_that_is_given_up_is_taken_over_by_the_next_and_never_holds_the_lock_for_nobody(existing: str) -> None:
    holder = Queue(existing)
    holder.wait()
    with closing(Queue(existing)) as queue:
        assert not queue.wait(time.monotonic() + 0.05)
        (given_up,) = file_lock._Wait._all
        threading.Timer(0.2, holder.close).start()
        assert queue.wait(time.monotonic() + 60)
        assert file_lock._Wait._all == []
        assert given_up._over
    with closing(Queue(existing)) as again:
        assert again.wait()
        with closing(Queue(existing)) as other:
            assert not other.wait(time.monotonic() + 0.05)
    wait_until(lambda: not file_lock._Wait._all, "the wait that nobody wants has ended")
    with closing(Queue(existing)) as free:
        assert free.wait()


def test_a_queue_whose_file_was_deleted_is_the_new_one_for_all(existing: str) -> None:
    holder = Queue(existing)
    holder.wait()
    late = Queue(existing)
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


def test_writers_by_way_of_a_link_are_in_the_same_queue(existing: str) -> None:
    link = Path(existing).parent / "link.db"
    link.symlink_to(existing)
    assert real_path(link) == os.path.realpath(existing)


def test_a_network_file_system_is_refused_in_one_line_that_names_it(
    existing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = os.stat(existing).st_dev
    line = f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw,noatime shared:1 - nfs4 host:/x rw\n"
    mounts = "1 2 0:0 / / rw - ext4 /dev/x rw\n" + line
    monkeypatch.setattr(file_lock, "open", lambda _: io.StringIO(mounts), raising=False)
    file_lock._refuse_network.cache_clear()
    with pytest.raises(NotImplementedError, match=r"is on a network file system \(nfs4\)") as raised:
        real_path(existing)
    assert os.path.dirname(existing) in str(raised.value)
    file_lock._refuse_network.cache_clear()


def test_windows_is_refused_in_one_line(existing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Windows"):
        real_path(existing)
