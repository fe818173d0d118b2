"""asv plugin: find interpreters that really start; knows pyenv and asv's virtualenv environments, no benchmarks.

asv takes the first ``python3.X`` on PATH. A pyenv shim whose version is not active is there, does not start, and ends
the whole run with a traceback. This plugin asks virtualenv's own discovery instead, which tries each interpreter, and
then for the ones that pyenv holds. asv says in one line which versions are nowhere, and goes on.
"""

from __future__ import annotations

import functools
import logging
import os
import re
from pathlib import Path

from asv.plugins.virtualenv import Virtualenv
from python_discovery import get_interpreter


@functools.cache
def find_python(version: str) -> str | None:
    """Return the path of a CPython of that name ("3.12"; free-threaded: "3.13t") that starts, or None."""
    wanted = f"cpython{version}"
    found = get_interpreter(wanted) or get_interpreter(wanted, try_first_with=_held_by_pyenv(version))
    return (found.system_executable or found.executable) if found else None


def _held_by_pyenv(version: str) -> list[str]:
    """Return the interpreters that pyenv holds of that version, active or not, newest first."""
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    held = Path(root, "versions").glob(f"{version.removesuffix('t')}*/bin/python{version}")
    return sorted(map(str, held), key=lambda path: [int(digits) for digits in re.findall(r"\d+", path)], reverse=True)


def setup() -> None:
    """Replace asv's search, which has no public way to be extended; asv calls this when it loads the plugin."""
    logging.getLogger("python_discovery").setLevel(logging.WARNING)  # asv prints what any library logs
    Virtualenv._find_python = staticmethod(find_python)
