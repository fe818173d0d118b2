"""Call one function in many processes at one moment: a process per item, all held at a gate, released together.

Knows no SQL and nothing of what the function does, and prints nothing.

Three kinds of process take part, with a file each. The caller starts a launcher: a fresh interpreter that holds none of
the caller's open files. The launcher forks the workers, which is cheap because it is small. Each worker warms up, waits
at the gate, calls the function on its item, waits until all have, sends what came of it and ends.

If one dies, the others notice. The launcher reads a pipe that ends with the caller. The caller reads one that ends with
the launcher. Every worker has an alarm set in the kernel.
"""

from .caller import Outcome, pool_map

__all__ = ["Outcome", "pool_map"]
