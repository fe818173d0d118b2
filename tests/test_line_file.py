"""The file beside the database in which writers stand in line: who makes it, whose it is, what else may be there."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import stat
import sys
import tempfile
import threading
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    WriteLine,
    create_table,
    line,
    row_count,
    write_turn,
)

from .conftest import wait_until
from .line_tools import COMMON, LINUX, OTHER, ROOT, STRANGER, Child, Thread, came, line_of, refuse, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no flock")


@LINUX
def test_a_line_whose_file_is_deleted_while_one_waits_is_the_new_one_for_all(table: str) -> None:
    served = threading.Event()

    def wait() -> None:
        with write_turn(table):
            served.set()

    with ExitStack() as old, ExitStack() as new:
        old.enter_context(write_turn(table))
        thread = Thread(wait)
        wait_until(lambda: came(table) == 1, "it stands in the old line")
        line_of(table).unlink()
        new.enter_context(write_turn(table))
        old.close()
        wait_until(lambda: came(table) == 1, "it stands in the new line")
        assert not served.is_set()
        new.close()
        thread.end()
    assert served.is_set()


def test_a_line_whose_file_is_deleted_between_turns_is_made_anew(table: str) -> None:
    with WriteLine(table) as kept:
        for _ in range(3):
            with kept.turn(), pytest.raises(sqlite3.OperationalError, match="database is locked"):
                write(table, timeout=0)
            line_of(table).unlink()


@pytest.mark.parametrize("content", [b"", b"mine", b"sqlite-writes 2\n" + bytes(200)])
def test_a_file_of_somebody_elses_in_the_place_of_the_line_is_left_alone(content: bytes, table: str) -> None:
    line_of(table).write_bytes(content)
    before = line_of(table).stat()
    with pytest.raises(FileExistsError, match=r"^[^\n]*not made by sqlite_writes[^\n]*$") as raised:
        write(table)
    assert str(line_of(table)) in str(raised.value)
    assert line_of(table).read_bytes() == content
    assert line_of(table).stat()[:9] == before[:9]
    assert row_count(table) == 0


@pytest.mark.parametrize("what", ["a folder", "a FIFO", "a link", "a link to nothing"])
def test_what_is_no_file_in_the_place_of_the_line_is_left_alone(what: str, table: str) -> None:
    path, target = line_of(table), Path(table).parent / "target"
    if what == "a folder":
        path.mkdir()
    elif what == "a FIFO":
        os.mkfifo(path)
    else:
        if what == "a link":
            target.write_text("mine")
        path.symlink_to(target)
    before = path.lstat()
    with pytest.raises(OSError, match=r"^[^\n]+ the line of [^\n]+$"):
        write(table)
    assert path.lstat()[:9] == before[:9]
    assert not target.exists() or target.read_text() == "mine"
    assert row_count(table) == 0


@ROOT
@pytest.mark.parametrize(
    ("like", "mode", "owner", "group", "said"),
    [
        (0o644, 0o644, STRANGER, 0, f"user {STRANGER}, who may not write"),
        (0o644, 0o666, 0, 0, "more may write it than"),
        (0o644, 0o664, 0, 0, "more may write it than"),
        (0o664, 0o664, 0, COMMON, "more may write it than"),
    ],
)
def test_a_line_that_others_have_a_say_in_than_in_the_database_is_refused(
    like: int, mode: int, owner: int, group: int, said: str, table: str
) -> None:
    os.chmod(table, like)
    write(table)
    os.chown(line_of(table), owner, group)
    line_of(table).chmod(mode)
    with pytest.raises(PermissionError, match=rf"^[^\n]*{said}[^\n]*$"):
        write(table)


@pytest.fixture
def shared() -> Iterator[str]:
    """The path of a database in a folder that other users reach."""
    folder = tempfile.mkdtemp(dir="/tmp")  # pytest's own are its user's alone
    database = f"{folder}/messages.db"
    create_table(database, "grouped")
    yield database
    shutil.rmtree(folder)


def as_user(user: int, group: int, act: Callable[[Child], object], me: Child) -> None:
    """Do it as that user, of a group of its own, and of another."""
    os.setgroups([group])
    os.setgid(user)
    os.setuid(user)
    act(me)


@ROOT
@pytest.mark.parametrize(("first", "known"), [(STRANGER, True), (OTHER, True), (STRANGER, False), (OTHER, False)])
def test_users_who_share_a_database_by_group_write_in_turns_whoever_makes_the_file(
    first: int, known: bool, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known are those in the system's list of users, with their groups; a container may run as others."""
    import pwd

    os.chown(os.path.dirname(shared), 0, COMMON)
    os.chmod(os.path.dirname(shared), 0o770)  # noqa: S103 that is what is tried
    os.chown(shared, STRANGER, COMMON)
    os.chmod(shared, 0o660)
    if known:
        monkeypatch.setattr(pwd, "getpwuid", lambda user: pwd.struct_passwd((f"u{user}", "x", user, user, "", "", "")))
        monkeypatch.setattr(os, "getgrouplist", lambda _, group: [group, COMMON])
    second = STRANGER + OTHER - first
    for user in (first, second, first):  # one after another
        with Child(partial(as_user, user, COMMON, lambda _: write(shared))) as child:
            assert child.end() == 0
    found = line_of(shared).stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (COMMON, 0o660)
    os.chmod(os.path.dirname(shared), 0o2770)  # noqa: S103 for SQLite, whose log is of its maker's group

    def write_often(me: Child) -> None:
        for _ in range(20):
            write(shared)

    def keep_open(me: Child) -> None:
        """So that SQLite's files stay: between making one and giving it its rights, SQLite locks others out."""
        with closing(sqlite3.connect(shared)) as connection:
            connection.execute("SELECT * FROM messages").fetchall()
            me.say()

    with ExitStack() as stack:
        stack.enter_context(Child(keep_open)).hear()
        both = [partial(as_user, number, COMMON, write_often) for number in (first, second)]
        children = [stack.enter_context(Child(act)) for act in both]
        assert [one.end() for one in children] == [0, 0]
    assert row_count(shared) == 43


@ROOT
def test_a_database_that_everybody_may_write_has_a_line_for_everybody(shared: str) -> None:
    os.chmod(os.path.dirname(shared), 0o777)  # noqa: S103 that is what is tried
    os.chmod(shared, 0o666)  # noqa: S103
    for user in (STRANGER, OTHER):
        with Child(partial(as_user, user, user, lambda _: write(shared))) as child:
            assert child.end() == 0
    assert row_count(shared) == 2


@pytest.mark.parametrize("step", ["fchown", "fchmod", "link"])
def test_one_that_is_killed_while_it_makes_the_file_leaves_it_to_the_next(step: str, table: str) -> None:
    """The file gets its name when all else is done; until then it is a draft, which is left."""
    os.chmod(table, 0o640)
    with suppress(PermissionError):
        os.chown(table, STRANGER, COMMON)

    def make_and_die(_: Child) -> None:
        setattr(os, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        write(table)

    with Child(make_and_die) as child:
        assert child.end() == -signal.SIGKILL
    assert not line_of(table).exists()
    write(table)
    made, like = line_of(table).stat(), os.stat(table)
    assert (made.st_mode, made.st_uid, made.st_gid) == (like.st_mode, like.st_uid, like.st_gid)
    assert len(list(Path(table).parent.glob(f"{line_of(table).name}-*"))) == 1


@pytest.mark.parametrize("step", ["fchmod", "link"])
def test_where_the_file_cannot_be_made_no_draft_is_left(step: str, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, step, refuse)
        with pytest.raises(PermissionError):
            write(table)
    assert list(Path(table).parent.glob("*-write-line*")) == []
    write(table)


def test_of_two_who_make_the_file_at_once_the_first_has_made_it(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_after_another(draft: str, path: str) -> None:
        link(draft, path)
        link(draft, path)

    monkeypatch.setattr(os, "link", link_after_another)
    write(table)
    assert [path.name for path in Path(table).parent.glob("*-write-line*")] == [line_of(table).name]


@LINUX
def test_one_who_cannot_call_the_next_has_written_all_the_same(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where no descriptor is left; the next one looks again."""
    with write_turn(table):
        thread = Thread(partial(write, table))
        wait_until(lambda: came(table) == 1, "another stands in line")
        monkeypatch.setattr(line._Place, "_ring", refuse)
    thread.end()
    assert row_count(table) == 1


def test_an_error_that_somebody_keeps_does_not_keep_the_turn(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its traceback one keeps all that the call had; here a read fails when it has its turn."""
    with monkeypatch.context() as patch:
        patch.setattr(line._Place, "_last_write", refuse)
        with pytest.raises(PermissionError) as kept:
            write(table)
    write(table, timeout=0)
    assert kept.value.errno == errno.EPERM


@pytest.mark.parametrize("without", ["epoll", "poll", "sockets", "RWF_APPEND"])
def test_what_a_system_or_gevent_takes_away_is_done_without(
    without: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without == "sockets":
        monkeypatch.setattr(socket, "socket", refuse)
    else:
        monkeypatch.delattr(os if without == "RWF_APPEND" else select, without, raising=False)
    with write_turn(table):
        threads = [Thread(partial(write, table)) for _ in range(5)]
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            write(table, timeout=0.05)
    for thread in threads:
        thread.end()
    assert row_count(table) == 5


@pytest.mark.parametrize("kind", ["9p", "virtiofs", "vboxsf", "grpcfuse", "fuse.grpcfuse", "nfs4"])
def test_a_file_system_that_other_machines_share_is_refused_in_one_line_that_names_it(
    kind: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "major", lambda _: 0)
    mount = f"36 35 0:{os.minor(os.stat(table).st_dev)} / /mnt rw,noatime shared:1 - {kind} host:/x rw\n"
    mounts = "1 2 0:0 / / rw - ext4 /dev/x rw\n" + mount
    monkeypatch.setattr(line, "open", lambda *_, **__: io.StringIO(mounts), raising=False)
    line._file_system.cache_clear()
    try:
        with pytest.raises(NotImplementedError, match=rf"^[^\n]*\({re.escape(kind)}\)[^\n]*$") as raised:
            write(table)
    finally:
        line._file_system.cache_clear()
    assert repr(table) in str(raised.value)
    assert not line_of(table).exists()


@LINUX
def test_addresses_that_are_no_longer_needed_are_cut_off(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_LONGEST", 256)

    def work() -> None:
        with WriteLine(table) as kept:
            for _ in range(50):
                with kept.turn(timeout=10):
                    pass

    for thread in [Thread(work) for _ in range(10)]:
        thread.end()
    with suppress(sqlite3.OperationalError), write_turn(table), write_turn(table, timeout=0):
        pass  # it has left an address, so that there is something to cut off
    with write_turn(table):
        pass
    assert came(table) < 20


@LINUX
def test_one_whose_address_was_moved_as_others_were_cut_off_is_not_called_for_ever(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its line is kept open, so that somebody would hear the calls, and those behind it would not."""
    with write_turn(table), suppress(sqlite3.OperationalError):
        write(table, timeout=0)  # leaves a place of nobody's before the next
    with WriteLine(table) as kept:

        def wait() -> None:
            with kept.turn():
                pass

        monkeypatch.setattr(line, "_LONGEST", line._FIRST)
        with write_turn(table):
            waits = Thread(wait)
            wait_until(lambda: came(table) == 2, "it stands in line")
        waits.end()
        monkeypatch.setattr(line, "_LONGEST", 1 << 20)
        called, call = [], line._Place._call

        def call_and_note(place: line._Place, address: bytes) -> bool:
            heard = call(place, address)
            called.extend([address] * heard)
            return heard

        monkeypatch.setattr(line._Place, "_call", call_and_note)
        for number in range(3):
            before = came(table)
            with write_turn(table):
                waits = Thread(partial(write, table, str(number)))
                wait_until(lambda before=before: came(table) > before, "another stands in line")  # type: ignore[misc]
            waits.end()
        assert len(set(called)) == 3
