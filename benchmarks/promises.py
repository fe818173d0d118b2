"""What an insert, a burst's report and the pool promise, for the check of a pull request alone: asv runs nothing of it.

Each fact is the same in every sample, and ``check_rules`` says when a commit keeps it (docs/the_check.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check import gate, promises
from .common import USUAL_SETTINGS

if TYPE_CHECKING:
    from .check.outcomes import Sample

_NOT_COUNTED = ("same", "a burst's report no longer counts what happened")


class Promises:
    """An insert, by settings: the journal mode, the sync level, the timeout, what is left open, who waits how."""

    check_samples = tuple({"kind": "facts", "method": "check_facts", "params": [name]} for name in USUAL_SETTINGS)
    check_rules = (
        ("journal mode", "same", "create_table leaves the file in another journal mode"),
        ("synchronous", "not less", "an insert syncs at a weaker level: a power loss may take acknowledged rows"),
        ("busy timeout", "not shorter", "an insert waits for a shorter time before `database is locked`"),
        ("wait for a lock", "in time", "the busy timeout is not kept while somebody holds the write lock"),
        ("wait in line", "in time", "the busy timeout is not kept while somebody has the turn"),
        ("error behind a lock", "same", "an insert that finds the database locked ends in another way"),
        ("error in line", "same", "an insert that does not get its turn ends in another way"),
        ("connections left open", "not more", "an insert does not close its connection"),
        ("descriptors left open", "not more", "an insert leaves files of the database open"),
        ("files left beside the database", "same", "an insert leaves other files beside the database"),
        ("rows kept of 2", "every time", "an acknowledged row is not in the table exactly once"),
        ("rows written by a refused insert", "same", "a row is in the table whose insert failed"),
        (
            "connections left open by a refused insert",
            "not more",
            "an insert that fails does not close its connection",
        ),
        (
            "synchronous of rows that wait together",
            "not less",
            "rows that wait together are synced at a weaker level: a power loss may take acknowledged rows",
        ),
        (
            "connections left open by rows that wait together",
            "not more",
            "an insert that waits with others does not close its connection",
        ),
        (
            "rows that wait together have a sync each",
            "not more, timed",
            "rows that wait together no longer share a sync",
        ),
        ("rows acknowledged before their turn", "not more", "an insert returns before it had its turn"),
        ("seconds until all had their turn", "nearly as soon", "who leaves does not call the next in line"),
        ("schema", "note", "the table is made in another way"),
    )

    def check_facts(self, settings: str) -> Sample:
        return promises.promises(settings)


class Accounting:
    """A burst's report on rows that a trigger drops or doubles, and values of every kind."""

    check_samples = (
        {"kind": "facts", "method": "check_accounting", "params": [], "deadline": 60},
        {"kind": "facts", "method": "check_values", "params": []},
    )
    check_rules = (
        *((f"three rows {what}, as counted", *_NOT_COUNTED) for what in ("dropped", "doubled", "altered", "refused")),
        ("a burst that waits for a second tells so", "same", "a burst's report tells other times"),
        ("values that come back as others", "not more", "an insert changes the value that it writes"),
    )

    def check_accounting(self) -> Sample:
        return promises.accounting()

    def check_values(self) -> Sample:
        return promises.values_kept()


class Gate:
    """The pool: workers that start together once all are ready, and one that hangs."""

    check_samples = ({"kind": "facts", "method": "check_gate", "params": [], "deadline": 60},)
    check_rules = (
        ("workers of four that meet", "not less", "workers are not at work at the same time"),
        ("items in the order of the outcomes", "same", "outcomes are not in the order of the items"),
        ("workers that start before all are ready", "not more", "a worker starts before all are ready"),
        ("seconds from the first start to the last", "nearly as soon", "workers do not start at one moment"),
        ("status of a worker that hangs", "same", "a worker that hangs ends in another way"),
        ("wait for a worker that hangs", "in time", "the pool's deadline is not kept"),
        ("workers that live on", "not more", "a worker lives on after its call"),
    )

    def check_gate(self) -> Sample:
        return gate.gate()
