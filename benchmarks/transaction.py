"""Read, then write, in one transaction: deferred against immediate.

SQLite's busy handler, and so the busy timeout, does not run for a transaction that has read and then wants to write: if
another has committed meanwhile, its snapshot is stale, and in WAL mode it fails at once; in delete mode two readers who
both want to write would wait for each other for ever, so one of them fails at once. Begun ``IMMEDIATE`` the same
statements wait. 50 workers suffice: no timeout is near, so every failed row is of this kind.
"""

from __future__ import annotations

from functools import partial

from .common import Report, _Reports, bursts, database_path, find, mean, setup, unit

WORKERS = 50


class ReadThenWrite(_Reports):
    """50 processes each read the table and insert a row, in one transaction."""

    params = (["delete", "wal"], ["implicit", "immediate"])
    param_names = ("journal_mode", "transaction")

    version = "1"

    check_samples = ({"kind": "failure", "method": "check_burst", "params": ["wal", "immediate"], "deadline": 60},)

    def check_burst(self, journal_mode: str, transaction: str) -> Report:
        find("read_then_insert_row")
        return _burst_of_readers(journal_mode, transaction)

    def setup(self, journal_mode: str, transaction: str) -> None:
        find("read_then_insert_row")
        self.reports = self.measured_once(
            f"{journal_mode} {transaction}", lambda: _burst_of_readers(journal_mode, transaction), bursts()
        )

    @unit("rows per burst")
    def track_failed_rows(self, journal_mode: str, transaction: str) -> float:
        return mean(self.reports, "failed")

    @unit("rows per burst")
    def track_lost_rows(self, journal_mode: str, transaction: str) -> float:
        return mean(self.reports, "lost")


def _burst_of_readers(journal_mode: str, transaction: str) -> Report:
    from sqlite_writes import Settings, create_table, generate_example_rows, pool_map

    rows = generate_example_rows(WORKERS)
    settings = Settings(journal_mode=journal_mode, transaction=transaction, busy_timeout=60)
    with database_path() as database:
        create_table(database, settings)
        outcomes = pool_map(
            partial(find("read_then_insert_row"), database, settings=settings),
            rows,
            warm_up=partial(find("warm_up"), settings),
        )
        copies = find("count_copies", "count_rows")(database, rows)
    return {
        "failed": sum(outcome.status != "returned" for outcome in outcomes),
        "lost": sum(outcome.status == "returned" and not kept for outcome, kept in zip(outcomes, copies)),
    }
