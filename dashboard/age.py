"""When anything was measured last, and whether that came daily; knows no page. How long ago it is the browser says."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .history import History

DAY = 86_400_000
# Of the newest days with a measurement so many are looked at. They came daily if at most one day between is missing.
DAYS = 5


class Age(NamedTuple):
    """When the newest number was taken, in milliseconds; and whether there was one about every day before."""

    measured: int
    daily: bool

    @property
    def moment(self) -> datetime:
        """The same as a date."""
        return datetime.fromtimestamp(self.measured / 1000, timezone.utc)


def age_of(histories: list[History]) -> Age | None:
    """Return when the newest of these numbers was taken; None if no result says so."""
    moments = [of.measured for history in histories for of in history.measurements.values() if of.measured]
    if not moments:
        return None
    days = sorted({moment // DAY for moment in moments})[-DAYS:]
    return Age(max(moments), daily=len(days) == DAYS and days[-1] - days[0] <= DAYS)
