"""Call the parts of a writer: of ours here, of anybody else's in a process of its own, where it can do no harm.

Knows no burst and no report.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .driver import path_of
from .pool import Outcome, pool_map
from .writers.names import AnyWriter, resolve_writer
from .writers.ours import Ours
from .writers.warm_up import warm_up
from .writers.writer import Functions, Writer, WriterEndedError, WriterError, as_insert_error, as_rows, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .driver import Database
    from .table import Row

Argument = TypeVar("Argument")
Result = TypeVar("Result")

# Seconds for what one process does alone.
TIME_ALONE = 30.0


def create_table_of(writer: AnyWriter, database: Database, *, start_method: str = "forkserver") -> None:
    """Have the writer make its table, fresh; one that is not ours in a process of its own.

    Raises ``NotImplementedError`` if it cannot write here (a library that is not installed, no server), and
    ``WriterError`` in one line if its ``create`` fails.
    """
    writer = resolve_writer(writer)
    if isinstance(writer, Ours):
        writer.create(database)
    else:
        create = partial(_create, writer)
        call_in_fresh_process(f"create of {name_of(writer)}", create, path_of(database), start_method)


def rows_of(writer: Writer, database: Database, start_method: str = "forkserver") -> list[Row]:
    """Read every row that is there; of a writer that is not ours in a process of its own."""
    if isinstance(writer, Ours):
        return writer.rows(database)
    read: Callable[[str], list[Row]] = partial(_rows, writer)
    what = f"rows ({writer.reader})" if isinstance(writer, Functions) else f"rows of {name_of(writer)}"
    return call_in_fresh_process(what, read, path_of(database), start_method)


def prepare(writer: Writer) -> None:
    """Do in a worker, before the gate opens, what a first insert would do; one that is not ours prints nowhere."""
    if isinstance(writer, Ours):
        warm_up(writer.settings)
    else:
        keep_quiet()
        getattr(writer, "warm_up", bool)()


def call_in_fresh_process(
    what: str,
    function: Callable[[Argument], Result],
    argument: Argument,
    start_method: str = "forkserver",
    deadline: float = TIME_ALONE,
) -> Result:
    """Return ``function(argument)``, called in a process of its own; ``WriterError`` that begins with ``what``.

    It is a ``WriterEndedError`` if the process was killed, or did not end in time.

    ``NotImplementedError`` comes out as it is: there is something that the writer needs and this machine lacks.
    """
    (outcome,) = pool_map(function, [argument], start_method=start_method, deadline=deadline)
    if isinstance(outcome.exception, (NotImplementedError, WriterError)):
        raise outcome.exception
    if outcome.status == "returned":
        return outcome.result  # type: ignore[return-value]  # None only where the function returned it
    kind = WriterError if outcome.exception is not None else WriterEndedError
    raise kind(f"{what} {what_happened(outcome, deadline)}")


def keep_quiet() -> None:
    """Have what this process prints from now on go nowhere: a writer's words are not the caller's."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def what_happened(outcome: Outcome[Any], deadline: float) -> str:
    """How a call in a process of its own ended that did not return, to go on with after its name."""
    if outcome.exit_status is not None:
        return f"ends its process with status {outcome.exit_status}"
    if outcome.exception is not None:
        return f"fails: {as_insert_error(outcome.exception)}"
    if outcome.killed_by is not None:
        return f"is killed by signal {outcome.killed_by}"
    return f"does not return within {deadline:g} s"


def _create(writer: Writer, database: str) -> None:
    keep_quiet()
    writer.create(database)


def _rows(writer: Writer, database: str) -> list[Row]:
    keep_quiet()
    return as_rows(writer.rows(database))
