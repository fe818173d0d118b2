"""``python -m pr_check.blame METRIC GOOD [BAD]``: find the commit, as a command."""

import signal
import sys
from io import TextIOWrapper

from .command_line import main

if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):  # ended politely, it cleans up as after Ctrl-C
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup has it
            signal.signal(ending, signal.default_int_handler)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace", line_buffering=True)
    sys.exit(main(sys.argv[1:]))
