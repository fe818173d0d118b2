"""Open with SQLite what power losses leave of recorded runs, and count the acknowledged rows that are gone.

Knows no writer but by its name. Rows are found by what they say, in whichever table and column the writer puts them.
"""

from __future__ import annotations

import os
import random
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from sqlite_writes.driver import sqlite3

from .playing import moments
from .recording import ROW, ROWS, SLOW_SYNCS, WORKERS, record, row_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_writes.writers.names import AnyWriter

    from .recording import Recording

# Of one moment at most so many states, so that many of them come from many recordings.
_AT_A_MOMENT = 4


@dataclass
class Losses:
    """How many states were opened, and in how many of them something was not as it must be.

    lost: in so many an acknowledged row is gone; most_lost: the most rows that are gone in one of them. doubled: a row
    is there twice; altered: with another text; damaged: SQLite cannot read the file, or finds it not intact.
    example: what was found in the first such state.
    """

    recordings: int = 0
    acknowledged: int = 0
    failed: int = 0
    failed_syncs: int = 0
    moments: int = 0
    states: int = 0
    lost: int = 0
    most_lost: int = 0
    doubled: int = 0
    altered: int = 0
    damaged: int = 0
    example: str = field(default="", repr=False)

    @property
    def share(self) -> float:
        """Return the share of the states in which an acknowledged row is gone, in percent."""
        return 100 * self.lost / self.states


def lose_power(
    writer: AnyWriter,
    states: int,
    *,
    seed: int = 1,
    names_are_sure: bool = True,
    workers: int = WORKERS,
    rows: int = ROWS,
    attempts: int | None = None,
    inject: str = SLOW_SYNCS,
) -> Losses:
    """Record runs of the writer and lose power in them until so many states have been opened.

    Runs over connections that are kept open take turns with such that open one for each row. Folders are made, and
    removed, in memory where there is some. Raises what ``record`` raises; ``RuntimeError`` if no row was acknowledged,
    or if one is not found though no power was lost.
    """
    chance, losses = _chance(seed), Losses()
    with _folder() as folder:
        recordings = _recordings(writer, folder, workers, rows, attempts, inject)
        while (left := states - losses.states) > 0:
            replay(next(recordings), losses, chance, f"{folder}/after", left, names_are_sure=names_are_sure)
    return losses


def lose_power_both_ways(
    writer: AnyWriter, states: int, *, seed: int = 1, attempts: int | None = None
) -> tuple[Losses, Losses]:
    """Lose power in the same recordings with sure names, and again with unsure ones; so many states of each.

    Records half as often as two calls of ``lose_power``, which says the rest.
    """
    chance, sure, unsure = _chance(seed), Losses(), Losses()
    with _folder() as folder:
        recordings = _recordings(writer, folder, WORKERS, ROWS, attempts, SLOW_SYNCS)
        while sure.states < states or unsure.states < states:
            recording = next(recordings)
            for losses, names_are_sure in ((sure, True), (unsure, False)):
                left = states - losses.states
                replay(recording, losses, chance, f"{folder}/after", left, names_are_sure=names_are_sure)
    return sure, unsure


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 a seeded simulation is no secret


def _folder() -> tempfile.TemporaryDirectory[str]:
    memory = "/dev/shm"  # noqa: S108
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


def _recordings(
    writer: AnyWriter, folder: str, workers: int, rows: int, attempts: int | None, inject: str
) -> Iterator[Recording]:
    """Record one run after another, without an end."""
    for number in count():
        database = f"{folder}/{number}/messages.db"
        os.mkdir(os.path.dirname(database))
        keep_open = number % 2 == 0
        recording = record(
            writer, database, workers=workers, rows=rows, attempts=attempts, keep_open=keep_open, inject=inject
        )
        if not recording.acknowledged:
            raise RuntimeError(f"no row was acknowledged: {recording.said[:1]}")
        yield recording


def replay(
    recording: Recording, losses: Losses, chance: random.Random, folder: str, states: int, *, names_are_sure: bool
) -> None:
    """Add what different states show, spread over all moments of the recording: about so many, if there are."""
    losses.recordings += 1
    losses.acknowledged += len(recording.acknowledged)
    losses.failed += len(recording.failed)
    os.makedirs(folder, exist_ok=True)
    main = os.path.basename(recording.main)
    failed_syncs = 0
    at_a_moment = min(states / sum(1 for _ in moments(recording)), _AT_A_MOMENT)
    for player in moments(recording):
        losses.moments += 1
        failed_syncs = player.counts["failed syncs"]
        seen = set()
        for _ in range(int(at_a_moment + chance.random())):
            files = player.disk.after_power_loss(chance, names_are_sure=names_are_sure)
            state = tuple(sorted(files.items()))
            if state not in seen:
                seen.add(state)
                _add(losses, _found(files, folder, main), player.acknowledged)
    losses.failed_syncs += failed_syncs


def _add(losses: Losses, found: list[tuple[str, bool]] | str, acknowledged: set[str]) -> None:
    losses.states += 1
    rows = [] if isinstance(found, str) else found
    names = [name for name, _ in rows]
    gone = acknowledged - set(names)
    doubled, altered = len(names) > len(set(names)), any(not is_whole for _, is_whole in rows)
    losses.lost += bool(gone)
    losses.most_lost = max(losses.most_lost, len(gone))
    losses.doubled += doubled
    losses.altered += altered
    losses.damaged += isinstance(found, str)
    if not losses.example and (gone or doubled or altered or isinstance(found, str)):
        losses.example = found if isinstance(found, str) else f"gone {sorted(gone)}, there {sorted(names)}"


def _found(files: dict[str, bytes], folder: str, main: str) -> list[tuple[str, bool]] | str:
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    for path, content in files.items():
        Path(folder, os.path.basename(path)).write_bytes(content)
    return find_rows(f"{folder}/{main}")


def find_rows(path: str) -> list[tuple[str, bool]] | str:
    """Return the names of the rows that SQLite finds, and whether each is whole; or why it cannot tell."""
    found = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.text_factory = bytes
        try:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                for cells in connection.execute(f'SELECT * FROM "{table.decode()}"'):  # noqa: S608 the file's own name
                    for cell in cells:
                        for name, digest in ROW.findall(cell) if isinstance(cell, bytes) else ():
                            text = f"row {name.decode()}:{digest.decode()}"
                            found.append((name.decode(), text == row_text(name.decode())))
            intact = connection.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.Error as error:
            return f"cannot be read: {error}"
    return found if intact == [(b"ok",)] else f"integrity_check: {intact}"
