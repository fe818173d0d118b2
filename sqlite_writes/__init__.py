"""Insert one row each from many processes into the same SQLite file at the same moment, and check every row.

And write so that none of them ever finds the database locked: ``write_turn``, with any connection.

This file only re-exports the public names; each is documented where it is defined.
"""

from .burst import insert_rows_in_parallel, insert_rows_one_after_another
from .calls import create_table_of
from .errors import error_name
from .line import WriteLine, synced, write_turn
from .pool import Outcome, pool_map
from .report import BurstError, BurstReport
from .settings import SETTINGS, Settings
from .table import create_table, generate_example_rows, generate_rows_of_every_kind, row_count
from .writers.names import resolve_writer
from .writers.ours import connect, insert_row, open_writer
from .writers.writer import Functions, InsertError, Writer, WriterError

__all__ = [
    "SETTINGS",
    "BurstError",
    "BurstReport",
    "Functions",
    "InsertError",
    "Outcome",
    "Settings",
    "WriteLine",
    "Writer",
    "WriterError",
    "connect",
    "create_table",
    "create_table_of",
    "error_name",
    "generate_example_rows",
    "generate_rows_of_every_kind",
    "insert_row",
    "insert_rows_in_parallel",
    "insert_rows_one_after_another",
    "open_writer",
    "pool_map",
    "resolve_writer",
    "row_count",
    "synced",
    "write_turn",
]
