"""The suite itself: what it is made of, and the one report that a class of it makes. Knows no settings."""

from __future__ import annotations

import importlib
import io
import json
import os
import platform
from typing import TYPE_CHECKING, Any

from .outcomes import driver

if TYPE_CHECKING:
    from .outcomes import Sample


def suite(benchmark: str, parameters: list[Any]) -> Sample:
    """Return the one report that a class of the suite makes for these parameters.

    In a folder of its own, because the suite leaves reports in the current one, and reads those that it finds there.
    """
    from benchmarks.common import database_path

    module, name = benchmark.split(".")
    cell = getattr(importlib.import_module(f"benchmarks.{module}"), name)()
    with database_path() as database:
        os.chdir(os.path.dirname(database))
        cell.setup(*parameters)
        report: Sample = cell.reports[0]
        os.chdir("/")
    return report


def identity() -> Sample:
    """Return what is measured, with what, and which benchmarks there are, as asv itself finds them."""
    import sqlite_writes

    listed = io.StringIO()
    from asv_runner.discovery import list_benchmarks

    list_benchmarks(os.path.dirname(importlib.import_module("benchmarks").__file__ or ""), listed)
    return {
        "package": sqlite_writes.__file__,
        "python": platform.python_version(),
        "sqlite": driver().sqlite_version,
        "benchmarks": {
            found["name"]: [found.get("version", ""), found.get("params", [])]
            for found in json.loads(listed.getvalue())
        },
    }
