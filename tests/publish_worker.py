"""What a fresh process calls to publish, with all that it imports; knows no project and no test."""

from __future__ import annotations

import multiprocessing
import os
import sys
from contextlib import redirect_stdout

from asv.main import main

import dashboard.pages  # noqa: F401  the plugin that asv is to find


def publish(folder: str) -> None:
    """Run plain ``asv publish`` there, and end this process as asv ends."""
    multiprocessing.set_start_method("fork", force=True)  # as on Linux asv has it for its own processes
    os.chdir(folder)
    sys.argv = ["asv", "publish", "--no-pull"]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        main()
