"""Whether this process has a database open through two SQLite libraries, which loses rows without an error.

POSIX locks belong to the process. The one library knows nothing of the other's, and drops them when it closes the file:
then another process may write in the midst of a transaction (https://sqlite.org/howtocorrupt.html, section 2.2.1).
Knows nothing of turns and workers.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

# Modules that may bring a SQLite of their own, beside the one of Python's ``sqlite3``.
OTHERS = frozenset(("apsw", "pysqlite3", "sqlcipher3", "sqlean", "libsql"))


def loaded() -> list[str]:
    """Return the modules of this process that bring a SQLite, each by its name."""
    return [*(["sqlite3"] if "_sqlite3" in sys.modules else []), *sorted(OTHERS & sys.modules.keys())]


def both_have_open(database: str) -> bool:
    """Whether two libraries have, or have just had, the database open in WAL mode; False where Linux does not tell.

    In WAL mode a library opens ``<database>-shm`` once for all of its connections (``unixShmNode`` in SQLite's
    os_unix.c), so two descriptors of it are two libraries. The one that closes first takes itself for the last of all,
    and deletes that file and the log under the other's hands. In the other modes the files look alike.
    """
    if len(loaded()) < 2:
        return False
    index, found = os.path.realpath(database) + "-shm", 0
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # the listing's own, or one that another thread has closed
                path = os.readlink(f"/proc/self/fd/{name}")
                found += 2 * (path == index + " (deleted)") + (path == index)
    return found > 1


def in_words(database: str) -> str:
    """Return what is wrong and what to do."""
    return (
        f"this process has {database!r} open through two SQLite libraries ({', '.join(loaded())}): closing it in one "
        "drops the locks of the other, and rows are lost without an error; use one of them for this file"
    )
