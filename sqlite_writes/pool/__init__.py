"""Call one function in many processes at one moment: a process per item, all held at a gate, released together.

Three kinds of process take part. The caller starts a launcher, a fresh interpreter that holds none of the caller's
open files. The launcher forks the workers, which is cheap because it is small. Each worker warms up, waits at the gate,
calls the function on its item, waits until all have, sends what came of it and ends. If one dies, the others notice:
the launcher reads a pipe that ends with the caller, the caller reads one that ends with the launcher, and every worker
has an alarm set in the kernel. Knows no SQL, nothing of what the function does, and prints nothing.
"""

from .caller import Outcome, pool_map

__all__ = ["Outcome", "pool_map"]
