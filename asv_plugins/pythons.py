"""The Pythons of asv.conf.json, by name: their order, and what the nightly measures; starts none, knows no results.

``python -m asv_plugins.pythons`` prints the environments as JSON for the nightly's matrix. A name is a version, with a
``t`` where the build is free-threaded: ``3.13``, ``3.13t``.
"""

from __future__ import annotations

import json
import re
import sys

from asv.config import Config
from asv.environment import _parse_matrix_entries, get_env_name, iter_matrix


def python_order(python: str) -> tuple[tuple[int, ...], bool]:
    """Return what sorts Pythons by age: a free-threaded build comes right after its sister."""
    return tuple(int(digits) for digits in re.findall(r"\d+", python)), is_free_threaded(python)


def is_free_threaded(python: str) -> bool:
    """Whether the name is that of a free-threaded build."""
    return python.endswith("t")


def environments(config: Config) -> list[dict[str, str]]:
    """Return every environment: what ``ONLY=`` takes for it, and its Python. Whether that starts here is not asked."""
    found: dict[str, str] = {}
    for row in iter_matrix(config.environment_type, config.pythons, config):
        python, requirements, variables = _parse_matrix_entries(row)
        name = get_env_name(config.environment_type, python, requirements, variables)
        found[name if python in found else python] = python
    return [{"environment": name, "python": python} for name, python in found.items()]


if __name__ == "__main__":
    json.dump(environments(Config.load()), sys.stdout)
