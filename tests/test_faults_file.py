"""What is done to a database while processes write to it, and what the report says then: never less than it knows."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    BurstReport,
    create_table,
    create_table_of,
    generate_example_rows,
    insert_rows_in_parallel,
    resolve_writer,
)
from sqlite_writes.kept_open import insert_rows_kept_open
from sqlite_writes.rate import measure_rate
from sqlite_writes.snapshot import check_whole
from sqlite_writes.table import CREATE_TABLE

from .bad_writers import Good
from .conftest import wait_until
from .fault_writers import MeetsADamagedPage
from .line_tools import Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_writes.driver import Value
    from sqlite_writes.table import Row

    from .conftest import Living

NAMED = ("default", "wal", "grouped")


def other(path: Path, sql: str) -> Path:
    """Make another database beside it, in the same journal mode, which its header has."""
    made = path.with_name("other")
    with path.open("rb") as file, closing(sqlite3.connect(made)) as connection:
        connection.execute(f"PRAGMA journal_mode = {'wal' if file.read(19)[18] == 2 else 'delete'}")
        connection.execute(sql)
    return made


def text(path: Path) -> Path:
    made = path.with_name("text")
    made.write_text("no database\n" * 1000)
    return made


def move_away(path: Path) -> None:
    """Take the database, its log and all beside it out of their folder, as a deletion does."""
    gone = path.with_name("gone")
    gone.mkdir()
    for there in path.parent.glob("*.db*"):
        with suppress(FileNotFoundError):  # a journal that its transaction has just deleted
            there.rename(gone / there.name)


def scribble(path: Path) -> None:
    """Overwrite all but the first page."""
    with path.open("r+b") as file:
        size = max(file.seek(0, os.SEEK_END), 8192)
        file.seek(4096)
        file.write(random.Random(1).randbytes(size - 4096))


# Each is done to the file when rows have been written to it and more are to come.
MISHAPS: dict[str, Callable[[Path], object]] = {
    "deleted": os.unlink,
    "deleted with its log": move_away,
    "replaced by an empty table": lambda path: other(path, CREATE_TABLE).replace(path),
    "replaced by another database": lambda path: other(path, "CREATE TABLE other (x)").replace(path),
    "replaced by a file of text": lambda path: shutil.move(text(path), path),
    "cut to nothing": lambda path: os.truncate(path, 0),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "overwritten": scribble,
}
REPLACED = {name for name in MISHAPS if name.startswith(("deleted", "replaced"))}


def there(database: str) -> Counter[Value] | None:
    """What a program that knows nothing of the burst finds in the file; None if that cannot be read."""
    if not os.path.exists(database):
        return Counter()
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(database)) as connection:
        return Counter(value for (value,) in connection.execute("SELECT msg FROM messages"))
    return None


def has_a_log(path: Path) -> bool:
    """Whether some transactions are in the write-ahead log: a page each, and its header."""
    with suppress(FileNotFoundError):  # the last connection has just closed it
        return path.with_name(f"{path.name}-wal").stat().st_size > 5 * 4096
    return False


def burst_with(mishap: Callable[[Path], object], database: str, settings: str) -> BurstReport | Exception:
    """Have four processes write 60 rows each, and do that to the file in their midst; again if that was not so."""
    for _ in range(5):
        came, was_in_their_midst = burst_and(mishap, database, settings)
        if was_in_their_midst:
            break
        for path in Path(database).parent.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return came


def burst_and(mishap: Callable[[Path], object], database: str, settings: str) -> tuple[BurstReport | Exception, bool]:
    """Return what came of the burst, and whether the mishap began after the first row, and was over before the last."""
    create_table(database, settings)
    path, before = Path(database), os.stat(database).st_mtime_ns
    moments: list[float] = []

    def act() -> None:
        wait_until(lambda: path.stat().st_mtime_ns > before or has_a_log(path), "some rows have been written")
        moments.append(time.monotonic())
        mishap(path)
        moments.append(time.monotonic())

    thread = Thread(act)
    try:
        came = insert_rows_kept_open(database, generate_example_rows(240), settings, workers=4, deadline=30.0)
    except sqlite3.DatabaseError as error:
        return error, True
    finally:
        thread.end()
    begun, over = moments
    ended = [outcome.ended for outcome in came.outcomes if outcome.status == "returned" and outcome.ended]
    last = max(outcome.ended or 0.0 for outcome in came.outcomes)
    return came, min(ended, default=begun) < begun and over < last


@pytest.mark.parametrize("settings", NAMED)
@pytest.mark.parametrize("mishap", MISHAPS)
def test_a_row_that_is_gone_with_its_file_is_never_said_to_be_there(
    mishap: str, settings: str, database: str, marked: Living
) -> None:
    """Either the report counts it as lost, or one error says that the rows cannot be read back or be trusted."""
    came = burst_with(MISHAPS[mishap], database, settings)
    found = there(database)
    if isinstance(came, Exception):
        assert "after the burst" in str(came)
        assert database in str(came)
        assert mishap not in REPLACED
        return
    gone = [
        row
        for row, outcome in zip(came.rows, came.outcomes)
        if outcome.status == "returned" and (found is None or not found[row[0]])
    ]
    assert came.lost == len(gone)
    assert any("was deleted, or replaced" in remark for remark in came.remarks) == (mishap in REPLACED)
    if mishap.startswith("deleted") or (mishap in REPLACED and settings == "default"):
        assert came.lost > 0  # elsewhere what is there now has the old log, and SQLite reads the rows from it


def test_a_damaged_file_is_an_error_though_all_rows_can_be_read(database: str, marked: Living) -> None:
    """Here a page that the table does not use was overwritten: SQLite's integrity_check finds it, reading does not."""
    create_table(database, "wal")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE other (x UNIQUE)")
        connection.execute("INSERT INTO other VALUES ('x')")
    with closing(sqlite3.connect(database)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index'")
    with open(database, "r+b") as file:
        file.seek((page - 1) * 4096 + 8)
        file.write(b"\xff" * 4)
    with pytest.raises(sqlite3.DatabaseError, match=r"after the burst SQLite finds the database '.*' damaged: "):
        insert_rows_in_parallel(database, generate_example_rows(3), "wal")


@pytest.mark.parametrize("mishap", ["deleted", "replaced"])
def test_what_happened_to_the_file_of_another_writer_is_said_too(mishap: str, tmp_path: Path, marked: Living) -> None:
    """And nothing is written into what is there now, nor made where nothing is."""
    database = str(tmp_path / "notes.db")
    create_table_of(Good(), database)
    thread = Thread(partial(once_written, Path(database), mishap))
    report = insert_rows_kept_open(database, generate_example_rows(240), Good(), workers=4, deadline=30.0)
    thread.end()
    assert report.lost > 0
    assert any("was deleted, or replaced" in remark for remark in report.remarks)
    if mishap == "deleted":
        assert not os.path.exists(database)
    else:
        assert not any("examination" in row for (row,) in Good().rows(database))


def once_written(path: Path, mishap: str) -> None:
    wait_until(lambda: has_a_log(path), "some rows are written")
    path.with_name(f"{path.name}-wal").unlink()
    if mishap == "deleted":
        path.unlink()
    else:
        other(path, "CREATE TABLE notes (text)").replace(path)


def test_what_happened_to_the_file_is_said_of_a_rate_too(tmp_path: Path, marked: Living) -> None:
    @contextmanager
    def deleted(database: str) -> Iterator[None]:
        thread = Thread(partial(once_written, Path(database), "deleted"))
        yield
        thread.end()

    report = measure_rate("wal", 200, 0.8, directory=tmp_path, workers=4, keep_open=True, around=deleted)
    assert report.wrong["lost"] > 0
    assert any("was deleted, or replaced" in remark for remark in report.begun.remarks)


@pytest.mark.parametrize("hides_it", [False, True])
def test_a_page_that_only_inserts_meet_is_found_damaged(hides_it: bool, database: str, marked: Living) -> None:
    """In a file of another writer, and one that is large, when rows failed by it, or are lost because it was hidden."""
    create_table_of(writer := MeetsADamagedPage(hides_it), database)
    with pytest.raises(sqlite3.DatabaseError, match=r"after the burst SQLite finds the database '.*' damaged"):
        insert_rows_in_parallel(database, generate_example_rows(2), writer)


def test_a_page_that_only_inserts_meet_is_found_damaged_after_a_rate_too(tmp_path: Path, marked: Living) -> None:
    with pytest.raises(sqlite3.DatabaseError, match="damaged"):
        measure_rate(MeetsADamagedPage(), 50, 0.4, directory=tmp_path, workers=2)


def test_what_is_locked_or_is_no_database_is_not_called_damaged(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create_table(database)
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0))
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        check_whole(resolve_writer("default"), database, is_suspect=True)
    check_whole(resolve_writer("default"), text(Path(database)), is_suspect=True)


@pytest.mark.parametrize("settings", ["default", "patient"])
def test_a_transaction_that_was_cut_off_is_rolled_back_by_the_burst(
    settings: str, database: str, marked: Living
) -> None:
    """A process was killed after it had written half of its transaction into the file: a hot journal lies there."""
    create_table(database, settings)
    script = (
        "import os, signal, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA cache_size = 5'); c.execute('BEGIN'); "
        "c.executemany('INSERT INTO messages (msg) VALUES (?)', [('half' * 999,) for _ in range(500)]); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, database], check=False)
    assert Path(f"{database}-journal").stat().st_size > 0
    assert Path(database).stat().st_size > 1_000_000
    report = insert_rows_in_parallel(database, rows := generate_example_rows(20), settings)
    report.raise_for_failures()
    assert there(database) == Counter(value for (value,) in rows)


@pytest.mark.parametrize("settings", NAMED)
def test_two_bursts_on_one_file_at_once_are_each_told_their_own_rows(
    settings: str, database: str, marked: Living
) -> None:
    create_table(database, settings)
    reports: list[BurstReport] = []

    def burst() -> None:
        reports.append(insert_rows_in_parallel(database, generate_example_rows(30), settings))

    threads = [Thread(burst) for _ in range(2)]
    for thread in threads:
        thread.end()
    for report in reports:
        report.raise_for_failures()
        assert report.remarks == ()
    assert there(database) == Counter(value for report in reports for (value,) in report.rows)


def test_many_rows_of_others_do_not_hold_up_the_report(database: str, marked: Living) -> None:
    """Each was compared with each once, which took minutes for 10,000 of others beside 1,000 of ours."""
    from sqlite_writes.row_check import check_rows

    ours, others = generate_example_rows(1000), [(f"other {number}",) for number in range(150_000)]
    until = threading.Timer(30, os.abort)  # no test asserts a time: minutes would hang it
    until.start()
    check = check_rows(ours, [], [*others, *ours[1:], (f"{ours[0][0][:20]}, cut",)])
    until.cancel()
    assert check.unexpected == 150_000
    assert [row for row in check.instead if row] == [(f"{ours[0][0][:20]}, cut",)]


@pytest.mark.parametrize("settings", NAMED)
def test_rows_of_a_megabyte_come_back_as_they_were(settings: str, database: str, marked: Living) -> None:
    """The long form writes 10,000: ``python -m experiments.large_rows``."""
    create_table(database, settings)
    rows: list[Row] = [(f"{number} " + "x" * (1 << 20),) for number in range(30)]
    insert_rows_in_parallel(database, rows, settings).raise_for_failures()
