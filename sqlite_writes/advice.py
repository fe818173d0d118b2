"""What to change in a way of writing, by what was measured in one burst and nothing else. Runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .report import reason_of

if TYPE_CHECKING:
    from .report import BurstReport

# Seconds: whoever is refused sooner has not waited for Python's timeout of 5 s. On a busy machine even a refusal at
# once takes a second or two, and on an idle one less than the first of these.
_AT_ONCE, _BEFORE_TIMEOUT = 0.5, 4.0

_PUT = "put `with sqlite_writes.write_turn(path):` around"
_TURN = f"{_PUT} all of it, what it reads too"


# A key that is there already; Python 3.10 tells no more of a constraint than the first.
_TAKEN = {"SQLITE_CONSTRAINT", *(f"SQLITE_CONSTRAINT_{key}" for key in ("PRIMARYKEY", "ROWID", "UNIQUE"))}


def advise(report: BurstReport) -> list[str]:
    """What to change, a sentence each, by what was measured in this burst alone."""
    advice = []
    refused = [
        outcome.ended - outcome.started
        for outcome in report.outcomes
        if outcome.started is not None and outcome.ended is not None and "SQLITE_BUSY" in reason_of(outcome)
    ]
    soon = [seconds for seconds in refused if seconds < _BEFORE_TIMEOUT]
    if "SQLITE_BUSY_SNAPSHOT" in report.errors:
        advice.append(
            "a transaction that has read cannot wait to write, whatever the timeout: begin it with BEGIN IMMEDIATE; "
            f"or {_TURN}"
        )
    elif soon:
        advice.append(
            f"{len(soon)} were refused within {max(_AT_ONCE, *soon):.1f} s: begin a transaction that reads before it "
            "writes with BEGIN IMMEDIATE, since it cannot wait, and set a busy timeout if it is short or none; "
            f"or {_TURN}"
        )
    if len(refused) > len(soon):
        advice.append(
            f"{len(refused) - len(soon)} waited {max(refused):.1f} s in vain, and a longer timeout moves only the "
            f"edge: {_TURN}"
        )
    if _TAKEN & set(report.errors):
        advice.append(
            "where a key follows from what was read, others read the same: read it in the transaction that writes, "
            f"after BEGIN IMMEDIATE; or {_PUT} both"
        )
    if report.lost:
        advice.append(
            "commit before insert returns, let errors out, close each connection, "
            "and open it in the process that uses it"
        )
    if report.altered:
        advice.append("look at the column's type and length, and at what encodes or cuts the value on its way")
    if report.duplicated:
        advice.append("a retry repeats what was committed: give each row a key, and insert with ON CONFLICT DO NOTHING")
    if any("timed out" in reason for reason in report.errors):
        advice.append("some did not end before the deadline: look for a lock that is never let go, or raise deadline")
    return advice
