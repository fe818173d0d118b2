"""SQLModel, which is SQLAlchemy's ORM with Pydantic's models. Knows no processes.

As it comes: an engine for a file, no option set. The driver begins a transaction with the INSERT, and waits 5 s.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlmodel import Field, Session, SQLModel, select

from .in_turn import InTurn
from .scratch import WarmsUp
from .sqlalchemy import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlite_writes.table import Row

    from .writer import Insert


class _Message(SQLModel, table=True):
    __tablename__ = "messages"

    id: int | None = Field(default=None, primary_key=True)
    msg: str


@dataclass(frozen=True)
class SqlModel(WarmsUp):
    """A model's instance, added to a session that is committed. ``connect_args``: those of the engine."""

    connect_args: Mapping[str, object] = field(default_factory=dict)

    def create(self, database: str) -> None:
        """Drop the table if it is there, and make it."""
        with open_engine(database, self.connect_args) as engine:
            SQLModel.metadata.drop_all(engine)
            SQLModel.metadata.create_all(engine)

    @contextmanager
    def open(self, database: str) -> Iterator[Insert]:
        """Keep one engine; each row has a session of its own."""
        with open_engine(database, self.connect_args) as engine:

            def insert_message(row: Row) -> None:
                with Session(engine) as session:
                    session.add(_Message(msg=row[0]))
                    session.commit()

            yield insert_message

    def rows(self, database: str) -> Sequence[str]:
        """Return every message."""
        with open_engine(database, self.connect_args) as engine, Session(engine) as session:
            return session.exec(select(_Message.msg)).all()


as_it_comes = SqlModel()
with_timeout = SqlModel({"timeout": 60})
in_turn = InTurn(f"{__name__}:as_it_comes")
