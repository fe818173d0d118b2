"""What has to be told before anything else: rows lost, altered or there twice, benchmarks that failed; knows no page.

A benchmark fails itself where it raises, crashes or runs out of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .results import MUST_BE_ZERO, Parameters, entry_name, rows_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .history import History, Measurement
    from .results import Values

WHAT_HAPPENED = {"lost": "lost", "altered": "altered", "duplicated": "there twice"}
EVERY_BENCHMARK = "every benchmark, as when the package cannot be built"


class Alarms(NamedTuple):
    """Rows lost, altered or there twice, in any benchmark but the naive way; and the benchmarks that failed."""

    rows: list[str]
    failed: list[str]


def alarms_of(measurement: Measurement, values: dict[str, Values] | None = None) -> Alarms:
    """Return the alarms of a measurement, or of those of its values that are given."""
    values = measurement.values if values is None else values
    if values and measurement.all_failed:
        return Alarms([], [EVERY_BENCHMARK])
    rows, failed = list[str](), list[str]()
    for name, cells in values.items():
        failures = [parameters for parameters, value in cells.items() if value.failed]
        if failures and len(failures) == len(measurement.values[name]):
            failed.append(name)
        else:
            failed += [entry_name(name, parameters) for parameters in failures]
        must_be_zero = MUST_BE_ZERO.fullmatch(name)
        if must_be_zero:
            what = WHAT_HAPPENED[must_be_zero[1]]
            for parameters, value in cells.items():
                if value.measured and value.number:
                    count = f"{rows_text(value.number)} {'row' if value.number == 1 else 'rows'}"
                    rows.append(f"{count} of a burst {what}: {entry_name(name.rpartition('.')[0], parameters)}")
    return Alarms(rows, failed)


def latest_alarms(histories: list[History]) -> Iterator[tuple[History, int, Alarms]]:
    """Yield the alarms of the newest value of every benchmark, by history and revision; newest first.

    A newer commit of which only a part was measured takes back nothing of the rest. An environment that is named anew,
    because it requires another runner, takes back what it measures of the same machine, Python and driver.
    """
    told = set[tuple[str, str, str, str, Parameters]]()
    every = [(revision, history) for history in histories for revision in history.measurements]
    for revision, history in sorted(every, key=lambda item: -item[0]):
        measurement = history.measurements[revision]
        same = (history.machine, history.python, history.driver)
        fresh: dict[str, Values] = {}
        for name, cells in measurement.values.items():
            for parameters, value in cells.items():
                if value.known and (*same, name, parameters) not in told:
                    fresh.setdefault(name, {})[parameters] = value
        told |= {(*same, name, parameters) for name, cells in fresh.items() for parameters in cells}
        yield history, revision, alarms_of(measurement, fresh)
