"""What a burst will come to, from the time of one commit, without starting it. Only re-exports."""

from .answer import Forecast, forecast
from .inputs import Inputs, measure_commit
from .waiting_table import busy_waits

__all__ = ["Forecast", "Inputs", "busy_waits", "forecast", "measure_commit"]
