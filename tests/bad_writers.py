"""Writers that each do one thing wrong, for test_bad_writers. Module-level, so that fresh processes can import them."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_writes.table import Row

INSERT = "INSERT INTO notes (text) VALUES (?)"


class Good:
    """Makes no mistake: what the others are made of."""

    timeout = 30.0

    def create(self, database: str) -> None:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("DROP TABLE IF EXISTS notes")
            connection.execute("CREATE TABLE notes (text)")
            connection.commit()

    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], object]]:
        with closing(sqlite3.connect(database, timeout=self.timeout)) as connection:
            yield lambda row: self.insert(connection, row)

    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        connection.execute(INSERT, row)
        connection.commit()

    def rows(self, database: str) -> list[Any]:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute("SELECT text FROM notes").fetchall()


class ForgetsToCommit(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        connection.execute(INSERT, row)


class CommitsWhenItCloses(Good):
    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], object]]:
        with closing(sqlite3.connect(database, timeout=self.timeout)) as connection, connection:
            yield lambda row: connection.execute(INSERT, row)


class SwallowsTheLockError(Good):
    timeout = 0.0

    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        with suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(0.1)  # so that many meet
            super().insert(connection, row)


class CutsLongValues(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        super().insert(connection, (str(row[0])[:200],))


class MakesTextOfNumbers(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        super().insert(connection, (str(row[0]),))


class WritesTwice(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        connection.execute(INSERT, row)
        super().insert(connection, row)


class WritesToAnotherFile(Good):
    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], object]]:
        other = f"{database}-other.db"
        with closing(sqlite3.connect(other, timeout=self.timeout)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (text)")
            yield lambda row: super(WritesToAnotherFile, self).insert(connection, row)


class LeavesTheConnectionOpen(Good):
    def __init__(self) -> None:
        self.kept: list[sqlite3.Connection] = []

    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], object]]:
        connection = sqlite3.connect(database, timeout=self.timeout)
        self.kept.append(connection)
        yield lambda row: self.insert(connection, row)


class LeavesATransactionOpen(Good):
    timeout = 1.0

    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        super().insert(connection, row)
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(2)  # longer than the others wait


class ForksWithAnOpenConnection(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        connection.execute("SELECT count(*) FROM notes").fetchall()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        super().insert(connection, row)


class LetsTheChildReturn(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        super().insert(connection, row)
        child = os.fork()
        if child:
            os.waitpid(child, 0)


class LeavesAProcessRunning(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        super().insert(connection, row)
        if os.fork() == 0:
            time.sleep(600)


class ReturnsBeforeItsThreadHasWritten(Good):
    @contextmanager
    def open(self, database: str) -> Iterator[Callable[[Row], object]]:
        threads = []

        def write_later(row: Row) -> None:
            def write() -> None:
                time.sleep(0.2)
                with super(ReturnsBeforeItsThreadHasWritten, self).open(database) as insert:
                    insert(row)

            threads.append(threading.Thread(target=write))
            threads[-1].start()

        yield write_later
        for thread in threads:
            thread.join()


class LeavesAThreadRunning(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        super().insert(connection, row)
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


class RaisesWhatCannotBePickled(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        class HiddenError(Exception):
            def __init__(self, connection: sqlite3.Connection) -> None:
                super().__init__("holds a connection", connection)

        raise HiddenError(connection)


class Exits(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        os._exit(7)


class IsKilled(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class EndsTheProgram(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        sys.exit("no more")


class ExitsNowAndThen(Good):
    """Every row that begins with a digit ends its process."""

    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        if str(row[0])[0].isdigit():
            os._exit(7)
        super().insert(connection, row)


class Prints(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        print("saved a note")
        super().insert(connection, row)


class Hangs(Good):
    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        time.sleep(600)


class HidesTheDriversError(Good):
    """A library's own exception, raised from SQLite's."""

    timeout = 0.05

    def insert(self, connection: sqlite3.Connection, row: Row) -> None:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise RuntimeError("could not save") from error
        time.sleep(0.3)
        super().insert(connection, row)


class CannotRead(Good):
    def rows(self, database: str) -> list[Any]:
        raise RuntimeError("the table is\ngone")


class GivesWideRows(Good):
    def rows(self, database: str) -> list[Any]:
        return [("a", "b")]


class CannotCreate(Good):
    def create(self, database: str) -> None:
        raise PermissionError("not allowed here")


class LacksParts:
    def create(self, database: str) -> None:
        """The only one it has."""


writer = Good()


def insert_into(database: str, row: Row) -> None:
    """Write one row, as a plain function would."""
    with Good().open(database) as insert:
        insert(row)


def plain_functions(database: str) -> tuple[Callable[[Row], object], Callable[[], list[Any]]]:
    """The two functions that somebody has who has no writer."""
    return partial(insert_into, database), partial(Good().rows, database)
