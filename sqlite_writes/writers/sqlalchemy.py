"""SQLAlchemy over the standard ``sqlite3``: Core, and the ORM. Knows no processes.

As they come: an engine for a file, no option set. The driver begins a transaction with the INSERT, and waits 5 s.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import URL, Column, Integer, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Session

from .in_turn import InTurn
from .scratch import WarmsUp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Engine

    from sqlite_writes.table import Row

    from .writer import Insert

MESSAGES = Table("messages", MetaData(), Column("id", Integer, primary_key=True), Column("msg", String))


class _Base(DeclarativeBase):
    metadata = MESSAGES.metadata


class _Message(_Base):
    __table__ = MESSAGES


@contextmanager
def open_engine(database: str, connect_args: Mapping[str, object]) -> Iterator[Engine]:
    """Give an engine, and close its connections afterwards."""
    engine = create_engine(URL.create("sqlite", database=database), connect_args=dict(connect_args))
    try:
        yield engine
    finally:
        engine.dispose()


@dataclass(frozen=True)
class Core(WarmsUp):
    """A statement in a connection's transaction: ``with engine.begin()``. ``connect_args``: those of the engine."""

    connect_args: Mapping[str, object] = field(default_factory=dict)

    def create(self, database: str) -> None:
        """Drop the table if it is there, and make it."""
        with open_engine(database, self.connect_args) as engine:
            MESSAGES.metadata.drop_all(engine)
            MESSAGES.metadata.create_all(engine)

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one engine; its pool keeps the connection."""
        with open_engine(database, self.connect_args) as engine:

            def insert_message(row: Row) -> None:
                with engine.begin() as connection:
                    connection.execute(insert(MESSAGES).values(msg=row[0]))

            yield insert_message

    def rows(self, database: str) -> Sequence[object]:
        """Return every message."""
        with open_engine(database, self.connect_args) as engine, engine.connect() as connection:
            return connection.scalars(select(MESSAGES.c.msg)).all()


class Orm(Core):
    """A mapped object, added to a session that is committed."""

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one engine; each row has a session of its own."""
        with open_engine(database, self.connect_args) as engine:

            def insert_message(row: Row) -> None:
                with Session(engine) as session:
                    session.add(_Message(msg=row[0]))
                    session.commit()

            yield insert_message


core = Core()
core_with_timeout = Core({"timeout": 60})
orm = Orm()
orm_with_timeout = Orm({"timeout": 60})
core_in_turn = InTurn(f"{__name__}:core")
orm_in_turn = InTurn(f"{__name__}:orm")
