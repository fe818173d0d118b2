"""The writers for those who leave SQLite: every row is kept, at the durability that is promised, or it is an error.

Knows what each store tells of its syncs; how fast it is stands elsewhere. PostgreSQL's tests run on a server of their
own, which experiments/postgres.py starts, and are skipped where none is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from experiments.postgres import find_programs
from sqlite_writes import create_table, generate_example_rows, pool_map
from sqlite_writes.table import generate_rows_of_every_kind
from sqlite_writes.writers import postgresql
from sqlite_writes.writers.row_files import encode_row
from sqlite_writes.writers.writer import Named

from . import store_workers
from .conftest import PROJECT, STRACE, Living, run_script, wait_until
from .test_postgres_server import TELL_AND_WAIT, start_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_writes.table import Row

STORES = {
    name: Named(f"sqlite_writes.writers.{name.replace(' ', '_')}:as_it_comes")
    for name in ("lmdb", "json lines", "postgresql")
}
FILES = pytest.mark.parametrize("writer", ["lmdb", "json lines"], indirect=True)
LMDB = pytest.mark.parametrize("writer", ["lmdb"], indirect=True)
JSON_LINES = pytest.mark.parametrize("writer", ["json lines"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("writer", ["postgresql"], indirect=True)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The connection string of a server that only these tests use."""
    if find_programs() is None:
        pytest.skip("no PostgreSQL server is installed")
    pytest.importorskip("psycopg")
    with start_script(TELL_AND_WAIT, stderr=None) as script:
        assert script.stdout is not None
        address = script.stdout.readline().strip()
        assert address
        yield address
        script.communicate()
    assert script.returncode == 0


@pytest.fixture(params=list(STORES))
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Named:
    """A writer by its name, and its server where it needs one."""
    if request.param == "lmdb":
        pytest.importorskip("lmdb")
    if request.param == "postgresql":
        monkeypatch.setenv(postgresql.SERVER, request.getfixturevalue("server"))
    return STORES[request.param]


def with_types(rows: Any) -> Counter[tuple[type, Any]]:
    return Counter((type(value), value) for (value,) in rows)


def test_every_row_of_several_processes_is_there_once(writer: Named, database: str, marked: Living) -> None:
    rows = generate_example_rows(12 * 8)
    rows += [(f"{number} {'x' * size}",) for size in (1 << 16, 1 << 20) for number in range(12)]
    writer.create(database)
    outcomes = pool_map(
        partial(store_workers.insert_all, writer, database),
        [rows[first::12] for first in range(12)],
        warm_up=writer.warm_up,
    )
    assert {(outcome.status, outcome.traceback) for outcome in outcomes} == {("returned", "")}
    assert Counter(writer.rows(database)) == Counter(rows)


def test_values_of_every_kind_come_back_as_they_were(writer: Named, database: str) -> None:
    rows = generate_rows_of_every_kind()
    if writer == STORES["postgresql"]:
        rows = [row for row in rows if "\0" not in str(row[0])]
    writer.create(database)
    store_workers.insert_all(writer, database, rows)
    assert with_types(writer.rows(database)) == with_types(rows)


@POSTGRESQL
def test_postgresql_refuses_nul_in_text_and_writes_the_next_row(writer: Named, database: str) -> None:
    import psycopg

    writer.create(database)
    with writer.open(database) as insert:
        with pytest.raises(psycopg.DataError, match="NUL"):
            insert(("before\0after",))
        insert(("next",))
    assert list(writer.rows(database)) == [("next",)]


@pytest.mark.parametrize("value", [["a list"], {"a": "dictionary"}, {1}], ids=repr)
def test_what_would_come_back_as_something_else_is_refused(value: Any, writer: Named, database: str) -> None:
    writer.create(database)
    with writer.open(database) as insert:
        with pytest.raises(TypeError, match="a row holds a string, a number, bytes or None, not"):
            insert((value,))
        insert(("next",))
    assert list(writer.rows(database)) == [("next",)]


def test_a_second_create_starts_fresh_and_leaves_other_paths_alone(writer: Named, database: str) -> None:
    other = f"{database}.other"
    for path in (database, other):
        writer.create(path)
        store_workers.insert_all(writer, path, [("old",), (path,)])
    writer.create(database)
    assert list(writer.rows(database)) == []
    assert with_types(writer.rows(other)) == with_types([("old",), (other,)])
    store_workers.insert_all(writer, database, [("new",)])
    assert list(writer.rows(database)) == [("new",)]


def test_nothing_is_left_open(writer: Named, database: str) -> None:
    """So nothing can be carried across a fork."""
    writer.create(database)  # imports are done
    before = sorted(os.listdir("/dev/fd"))
    writer.warm_up()
    writer.create(database)
    store_workers.insert_all(writer, database, [("first",), ("second",)])
    assert len(list(writer.rows(database))) == 2
    assert sorted(os.listdir("/dev/fd")) == before


@FILES
def test_a_file_of_something_else_is_left_as_it_is(writer: Named, database: str) -> None:
    create_table(database)
    content = Path(database).read_bytes()
    with pytest.raises(Exception, match=r"is not a file of such JSON lines|is not an LMDB file"):
        writer.create(database)
    assert Path(database).read_bytes() == content


@FILES
def test_an_empty_file_will_do(writer: Named, database: str) -> None:
    Path(database).touch()
    writer.create(database)
    assert list(writer.rows(database)) == []


@FILES
def test_a_path_where_no_file_can_be_is_told_in_one_line(writer: Named, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "messages"):
        with pytest.raises(Exception, match=re.escape(str(path))) as raised:
            writer.create(str(path))
        assert "\n" not in str(raised.value)


@JSON_LINES
def test_a_line_torn_anywhere_takes_no_other_with_it(writer: Named, database: str) -> None:
    values: list[Any] = ["torn", "12345", 12345, -1.5, None, b"bytes", '"], ["', "\n[1]"]
    for line in (b"\n" + encode_row((value,)) for value in values):
        for length in range(1, len(line)):
            writer.create(database)
            store_workers.insert_all(writer, database, [("first",)])
            with Path(database).open("ab") as file:
                file.write(line[:length])
            assert list(writer.rows(database)) == [("first",)]
            store_workers.insert_all(writer, database, [("next",)])
            assert list(writer.rows(database)) == [("first",), ("next",)]


@JSON_LINES
def test_what_a_power_loss_leaves_in_place_of_a_line_is_skipped(writer: Named, database: str) -> None:
    writer.create(database)
    for rest in (bytes(40), b"\xff\xfe[\0", b"[1, 2]", b'{"a": 1}', b"7"):
        with Path(database).open("ab") as file:
            file.write(b"\n" + rest)
        store_workers.insert_all(writer, database, [("next",)])
    assert list(writer.rows(database)) == [("next",)] * 5


FULL = """
import resource, signal, sys
from sqlite_writes.writers.writer import Named

writer, database = Named(sys.argv[1]), sys.argv[2]
writer.create(database)
with writer.open(database) as insert:
    insert(("before",))
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
    for _ in range(3):
        try:
            insert(("x" * 50_000,))
        except Exception as error:
            print(type(error).__name__, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    insert(("after",))
"""


@FILES
def test_a_row_that_does_not_fit_is_an_error_and_those_around_it_are_kept(writer: Named, database: str) -> None:
    done = run_script(FULL, writer.name, database)
    assert done.stderr == ""
    errors = done.stdout.splitlines()
    if writer == STORES["json lines"]:
        assert "only 29989 of 50005 bytes were written" in errors[0]
        assert [error.split(":")[0] for error in errors[1:]] == ["OSError [Errno 27] File too large"] * 2
    assert len(errors) == 3
    store_workers.insert_all(writer, database, [("later",)])
    assert list(writer.rows(database)) == [("before",), ("after",), ("later",)]


@LMDB
def test_a_writer_killed_within_its_transaction_holds_up_nobody(writer: Named, database: str, marked: Living) -> None:
    writer.create(database)
    rows: list[Row | None] = [*generate_example_rows(8), None, None]
    outcomes = pool_map(partial(store_workers.insert_or_die_in_a_transaction, writer, database), rows)
    assert [outcome.status for outcome in outcomes] == ["returned"] * 8 + ["killed"] * 2
    assert Counter(writer.rows(database)) == Counter(rows[:8])


INSERT = """
import os, sys
from sqlite_writes.writers.writer import Named

writer, database = Named(sys.argv[1]), sys.argv[2]
writer.create(database)
os.write(1, b"created")
for number in range(6):
    with writer.open(database) as insert:
        insert((f"row {number}",))
        os.write(1, b"acknowledged")
with writer.open(database) as insert:
    for number in range(6):
        insert((f"row {number} again",))
        os.write(1, b"acknowledged")
"""


def system_calls(writer: Named, database: str) -> list[list[str]]:
    """Return what strace sees of the store's files: until it is created, and then for each acknowledged row."""
    log = Path(f"{database}.strace")
    traced = "trace=openat,fsync,fdatasync,msync,sync_file_range,write,writev,pwrite64,pwritev,pwritev2,ftruncate"
    command = ["strace", "-f", "-y", "-o", str(log), "-e", traced, sys.executable, "-c", INSERT, writer.name, database]
    subprocess.run(command, check=True, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    parts: list[list[str]] = [[]]
    for line in log.read_text().splitlines():
        call = line.split(maxsplit=1)[1]
        if re.match(r'write\(1<.*"(created|acknowledged)"', call):
            parts.append([])
        elif str(Path(database).parent) in call:
            parts[-1].append(call)
    return parts[:-1]


@STRACE
@JSON_LINES
def test_each_json_line_is_written_at_once_and_then_synced(writer: Named, database: str) -> None:
    created, *rows = system_calls(writer, database)
    assert [call.split("(")[0] for call in created[-3:]] == ["fsync", "openat", "fsync"]
    assert created[-1].endswith(f"<{Path(database).parent}>) = 0")
    assert len(rows) == 12
    for calls in rows:
        write, sync = calls[-2:]
        assert re.match(r'write\(\d+<.*>, "\\n\[\\"row \d', write)
        assert re.match(rf"fdatasync\(\d+<{re.escape(database)}>\) += 0$", sync)


@STRACE
@LMDB
def test_each_commit_of_lmdb_syncs_its_pages_and_then_what_makes_them_count(writer: Named, database: str) -> None:
    created, *rows = system_calls(writer, database)
    assert re.match(rf"fsync\(\d+<{re.escape(str(Path(database).parent))}>\) += 0$", created[-1])
    assert len(rows) == 12
    synchronous = ""  # the descriptor each of whose writes is synced
    for calls in rows:
        for call in calls:
            if call.startswith("openat(") and "O_DSYNC" in call:
                synchronous = call.rsplit("= ", 1)[1]
        pages, sync, meta = calls[-3:]
        assert re.match(r"(pwrite64|writev|pwritev)\(", pages)
        assert re.match(rf"fdatasync\(\d+<{re.escape(database)}>\) += 0$", sync)
        assert meta.startswith(f"pwrite64({synchronous}, ")


@POSTGRESQL
def test_postgresql_syncs_its_log_for_each_row(
    writer: Named, database: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contrast shows that the server's own count is of what we mean."""
    import psycopg

    def inserting_syncs(address: str) -> int:
        with psycopg.connect(server, autocommit=True) as connection:

            def count() -> int:
                statistics = "sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"
                if connection.info.server_version < 180000:
                    statistics = "wal_sync FROM pg_stat_wal"
                connection.execute("SELECT pg_stat_clear_snapshot()")
                found = connection.execute(f"SELECT {statistics}").fetchone()
                return int(found[0]) if found else 0

            def others() -> Any:
                query = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
                return connection.execute(f"{query} AND pid <> pg_backend_pid()").fetchone()

            wait_until(lambda: not others(), "all other connections have ended")
            before = count()
            monkeypatch.setenv(postgresql.SERVER, address)
            with writer.open(database) as insert:
                for row in generate_example_rows(50):
                    insert(row)
            # A connection hands in its counts before it leaves the list.
            wait_until(lambda: not others(), "the inserting connection has ended")
            return count() - before

    writer.create(database)
    assert inserting_syncs(server) >= 50
    assert inserting_syncs(f"{server} options='-c synchronous_commit=off'") < 50
    assert len(list(writer.rows(database))) == 100


@POSTGRESQL
@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
def test_a_server_that_may_lose_acknowledged_rows_is_refused(
    setting: str, writer: Named, database: str, server: str
) -> None:
    import psycopg

    def shown() -> Any:
        with psycopg.connect(server) as fresh:
            return fresh.execute(f"SHOW {setting}").fetchone()

    with psycopg.connect(server, autocommit=True) as connection:
        try:
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
            wait_until(lambda: shown() == ("off",), "the server has read its settings")
            with pytest.raises(NotImplementedError, match=f"SQLITE_WRITES_POSTGRES: {setting} is off"):
                writer.create(database)
        finally:
            connection.execute(f"ALTER SYSTEM RESET {setting}")
            connection.execute("SELECT pg_reload_conf()")
            wait_until(lambda: shown() == ("on",), "the server has read its settings again")
    writer.create(database)


def test_without_a_server_one_line_says_what_to_set(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(postgresql.SERVER, raising=False)
    writer = STORES["postgresql"]
    writer.warm_up()
    with pytest.raises(NotImplementedError, match="set SQLITE_WRITES_POSTGRES to a connection string") as raised:
        writer.create(database)
    assert "\n" not in str(raised.value)


def test_without_psycopg_one_line_says_what_to_install(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgresql.SERVER, "host=/nowhere")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    writer = STORES["postgresql"]
    writer.warm_up()
    with pytest.raises(NotImplementedError, match=re.escape("pip install 'psycopg[binary]'")) as raised:
        writer.create(database)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [("host=/nowhere", "No such file or directory"), ("nonsense", "missing"), ("port=x host=/nowhere", "port")],
)
def test_a_server_that_cannot_be_reached_is_told_in_one_line(
    address: str, said: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    psycopg = pytest.importorskip("psycopg")
    monkeypatch.setenv(postgresql.SERVER, address)
    writer = STORES["postgresql"]
    writer.warm_up()
    for use in (writer.create, lambda path: list(writer.rows(path))):
        with pytest.raises(psycopg.Error, match=f"SQLITE_WRITES_POSTGRES: .*{said}") as raised:
            use(database)
        assert "\n" not in str(raised.value)


@POSTGRESQL
def test_two_machines_do_not_share_a_table(writer: Named, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = postgresql._table(database)
    assert mine == postgresql._table(os.path.relpath(database))
    system = list(os.uname())
    monkeypatch.setattr(os, "uname", lambda: os.uname_result([system[0], "elsewhere", *system[2:]]))
    assert postgresql._table(database) != mine
