"""What a writer is, and how one is found by its name. Knows no SQL, no library and no processes.

A writer is the way in which a worker writes: how the table is made, how one row gets in, how the rows are read back.
Ours are named by their settings (ours.py), those of the libraries by their names (libraries.py). Anybody's is an
object, or ``package.module:name``, or two plain functions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlite_writes.errors import error_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from sqlite_writes.table import Row

PARTS = ("create", "open", "rows")


class InsertTrace(NamedTuple):
    """One insert's moments on ``time.monotonic``, and how often it began anew (``concurrent`` only, else 0).

    called to opened: the connection is made; nothing where it was kept open.
    opened to locked: the wait in line, and for the write lock, with the statement that takes it (BEGIN, or with
        ``implicit`` the INSERT, which also reads the schema); with ``concurrent``, which takes it only to commit, the
        attempts that met a conflict. A writer that is not ours does not tell this part from the next: 0.
    locked to committed: write and sync, wherever the sync is done.
    committed to closed: the connection is closed, which in WAL mode checkpoints if no other is open.
    """

    called: float
    opened: float
    locked: float
    committed: float
    closed: float
    retries: int


# Insert one row. Ours say when each part was done; whatever else one returns is not looked at.
Insert = Callable[["Row"], object]


class Writer(Protocol):
    """The way in which a worker writes: three parts, each called in a process of its own.

    create(database): make a fresh, empty table, and return when it is there. Called once, before any worker starts.
    open(database): a context manager, entered once in each worker, that gives ``insert(row)``. A row is a one-element
        tuple of a string, a number, bytes or None; the usual burst has distinct UUIDs. ``insert`` returns when the row
        is acknowledged: committed, durable, in the very value that was given. What it cannot write it raises. Leaving
        the context manager closes what was opened.
    rows(database): every row that is there, one-element tuples or the bare values, in any order.

    ``database`` is the path that the burst was given, as a string. A fresh process must be able to unpickle the writer:
    it is an instance of a class of a module, or it is named ``package.module:name``. A writer may also have
    ``warm_up()``, which each process calls before the gate opens: import here what the first insert would import.
    """

    def create(self, database: str) -> object:
        """Make a fresh, empty table."""

    def open(self, database: str) -> AbstractContextManager[Insert]:
        """Open what it takes to insert, and close it."""

    def rows(self, database: str) -> Iterable[Any]:
        """Read every row."""


class WriterError(RuntimeError):
    """A writer cannot be imported, lacks a part, or its ``create`` or ``rows`` failed; the message says which."""


class WriterEndedError(WriterError):
    """A process in which a writer was called was killed, or did not end: that may be nothing of the writer's doing."""


class InsertError(RuntimeError):
    """What a writer's ``insert`` raised, in a form that every process can unpickle.

    reason: SQLite's own name for it where SQLite is behind it (``SQLITE_BUSY``, …), else the exception's class.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


@dataclass(frozen=True)
class Named:
    """A writer that is an object of a module, imported only where it is used: ``package.module:name``.

    distribution: the name on PyPI of what it needs; where that is not installed it is a ``NotImplementedError``.
    """

    name: str
    distribution: str = ""

    @cached_property
    def _writer(self) -> Any:
        try:
            loaded = load(self.name)
        except WriterError as error:
            if self.distribution and isinstance(error.__cause__, ModuleNotFoundError):
                raise NotImplementedError(f"{self.name} needs {self.distribution}, which is not installed") from None
            raise
        found = check_parts(loaded, self.name)
        return found() if isinstance(found, type) else found

    def create(self, database: str) -> None:
        """As that writer does."""
        self._writer.create(database)

    def open(self, database: str) -> AbstractContextManager[Insert]:
        """As that writer does."""
        opened: AbstractContextManager[Insert] = self._writer.open(database)
        return opened

    def rows(self, database: str) -> Iterable[Any]:
        """As that writer does."""
        found: Iterable[Any] = self._writer.rows(database)
        return found

    def warm_up(self) -> None:
        """Import it, and let it warm up if it wants to."""
        getattr(self._writer, "warm_up", bool)()

    def __getstate__(self) -> dict[str, str]:
        return {"name": self.name, "distribution": self.distribution}

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Functions:
    """A writer of two plain functions: ``insert(row)`` writes one row and closes what it opens; ``rows()`` reads them.

    Either may be named ``package.module:name``. Both know their database themselves. ``create()``, where it is given,
    makes the table anew.
    """

    insert: Callable[[Row], object] | str
    rows_there: Callable[[], Iterable[Any]] | str
    create_table: Callable[[], object] | str | None = None

    def create(self, _database: str) -> None:
        """Import the functions, since a wrong name is best told before a burst; call the third, if there is one."""
        self.warm_up()
        if self.create_table is not None:
            _function(self.create_table)()

    @contextmanager
    def open(self, _database: str) -> Iterator[Insert]:
        """Give the first function: it opens and closes what it needs."""
        yield _function(self.insert)

    def rows(self, _database: str) -> Iterable[Any]:
        """What the second function returns."""
        found: Iterable[Any] = _function(self.rows_there)()
        return found

    @property
    def reader(self) -> str:
        """The name of the second function."""
        return self.rows_there if isinstance(self.rows_there, str) else name_of(self.rows_there)

    def warm_up(self) -> None:
        """Import the functions."""
        for function in (self.insert, self.rows_there):
            _function(function)

    def __str__(self) -> str:
        return self.insert if isinstance(self.insert, str) else name_of(self.insert)


def load(name: str) -> Any:
    """Return the object that is named ``package.module:name``; ``WriterError`` in one line if there is none."""
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
    except Exception as error:
        raise WriterError(f"{name!r} cannot be imported: {type(error).__name__}: {error}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise WriterError(f"{name!r} cannot be imported: {module} has no {path}")
        found = getattr(found, part)
    return found


def check_parts(writer: Any, name: str) -> Any:
    """Return the writer; ``WriterError`` that names the missing parts if it has not all three."""
    missing = [part for part in PARTS if not callable(getattr(writer, part, None))]
    if missing:
        raise WriterError(
            f"writer {name} lacks {', '.join(missing)}: "
            "a writer has create(database), open(database) and rows(database)"
        )
    return writer


def trace_writer(writer: Writer, database: str, row: Row) -> InsertTrace:
    """Open the writer, insert one row, close, and say when each part was done; ``InsertError`` for what is raised."""
    called = time.monotonic()
    try:
        with writer.open(database) as insert:
            opened = time.monotonic()
            insert(row)
            committed = time.monotonic()
    except BaseException as error:
        raise as_insert_error(error) from error
    return InsertTrace(called, opened, opened, committed, time.monotonic(), 0)


def as_insert_error(error: BaseException) -> InsertError:
    """Return what the writer raised as data."""
    return error if isinstance(error, InsertError) else InsertError(error_name(error), " ".join(str(error).split()))


def as_rows(found: Iterable[Any]) -> list[Row]:
    """Return what a writer's ``rows`` gave as one-element tuples; ``WriterError`` for a row of another length."""
    rows: list[Row] = []
    for row in found:
        is_bare = row is None or isinstance(row, (str, bytes, bytearray, memoryview, int, float))
        try:
            if isinstance(row, dict):  # one value could be taken out of it: its key
                raise TypeError
            (value,) = (row,) if is_bare else row
        except (TypeError, ValueError):
            raise WriterError(f"rows gives {row!r}, which is neither a value nor a row of one column") from None
        rows.append((bytes(value) if isinstance(value, (bytearray, memoryview)) else value,))
    return rows


def _function(function: Callable[..., Any] | str) -> Callable[..., Any]:
    return load(function) if isinstance(function, str) else function


def name_of(thing: object) -> str:
    """``package.module:name`` of a function, or of the class of a writer that has no name of its own."""
    thing = getattr(thing, "func", thing)  # functools.partial
    if type(thing).__str__ is not object.__str__:
        return str(thing)
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}:{getattr(named, '__qualname__', repr(named))}"
