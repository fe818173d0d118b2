"""The ready-made writers of Python's SQLite libraries: each keeps what it acknowledges, and fails for the reason given.

Knows no library's own words but an exception's name; how fast they are stands elsewhere. What uses a library runs in a
process of its own. ``SQLITE_WRITES_PROCESSES=200`` asks for more processes.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from sqlite_writes import generate_example_rows, pool_map
from sqlite_writes.settings import SETTINGS
from sqlite_writes.writers.endings import AFTER_5_S, AFTER_100_MS, AT_ONCE, ENDINGS
from sqlite_writes.writers.libraries import (
    ADVISED_1_CHANGE,
    ADVISED_2_CHANGES,
    AS_ADVISED,
    AS_IT_COMES,
    IN_TURN,
    LIBRARIES,
    ONE_CHANGE,
    STYLES,
)
from sqlite_writes.writers.names import resolve_writer
from sqlite_writes.writers.writer import Named, check_parts, load

from . import library_workers
from .conftest import PROJECT, run_script, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlite_writes import Outcome

    from .conftest import Living

Result = TypeVar("Result")

PROCESSES = int(os.environ.get("SQLITE_WRITES_PROCESSES", "30"))

# Tested in test_other_stores.py.
OTHER_STORES = {"lmdb", "json-lines", "postgresql"}
NAMES = [name for name in LIBRARIES if name not in OTHER_STORES]

HAS_AUTOCOMMIT = hasattr(sqlite3, "LEGACY_TRANSACTION_CONTROL")

# A few at once are enough for rows of these to fail.
FAIL_SOON = {"apsw", "apsw-advised", "apsw-no-optimize", "django-reading"}

# Modules of the package's folder of writers that are no library's.
NO_LIBRARIES = {
    "__init__",
    "endings",
    "in_turn",
    "libraries",
    "names",
    "ours",
    "row_files",
    "scratch",
    "warm_up",
    "writer",
}


# Those of whose failures it is declared what ends them.
ENDED_LIBRARIES = [name for name in ENDINGS if name not in SETTINGS and (HAS_AUTOCOMMIT or "autocommit" not in name)]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of a writer whose library is installed."""
    return installed(request.param)


def installed(name: str) -> str:
    """Return the name; skip the test if the library is not installed, or not for this Python."""
    pytest.importorskip(LIBRARIES[name].writer.partition(":")[0])
    if name.startswith("sqlite3-autocommit") and not HAS_AUTOCOMMIT:
        pytest.skip("sqlite3 has autocommit since Python 3.12")
    return name


every_writer = pytest.mark.parametrize("name", NAMES, indirect=True)


def create(name: str, database: str) -> None:
    """Have the writer make its table."""
    (outcome,) = pool_map(partial(library_workers.create, name), [database])
    assert outcome.status == "returned", outcome


def in_one_process(function: Callable[[str, str], Result], name: str, database: str) -> Result:
    """Call the function in a process of its own; raise what it raised."""
    (outcome,) = pool_map(partial(function, name), [database])
    if outcome.exception is not None:
        raise outcome.exception
    assert outcome.result is not None, outcome
    return outcome.result


def in_many_processes(name: str, database: str, count: int) -> tuple[Counter[str], Counter[Any], Counter[Any]]:
    """Have each process write one row: the reasons of the failures, the acknowledged rows, and those that are there."""
    written = generate_example_rows(count)
    outcomes = pool_map(
        partial(library_workers.insert, name, database), written, warm_up=Named(LIBRARIES[name].writer).warm_up
    )
    acknowledged = Counter(row for row, outcome in zip(written, outcomes) if outcome.status == "returned")
    failures = Counter(
        getattr(outcome.exception, "reason", outcome.status) for outcome in outcomes if outcome.status != "returned"
    )
    return failures, acknowledged, Counter(in_one_process(library_workers.rows, name, database))


@every_writer
def test_one_process_keeps_text_of_every_kind_and_of_several_each_keeps_its_row_once(
    name: str, database: str, marked: Living
) -> None:
    """In turn no row of many fails. A table made anew is empty; no process, no file and no thread is left.

    The warm-up runs in the process that forks the workers, and no connection may be carried across a fork.
    """
    used = in_one_process(library_workers.use, name, database)
    assert (used.files, used.threads) == ([], 0)
    assert Counter(used.there) == Counter(used.written)
    assert len(used.written) > 3
    assert used.anew == []
    is_in_turn = LIBRARIES[name].style == IN_TURN
    failures, acknowledged, there = in_many_processes(name, database, PROCESSES if is_in_turn else 8)
    assert there == acknowledged
    assert acknowledged
    assert not failures or (name in FAIL_SOON and set(failures) <= {"SQLITE_BUSY"})


@pytest.mark.parametrize("name", ["diskcache"], indirect=True)
def test_diskcache_turns_a_carriage_return_of_a_large_text_into_a_line_feed(name: str, database: str) -> None:
    """It keeps a text of 32 Ki characters or more in a file of its own, which it reads with universal newlines."""
    large = partial(library_workers.write_line_ends, size=32 * 1024)
    small = partial(library_workers.write_line_ends, size=32 * 1024 - 1)
    assert in_one_process(large, name, database) == "\nx"
    assert in_one_process(small, name, database) == "\r\n"


@contextmanager
def write_lock_held(database: str, started: Path, names: list[str], seconds: float) -> Iterator[None]:
    """Hold the write lock of the file until all writers have begun, and then for so many seconds."""
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")

        def let_go() -> None:
            try:
                wait_until(lambda: all((started / name).exists() for name in names), "all writers have begun")
                time.sleep(seconds)
            finally:
                connection.execute("ROLLBACK")

        thread = threading.Thread(target=let_go)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def meet_lock(databases: dict[str, str], started: Path, seconds: float) -> list[Outcome[None]]:
    """Have each of the writers write to its database, all of whose write locks are held for so long."""
    with ExitStack() as locks:
        for database in set(databases.values()):
            locks.enter_context(write_lock_held(database, started, list(databases), seconds))
        return pool_map(partial(library_workers.meet_lock, str(started)), databases.items())


# Seconds for which the lock is held from whoever fails so, and how long such a writer waits at least.
LOCKED = {AT_ONCE: (0.3, 0.0), AFTER_100_MS: (1.0, 0.1), AFTER_5_S: (6.0, 5.0)}


@pytest.mark.parametrize("error", LOCKED)
def test_a_writer_that_meets_a_lock_fails_as_declared_and_waits_with_the_one_option_changed(
    error: str, tmp_path: Path
) -> None:
    """What the one option changed still fails of is another error, which comes later."""
    held, least = LOCKED[error]
    pairs = {name: ENDINGS[name].writer for name in ENDED_LIBRARIES if ENDINGS[name].error == error}
    databases = {}
    for name, ends in pairs.items():
        databases[name] = databases[ends] = str(tmp_path / f"{name}.db")
        create(name, databases[name])
    outcomes = dict(zip(databases, meet_lock(databases, tmp_path, held)))
    for name, ends in pairs.items():
        took = (outcomes[name].ended or 0) - (outcomes[name].started or 0)
        assert (reason_of(outcomes[name]), took >= least) == (error.partition(" ")[0], True), name
        if ends == "apsw-no-optimize":  # waits for its row alone, and for no longer than 100 ms
            assert "connection_optimize" in outcomes[name].traceback
            assert "connection_optimize" not in outcomes[ends].traceback
        else:
            assert outcomes[ends].status == "returned", ends


def reason_of(outcome: Outcome[None]) -> str:
    return getattr(outcome.exception, "reason", outcome.status)


@pytest.mark.parametrize("name", ENDINGS)
def test_what_ends_failures_differs_in_one_option(name: str) -> None:
    """And it is of the same library, doing the same; a chain of such changes has an end."""
    ends = ENDINGS[name].writer
    if name in SETTINGS:
        before, after = asdict(SETTINGS[name]), asdict(SETTINGS[ends])
    else:
        assert LIBRARIES[name].title == LIBRARIES[ends].title
        before, after = (options_of(load(LIBRARIES[installed(each)].writer)) for each in (name, ends))
    assert sum(before.get(option) != after.get(option) for option in {**before, **after}) == 1
    chain = [name]
    while chain[-1] in ENDINGS:
        chain.append(ENDINGS[chain[-1]].writer)
        assert len(chain) < 5, chain


def options_of(writer: Any) -> dict[Any, Any]:
    """The options of a ready-made writer by their names; of a list of functions, each is one."""
    found: dict[Any, Any] = {}
    for field in fields(writer):
        value = getattr(writer, field.name)
        if isinstance(value, dict):
            found.update({(field.name, key): each for key, each in value.items()})
        elif isinstance(value, tuple):
            found.update({(field.name, each): True for each in value})
        else:
            found[field.name] = value
    return found


@pytest.mark.parametrize("rows_before", [0, 2])
def test_apsw_as_advised_does_not_wait_to_analyse_an_empty_table_and_hardly_for_its_row(
    database: str, tmp_path: Path, rows_before: int
) -> None:
    """The second connection to a table with a row in it has analysed it: ``PRAGMA optimize`` no longer writes."""
    create(installed("apsw-advised"), database)
    for number in range(rows_before):
        pool_map(partial(library_workers.insert, "apsw-advised", database), [(f"before {number}",)])
    (outcome,) = meet_lock({"apsw-advised": database}, tmp_path, 2.0)
    assert reason_of(outcome) == "SQLITE_BUSY"
    assert ("connection_optimize" in outcome.traceback) == (rows_before == 0)


def test_django_cannot_write_once_it_has_read_what_another_has_changed_since(database: str) -> None:
    """In WAL mode, where the other can commit meanwhile. With IMMEDIATE, it is the other that finds a lock."""
    create(installed("django-reading-in-turn"), database)
    read = library_workers.read_while_another_writes
    assert in_one_process(read, "django-reading", database) == "django-reading: database is locked"
    assert in_one_process(read, "django-immediate", database) == "another: database is locked"


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_name_is_a_writer_that_is_described(name: str) -> None:
    library = LIBRARIES[name]
    assert str(resolve_writer(name)) == library.writer
    assert library.title
    assert library.style in STYLES
    assert re.fullmatch(r"https://\S+", library.link)
    sentences = re.split(r"(?<=\.)\s", library.note)
    assert len(sentences) <= 2
    assert max(len(sentence.split()) for sentence in sentences) <= 25
    assert library.note.endswith(".")


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_name_leads_to_an_object_with_all_parts(name: str) -> None:
    pytest.importorskip(LIBRARIES[name].writer.partition(":")[0])
    writer = check_parts(load(LIBRARIES[name].writer), name)
    assert callable(writer.warm_up)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_name_says_the_style(name: str) -> None:
    endings = {
        IN_TURN: ("-in-turn",),
        AS_ADVISED: ("-advised",),
        ADVISED_1_CHANGE: ("-no-optimize",),
        ADVISED_2_CHANGES: ("-no-optimize-timeout",),
        ONE_CHANGE: ("-timeout", "-immediate"),
    }
    style = next((style for style, ending in endings.items() if name.endswith(ending)), AS_IT_COMES)
    assert LIBRARIES[name].style == style


def test_every_librarys_file_is_in_the_registry() -> None:
    files = {path.stem for path in (PROJECT / "sqlite_writes" / "writers").glob("*.py")}
    named = {library.writer.partition(":")[0].rpartition(".")[2] for library in LIBRARIES.values()}
    assert files - NO_LIBRARIES == named


def test_every_library_has_its_version_in_the_extra() -> None:
    setup = (PROJECT / "setup.py").read_text()
    for library in LIBRARIES.values():
        if library.distribution:
            assert re.search(rf'"{re.escape(library.distribution)}(\[\w+\])?==[\d.]+["; ]', setup), library.distribution


def test_nothing_imports_a_library_that_is_not_asked_for() -> None:
    """The registry and its names alone import none, nor does a writer before it is used."""
    modules = {"persist-queue": "persistqueue", "sqlite-utils": "sqlite_utils"}
    names = {library.distribution for library in LIBRARIES.values()} - {""}
    imported = {modules.get(name, name.lower()) for name in names}
    script = f"""
import sys
import sqlite_writes
from sqlite_writes.writers.libraries import LIBRARIES
from sqlite_writes.writers.names import resolve_writer
for name in LIBRARIES:
    resolve_writer(name)
print(*{imported!r} & sys.modules.keys())
"""
    finished = run_script(script)
    assert (finished.returncode, finished.stdout.strip(), finished.stderr) == (0, "", "")
