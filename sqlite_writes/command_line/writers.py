"""Which writers were asked for by ``--writer`` and ``--rows``, whether they can be tried, and what each promises.

Imports no code that is named: a fresh process does. Knows no click, because such a process imports this file.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sqlite_writes.calls import call_in_fresh_process, keep_quiet
from sqlite_writes.settings import SETTINGS, Settings
from sqlite_writes.writers.libraries import LIBRARIES
from sqlite_writes.writers.names import is_path, resolve_writer
from sqlite_writes.writers.ours import Ours
from sqlite_writes.writers.writer import PARTS, Functions, Writer, WriterEndedError, WriterError, load

from .errors import CouldNotMeasure, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of what ``Chosen.durability`` answers, the words that say too little alone.
NEED_A_NOTE = ("nearly", "see note")

_EARLY = "returns before it commits"


@dataclass(frozen=True)
class Chosen:
    """A writer, by the name that it was asked for."""

    name: str
    writer: Writer

    @property
    def settings(self) -> Settings | None:
        """The settings of a writer of ours."""
        return self.writer.settings if isinstance(self.writer, Ours) else None

    def durability(self, remarks: Sequence[str] = ()) -> tuple[str, str]:
        """Return in a word, and in a sentence, whether an acknowledged row survives a power loss.

        remarks: what was noticed about it in its bursts.
        """
        if self.settings is not None:
            return _durability_of_settings(self.settings)
        early = next((remark for remark in remarks if _EARLY in remark), None)
        if early is not None:
            return "no", early
        if self.name in LIBRARIES:
            return "see note", LIBRARIES[self.name].note
        return "unknown", "whether a power loss takes rows depends on its journal mode and PRAGMA synchronous"


def choose(names: Sequence[str], rows: str | None) -> list[Chosen]:
    """Return the writers; raise ``WrongUsage`` for a name that is none, or for code that lacks what it takes."""
    own = [name for name in names if ":" in name]
    if rows is not None and not own:
        raise WrongUsage("--rows reads the rows of your own function: name that with --writer package.module:name")
    if rows is not None and not is_path(rows):
        raise WrongUsage(f"--rows {rows!r} is no package.module:name of the function that reads all rows back")
    chosen = [Chosen(name, _writer(name, rows)) for name in names]
    for one in chosen:
        _check(one, rows)
    return chosen


def _writer(name: str, rows: str | None) -> Writer:
    try:
        writer = resolve_writer(name)
    except ValueError:
        raise WrongUsage(_unknown(name)) from None
    return writer if rows is None or ":" not in name else Functions(name, rows)


def _unknown(name: str) -> str:
    known = [*SETTINGS, *LIBRARIES]
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"there is no writer {name!r}: did you mean {close[0]!r}?"
    return (
        f"there is no writer {name!r}: give one of {', '.join(SETTINGS)}, the name of a library (--help lists them), "
        "or package.module:name of your own"
    )


def _check(chosen: Chosen, rows: str | None) -> None:
    """Have a fresh process import what is named, and see whether it will do."""
    if chosen.name in SETTINGS:
        return
    library = LIBRARIES.get(chosen.name)
    try:
        if library is not None:
            call_in_fresh_process(chosen.name, _load, library.writer)
        elif rows is None:
            call_in_fresh_process(chosen.name, _check_writer, chosen.name)
        else:
            call_in_fresh_process(chosen.name, partial(_check_functions, rows), chosen.name)
    except WriterEndedError as error:
        raise CouldNotMeasure(f"{error}, as it was imported: try again") from None
    except WriterError as error:
        if library is not None and library.distribution and "No module named" in str(error):
            raise WrongUsage(
                f"writer {chosen.name!r} needs {library.title}, which is not installed: "
                f"pip install {library.distribution}"
            ) from None
        raise WrongUsage(str(error)) from None


def _load(name: str) -> None:
    keep_quiet()
    load(name)


def _check_writer(name: str) -> None:
    keep_quiet()
    found = load(name)
    missing = [part for part in PARTS if not callable(getattr(found, part, None))]
    if len(missing) == len(PARTS) and callable(found) and not isinstance(found, type):
        raise WriterError(
            f"{name} is a function: name the one that reads all rows back, too, with --rows package.module:name"
        )
    if missing:
        raise WriterError(
            f"{name} lacks {', '.join(missing)}: a writer has create(database), open(database) and rows(database)"
        )


def _check_functions(rows: str, insert: str) -> None:
    keep_quiet()
    for name in (insert, rows):
        found = load(name)
        if all(callable(getattr(found, part, None)) for part in PARTS):
            raise WriterError(f"{name} is a writer, which reads its rows itself: leave --rows out")
        if not callable(found):
            raise WriterError(f"{name} is no function")


def _durability_of_settings(settings: Settings) -> tuple[str, str]:
    if settings.sync_after:
        return "yes", "durable: the log is synced before an insert returns"
    if settings.synchronous == "full" and settings.journal_mode == "wal":
        return "yes", "durable: each commit is synced"
    if settings.synchronous == "full":
        return "nearly", "each commit is synced, but a power loss may bring its journal back, which undoes the last one"
    if settings.synchronous == "normal" and settings.journal_mode == "wal":
        return "no", "a power loss may take the last commits"
    if settings.synchronous in ("normal", "off"):
        return "no", "a power loss may take commits, or damage the file"
    raise NotImplementedError(f"nothing is known here of synchronous {settings.synchronous!r}")
