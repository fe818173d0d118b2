"""One after another: what an insert costs when nobody else writes.

Each insert has a connection of its own, so each close is the last one, and in WAL mode the last one checkpoints and
removes the WAL: that is why WAL can look no better here. 10,000 rows are the article's own size; a burst into a table
that holds as many shows whether a full table matters to a burst.
"""

from __future__ import annotations

from contextlib import ExitStack

from .check.bursts import sequence as timed_sequence
from .common import (
    SETTINGS,
    Samples,
    _TimedBursts,
    bursts,
    database_path,
    find,
    samples,
    setup,
    skip_if_driver_is_ignored,
    skip_unless_possible,
    unit,
)

POPULATED = 10_000
WORKERS = 100


class InsertRow:
    """One ``insert_row`` into a new table that has one row."""

    params = (SETTINGS,)
    param_names = ("settings",)

    # 20 calls in each of two processes.
    version = "1"
    number = 1
    repeat = 20
    rounds = 2
    warmup_time = 0.0

    # In the check one sample has several, since one takes a millisecond.
    check_samples = tuple(
        {"kind": "time", "method": "check_sequence", "params": [name], "arguments": {"rows": 10}}
        for name in ("default", "wal", "wal-normal", "queued", "grouped", "synced")
    )
    check_sequence = staticmethod(timed_sequence)

    def __init__(self) -> None:
        self.resources = ExitStack()  # teardown comes even where the module's setup has said n/a

    def setup(self, settings: str) -> None:
        from sqlite_writes import create_table, generate_example_rows, insert_row

        skip_unless_possible(settings)
        self.insert_row = insert_row
        self.database = self.resources.enter_context(database_path())
        create_table(self.database, settings)
        first, self.row = generate_example_rows(2)
        insert_row(self.database, first, settings)

    def time_insert_row(self, settings: str) -> None:
        self.insert_row(self.database, self.row, settings)

    def teardown(self, settings: str) -> None:
        self.resources.close()


class TenThousandRows:
    """10,000 rows one after another, each with a connection of its own, in one fresh process."""

    version = "1"
    timeout = 600.0

    def setup(self) -> None:
        skip_if_driver_is_ignored()

    @unit("seconds")
    def track_seconds(self) -> float:
        from sqlite_writes import create_table, generate_example_rows, insert_rows_one_after_another

        with database_path() as database:
            create_table(database)
            return insert_rows_one_after_another(database, generate_example_rows(POPULATED))


class PopulatedBurst(_TimedBursts):
    """A burst of 100 into a table of 10,000 rows."""

    params = (SETTINGS,)
    param_names = ("settings",)

    version = "2"

    def setup(self, settings: str) -> None:
        skip_unless_possible(settings)
        self.use(self.measured_once(settings, lambda: _burst_into_populated(settings), bursts(settings)))

    @unit("seconds")
    def track_slowest_insert(self, settings: str) -> Samples:
        return samples(self.reports, "insert_time", "slowest")


def _burst_into_populated(settings: str) -> dict[str, object]:
    from sqlite_writes import create_table, generate_example_rows, insert_rows_in_parallel

    connect, insert = find("connect"), find("INSERT_ROW")
    with database_path() as database:
        create_table(database, settings)
        connection = connect(database, settings)
        try:
            connection.execute("BEGIN")
            connection.executemany(insert, generate_example_rows(POPULATED))
            connection.commit()
        finally:
            connection.close()
        return insert_rows_in_parallel(database, generate_example_rows(WORKERS), settings).to_dict()
