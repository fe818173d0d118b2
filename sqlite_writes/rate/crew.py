"""A crew of processes that insert rows as they come due. Knows the writer and the ledger; checks and counts nothing.

Each insert is to be as one of a process of its own, which begins when it is due. So the next insert is taken by whoever
of the crew is free, who sleeps until then. If nobody is free it begins late, and that is part of its latency.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlite_writes.calls import keep_quiet
from sqlite_writes.writers.ours import Ours
from sqlite_writes.writers.warm_up import warm_up
from sqlite_writes.writers.writer import InsertError, as_insert_error

from .ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_writes.table import Row
    from sqlite_writes.writers.writer import Insert, Writer


@dataclass(frozen=True)
class Crew:
    """What each process of the crew is given; called with its number, from 1, it works until nothing is left to do.

    rows, due: what is to be inserted, and when: seconds from the beginning of the run, ascending.
    ledger: the path of the shared ledger.
    lead: seconds from the opening of the gate to the beginning of the run, so that all are awake by then.
    patience: seconds after which a due insert is not begun any more; who finds one so late stops.
    keep_open: each process opens the writer once, and not for each insert.
    """

    writer: Writer
    database: str
    rows: Sequence[Row]
    due: Sequence[float]
    ledger: str
    lead: float
    patience: float
    keep_open: bool

    def prepare(self) -> None:
        """Do once all that a first insert does."""
        keep_quiet()
        if isinstance(self.writer, Ours):
            warm_up(self.writer.settings)
        else:
            getattr(self.writer, "warm_up", bool)()

    def __call__(self, worker: int) -> None:
        """Insert what comes due, and is not taken by another of the crew."""
        ledger = Ledger(self.ledger, len(self.rows))
        try:
            with ExitStack() as kept:
                self._work(worker, ledger, kept)
        finally:
            ledger.close()

    def _work(self, worker: int, ledger: Ledger, kept: ExitStack) -> None:
        me = os.getpid()
        began = ledger.begin(self.lead)
        insert: Insert | None = None
        while True:
            index = ledger.take(worker)
            if index is None:
                return
            wait = began + self.due[index] - time.monotonic()
            if wait < -self.patience:
                return
            time.sleep(max(wait, 0))
            failure: InsertError | None = None
            ledger.note_beginning(index)
            try:
                if self.keep_open:
                    if insert is None:
                        insert = kept.enter_context(self.writer.open(self.database))
                    insert(self.rows[index])
                else:
                    with self.writer.open(self.database) as insert_once:
                        insert_once(self.rows[index])
            except BaseException as error:
                failure = as_insert_error(error)
                insert = None
            ended = time.monotonic()
            if os.getpid() != me:
                os._exit(0)  # a copy of us that the writer has forked
            if failure is None:
                ledger.note_end(index, ended)
                continue
            ledger.note_end(index, ended, *failure.args)
            if self.keep_open:
                close_quietly(kept)


def close_quietly(kept: ExitStack) -> None:
    """Close what an insert has failed on; the next one opens anew."""
    with suppress(BaseException):  # the insert has said what is wrong
        kept.close()
