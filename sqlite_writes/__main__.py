"""``sqlite-writes`` and ``python -m sqlite_writes``: start the command, or say what to install for it.

Knows nothing of the command but its name. click and the others are there only with the extra ``cli``.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec


def main() -> None:
    """Run the command with the arguments of this process, and end the process with its status."""
    for ending in (signal.SIGTERM, signal.SIGHUP):  # ended politely, it cleans up as after Ctrl-C
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup has it
            signal.signal(ending, signal.default_int_handler)
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # the script's folder is there, and the caller's own code is here
    status = 130
    with suppress(KeyboardInterrupt):  # while it begins
        status = _run()
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # all is done: it ends with this status
            signal.signal(ending, signal.SIG_IGN)
    sys.exit(status)


def _run() -> int:
    missing = next((name for name in ("click", "rich") if find_spec(name) is None), None)
    if missing is not None:
        from sqlite_writes.command_line.errors import INSTALL, WRONG_USAGE

        sys.stderr.write(f"sqlite-writes: the command needs {missing}: {INSTALL}\n")
        return WRONG_USAGE
    from sqlite_writes.command_line.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    main()
