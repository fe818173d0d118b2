"""One value of any benchmark of the suite, taken as asv takes it: by asv_runner. Knows none of them."""

from __future__ import annotations

import importlib
import math
import os
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .outcomes import Sample


def metric(identifier: str) -> Sample:
    """Return the benchmark's value, the median if it gives samples, and the seconds that it took.

    In a folder of its own: the suite leaves reports in the current one, and reads those that it finds there.
    """
    from asv_runner.discovery import get_benchmark_from_name

    started = time.monotonic()
    root = os.path.dirname(importlib.import_module("benchmarks").__file__ or "")
    benchmark = get_benchmark_from_name(root, identifier)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        os.chdir(folder)
        try:
            benchmark.set_cache(benchmark.do_setup_cache())
            if benchmark.do_setup():
                raise NotImplementedError("n/a for this commit, as its setup says")
            try:
                result = benchmark.do_run()
            finally:
                benchmark.do_teardown()
        finally:
            os.chdir("..")
    value = statistics.median(result["samples"]) if isinstance(result, dict) else float(result)
    if math.isnan(value):
        raise NotImplementedError("n/a for this commit: it gives no number")
    return {"result": value, "took": time.monotonic() - started}
