"""What an insert and a burst's report promise, each as a fact that is the same every time. Judges nothing."""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import replace
from functools import partial

from benchmarks.common import database_path, find, skip_unless_possible

from .connections import HELD, level, open_files, recorded_connections, refusal
from .outcomes import Sample, copies_in, driver
from .waiting import waiting_together


def promises(settings: str) -> Sample:
    """Return what an insert promises, each as a fact that is the same every time: read back, or provoked."""
    skip_unless_possible(settings)
    from sqlite_writes import SETTINGS, create_table, generate_example_rows, insert_row

    own = SETTINGS[settings]
    rows = generate_example_rows(3)
    facts: Sample = {}
    with database_path() as database:
        refused_insert = partial(insert_row, database, rows[2], replace(own, busy_timeout=HELD))
        folder = os.path.dirname(database)
        create_table(database, settings)
        insert_row(database, rows[0], settings)
        with recorded_connections() as (recorded, syncs):
            insert_row(database, rows[1], settings)
            facts["connections left open"] = sum(not connection.is_closed for connection in recorded)
        facts["descriptors left open"] = open_files(folder)
        facts["files left beside the database"] = sorted(
            name[len("messages.db") :] for name in os.listdir(folder) if name != "messages.db"
        )
        # Read when a connection is closed: one that was left open says nothing of them.
        closed = [connection for connection in recorded if connection.synchronous is not None]
        facts["synchronous"] = min((level(one.synchronous, one.committed, syncs) for one in closed), default=None)
        facts["busy timeout"] = min((connection.busy_timeout for connection in closed), default=None)
        with closing(driver().connect(database, isolation_level=None)) as connection:
            (facts["journal mode"],) = connection.execute("PRAGMA journal_mode").fetchone()
            schema = connection.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'messages' ORDER BY 1")
            facts["schema"] = [sql for (sql,) in schema]
            # Somebody holds the lock for longer than we want to wait: it must be said, in time, and nothing written.
            connection.execute("BEGIN IMMEDIATE")
            with recorded_connections() as (refused, _):
                facts["error behind a lock"], facts["wait for a lock"] = refusal(refused_insert)
                facts["connections left open by a refused insert"] = sum(not one.is_closed for one in refused)
            connection.execute("ROLLBACK")
        if getattr(own, "line", False):  # an early commit has none
            from sqlite_writes import write_turn

            with write_turn(database):
                facts["error in line"], facts["wait in line"] = refusal(refused_insert)
            facts.update(waiting_together(database, settings))
        copies = copies_in(database)
        facts["rows kept of 2"] = sum(copies.get(message, 0) == 1 for (message,) in rows[:2])
        facts["rows written by a refused insert"] = copies.get(rows[2][0], 0)
    return facts


def cost(settings: str) -> Sample:
    """Return what one insert costs in what does not vary, and its SQL statements without their values."""
    skip_unless_possible(settings)
    from sqlite_writes import create_table, generate_example_rows, insert_row

    with database_path() as database:
        costs = dict(find("insert_cost")(database, settings))
    with database_path() as database:
        create_table(database, settings)
        first, row = generate_example_rows(2)
        insert_row(database, first, settings)  # which asks for more, once
        with recorded_connections() as (recorded, _):
            insert_row(database, row, settings)
    told = [statement for connection in recorded for statement in connection.statements]
    return {**costs, "statements": [re.sub(r"'[^']*'|\d+", "?", statement) for statement in told]}


def values_kept() -> Sample:
    """Say how many values of every kind come back as others, among them long ones: text, numbers, bytes, None."""
    from sqlite_writes import create_table, insert_row

    rows = find("generate_rows_of_every_kind")()
    with database_path() as database:
        create_table(database)
        for row in rows:
            insert_row(database, row)
        with closing(driver().connect(database)) as connection:
            kept = connection.execute("SELECT msg FROM messages ORDER BY rowid").fetchall()
    others = sum(repr(row) != repr(other) for row, other in zip(rows, kept))
    return {"values that come back as others": others + abs(len(rows) - len(kept))}


def accounting() -> Sample:
    """Say how a burst's report counts: rows that a trigger drops or doubles, and rows that nobody could write."""
    from sqlite_writes import Settings, create_table, generate_example_rows, insert_rows_in_parallel

    places = {"dropped": "lost", "doubled": "duplicated", "altered": "altered"}
    facts: Sample = {}
    for what, action in (
        ("dropped", "BEFORE INSERT ON messages BEGIN SELECT RAISE(IGNORE); END"),
        ("doubled", "AFTER INSERT ON messages BEGIN INSERT INTO messages (msg) VALUES (new.msg); END"),
        ("altered", "AFTER INSERT ON messages BEGIN UPDATE messages SET msg = new.msg || 'x' WHERE msg = new.msg; END"),
        ("refused", ""),
    ):
        with database_path() as database:
            create_table(database)
            with closing(driver().connect(database, isolation_level=None)) as connection:
                connection.execute(f"CREATE TRIGGER t {action}" if action else "BEGIN IMMEDIATE")
                if action:
                    connection.close()
                report = insert_rows_in_parallel(
                    database, generate_example_rows(3), Settings(busy_timeout=0.0), deadline=60.0
                )
        counted = {name: getattr(report, name) for name in ("failed", "recovered", *places.values())}
        try:
            report.raise_for_failures()
            counted["raises"] = False
        except RuntimeError:
            counted["raises"] = True
        if what == "refused":
            counted["errors"] = dict(report.errors)
        if action:  # a burst of three with a timeout of 0 may meet locks of its own
            del counted["failed"]
            counted[places[what]] += report.failed
        facts[f"three rows {what}, as counted"] = counted
    with database_path() as database:
        create_table(database)
        with closing(driver().connect(database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            waiting = Settings(busy_timeout=1.0)
            report = insert_rows_in_parallel(database, generate_example_rows(1), waiting, deadline=60.0)
    facts["a burst that waits for a second tells so"] = (report.burst_time or 0.0) >= 0.95
    return facts
