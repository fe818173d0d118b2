"""Plausible bad changes to the package, each with the cause that the check has to name; data for the selftest.

A mutant is one replacement in one file. One whose place is gone (a test says so) is to be written anew.
"""

from __future__ import annotations

from dataclasses import dataclass

_DATABASE, _SETTINGS = "sqlite_writes/database.py", "sqlite_writes/settings.py"
_BURST, _LOCK, _GROUP = "sqlite_writes/burst.py", "sqlite_writes/file_lock.py", "sqlite_writes/group_commit.py"

_INSERT = """                    connection.execute(INSERT_ROW, row)
                connection.commit()
"""
_CONNECT = "files.enter_context(closing(connect(database, settings)))"
_TABLE = "                connection.execute(CREATE_TABLE)\n"
_LOCKED = "            except sqlite3.OperationalError as error:\n"


@dataclass(frozen=True)
class Mutant:
    """A bad change: its name, where it is, and what a finding about it says: a verdict and a regular expression."""

    name: str
    file: str
    old: str
    new: str
    verdict: str
    cause: str


def _after_insert(statement: str) -> tuple[str, str]:
    return _INSERT, _INSERT.replace("row)\n", f"row)\n                {statement}\n", 1)


def _after_commit(statement: str) -> tuple[str, str]:
    return _INSERT, f"{_INSERT}                {statement}\n"


MUTANTS = (
    # A statement, a commit, a sync, a file too many.
    Mutant("a second statement", _DATABASE, *_after_insert('connection.execute("SELECT count(*) FROM messages")'),
           "REGRESSION", r"SQL statement per row \(new: SELECT"),
    Mutant("an extra commit", _DATABASE, *_after_commit(
        'connection.execute("UPDATE messages SET ts = ts WHERE rowid = 1"); connection.commit()'),
           "REGRESSION", r"new: COMMIT"),
    Mutant("a sync too many", _DATABASE, *_after_commit(
        "descriptor = os.open(database, os.O_RDONLY); os.fsync(descriptor); os.close(descriptor)"),
           "REGRESSION", r"\+1 sync per row"),
    Mutant("an index", _DATABASE, _TABLE,
           f'{_TABLE}                connection.execute("CREATE INDEX by_message ON messages (msg)")\n',
           "REGRESSION", r"bytes? written per row"),
    Mutant("a unique constraint", _DATABASE, "msg TEXT)", "msg TEXT UNIQUE)",
           "NEW FAILURE", r"UNIQUE constraint failed"),
    Mutant("large pages", _DATABASE, "            # Now, not when the workers open the file",
           '            connection.execute("PRAGMA page_size = 65536")\n            # Now, not when the workers open',
           "REGRESSION", r"bytes? written per row"),
    Mutant("a checkpoint at every commit", _DATABASE, *_after_commit(
        'connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()'),
           "REGRESSION", r"new: PRAGMA wal_checkpoint"),
    Mutant("the journal mode set at every insert", _DATABASE, "        opened = time.monotonic()\n",
           '        connection.execute(f"PRAGMA journal_mode = {settings.journal_mode}").fetchall()\n'
           "        opened = time.monotonic()\n", "REGRESSION", r"new: PRAGMA journal_mode"),
    Mutant("a second connection", _DATABASE, "        opened = time.monotonic()\n",
           "        connect(database, settings).close()\n        opened = time.monotonic()\n",
           "REGRESSION", r"Python calls per row"),
    Mutant("a table of logs", _DATABASE, *_after_insert(
        'connection.execute("CREATE TABLE IF NOT EXISTS log (msg)"); connection.execute("INSERT INTO log VALUES (1)")'),
           "REGRESSION", r"new: CREATE TABLE IF NOT EXISTS log"),
    Mutant("an optimize at every insert", _DATABASE, *_after_commit('connection.execute("PRAGMA optimize")'),
           "REGRESSION", r"new: PRAGMA optimize"),
    Mutant("synchronous full where normal was asked for", _SETTINGS,
           'journal_mode="wal", synchronous="normal"', 'journal_mode="wal", synchronous="full"',
           "REGRESSION", r"\+1 sync per row"),
    Mutant("a garbage collection at every insert", _DATABASE, "        opened = time.monotonic()\n",
           "        import gc; gc.collect()\n        opened = time.monotonic()\n",
           "REGRESSION", r"Python calls? per row"),
    # Time alone.
    Mutant("a sleep in the lock", _DATABASE, *_after_insert("time.sleep(0.003)"),
           "REGRESSION", r"% longer|Python calls? per row"),
    Mutant("a sleep outside the lock", _DATABASE, "    called = time.monotonic()\n",
           "    called = time.monotonic()\n    time.sleep(0.003)\n", "REGRESSION", r"% longer"),
    Mutant("slow Python", _DATABASE, "    called = time.monotonic()\n",
           "    called = time.monotonic()\n    sum(range(100_000))\n", "REGRESSION", r"% longer|Python calls? per row"),
    Mutant("a larger write outside SQLite", _DATABASE, *_after_commit(
        'open(f"{database}-trace", "ab").write(b"0" * 4096)'), "NEW FAILURE", r"leaves other files"),
    # Promises.
    Mutant("a lost WAL mode", _DATABASE,
           '(journal_mode,) = connection.execute(f"PRAGMA journal_mode = {settings.journal_mode}").fetchone()',
           "journal_mode = settings.journal_mode", "NEW FAILURE", r"another journal mode"),
    Mutant("a shorter timeout", _SETTINGS, "busy_timeout: float = 5.0", "busy_timeout: float = 2.0",
           "NEW FAILURE", r"waits for a shorter time"),
    Mutant("seconds taken for milliseconds", _DATABASE, "timeout=settings.busy_timeout,",
           "timeout=settings.busy_timeout / 1000,",
           "NEW FAILURE", r"waits for a shorter time|busy timeout is not kept"),
    Mutant("a patient one that is not", _SETTINGS, "Settings(busy_timeout=60.0, transaction=",
           "Settings(busy_timeout=6.0, transaction=", "NEW FAILURE", r"waits for a shorter time"),
    Mutant("synchronous off", _DATABASE, "        if settings.synchronous != _built_in_synchronous",
           '        connection.execute("PRAGMA synchronous = off")\n'
           "        if settings.synchronous != _built_in_synchronous",
           "NEW FAILURE", r"syncs at a weaker level"),
    Mutant("a group that does not sync", _GROUP, "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF ",
           "NEW FAILURE", r"syncs at a weaker level"),
    Mutant("a shared commit that does not sync", _GROUP, 'connection.execute("PRAGMA synchronous = FULL")',
           "connection.execute(f\"PRAGMA synchronous = {'OFF' if first else 'FULL'}\")",
           "NEW FAILURE", r"rows that wait together are synced at a weaker level"),
    Mutant("a connection not closed", _DATABASE, _CONNECT, "connect(database, settings)",
           "NEW FAILURE", r"does not close its connection"),
    Mutant("a connection not closed after an error", _DATABASE, _CONNECT,
           "connect(database, settings)\n        files.push(lambda error, *_: error is None and connection.close())",
           "NEW FAILURE", r"insert that fails does not close its connection"),
    Mutant("a commit left out where a row is read first", _DATABASE,
           "with closing(connect(database, settings)) as connection, connection:",
           "with closing(connect(database, settings)) as connection:",
           "NEW FAILURE", r"lost without an error"),
    Mutant("a descriptor left open", _DATABASE, "        opened = time.monotonic()\n",
           "        os.open(database, os.O_RDONLY)\n        opened = time.monotonic()\n",
           "NEW FAILURE", r"files of the database open"),
    Mutant("a queue that is not waited in", _DATABASE, "            if not turn.wait(called + settings.busy_timeout):",
           "            if False:", "NEW FAILURE", r"does not get its turn"),
    Mutant("a queue that is waited in for too long", _DATABASE,
           "            if not turn.wait(called + settings.busy_timeout):",
           "            if not turn.wait(called + settings.busy_timeout + 3):",
           "NEW FAILURE", r"busy timeout is not kept"),
    Mutant("a queue's error of another kind", _LOCK,
           "    error.__dict__.update(sqlite_errorcode=5, sqlite_errorname=\"SQLITE_BUSY\")\n",
           "    error = TimeoutError(str(error))\n", "NEW FAILURE", r"does not get its turn ends in another way"),
    Mutant("a bell that does not ring", _LOCK, 'os.write(self._bell, b"!")', 'pass',
           "NEW FAILURE", r"does not wake the next in line"),
    Mutant("a group that is none", _GROUP, "    with closing(Queue(path)) as queue:\n",
           "    with closing(Queue(path)) as queue:\n        queue.wait(deadline)\n",
           "NEW FAILURE", r"no longer share a commit"),
    Mutant("no wait behind another's lock", _LOCK, 'f"PRAGMA busy_timeout = {', 'f"PRAGMA busy_timeout = 0 -- {',
           "NEW FAILURE", r"waits for a shorter time|busy timeout is not kept"),
    # Rows.
    Mutant("a retry that drops the row", _DATABASE, _LOCKED,
           f"{_LOCKED}                if 'locked' in str(error):\n                    break\n",
           "NEW FAILURE", r"finds the database locked ends in another way"),
    Mutant("a forgotten commit", _DATABASE, _INSERT, _INSERT.replace("connection.commit()", "pass"),
           "NEW FAILURE", r"rows lost without an error|not in the table"),
    Mutant("a rollback in place of the commit", _DATABASE, _INSERT,
           _INSERT.replace("connection.commit()", "connection.rollback()"),
           "NEW FAILURE", r"rows lost without an error|not in the table"),
    Mutant("a row inserted twice", _DATABASE, *_after_insert("connection.execute(INSERT_ROW, row)"),
           "NEW FAILURE", r"more than once|not in the table exactly once"),
    Mutant("a row cut short", _DATABASE, 'VALUES (?)"', 'VALUES (substr(?, 1, 35))"',
           "NEW FAILURE", r"rows lost without an error|not in the table"),
    Mutant("an error swallowed", _DATABASE, "                    check_library(settings)\n                    raise\n",
           "                    break\n", "NEW FAILURE", r"finds the database locked ends in another way"),
    Mutant("reading before writing, deferred", _DATABASE, '"BEGIN IMMEDIATE" if', '"BEGIN DEFERRED" if',
           "NEW FAILURE", r"rows failed"),
    Mutant("an insert that raises", _DATABASE, "    called = time.monotonic()\n",
           "    called = time.monotonic_()\n", "NEW FAILURE", r"AttributeError"),
    Mutant("an insert that hangs", _DATABASE, *_after_insert(
        "time.sleep(3600 if settings.queue == 'group' or settings.queue == 'lock' else 0)"),
           "NEW FAILURE", r"did not end within|timed out"),
    Mutant("a table that is not dropped", _DATABASE,
           '                connection.execute("DROP TABLE IF EXISTS messages")\n', "",
           "NEW FAILURE", r"already exists"),
    # What is said of a burst.
    Mutant("lost rows not counted", _BURST,
           'sum(outcome.status == "returned" and copies < 1 for outcome, copies in self._pairs())', "0",
           "NEW FAILURE", r"no longer counts"),
    Mutant("failures that raise nothing", _BURST,
           "if self.failed or self.lost or self.duplicated:", "if self.failed > 9:",
           "NEW FAILURE", r"no longer counts"),
    Mutant("a package that cannot be imported", _SETTINGS, "LONGEST_TIMEOUT = 2_000_000",
           "LONGEST_TIMEOUT = _2_000_000", "NEW FAILURE", r"NameError"),
)  # fmt: skip
