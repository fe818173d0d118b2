"""Run asv for one environment after another, with a line for each; what asv says goes to .asv/bench.log.

``python -m asv_plugins.quick {first,others,all} [--only ENVIRONMENT] ARGUMENTS…`` gives the arguments to ``asv run``.
Plain ``asv run`` measures the same, and prints some three hundred lines for each environment. Knows no benchmarks.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from asv.config import Config
from asv.environment import Environment, get_environments
from asv.util import UserError

from . import interpreters
from .pythons import python_order

ASV = [sys.executable, "-m", "asv"]
LOG = Path(".asv/bench.log")

# What asv's exit statuses mean here: a benchmark failed, the rest was measured; and the shell's for Ctrl-C.
SOME_FAILED = 2
INTERRUPTED = 130


def in_order(only: str) -> list[Environment]:
    """Return the environments that can be made here: the newest plain Python first, those with libraries last.

    A free-threaded build comes after its sister. only: a Python ("3.12", "3.13t") or the name of an environment.
    ``UserError`` if there is none.
    """
    interpreters.setup()
    wanted = only if not only or only.startswith("virtualenv") else f"virtualenv:{only}"
    found = list(get_environments(Config.load(), [wanted] if wanted else None, verbose=False))
    if not found:
        raise UserError(f"no environment {only}: none of the Pythons in asv.conf.json, or no interpreter here")

    def newest_first(one: Environment) -> tuple[int, list[int], bool]:
        version, free_threaded = python_order(one.python)
        return len(one.requirements), [-part for part in version], free_threaded

    return sorted(found, key=newest_first)


def name_of(environment: Environment) -> str:
    """Return the environment's name for people: the Python, and what it has that others have not."""
    extras = [
        f"{name.removeprefix('pip+')} {version}"
        for name, version in environment.requirements.items()
        if name != "pip+asv_runner"
    ]
    return f"Python {environment.python}" + (f" with {', '.join(extras)}" if extras else "")


def measure(environment: Environment, arguments: list[str]) -> int:
    """Run asv for one environment and say so in a line; its exit status."""
    name, started, last = name_of(environment), time.monotonic(), ""
    shown = Progress(name)
    # make answer reads the bursts one by one.
    command = [*ASV, "run", "--environment", environment.name, "--record-samples", *arguments]
    with LOG.open("a") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as asv:
        assert asv.stdout is not None  # noqa: S101 it was asked for
        try:
            for line in asv.stdout:
                text = line.decode(errors="replace")
                log.write(text)
                log.flush()
                last = text.strip() or last
                shown.update(text)
            status = asv.wait()
        except KeyboardInterrupt:  # asv has had it from the terminal too
            asv.wait()
            status = INTERRUPTED
    took = f"{time.monotonic() - started:.0f} s"
    if status == 0:
        shown.end(f"{name}: measured in {took}")
    elif status == SOME_FAILED:
        shown.end(f"{name}: measured in {took}; some benchmarks failed, see {LOG}")
    elif status == INTERRUPTED:
        shown.end(f"{name}: interrupted; environments that were finished are kept")
    else:
        shown.end(f"{name}: not measured ({LOG}): {last}")
    return status


class Progress:
    """One line in a terminal that is written over: how far asv is, and how long it may still take."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.live = sys.stdout.isatty()
        self.began: float | None = None
        self._show("making its environment")

    def update(self, line: str) -> None:
        """Show how far asv is, if the line says so."""
        share = re.match(r"\[ *([0-9.]+)%\] ···", line)
        if share is None:
            return
        now = time.monotonic()
        self.began = self.began or now
        done = float(share[1]) / 100
        left = f", {(now - self.began) * (1 - done) / done:.0f} s left" if done > 0 and now > self.began else ""
        self._show(f"{done:.0%}{left}")

    def end(self, line: str) -> None:
        """Leave this line there."""
        sys.stdout.write(("\r\x1b[K" if self.live else "") + line + "\n")
        sys.stdout.flush()

    def _show(self, text: str) -> None:
        if self.live:
            sys.stdout.write(f"\r\x1b[K{self.name}: {text}")
            sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Measure the first environment, the others, or all; the worst exit status of asv, except for a failed one."""
    parser = argparse.ArgumentParser(prog="python -m asv_plugins.quick", description=__doc__)
    parser.add_argument("which", choices=("first", "others", "all"))
    parser.add_argument("--only", default="", metavar="ENVIRONMENT")
    options, rest = parser.parse_known_args(arguments)
    try:
        environments = in_order(options.only)
        LOG.parent.mkdir(exist_ok=True)
        if options.which != "others":
            LOG.write_text("")
    except (UserError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    chosen = {"first": environments[:1], "others": environments[1:], "all": environments}[options.which]
    statuses = []
    for environment in chosen:
        statuses.append(measure(environment, rest))
        if statuses[-1] == INTERRUPTED:
            break
    return max(statuses, default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
