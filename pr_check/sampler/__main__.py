"""Take samples of one side: ``python -s pr_check/sampler BENCHMARKS``, by the interpreter of that side's environment.

Imports the benchmarks from that folder, and the project from the environment; neither is this tree's.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # where this very code is, for as long as it is imported
    from pr_check.sampler.requests import serve

    del sys.path[0]
    serve(sys.argv[1])
