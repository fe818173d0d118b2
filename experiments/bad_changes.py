"""Plausible bad changes to the package, each with the cause that the check has to name; data for measure_check.py.

A mutant is one replacement in one file. One whose place is gone (a test says so) is to be written anew.
"""

from __future__ import annotations

from dataclasses import dataclass

_WRITERS, _TABLE, _SETTINGS = (f"sqlite_writes/{name}.py" for name in ("writers/ours", "table", "settings"))
_REPORT, _LINE, _TRANSACTION = (f"sqlite_writes/{name}.py" for name in ("report", "line", "scenarios/transaction"))
_WORKER, _CALLER = (f"sqlite_writes/pool/{name}.py" for name in ("worker", "caller"))

_CALLED = "    called = time.monotonic()\n    with open_writer(database, settings) as insert:\n"
_OPENED = (
    "    with closing(connect(database, settings)) as connection:\n        insert = _insert(connection, settings)\n"
)
_INSERT = "    execute(INSERT_ROW, row)\n"
_COMMIT = '    execute("COMMIT")\n'
_CREATE = "                connection.execute(CREATE_TABLE)\n"
_CALLED_ONE = "                return False\n        return True\n\n    def _note"
_NAMED = "    if isinstance(name, str):\n        return name\n    code"
_TRACED = "        trace = insert(row)\n    return trace._replace(called=called, closed"


@dataclass(frozen=True)
class Mutant:
    """A bad change: its name, where it is, and what a finding about it says: a verdict and a regular expression."""

    name: str
    file: str
    old: str
    new: str
    verdict: str
    cause: str


def _before(statement: str) -> tuple[str, str]:
    return _CALLED, f"    {statement}\n{_CALLED}"


def _once_opened(statement: str) -> tuple[str, str]:
    return _OPENED, _OPENED.replace("connection:\n", f"connection:\n        {statement}\n")


def _after_insert(statement: str) -> tuple[str, str]:
    return _INSERT, f"{_INSERT}    {statement}\n"


def _after_commit(statement: str) -> tuple[str, str]:
    return _COMMIT, f"{_COMMIT}    {statement}\n"


MUTANTS = (
    # A statement, a commit, a sync, a file too many.
    Mutant("a second statement", _WRITERS, *_after_insert('execute("SELECT count(*) FROM messages")'),
           "REGRESSION", r"SQL statement per row \(new: SELECT"),
    Mutant("an extra commit", _WRITERS, *_after_commit(
        'execute("BEGIN"); execute("UPDATE messages SET ts = ts WHERE rowid = 1"); execute("COMMIT")'),
           "REGRESSION", r"new: (BEGIN|COMMIT|UPDATE)"),
    Mutant("a sync too many", _WRITERS, *_once_opened(
        "descriptor = os.open(database, os.O_RDONLY); os.fsync(descriptor); os.close(descriptor)"),
           "REGRESSION", r"\+1 sync per row"),
    Mutant("an index", _TABLE, _CREATE,
           f'{_CREATE}                connection.execute("CREATE INDEX by_message ON messages (msg)")\n',
           "REGRESSION", r"bytes? written per row"),
    Mutant("a unique constraint", _TABLE, "'localtime')), msg)", "'localtime')), msg UNIQUE)",
           "NEW FAILURE", r"UNIQUE constraint failed"),
    Mutant("large pages", _TABLE, "            # Now, not when the workers open the file",
           '            connection.execute("PRAGMA page_size = 65536")\n            # Now, not when the workers open',
           "REGRESSION", r"bytes? written per row"),
    Mutant("a checkpoint at every commit", _WRITERS, *_after_commit(
        'execute("PRAGMA wal_checkpoint(TRUNCATE)")'),
           "REGRESSION", r"new: PRAGMA wal_checkpoint"),
    Mutant("the journal mode set at every insert", _WRITERS, *_once_opened(
        'connection.execute(f"PRAGMA journal_mode = {settings.journal_mode}").fetchall()'),
           "REGRESSION", r"new: PRAGMA journal_mode"),
    Mutant("a second connection", _WRITERS, *_once_opened("connect(database, settings).close()"),
           "REGRESSION", r"Python calls per row"),
    Mutant("a table of logs", _WRITERS, *_after_insert(
        'execute("CREATE TABLE IF NOT EXISTS log (msg)"); execute("INSERT INTO log VALUES (1)")'),
           "REGRESSION", r"new: CREATE TABLE IF NOT EXISTS log"),
    Mutant("an optimize at every insert", _WRITERS, *_after_commit('execute("PRAGMA optimize")'),
           "REGRESSION", r"new: PRAGMA optimize"),
    Mutant("synchronous full where normal was asked for", _SETTINGS,
           '"wal-normal": Settings(journal_mode="wal", synchronous="normal"',
           '"wal-normal": Settings(journal_mode="wal", synchronous="full"',
           "REGRESSION", r"\+1 sync per row"),
    Mutant("a garbage collection at every insert", _WRITERS, *_once_opened("import gc; gc.collect()"),
           "REGRESSION", r"Python calls? per row"),
    # Time alone.
    Mutant("a sleep in the lock", _WRITERS, *_after_insert("time.sleep(0.003)"),
           "REGRESSION", r"% longer|Python calls? per row"),
    Mutant("a sleep outside the lock", _WRITERS, *_before("time.sleep(0.03)"), "REGRESSION", r"% longer"),
    Mutant("slow Python", _WRITERS, *_before("sum(range(100_000))"),
           "REGRESSION", r"% longer|Python calls? per row"),
    Mutant("a larger write outside SQLite", _WRITERS, *_once_opened(
        'open(f"{database}-trace", "ab").write(b"0" * 4096)'), "NEW FAILURE", r"leaves other files"),
    # Promises.
    Mutant("a lost WAL mode", _TABLE,
           '(journal_mode,) = connection.execute(f"PRAGMA journal_mode = {settings.journal_mode}").fetchone()',
           "journal_mode = settings.journal_mode", "NEW FAILURE", r"another journal mode"),
    Mutant("a shorter timeout", _SETTINGS, "busy_timeout: float = 5.0", "busy_timeout: float = 2.0",
           "NEW FAILURE", r"waits for a shorter time"),
    Mutant("seconds taken for milliseconds", _WRITERS, "timeout=settings.retry or settings.busy_timeout,",
           "timeout=settings.retry or settings.busy_timeout / 1000,",
           "NEW FAILURE", r"waits for a shorter time|busy timeout is not kept"),
    Mutant("a patient one that is not", _SETTINGS, "Settings(busy_timeout=60.0, transaction=",
           "Settings(busy_timeout=6.0, transaction=", "NEW FAILURE", r"waits for a shorter time"),
    Mutant("synchronous off", _WRITERS, "        if settings.synchronous != built_in_synchronous",
           '        connection.execute("PRAGMA synchronous = off")\n'
           "        if settings.synchronous != built_in_synchronous",
           "NEW FAILURE", r"syncs at a weaker level"),
    Mutant("a sync after the turn that is left out", _WRITERS, "partial(line.turn, sync=settings.sync_after)",
           "partial(line.turn, sync=False)", "NEW FAILURE", r"syncs at a weaker level"),
    Mutant("a sync after the transaction that is left out", _LINE, "            log.look()\n            log.sync()\n",
           "            log.look()\n", "NEW FAILURE", r"syncs at a weaker level"),
    Mutant("a sync taken for ours that began before our commit", _LINE,
           "opened <= self.started and began > committed", "opened <= self.started and began > committed - 60",
           "NEW FAILURE", r"rows that wait together are synced at a weaker level|syncs at a weaker level"),
    Mutant("a connection not closed", _WRITERS, _OPENED,
           _OPENED.replace("with closing(connect(database, settings)) as connection",
                           "for connection in [connect(database, settings)]"),
           "NEW FAILURE", r"does not close its connection"),
    Mutant("a connection not closed after an error", _WRITERS, _OPENED,
           "    import contextlib\n"
           "    connection = connect(database, settings)\n"
           "    with contextlib.ExitStack() as files:\n"
           "        files.push(lambda error, *_: error is None and connection.close())\n"
           "        insert = _insert(connection, settings)\n",
           "NEW FAILURE", r"insert that fails does not close its connection"),
    Mutant("a commit left out where a row is read first", _TRANSACTION,
           "with closing(connect(database, settings)) as connection, connection:",
           "with closing(connect(database, settings)) as connection:",
           "NEW FAILURE", r"lost without an error"),
    Mutant("a descriptor left open", _WRITERS, *_once_opened("os.open(database, os.O_RDONLY)"),
           "NEW FAILURE", r"files of the database open"),
    Mutant("a line that is not waited in", _LINE, "except BlockingIOError:\n            return False\n",
           "except BlockingIOError:\n            return True\n", "NEW FAILURE", r"does not get its turn"),
    Mutant("a line that is waited in for too long", _LINE, "place.enter(time.monotonic() + timeout)",
           "place.enter(time.monotonic() + timeout + 3)", "NEW FAILURE", r"busy timeout is not kept"),
    Mutant("a line's error of another kind", _LINE,
           '    error.__dict__.update(sqlite_errorcode=5, sqlite_errorname="SQLITE_BUSY")\n    return error\n',
           "    return TimeoutError(str(error))  # type: ignore\n",
           "NEW FAILURE", r"does not get its turn ends in another way"),
    Mutant("a turn that is kept to the end of the sync", _LINE,
           "                wrote = place.leave()\n                if sync:\n                    place.sync()\n",
           "                if sync:\n                    place.sync()\n                wrote = place.leave()\n",
           "NEW FAILURE", r"no longer share a sync"),
    Mutant("a sync for each who waits", _LINE, "return opened <= self.started and began > committed", "return False",
           "NEW FAILURE", r"no longer share a sync"),
    Mutant("a next one who is not called", _LINE, "and not self._call(address):", "and not self.path:",
           "REGRESSION", r"% longer"),
    Mutant("a line that wakes all who wait", _LINE, _CALLED_ONE, _CALLED_ONE.replace("True", "False"),
           "REGRESSION", r"% longer"),
    # The pool.
    Mutant("a gate that is never shut", _WORKER, "    os.read(pipes.gate.read_end, 1)", "    clock[0] = 1.0",
           "NEW FAILURE", r"starts before all are ready"),
    Mutant("workers that start in two waves", _WORKER, "    me = os.getpid()\n",
           "    time.sleep(index % 2)\n    me = os.getpid()\n", "NEW FAILURE", r"do not start at one moment"),
    Mutant("a deadline that is not kept", _CALLER, "time.monotonic() + deadline)", "time.monotonic() + deadline + 5)",
           "NEW FAILURE", r"deadline is not kept"),
    Mutant("outcomes in another order", _CALLER, "    return _outcomes(report, status)",
           "    return _outcomes(report, status)[::-1]", "NEW FAILURE", r"not in the order of the items"),
    # Rows.
    Mutant("a retry that drops the row", _WRITERS, _TRACED,
           "        try:\n            trace = insert(row)\n        except sqlite3.OperationalError as error:\n"
           "            if 'locked' not in str(error):\n                raise\n"
           "            trace = InsertTrace(called, called, called, called, called, 0)\n"
           "    return trace._replace(called=called, closed",
           "NEW FAILURE", r"finds the database locked ends in another way"),
    Mutant("a rollback in place of the commit", _WRITERS, _COMMIT, _COMMIT.replace("COMMIT", "ROLLBACK"),
           "NEW FAILURE", r"rows lost without an error|not in the table"),
    Mutant("a row inserted twice", _WRITERS, *_after_insert("execute(INSERT_ROW, (*row,))"),
           "NEW FAILURE", r"more than once|not in the table exactly once"),
    Mutant("a row cut short", _TABLE, 'VALUES (?)"', 'VALUES (substr(?, 1, 35))"',
           "NEW FAILURE", r"changes the value|in the table with another value|not in the table"),
    Mutant("long values cut", _TABLE, 'VALUES (?)"', 'VALUES (substr(?, 1, 60000))"',
           "NEW FAILURE", r"changes the value|in the table with another value"),
    Mutant("numbers written as text", _TABLE, 'VALUES (?)"',
           "VALUES (CASE typeof(?1) WHEN 'integer' THEN ?1 || '' ELSE ?1 END)\"",
           "NEW FAILURE", r"changes the value"),
    Mutant("an error swallowed", _WRITERS, _TRACED,
           "        from contextlib import suppress\n"
           "        trace = InsertTrace(called, called, called, called, called, 0)\n"
           "        with suppress(sqlite3.Error):\n            trace = insert(row)\n"
           "    return trace._replace(called=called, closed",
           "NEW FAILURE", r"finds the database locked ends in another way"),
    Mutant("reading before writing, deferred", _TRANSACTION, '"BEGIN IMMEDIATE" if', '"BEGIN DEFERRED" if',
           "NEW FAILURE", r"rows failed"),
    Mutant("an insert that raises", _WRITERS, *_before("time.monotonic_()"), "NEW FAILURE", r"AttributeError"),
    Mutant("an insert that hangs", _WRITERS, *_once_opened("time.sleep(3600 if settings.line else 0)"),
           "NEW FAILURE", r"did not end within|timed out"),
    Mutant("a table that is not dropped", _TABLE,
           '                connection.execute("DROP TABLE IF EXISTS messages")\n', "",
           "NEW FAILURE", r"already exists"),
    # What is said of a burst.
    Mutant("lost rows not counted", _REPORT,
           '"lost": is_acknowledged and copies < 1 and instead is None', '"lost": False',
           "NEW FAILURE", r"no longer counts"),
    Mutant("altered rows not counted", _REPORT, '"altered": instead is not None', '"altered": False',
           "NEW FAILURE", r"no longer counts"),
    Mutant("a report that halves its times", _REPORT,
           "return max(ends) - min(started for started, _ in intervals) if ends else None",
           "return (max(ends) - min(started for started, _ in intervals)) / 2 if ends else None",
           "NEW FAILURE", r"tells other times"),
    Mutant("failures that raise nothing", _REPORT,
           "if self.failed or self.lost or self.altered or self.duplicated:", "if self.failed > 9:",
           "NEW FAILURE", r"no longer counts"),
    Mutant("errors without a name", "sqlite_writes/errors.py", _NAMED, _NAMED.replace("return name", "return None"),
           "NEW FAILURE", r"no longer counts"),
    Mutant("a package that cannot be imported", _SETTINGS, "LONGEST_TIMEOUT = 2_000_000",
           "LONGEST_TIMEOUT = _2_000_000", "NEW FAILURE", r"NameError"),
)  # fmt: skip
