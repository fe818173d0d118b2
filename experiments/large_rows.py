"""Write 10,000 rows of one megabyte from many processes, and read each back: nothing is lost, cut or altered.

``python -m experiments.large_rows [ROWS] [PROCESSES] [SETTINGS...]``; it needs twice the room of the rows on the
project's disk. The rows are checked one by one, so that they need not fit into memory. Knows no faults.
"""

from __future__ import annotations

import hashlib
import resource
import sqlite3
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from sqlite_writes import create_table, open_writer, pool_map
from sqlite_writes.folders import fresh_folder

PROJECT = Path(__file__).resolve().parent.parent

MEGABYTE = 1 << 20


def value_of(number: int) -> str:
    """A megabyte that follows from the number."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return f"{number} {digest * (MEGABYTE // len(digest))}"


def write(database: str, settings: str, numbers: range) -> list[str]:
    """Write the rows of these numbers over one connection; the errors."""
    errors = []
    with open_writer(database, settings) as insert:
        for number in numbers:
            try:
                insert((value_of(number),))
            except Exception as error:
                errors.append(f"{number} {error}")
    return errors


def run(settings: str, rows: int, processes: int, parent: Path) -> str:
    """Have all write, and say in a line what came of it; the line begins with FAULT if a row is not as it should be."""
    with fresh_folder(parent) as folder:
        database = f"{folder}/messages.db"
        create_table(database, settings)
        began = time.monotonic()
        shares = [range(first, rows, processes) for first in range(processes)]
        outcomes = pool_map(partial(write, database, settings), shares, deadline=3600)
        took = time.monotonic() - began
        failed = {int(error.split()[0]) for outcome in outcomes for error in outcome.result or []}
        ended = sum(outcome.result is not None for outcome in outcomes)
        log = Path(f"{database}-wal")
        log_size = log.stat().st_size if log.exists() else 0
        found, altered, doubled = set(), 0, 0
        with closing(sqlite3.connect(database)) as connection:
            for (value,) in connection.execute("SELECT msg FROM messages"):
                number = int(value.partition(" ")[0])
                doubled += number in found
                altered += value != value_of(number)
                found.add(number)
            whole = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        lost = len(set(range(rows)) - failed - found)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    is_right = whole and ended == processes and not (lost or altered or doubled)
    return (
        f"{'' if is_right else 'FAULT '}{settings}: {rows - len(failed):,} rows of 1 MiB acknowledged by {processes} "
        f"processes in {took:.0f} s, {len(failed)} failed, {lost} lost, {altered} altered, {doubled} doubled, "
        f"{'whole' if whole else 'DAMAGED'}; log {log_size >> 20} MiB at the end, the reader used {used} MiB at most"
    )


def main(rows: str = "10000", processes: str = "50", *settings: str) -> int:
    """Write with each of the settings; 1 if a row was not as it should be."""
    parent = PROJECT / ".asv" / "databases"
    parent.mkdir(parents=True, exist_ok=True)
    status = 0
    for name in settings or ("wal", "grouped"):
        line = run(name, int(rows), int(processes), parent)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        status |= line.startswith("FAULT")
    return status


if __name__ == "__main__":
    from experiments.large_rows import main as main_of_the_module  # by its name, under which a worker finds its task

    sys.exit(main_of_the_module(*sys.argv[1:]))
