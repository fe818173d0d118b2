"""What the authors of a change accept: lines ``Accept-Cost:`` of its text and messages. Knows no git and no costs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import SetUpError


@dataclass(frozen=True)
class AcceptedCost:
    """A line ``Accept-Cost: metric +amount reason``: that metric may rise by at most that amount, for that reason."""

    metric: str
    amount: float
    reason: str


# The amount with or without separators of thousands; a decimal comma is none, and refused.
_AMOUNT = r"[+-](?:\d{1,3}(?:[,_]\d{3})+|\d+)(?:\.\d+)?"
_ACCEPTED = re.compile(rf"Accept-Cost:[ \t]*(\w+)[ \t]+({_AMOUNT})[ \t]+(\S.*)")

# What a reader of the page does not see, or sees as an example: comments and blocks of code, ended or not.
_NOT_SAID = re.compile(
    r"<!--.*?(?:-->|\Z)|^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1|\Z)|<(pre|code)\b.*?(?:</\2>|\Z)", re.DOTALL | re.MULTILINE
)


def accepted_costs(text: str) -> list[AcceptedCost]:
    """Return the accepted costs in this text; ``SetUpError`` for a line that does not fit."""
    found = []
    for line in re.findall(r"^Accept-Cost:.*$", _NOT_SAID.sub("", text.replace("\r", "")), re.MULTILINE):
        match = _ACCEPTED.fullmatch(line)
        if match is None:
            raise SetUpError(f"{line[:100]!r} is not of the form 'Accept-Cost: bytes_written +4096 the reason'")
        metric, amount, reason = match.groups()
        found.append(AcceptedCost(metric, float(amount.replace(",", "").replace("_", "")), reason.strip()))
    return found
