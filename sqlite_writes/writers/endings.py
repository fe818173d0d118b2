"""How rows of the ready-made writers fail, and the one option that ends it: which writer has that option changed.

Data only. Where more than one kind of error has to end, each writer of a chain ends one.
"""

from __future__ import annotations

from typing import NamedTuple

# SQLite's name, and when: a row that cannot wait is refused at once, another when its busy timeout is over.
AT_ONCE, AFTER_100_MS, AFTER_5_S = ("SQLITE_BUSY at once", "SQLITE_BUSY after 100 ms", "SQLITE_BUSY after 5 s")

_A_MINUTE = "a busy timeout of 60 s"


class Ending(NamedTuple):
    """What ends the failures of a writer.

    error: how its rows fail.
    option: the only one that is changed.
    writer: the name of the writer that has it changed, and whose rows no longer fail so.
    """

    error: str
    option: str
    writer: str


ENDINGS: dict[str, Ending] = {
    "default": Ending(AFTER_5_S, "journal mode WAL", "wal"),
    "sqlite3-autocommit": Ending(AFTER_5_S, _A_MINUTE, "sqlite3-autocommit-timeout"),
    "sqlalchemy-core": Ending(AFTER_5_S, _A_MINUTE, "sqlalchemy-core-timeout"),
    "sqlalchemy-orm": Ending(AFTER_5_S, _A_MINUTE, "sqlalchemy-orm-timeout"),
    "django": Ending(AFTER_5_S, _A_MINUTE, "django-timeout"),
    # Two kinds: a deferred transaction that has read cannot wait, and those that wait may wait too long.
    "django-reading": Ending(AT_ONCE, "transaction_mode IMMEDIATE", "django-immediate"),
    "django-immediate": Ending(AFTER_5_S, "a busy timeout of 20 s", "django-advised"),
    "peewee": Ending(AFTER_5_S, _A_MINUTE, "peewee-timeout"),
    "sqlmodel": Ending(AFTER_5_S, _A_MINUTE, "sqlmodel-timeout"),
    "sqlite-utils": Ending(AFTER_5_S, _A_MINUTE, "sqlite-utils-timeout"),
    "apsw": Ending(AT_ONCE, _A_MINUTE, "apsw-timeout"),
    # Two kinds again: PRAGMA optimize reads before it writes.
    "apsw-advised": Ending(AT_ONCE, "no connection_optimize", "apsw-no-optimize"),
    "apsw-no-optimize": Ending(AFTER_100_MS, _A_MINUTE, "apsw-no-optimize-timeout"),
}
