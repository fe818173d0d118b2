"""Register this machine with asv without asking, unless it is registered; knows nothing of benchmarks.

``python -m asv_plugins.machine NAME`` registers it under another name, for what is measured in another way.

``asv machine --yes`` would overwrite what somebody has written there by hand, and so begin a new series of results.
"""

from __future__ import annotations

import sys

from asv.machine import Machine, MachineCollection
from asv.util import UserError


def register(name: str = "") -> None:
    """Store asv's defaults for this machine where asv keeps them, under that name, if nothing is there."""
    name = name or Machine.get_unique_machine_name()
    try:
        MachineCollection.load(name)
    except UserError:
        MachineCollection.save(name, {**Machine.get_defaults(), "machine": name})


if __name__ == "__main__":
    register(*sys.argv[1:2])
