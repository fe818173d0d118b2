"""Writers for the tests of ``write_turn``: one database, the same tables, through each library's own way of writing.

Module-level, so that a fresh process can import them. Knows nothing of turns but in ``insert_family``. A library is
imported only when it is asked for. Some bring a SQLite of their own: no process may have two of them open at once.
"""

from __future__ import annotations

import sqlite3
import tempfile
from abc import ABC, abstractmethod
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlite_writes import write_turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

PRAGMAS = {"journal_mode": "WAL", "synchronous": "NORMAL", "foreign_keys": "ON"}
TABLES = """
CREATE TABLE parents (id INTEGER PRIMARY KEY, msg TEXT NOT NULL);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL REFERENCES parents (id), msg TEXT NOT NULL);
"""
PARENT = "INSERT INTO parents (msg) VALUES (?)"
CHILD = "INSERT INTO children (parent_id, msg) VALUES (?, ?)"


def create_tables(database: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(TABLES)


def shout(text: str) -> str:
    """The Python function that SQL calls."""
    return text.upper() + "!"


class Writer(ABC):
    """A connection of a library, with the pragmas set and ``shout`` known to it."""

    @abstractmethod
    def __init__(self, database: str) -> None: ...

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]:
        """One transaction, which an exception rolls back."""

    @abstractmethod
    def add_parent(self, message: str) -> int:
        """Insert a row; the id that the library says it has."""

    @abstractmethod
    def add_child(self, parent: int, message: str) -> None:
        """Insert a row that refers to another."""

    @abstractmethod
    def execute(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        """What a statement of the caller's gives."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class _Sqlite3(Writer):
    """The standard library's module."""

    def __init__(self, database: str) -> None:
        self.connection: Any = sqlite3.connect(database)
        self.connection.create_function("shout", 1, shout)
        _set_pragmas(self.connection)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.connection:
            yield

    def add_parent(self, message: str) -> int:
        rowid: int = self.connection.execute(PARENT, (message,)).lastrowid
        return rowid

    def add_child(self, parent: int, message: str) -> None:
        self.connection.execute(CHILD, (parent, message))

    def execute(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, parameters).fetchall()
        return rows

    def close(self) -> None:
        self.connection.close()


class _Apsw(_Sqlite3):
    """SQLite as it is in C: no transaction but one's own, and no busy timeout unless asked for."""

    def __init__(self, database: str) -> None:
        import apsw

        function: Any = shout
        self.connection = apsw.Connection(database)
        self.connection.create_scalar_function("shout", function, 1)
        _set_pragmas(self.connection)

    def add_parent(self, message: str) -> int:
        self.connection.execute(PARENT, (message,))
        rowid: int = self.connection.last_insert_rowid()
        return rowid


class _SqlAlchemy(Writer):
    """What SQLAlchemy's two layers have in common: an engine whose every connection is set up."""

    def __init__(self, database: str) -> None:
        from sqlalchemy import create_engine, event

        self.engine = create_engine(f"sqlite:///{database}")

        @event.listens_for(self.engine, "connect")
        def set_up(connection: sqlite3.Connection, _record: object) -> None:
            connection.create_function("shout", 1, shout)
            _set_pragmas(connection)

    def close(self) -> None:
        self.engine.dispose()


class _SqlAlchemyCore(_SqlAlchemy):
    """Tables, and statements made of them."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.engine.begin() as self.connection:
            yield

    def add_parent(self, message: str) -> int:
        from sqlalchemy import insert

        result: Any = self.connection.execute(insert(_core_tables()[0]).values(msg=message))
        return int(result.inserted_primary_key[0])

    def add_child(self, parent: int, message: str) -> None:
        from sqlalchemy import insert

        self.connection.execute(insert(_core_tables()[1]).values(parent_id=parent, msg=message))

    def execute(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        return _rows_of(self.connection.exec_driver_sql(sql, parameters))


class _SqlAlchemyOrm(_SqlAlchemy):
    """Mapped objects in a session."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        from sqlalchemy.orm import Session

        with Session(self.engine) as self.session, self.session.begin():
            yield

    def add_parent(self, message: str) -> int:
        row = _orm_models()[0](msg=message)
        self.session.add(row)
        self.session.flush()
        return int(row.id)

    def add_child(self, parent: int, message: str) -> None:
        self.session.add(_orm_models()[1](parent_id=parent, msg=message))
        self.session.flush()

    def execute(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        return _rows_of(self.session.connection().exec_driver_sql(sql, parameters))


class _Django(Writer):
    """Models without an app's folder; each transaction reads before it writes."""

    def __init__(self, database: str) -> None:
        self.parent, self.child = _django_models()

        from django.db import connection

        connection.close()
        connection.settings_dict["NAME"] = database
        self.connection = connection
        connection.ensure_connection()
        connection.connection.create_function("shout", 1, shout)
        _set_pragmas(connection.connection)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        from django.db import transaction

        with transaction.atomic():
            self.parent.objects.count()
            yield

    def add_parent(self, message: str) -> int:
        return int(self.parent.objects.create(msg=message).pk)

    def add_child(self, parent: int, message: str) -> None:
        self.child.objects.create(parent_id=parent, msg=message)

    def execute(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql.replace("?", "%s"), parameters)
            return list(cursor.fetchall()) if cursor.description else []

    def close(self) -> None:
        self.connection.close()


class _Peewee(Writer):
    """Models that are bound to a database."""

    def __init__(self, database: str) -> None:
        from peewee import SqliteDatabase

        self.database: Any = SqliteDatabase(database, pragmas=PRAGMAS)
        self.database.register_function(shout, "shout", 1)
        self.parent, self.child = _peewee_models()
        self.database.bind([self.parent, self.child])

    def transaction(self) -> AbstractContextManager[object]:
        atomic: AbstractContextManager[object] = self.database.atomic()
        return atomic

    def add_parent(self, message: str) -> int:
        return int(self.parent.create(msg=message).id)

    def add_child(self, parent: int, message: str) -> None:
        self.child.create(parent_id=parent, msg=message)

    def execute(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        return list(self.database.execute_sql(sql, parameters).fetchall())

    def close(self) -> None:
        self.database.close()


class _SqliteUtils(Writer):
    """Dictionaries into tables."""

    def __init__(self, database: str) -> None:
        import sqlite_utils

        self.database = sqlite_utils.Database(database)
        self.database.register_function(shout)
        _set_pragmas(self.database.conn)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.database.conn:
            self.database.execute("BEGIN")
            yield

    def add_parent(self, message: str) -> int:
        key: Any = self.database.table("parents").insert({"msg": message}).last_pk
        return int(key)

    def add_child(self, parent: int, message: str) -> None:
        self.database.table("children").insert({"parent_id": parent, "msg": message})

    def execute(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        return list(self.database.execute(sql, parameters).fetchall())

    def close(self) -> None:
        self.database.close()


# The name of a test's parameter: what has to be importable, and the writer.
LIBRARIES: dict[str, tuple[str, type[Writer]]] = {
    "sqlite3": ("sqlite3", _Sqlite3),
    "apsw": ("apsw", _Apsw),
    "SQLAlchemy Core": ("sqlalchemy", _SqlAlchemyCore),
    "SQLAlchemy ORM": ("sqlalchemy", _SqlAlchemyOrm),
    "Django": ("django", _Django),
    "peewee": ("peewee", _Peewee),
    "sqlite-utils": ("sqlite_utils", _SqliteUtils),
}


def insert_family(library: str, database: str, message: str) -> int:
    """All that a short-lived process does, in one turn: connect, a transaction of two rows, close; the parent's id."""
    with write_turn(database), closing(LIBRARIES[library][1](database)) as writer, writer.transaction():
        parent = writer.add_parent(message)
        writer.add_child(parent, f"child of {message}")
        return parent


def warm_up(library: str) -> None:
    """Import the library, and do once what ``insert_family`` does, in a database of our own."""
    with tempfile.TemporaryDirectory() as folder:
        create_tables(f"{folder}/warm.db")
        insert_family(library, f"{folder}/warm.db", "warm")


def _set_pragmas(connection: Any) -> None:
    for name, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {value}")


def _rows_of(result: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in result] if result.returns_rows else []


@cache
def _core_tables() -> tuple[Any, Any]:
    from sqlalchemy import Column, Integer, MetaData, String, Table

    known = MetaData()
    key = Column("id", Integer, primary_key=True)
    parents = Table("parents", known, key, Column("msg", String))
    key = Column("id", Integer, primary_key=True)
    return parents, Table("children", known, key, Column("parent_id", Integer), Column("msg", String))


@cache
def _orm_models() -> tuple[Any, Any]:
    from sqlalchemy.orm import registry

    class Parent:
        pass

    class Child:
        pass

    mappings = registry()
    for model, table in zip((Parent, Child), _core_tables()):
        mappings.map_imperatively(model, table)
    return Parent, Child


@cache
def _django_models() -> tuple[Any, Any]:
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, INSTALLED_APPS=[]
    )
    django.setup()

    from django.db import models

    class Parent(models.Model):  # type: ignore[misc]
        msg = models.TextField()

        class Meta:
            app_label = "library_writers"
            db_table = "parents"

    class Child(models.Model):  # type: ignore[misc]
        parent = models.ForeignKey(Parent, models.CASCADE)
        msg = models.TextField()

        class Meta:
            app_label = "library_writers"
            db_table = "children"

    return Parent, Child


@cache
def _peewee_models() -> tuple[Any, Any]:
    from peewee import ForeignKeyField, Model, TextField

    class Parent(Model):
        msg = TextField()

        class Meta:
            table_name = "parents"

    class Child(Model):
        parent = ForeignKeyField(Parent)
        msg = TextField()

        class Meta:
            table_name = "children"

    return Parent, Child
