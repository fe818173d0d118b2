"""Register this machine with asv without asking, unless it is registered; knows nothing of benchmarks.

``python -m asv_plugins.machine NAME`` registers it under another name, for what is measured in another way.

``asv machine --yes`` would overwrite what somebody has written there by hand, and so begin a new series of results.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from asv.machine import Machine, MachineCollection
from asv.util import UserError

# Where asv keeps what it knows of machines; and where we do if that cannot be written.
AT_HOME, IN_PROJECT = "~/.asv-machine.json", Path(".asv/machine.json")


def machine_file() -> str:
    """Return asv's file, or, without a home that can be written, one in the project, with what asv's says.

    A project keeps its own: a home that was not there may be made by some other tool.
    """
    if IN_PROJECT.exists():
        return str(IN_PROJECT)
    usual = Path(os.path.expanduser(AT_HOME))
    try:
        with usual.open("a"):  # what may be written is the file system's to say: root may write where nobody can
            pass
    except OSError:
        IN_PROJECT.parent.mkdir(exist_ok=True)
        if os.access(usual, os.R_OK):
            shutil.copyfile(usual, IN_PROJECT)
        return str(IN_PROJECT)
    if not usual.stat().st_size:  # made just now
        usual.unlink()
    return str(usual)


def setup() -> None:
    """Replace where asv looks, which has no public way to be changed; asv calls this when it loads the plugin."""
    MachineCollection.get_machine_file_path = staticmethod(machine_file)


def register(name: str = "") -> None:
    """Store asv's defaults for this machine where asv keeps them, under that name, if nothing is there."""
    setup()
    name = name or Machine.get_unique_machine_name()
    try:
        MachineCollection.load(name)
    except UserError:
        MachineCollection.save(name, {**Machine.get_defaults(), "machine": name})


if __name__ == "__main__":
    register(*sys.argv[1:2])
