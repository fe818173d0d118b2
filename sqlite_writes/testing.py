"""For anybody's tests: assert that a way of writing holds for many processes at one moment.

Imports no test framework; what is raised is a plain ``AssertionError`` that says what happened and what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .advice import advise
from .burst import insert_rows_in_parallel
from .calls import create_table_of
from .folders import fresh_folder
from .report import reason_of
from .table import generate_example_rows
from .writers.writer import Functions, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .driver import Database, Value
    from .report import BurstReport
    from .table import Row
    from .writers.names import AnyWriter

# What is noticed of a writer that may lose an acknowledged row, though all are there now.
_NOT_KEPT = ("before it commits", "two SQLite libraries")

# How many rows of a kind a message names.
_NAMED = 3


def assert_writes_hold(
    insert: Callable[[Row], object] | str,
    rows: Callable[[], Iterable[Any]] | str,
    workers: int = 200,
    *,
    values: Iterable[Value | Row] | None = None,
    bursts: int = 1,
    deadline: float = 60.0,
    start_method: str = "forkserver",
) -> BurstReport:
    """Raise ``AssertionError`` unless every row is kept, once and as it was, when many processes write at one moment.

    insert: ``insert(row)`` writes one row, a one-element tuple such as ``("a message",)``, closes what it has opened,
        and returns when the row is committed. Called once in each process.
    rows: ``rows()`` returns every row that is there: one-element tuples or the bare values. It is called in processes
        of its own. Rows that were there before do not matter.
    workers: how many processes write at one moment, one row each.
    values: what they write, distinct; the workers' number is theirs then. UUIDs unless given;
        ``generate_rows_of_every_kind`` has values that are easily changed on their way.
    bursts: how many times. The first that does not hold is the error.
    deadline: seconds for one burst, after which what still runs is killed and has failed.
    start_method: fresh processes import the module of both functions. ``"fork"`` need not, and copies this process as
        it is: a SQLite connection that is open here then loses rows.

    Returns the last burst's report: times, errors, remarks. Raises ``ValueError`` for what cannot be tried, and
    ``WriterError`` if ``rows`` fails.
    """
    __tracebackhide__ = True  # pytest then shows the caller's line and the message
    writer = Functions(insert, rows)
    chosen = None if values is None else [value if isinstance(value, tuple) else (value,) for value in values]
    return _hold("", writer, workers, chosen, bursts, deadline, start_method)


def assert_writer_holds(
    writer: AnyWriter,
    workers: int = 200,
    *,
    database: Database | None = None,
    values: Iterable[Value | Row] | None = None,
    bursts: int = 1,
    deadline: float = 60.0,
    start_method: str = "forkserver",
) -> BurstReport:
    """The same for a writer of three parts, or one that is named: ``"wal"``, ``"django"``, ``"package.module:name"``.

    It makes its table anew before each burst, at ``database``, or at a path in a temporary folder unless that is given.
    """
    __tracebackhide__ = True
    chosen = None if values is None else [value if isinstance(value, tuple) else (value,) for value in values]
    if database is not None:
        return _hold(database, writer, workers, chosen, bursts, deadline, start_method)
    with fresh_folder(".") as folder:
        return _hold(Path(folder, "writes.db"), writer, workers, chosen, bursts, deadline, start_method)


def _hold(
    database: Database,
    writer: AnyWriter,
    workers: int,
    values: list[Row] | None,
    bursts: int,
    deadline: float,
    start_method: str,
) -> BurstReport:
    __tracebackhide__ = True
    if isinstance(bursts, bool) or not isinstance(bursts, int) or bursts < 1:
        raise ValueError(f"bursts {bursts!r} is not a whole number of 1 or more")
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers {workers!r} is not a whole number of 1 or more")
    for burst in range(bursts):
        create_table_of(writer, database, start_method=start_method)
        report = insert_rows_in_parallel(
            database,
            generate_example_rows(workers) if values is None else values,
            writer,
            start_method=start_method,
            deadline=deadline,
        )
        message = _message(report)
        if message:
            raise AssertionError(message if bursts == 1 else f"burst {burst + 1} of {bursts}: {message}")
    return report


def _message(report: BurstReport) -> str:
    """What does not hold, line by line; empty if all does."""
    early = [remark for remark in report.remarks for what in _NOT_KEPT if what in remark]
    kinds = [kind for kind in ("failed", "lost", "altered", "duplicated") if report.which(kind)]
    if not kinds and not early:
        return ""
    lines = [f"{name_of(report.writer)}: {report.attempted} processes wrote one row each at one moment"]
    for kind in kinds:
        rows = report.which(kind)
        words = {
            "failed": "failed",
            "lost": "lost: insert returned, and the row is not there",
            "altered": "altered: the row is there with another value",
            "duplicated": "there more than once",
        }
        lines.append(f"  {len(rows)} of {report.attempted} {words[kind]}: {_some(rows, report, kind)}")
        if kind == "failed":
            lines += [f"    {count} x {reason}{_words_of(report, reason)}" for reason, count in report.errors.items()]
    if report.lost and report.check.unexpected:
        many = report.check.unexpected
        lines.append(f"  {many} row{'s' * (many > 1)} more {'are' if many > 1 else 'is'} there, which nobody wrote")
    lines += [f"  noticed: {remark}" for remark in report.remarks]
    lines += [f"  to do: {advice}" for advice in advise(report)]
    return "\n".join(lines)


def _some(rows: list[Row], report: BurstReport, kind: str) -> str:
    """Name the first rows, each cut to a line's part."""
    named = []
    for row in rows[:_NAMED]:
        text = _cut(row[0])
        if kind == "altered":
            instead = report.check.instead[report.rows.index(row)]
            text += f" is {_cut(instead[0] if instead else None)}"
        named.append(text)
    return ", ".join(named) + (", …" if len(rows) > _NAMED else "")


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(value) if isinstance(value, (str, bytes)) else '?'} long)"


def _words_of(report: BurstReport, reason: str) -> str:
    """The words of the first error of that reason."""
    for outcome in report.outcomes:
        if outcome.exception is not None and reason_of(outcome) == reason:
            words = str(outcome.exception).removeprefix(f"{reason}: ")
            return f": {words[:200]}"
    return ""
