"""What a simulation expects at the sizes that were tried, and at larger ones, to stand beside what was measured.

Knows what to ask the simulation (sqlite_writes/forecast), and nothing of how it works.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .output import Table, seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlite_writes.trials import Size

    from .measured import Measured
    from .writers import Chosen

# How many bursts are simulated at each size: as many as are measured near the edge.
_SIMULATED = 5


@dataclass(frozen=True)
class Expected:
    """The simulated bursts of one size, and the measured ones.

    failed_share: of each simulated burst, ascending, 0 to 1; slowest_seconds: likewise.
    measured: the real bursts; None if there was none.
    """

    workers: int
    failed_share: tuple[float, ...]
    slowest_seconds: tuple[float, ...]
    measured: Size | None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-ready values."""
        found = self.measured
        return {
            "workers": self.workers,
            "failed_share": list(self.failed_share),
            "slowest_seconds": list(self.slowest_seconds),
            "measured_failed_share": None if found is None else list(_failed_shares(found)),
            "measured_slowest_seconds": None if found is None else list(_slowest(found)),
        }


def expect(
    one: Chosen, sizes: Sequence[Size], also: Iterable[int], directory: str, seed: int | None
) -> tuple[Expected, ...]:
    """Simulate bursts of a writer of ours: at the edge, and of the sizes in ``also``; none of any other writer.

    The time of one commit is measured before, in the directory.
    """
    from sqlite_writes.forecast import forecast, measure_commit

    if one.settings is None or one.settings.transaction == "concurrent":
        return ()
    by_size = {size.workers: size for size in sizes}
    inputs = measure_commit(one.settings, directory)
    expected = []
    for workers in sorted({*_at_the_edge(sizes), *also}):
        found = [
            forecast(one.settings, workers, **inputs._asdict(), seed=(seed or 0) + number)
            for number in range(_SIMULATED)
        ]
        shares, slowest = (sorted(each) for each in zip(*((one.failed_share, one.slowest_seconds) for one in found)))
        expected.append(Expected(workers, tuple(shares), tuple(slowest), by_size.get(workers)))
    return tuple(expected)


def table_of(found: Sequence[Measured]) -> Table | None:
    """Return forecast beside measurement; None if nothing was forecast."""
    rows = [
        [
            one.name,
            str(each.workers),
            "-" if each.measured is None else _percent(_failed_shares(each.measured)),
            _percent(each.failed_share),
            "-" if each.measured is None else _times(_slowest(each.measured)),
            _times(each.slowest_seconds),
        ]
        for one in found
        for each in one.forecasts
    ]
    columns = ["writer", "processes", "failed", "forecast", "slowest", "forecast"]
    return Table(columns, rows, frozenset({"writer"})) if rows else None


def _at_the_edge(sizes: Sequence[Size]) -> set[int]:
    """Return the largest size that holds and those at which bursts failed; the largest of all if none did."""
    failing = [size.workers for size in sizes if size.failed_bursts]
    holding = [size.workers for size in sizes if not failing or size.workers < failing[0]]
    return {*holding[-1:], *failing}


def _failed_shares(size: Size) -> tuple[float, ...]:
    return tuple(sorted(trial.failed / trial.rows for trial in size.trials))


def _slowest(size: Size) -> tuple[float, ...]:
    return tuple(sorted(trial.insert_times[-1] for trial in size.trials if trial.insert_times))


def _percent(ascending: Sequence[float]) -> str:
    least, most = (f"{100 * share:.0f}" for share in (ascending[0], ascending[-1]))
    return f"{least}%" if least == most else f"{least} to {most}%"


def _times(ascending: Sequence[float]) -> str:
    if not ascending:
        return "-"
    least, most = seconds_text(ascending[0]), seconds_text(ascending[-1])
    if least == most:
        return least
    return f"{least.split()[0]} to {most}" if least.split()[1] == most.split()[1] else f"{least} to {most}"
