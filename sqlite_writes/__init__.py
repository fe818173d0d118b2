"""Insert one row each from many processes into the same SQLite file at the same moment, and check every row.

And write so that none of them ever finds the database locked: settings ``queued`` and ``grouped``.

This file only re-exports the public names; each is documented where it is defined.
"""

from .burst import BurstError, BurstReport, insert_rows_in_parallel, insert_rows_one_after_another
from .database import create_table, error_name, generate_example_rows, insert_row, row_count
from .group_commit import UndecidedError, execute_grouped
from .pool import Outcome, pool_map
from .settings import SETTINGS, Settings

__all__ = [
    "SETTINGS",
    "BurstError",
    "BurstReport",
    "Outcome",
    "Settings",
    "UndecidedError",
    "create_table",
    "error_name",
    "execute_grouped",
    "generate_example_rows",
    "insert_row",
    "insert_rows_in_parallel",
    "insert_rows_one_after_another",
    "pool_map",
    "row_count",
]
