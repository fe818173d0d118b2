"""The ready-made writers of other people's libraries: their names, where they are, and why rows of them fail.

Data only: imports no library, and none of their writers.
"""

from __future__ import annotations

from dataclasses import dataclass

AS_IT_COMES, AS_ADVISED, ONE_CHANGE, ADVISED_1_CHANGE, ADVISED_2_CHANGES, IN_TURN = STYLES = (
    "as it comes",
    "as advised",
    "one option changed",
    "advised, 1 changed",
    "advised, 2 changed",
    "in turn",
)


@dataclass(frozen=True)
class Library:
    """A ready-made writer.

    writer: where it is, ``package.module:name``.
    title: the library, and what it does, in the words of a table's first column.
    distribution: the name on PyPI of what has to be installed; empty for what Python brings.
    style: ``"as it comes"``: what the first page of the library's documentation gives; ``"as advised"``: what its
        documentation advises for many writers; ``"one option changed"``: as it comes but for one option; ``"advised, 1
        changed"``: as advised but for one option, and so on; ``"in turn"``: as it comes, within ``write_turn``.
    note: what the style consists of, and where rows fail, why; one or two sentences.
    link: the page of the library's own documentation that says so.
    durable: whether an acknowledged row survives a power loss, by what the library sets; ``note`` says what that is.
    """

    writer: str
    title: str
    distribution: str
    style: str = AS_IT_COMES
    note: str = ""
    link: str = ""
    durable: bool = True


_HERE = "sqlite_writes.writers"

_AUTOCOMMIT = "https://docs.python.org/3/library/sqlite3.html#transaction-control-via-the-autocommit-attribute"
_SQLALCHEMY_CORE = "https://docs.sqlalchemy.org/en/21/tutorial/data_insert.html"
_SQLALCHEMY_ORM = "https://docs.sqlalchemy.org/en/21/orm/quickstart.html"
_SQLALCHEMY_CONNECT_ARGS = (
    "https://docs.sqlalchemy.org/en/21/core/engines.html#sqlalchemy.create_engine.params.connect_args"
)
_DJANGO_CREATE = "https://docs.djangoproject.com/en/5.2/topics/db/queries/#creating-objects"
_DJANGO_ATOMIC = "https://docs.djangoproject.com/en/5.2/topics/db/transactions/"
_DJANGO_MODES = "https://docs.djangoproject.com/en/5.2/ref/databases/#transactions-behavior"
_DJANGO_LOCKED = "https://docs.djangoproject.com/en/5.2/ref/databases/#database-is-locked-errors"
_PEEWEE = "https://docs.peewee-orm.com/en/latest/peewee/quickstart.html"
_SQLMODEL = "https://sqlmodel.tiangolo.com/#write-to-the-database"
_SQLITE_UTILS = "https://sqlite-utils.datasette.io/en/stable/python-api.html"
_APSW = "https://rogerbinns.github.io/apsw/example.html"

# Why the last ones of a large burst fail where nothing else is wrong: https://sqlite.org/c3ref/busy_timeout.html
_TOO_LATE = "A row fails if it gets no lock within 5 s, the usual busy timeout in Python."
_LONGER = "A busy timeout of 60 s instead of 5 s."
_IN_TURN = "Each row connects, writes and closes within write_turn, and the file is in WAL mode."

LIBRARIES: dict[str, Library] = {
    "sqlite3-autocommit": Library(
        f"{_HERE}.autocommit:as_it_comes",
        "sqlite3 with autocommit=True",
        "",
        note=f"SQLite itself commits each statement. {_TOO_LATE}",
        link=_AUTOCOMMIT,
    ),
    "sqlite3-autocommit-timeout": Library(
        f"{_HERE}.autocommit:with_timeout",
        "sqlite3 with autocommit=True",
        "",
        ONE_CHANGE,
        note=_LONGER,
        link="https://docs.python.org/3/library/sqlite3.html#sqlite3.connect",
    ),
    "sqlalchemy-core": Library(
        f"{_HERE}.sqlalchemy:core",
        "SQLAlchemy Core",
        "SQLAlchemy",
        note=f"One INSERT in a transaction. {_TOO_LATE}",
        link=_SQLALCHEMY_CORE,
    ),
    "sqlalchemy-core-timeout": Library(
        f"{_HERE}.sqlalchemy:core_with_timeout",
        "SQLAlchemy Core",
        "SQLAlchemy",
        ONE_CHANGE,
        note=_LONGER,
        link=_SQLALCHEMY_CONNECT_ARGS,
    ),
    "sqlalchemy-core-in-turn": Library(
        f"{_HERE}.sqlalchemy:core_in_turn",
        "SQLAlchemy Core",
        "SQLAlchemy",
        IN_TURN,
        note=_IN_TURN,
        link=_SQLALCHEMY_CORE,
    ),
    "sqlalchemy-orm": Library(
        f"{_HERE}.sqlalchemy:orm",
        "SQLAlchemy ORM",
        "SQLAlchemy",
        note=f"One object added to a session that is committed. {_TOO_LATE}",
        link=_SQLALCHEMY_ORM,
    ),
    "sqlalchemy-orm-timeout": Library(
        f"{_HERE}.sqlalchemy:orm_with_timeout",
        "SQLAlchemy ORM",
        "SQLAlchemy",
        ONE_CHANGE,
        note=_LONGER,
        link=_SQLALCHEMY_CONNECT_ARGS,
    ),
    "sqlalchemy-orm-in-turn": Library(
        f"{_HERE}.sqlalchemy:orm_in_turn", "SQLAlchemy ORM", "SQLAlchemy", IN_TURN, note=_IN_TURN, link=_SQLALCHEMY_ORM
    ),
    "django": Library(
        f"{_HERE}.django:as_it_comes",
        "Django",
        "Django",
        note=f"Only writes, and SQLite commits each statement. {_TOO_LATE}",
        link=_DJANGO_CREATE,
    ),
    "django-timeout": Library(
        f"{_HERE}.django:with_timeout",
        "Django",
        "Django",
        ONE_CHANGE,
        note=_LONGER,
        link=_DJANGO_LOCKED,
    ),
    "django-reading": Library(
        f"{_HERE}.django:reading",
        "Django, reading before it writes",
        "Django",
        note="Reads and writes in one atomic(), by default a deferred transaction. "
        "Once it has read, it cannot wait for another writer: the row fails at once.",
        link=_DJANGO_ATOMIC,
    ),
    "django-immediate": Library(
        f"{_HERE}.django:immediate",
        "Django, reading before it writes",
        "Django",
        ONE_CHANGE,
        note="transaction_mode IMMEDIATE: atomic() takes the write lock before it reads, and can wait for it. "
        "The busy timeout stays at 5 s.",
        link=_DJANGO_MODES,
    ),
    "django-advised": Library(
        f"{_HERE}.django:as_advised",
        "Django, reading before it writes",
        "Django",
        AS_ADVISED,
        note="transaction_mode IMMEDIATE and a timeout of 20 s. "
        "Django's documentation advises both; it does not mention WAL mode.",
        link=_DJANGO_LOCKED,
    ),
    "django-reading-in-turn": Library(
        f"{_HERE}.django:in_turn",
        "Django, reading before it writes",
        "Django",
        IN_TURN,
        note=_IN_TURN,
        link=_DJANGO_ATOMIC,
    ),
    "peewee": Library(
        f"{_HERE}.peewee:as_it_comes",
        "peewee",
        "peewee",
        note=f"SQLite commits each statement. {_TOO_LATE}",
        link=_PEEWEE,
    ),
    "peewee-timeout": Library(
        f"{_HERE}.peewee:with_timeout",
        "peewee",
        "peewee",
        ONE_CHANGE,
        note=_LONGER,
        link="https://docs.peewee-orm.com/en/latest/peewee/api.html#SqliteDatabase",
    ),
    "peewee-advised": Library(
        f"{_HERE}.peewee:as_advised",
        "peewee",
        "peewee",
        AS_ADVISED,
        note=f"WAL mode, foreign keys, and a page cache of 64 MB. {_TOO_LATE}",
        link="https://docs.peewee-orm.com/en/latest/peewee/database.html#using-sqlite",
    ),
    "peewee-in-turn": Library(f"{_HERE}.peewee:in_turn", "peewee", "peewee", IN_TURN, note=_IN_TURN, link=_PEEWEE),
    "sqlmodel": Library(
        f"{_HERE}.sqlmodel:as_it_comes",
        "SQLModel",
        "sqlmodel",
        note=f"One object added to a session that is committed. {_TOO_LATE}",
        link=_SQLMODEL,
    ),
    "sqlmodel-timeout": Library(
        f"{_HERE}.sqlmodel:with_timeout",
        "SQLModel",
        "sqlmodel",
        ONE_CHANGE,
        note=_LONGER,
        link=_SQLALCHEMY_CONNECT_ARGS,
    ),
    "sqlmodel-in-turn": Library(
        f"{_HERE}.sqlmodel:in_turn", "SQLModel", "sqlmodel", IN_TURN, note=_IN_TURN, link=_SQLMODEL
    ),
    "sqlite-utils": Library(
        f"{_HERE}.sqlite_utils:as_it_comes",
        "sqlite-utils",
        "sqlite-utils",
        note=f"insert() has a transaction of its own. {_TOO_LATE}",
        link=f"{_SQLITE_UTILS}#getting-started",
    ),
    "sqlite-utils-timeout": Library(
        f"{_HERE}.sqlite_utils:with_timeout",
        "sqlite-utils",
        "sqlite-utils",
        ONE_CHANGE,
        note="A busy timeout of 60 s instead of 5 s, by a PRAGMA.",
        link=f"{_SQLITE_UTILS}#db-execute-sql-params",
    ),
    "sqlite-utils-advised": Library(
        f"{_HERE}.sqlite_utils:as_advised",
        "sqlite-utils",
        "sqlite-utils",
        AS_ADVISED,
        note=f"WAL mode by enable_wal(), the one setting for concurrency in its documentation. {_TOO_LATE}",
        link=f"{_SQLITE_UTILS}#wal-mode",
    ),
    "sqlite-utils-in-turn": Library(
        f"{_HERE}.sqlite_utils:in_turn",
        "sqlite-utils",
        "sqlite-utils",
        IN_TURN,
        note=_IN_TURN,
        link=f"{_SQLITE_UTILS}#getting-started",
    ),
    "apsw": Library(
        f"{_HERE}.apsw:as_it_comes",
        "APSW",
        "apsw",
        note="SQLite's own default is no busy timeout, and APSW leaves it so. A row that meets a lock fails at once.",
        link="https://rogerbinns.github.io/apsw/tips.html#busy-handling",
    ),
    "apsw-timeout": Library(
        f"{_HERE}.apsw:with_timeout",
        "APSW",
        "apsw",
        ONE_CHANGE,
        note="A busy timeout of 60 s instead of none.",
        link="https://rogerbinns.github.io/apsw/connection.html#apsw.Connection.set_busy_timeout",
    ),
    "apsw-advised": Library(
        f"{_HERE}.apsw:as_advised",
        "APSW",
        "apsw",
        AS_ADVISED,
        note="apsw.bestpractice: WAL mode, a busy timeout of 100 ms, PRAGMA optimize. "
        "A row fails at once: on an empty table optimize reads and then writes, which cannot wait for a lock.",
        link="https://rogerbinns.github.io/apsw/bestpractice.html",
    ),
    "apsw-no-optimize": Library(
        f"{_HERE}.apsw:no_optimize",
        "APSW",
        "apsw",
        ADVISED_1_CHANGE,
        note="apsw.bestpractice without connection_optimize. A row fails if it gets no lock within 100 ms.",
        link="https://rogerbinns.github.io/apsw/bestpractice.html#apsw.bestpractice.connection_optimize",
    ),
    "apsw-no-optimize-timeout": Library(
        f"{_HERE}.apsw:no_optimize_with_timeout",
        "APSW",
        "apsw",
        ADVISED_2_CHANGES,
        note="The same with a busy timeout of 60 s instead of 100 ms.",
        link="https://rogerbinns.github.io/apsw/bestpractice.html#apsw.bestpractice.connection_busy_timeout",
    ),
    "apsw-in-turn": Library(f"{_HERE}.apsw:in_turn", "APSW", "apsw", IN_TURN, note=_IN_TURN, link=_APSW),
    "diskcache": Library(
        f"{_HERE}.diskcache:as_it_comes",
        "DiskCache",
        "diskcache",
        note="Sets WAL mode and synchronous=NORMAL itself, and tries again until it succeeds. "
        "Opening a cache writes its settings.",
        link="https://grantjenks.com/docs/diskcache/tutorial.html#cache",
        durable=False,
    ),
    "sqlitedict": Library(
        f"{_HERE}.sqlitedict:as_it_comes",
        "sqlitedict",
        "sqlitedict",
        note=f"Sets synchronous=OFF itself: fast, but a power loss may take rows. {_TOO_LATE}",
        link="https://github.com/piskvorky/sqlitedict#usage",
        durable=False,
    ),
    "litequeue": Library(
        f"{_HERE}.litequeue:as_it_comes",
        "litequeue",
        "litequeue",
        note=f"Sets WAL mode and synchronous=NORMAL itself, and opens eleven connections. {_TOO_LATE}",
        link="https://github.com/litements/litequeue#quickstart",
        durable=False,
    ),
    "persist-queue": Library(
        f"{_HERE}.persist_queue:as_it_comes",
        "persist-queue",
        "persist-queue",
        note="Sets WAL mode and a busy timeout of 10 s itself. A row fails if it gets no lock within it.",
        link="https://github.com/peter-wangxu/persist-queue#sqlite-queue",
    ),
    "huey": Library(
        f"{_HERE}.huey:as_it_comes",
        "huey",
        "huey",
        note=f"Sets WAL mode itself, and takes the write lock once to open and once for a task. {_TOO_LATE}",
        link="https://huey.readthedocs.io/en/latest/guide.html",
    ),
    "lmdb": Library(
        f"{_HERE}.lmdb:as_it_comes",
        "LMDB",
        "lmdb",
        note="No SQLite: a key-value store in one file. Each writer waits for the only write lock, without a timeout.",
        link="https://lmdb.readthedocs.io/en/release/#transaction-management",
    ),
    "json-lines": Library(
        f"{_HERE}.json_lines:as_it_comes",
        "JSON lines",
        "",
        note="No database: each row is appended to a file in one write, and synced.",
        link="https://docs.python.org/3/library/os.html#os.O_APPEND",
    ),
    "postgresql": Library(
        f"{_HERE}.postgresql:as_it_comes",
        "PostgreSQL",
        "psycopg",
        note="No SQLite: a server, which locks rows and not the file. A row fails where it has no connection left.",
        link="https://www.psycopg.org/psycopg3/docs/basic/usage.html",
    ),
}
