"""Register this machine with asv without asking, unless it is registered; knows nothing of benchmarks.

``asv machine --yes`` would overwrite what somebody has written there by hand, and so begin a new series of results.
"""

from __future__ import annotations

from asv.machine import Machine, MachineCollection
from asv.util import UserError


def register() -> None:
    """Store asv's defaults for this machine where asv keeps them, if nothing is there."""
    name = Machine.get_unique_machine_name()
    try:
        MachineCollection.load(name)
    except UserError:
        MachineCollection.save(name, Machine.get_defaults())


if __name__ == "__main__":
    register()
