"""What becomes of rows that come while somebody has the turn. Knows no times that are judged."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Any

from .connections import HELD, Span, level, recorded_connections
from .outcomes import driver

if TYPE_CHECKING:
    from .outcomes import Sample

# So many rows come while somebody has the turn, and for so many seconds the next one is waited for.
TOGETHER = 8
PATIENCE = 1.0

# Seconds that a sync of rows that wait together takes longer, as on a slow disk, so that the others come meanwhile.
SYNC = 0.005


def waiting_together(database: str, settings: str) -> Sample:
    """Say what becomes of rows that come while somebody has the turn: do they share a sync, and does one not wait."""
    from sqlite_writes import generate_example_rows, insert_row, pool_map, write_turn

    come, here = os.pipe()
    released: list[float] = []

    def insert(row: Any) -> tuple[list[tuple[int, float]], list[Span], float, int]:
        os.write(here, b".")
        with recorded_connections(SYNC) as (recorded, syncs):
            insert_row(database, row, settings)
            returned = time.monotonic()
            writes = [(one.synchronous, one.committed) for one in recorded if one.synchronous is not None]
            return writes, syncs, returned, sum(not one.is_closed for one in recorded)

    def release(turn: contextlib.ExitStack) -> None:
        for _ in range(TOGETHER):  # so long as all of them come within the sample's deadline
            if select.select([come], [], [], PATIENCE)[0]:
                os.read(come, 1)
        time.sleep(2 * HELD)
        released.append(time.monotonic())
        turn.close()

    with contextlib.closing(driver().connect(database)) as connection:  # while it is open, nobody takes the WAL away
        connection.execute("SELECT count(*) FROM messages").fetchall()
        before = _commits_in_wal(database)
        with contextlib.ExitStack() as turn:
            turn.enter_context(write_turn(database))
            releasing = threading.Thread(target=release, args=(turn,))
            releasing.start()
            outcomes = pool_map(insert, generate_example_rows(TOGETHER), start_method="fork")
            releasing.join()
        commits = _commits_in_wal(database) - before
    os.close(come)
    os.close(here)
    last = max(one.ended or 0 for one in outcomes)
    said = [one.result for one in outcomes if one.result is not None]
    syncs = [span for _, spans, _, _ in said for span in spans]
    # One's sync may be for others too, so all are looked at. A commit at FULL is a sync by SQLite.
    levels = [level(*written, syncs, returned) for writes, _, returned, _ in said for written in writes]
    is_full = any(synchronous > 1 for writes, *_ in said for synchronous, _ in writes)
    return {
        "synchronous of rows that wait together": min(levels, default=None),
        "connections left open by rows that wait together": sum(left for *_, left in said),
        "rows that wait together have a sync each": len(syncs) + is_full * commits >= TOGETHER,
        "rows acknowledged before their turn": sum((one.ended or 0) < released[0] for one in outcomes),
        "seconds until all had their turn": round(5 * (last - released[0])) / 5,
    }


def _commits_in_wal(database: str) -> int:
    """Return how many frames of the WAL end a transaction (https://sqlite.org/fileformat2.html#the_write_ahead_log)."""
    with contextlib.suppress(FileNotFoundError), open(f"{database}-wal", "rb") as file:
        data = file.read()
        size = 24 + int.from_bytes(data[8:12], "big")
        frames = [data[start : start + 24] for start in range(32, len(data) - size + 1, size)]
        return sum(frame[8:16] == data[16:24] and any(frame[4:8]) for frame in frames)
    return 0
