"""What was measured of one writer, as JSON and as the rows of a table. Knows no option, and prints nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlite_writes.trials import FAULTS, Size, Trial

from .output import seconds_text

if TYPE_CHECKING:
    from sqlite_writes.limit import Limit

    from .forecasts import Expected
    from .writers import Chosen

_COUNTS = (*FAULTS, "recovered")

# What a fault is called in a sentence.
_WORDS = {"failed": "failed", "lost": "lost without an error", "altered": "altered", "duplicated": "there twice"}


@dataclass(frozen=True)
class Measured:
    """One writer, and all that is known of it.

    sizes: its bursts by the number of processes, ascending.
    limit: what the search for its limit found; None where there was no search.
    problem: why it could not be measured, or not to the end.
    forecasts: what a simulation expects near the edge, and where else it was asked for.
    """

    chosen: Chosen
    sizes: tuple[Size, ...]
    limit: Limit | None = None
    problem: str | None = None
    forecasts: tuple[Expected, ...] = ()

    @property
    def name(self) -> str:
        """The name that it was asked for."""
        return self.chosen.name

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was noticed about it in any burst, each once."""
        return tuple(dict.fromkeys(remark for size in self.sizes for remark in size.remarks))

    @property
    def durability(self) -> tuple[str, str]:
        """Whether its rows survive a power loss, in a word and in a sentence."""
        return self.chosen.durability(self.remarks)

    def size(self, workers: int) -> Size | None:
        """The bursts of that size; None if there was none."""
        return next((size for size in self.sizes if size.workers == workers), None)

    def holds_at(self, workers: int) -> bool | None:
        """Whether every burst of that size holds; None if that is not known."""
        if self.limit is not None:
            return self.limit.holds_at(workers)
        size = self.size(workers)
        return None if size is None else not size.failed_bursts

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-ready values; schema.json says what they mean."""
        settings = self.chosen.settings
        answer, why = self.durability
        return {
            "writer": self.name,
            "settings": None if settings is None else asdict(settings),
            "durable": {"answer": answer, "why": why},
            "problem": self.problem,
            "remarks": list(self.remarks),
            "limit": None if self.limit is None else _limit_to_dict(self.limit),
            "forecasts": [each.to_dict() for each in self.forecasts],
            "sizes": [_size_to_dict(size) for size in self.sizes],
        }


def faults_text(counted: Size | Trial, rows: int) -> str:
    """Say which rows are not as they should be, and how many of how many: ``12 of 50 failed, 3 lost without …``."""
    count = counted.total if isinstance(counted, Size) else counted.count
    found = [(count(kind), _WORDS[kind]) for kind in FAULTS if count(kind)]
    return ", ".join(f"{number} of {rows} rows {words}" for number, words in found) or "no row failed"


def reasons_text(size: Size) -> str:
    """Return why rows failed, each reason with its number and its first message."""
    words = size.words
    return "; ".join(
        f"{count} x {reason}{f': {_cut(words[reason])}' if words.get(reason) else ''}"
        for reason, count in size.errors.items()
    )


def faults_and_reasons(size: Size) -> str:
    """Say which rows are not as they should be, and why they failed."""
    reasons = reasons_text(size)
    return f"{faults_text(size, size.total('rows'))}{f'; {reasons}' if reasons else ''}"


def slow_text(size: Size | None) -> tuple[str, str]:
    """Return the p99 and the burst time."""
    return ("-", "-") if size is None else (seconds_text(size.quantile(0.99)), seconds_text(size.burst_time))


def _cut(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"


def _limit_to_dict(limit: Limit) -> dict[str, Any]:
    return {
        "holds": limit.holds,
        "fails": limit.fails,
        "max_workers": limit.max_workers,
        "bursts": limit.bursts,
        "is_complete": limit.is_complete,
        "sentence": limit.sentence(),
    }


def _size_to_dict(size: Size) -> dict[str, Any]:
    return {
        "workers": size.workers,
        "bursts": size.bursts,
        "failed_bursts": size.failed_bursts,
        "rows": size.total("rows"),
        **{kind: size.total(kind) for kind in _COUNTS},
        "errors": size.errors,
        "insert_time": {
            "median": size.quantile(0.5),
            "p99": size.quantile(0.99),
            "slowest": size.quantile(1),
        },
        "burst_time": size.burst_time,
        "trials": [_trial_to_dict(trial) for trial in size.trials],
    }


def _trial_to_dict(trial: Trial) -> dict[str, Any]:
    return {
        "rows": trial.rows,
        **{kind: trial.count(kind) for kind in _COUNTS},
        "burst_time": trial.burst_time,
        "seconds": trial.seconds,
        "insert_times": list(trial.insert_times),
        "process_times": list(trial.process_times),
    }
