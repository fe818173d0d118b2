"""``python -m pr_check [BASE] [HEAD]``: the check of a pull request, as a command."""

import signal
import sys
from io import TextIOWrapper

from .command_line import main

if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):  # ended politely, it cleans up as after Ctrl-C
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup has it
            signal.signal(ending, signal.default_int_handler)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow that the terminal lacks is no reason to end
    sys.exit(main(sys.argv[1:]))
