"""Inserts that arrive at random, so many a second: how late each is done, and how often two meet.

Open loop: an insert's latency counts from the moment at which it was due. A stall then delays all that come due
meanwhile, and each of them shows it. Who asks only after the last answer (a closed loop) sees a stall once.

arithmetic.py says what to expect, crew.py inserts, measure.py measures one rate, search.py looks for the highest.
"""

from .arithmetic import at_most, chance_of_finding, chance_of_meeting, meetings, seconds_between
from .measure import RateInterrupted, measure_rate
from .report import Insert, RateReport, quantile
from .search import RateLimit, Trying, find_rate

__all__ = [
    "Insert",
    "RateInterrupted",
    "RateLimit",
    "RateReport",
    "Trying",
    "at_most",
    "chance_of_finding",
    "chance_of_meeting",
    "find_rate",
    "measure_rate",
    "meetings",
    "quantile",
    "seconds_between",
]
