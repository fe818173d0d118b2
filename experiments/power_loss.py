"""Lose power at every moment of recorded runs, and print how often an acknowledged row is gone. Runs no benchmark.

    python -m experiments.power_loss states 10000 [WRITER…]    of the named settings and libraries; of all unless named

A state is what may be left on the disk at one moment, opened with SQLite: docs/durability.md says how it is made. Each
writer gets so many twice: with the names of files sure, as in SQLite's own simulator, and with names that are sure once
the folder is synced, as POSIX has it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import TYPE_CHECKING

from sqlite_writes.errors import error_name
from sqlite_writes.scenarios.power_loss.replay import Losses, lose_power
from sqlite_writes.settings import SETTINGS
from sqlite_writes.writers.libraries import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = [*SETTINGS, *LIBRARIES]
HEADS = (
    "| writer | is to be durable | states | a row lost | most rows | names unsure: a row lost | most rows "
    "| doubled, altered, damaged |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
)

# A library that does not wait for a lock fails most rows: it tries as many more until some are acknowledged.
ATTEMPTS = 200


def is_declared_durable(name: str) -> bool:
    """Whether the writer is to keep what it acknowledged, by what it sets."""
    return SETTINGS[name].durable if name in SETTINGS else LIBRARIES[name].durable


def measure(name: str, states: int, seed: int = 1) -> tuple[Losses, Losses]:
    """Return what power losses took, with names that are sure and with names that are not."""
    sure, unsure = (
        lose_power(name, states, seed=seed, names_are_sure=names_are_sure, attempts=ATTEMPTS)
        for names_are_sure in (True, False)
    )
    return sure, unsure


def line(name: str, sure: Losses, unsure: Losses) -> str:
    """Return the writer's line of the table, in Markdown."""
    declared = "yes" if is_declared_durable(name) else "no"
    cells = [f"`{name}`", declared, f"{sure.states + unsure.states:,}"]
    for found in (sure, unsure):
        cells += [f"{found.share:.1f}%" if found.lost else "0", str(found.most_lost)]
    worse = [sure.doubled + unsure.doubled, sure.altered + unsure.altered, sure.damaged + unsure.damaged]
    return f"| {' | '.join(cells)} | {', '.join(map(str, worse))} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if a writer that is to be durable lost a row with sure names, or had one altered."""
    parser = argparse.ArgumentParser(prog="python -m experiments.power_loss", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["states"])
    parser.add_argument("states", type=int, help="how many of each kind to open, for each writer")
    parser.add_argument("writers", nargs="*", metavar="WRITER", help=f"one of {', '.join(NAMES)}")
    asked = parser.parse_args(arguments)
    if asked.states < 1:
        parser.error(f"{asked.states} is not a number of states from 1 on")
    if unknown := [name for name in asked.writers if name not in NAMES]:
        parser.error(f"writer {unknown[0]!r} is not one of {', '.join(NAMES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no folder and no process is left
    broken = False
    sys.stdout.write(HEADS)
    for name in asked.writers or NAMES:
        began = time.monotonic()
        try:
            sure, unsure = measure(name, asked.states)
        except NotImplementedError as error:
            sys.stderr.write(f"{name}: not measured: {error}\n")
            continue
        except Exception as error:
            sys.stderr.write(f"{name}: {error_name(error)}: {error}\n")
            broken = True
            continue
        sys.stdout.write(f"{line(name, sure, unsure)}\n")
        sys.stdout.flush()
        sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s; {sure}; {unsure}; {sure.example}\n")
        broken |= is_declared_durable(name) and bool(sure.lost or sure.doubled or sure.altered or sure.damaged)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
