"""Run asv in two environments in rounds: one run of each, in random order. Knows no benchmarks, and judges nothing.

``python -m asv_plugins.rounds A B --rounds 12 ARGUMENTS…`` gives the arguments to ``asv run``. Each round has a folder
of its own, beside asv's results and like them: ``.asv/rounds/1`` and so on. So a round's two runs stay together, which
asv does not keep. What asv says goes to .asv/rounds.log.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from asv.commands import make_argparser
from asv.commands.run import Run
from asv.config import Config
from asv.console import log
from asv.plugin_manager import plugin_manager
from asv.util import UserError

from . import quick

if TYPE_CHECKING:
    from asv.environment import Environment

MODULE = "asv_plugins.rounds"
ONCE = [sys.executable, "-m", MODULE, "--into"]
LOG = Path(".asv/rounds.log")

# asv's exit status when a benchmark failed and the rest was measured; and the shell's for Ctrl-C.
SOME_FAILED = 2
INTERRUPTED = 130


def round_folders(config: Config) -> list[Path]:
    """Return the folders of all rounds that were measured, oldest first."""
    found = [path for path in _beside_results(config).glob("*") if path.name.isdigit()]
    return sorted(found, key=lambda path: int(path.name))


def _beside_results(config: Config) -> Path:
    return Path(config.results_dir).parent / "rounds"


def run_into(folder: Path, arguments: list[str]) -> int:
    """Run asv with these arguments, its results in that folder; its exit status."""
    options = make_argparser()[0].parse_args(["run", *arguments])
    log.enable(options.verbose)
    config = Config.load(options.config)
    config.results_dir = str(folder)
    for plugin in config.plugins:
        plugin_manager.import_plugin(plugin)
    try:
        return int(Run.run_from_conf_args(config, options) or 0)
    except UserError as error:
        log.error(str(error))
        return 1
    finally:
        log.flush()


def measure_round(folder: Path, pair: list[Environment], arguments: list[str]) -> int:
    """Run asv once in each environment, in random order; the first status that is neither 0 nor a failed benchmark.

    A round that is not whole is removed.
    """
    worst = 0
    try:
        for environment in random.sample(pair, len(pair)):
            command = [*ONCE, str(folder), "--environment", environment.name]
            with LOG.open("a") as said:
                status = subprocess.run([*command, *arguments], stdout=said, stderr=said, check=False).returncode
            if status not in {0, SOME_FAILED}:
                shutil.rmtree(folder, ignore_errors=True)
                return status
            worst = max(worst, status)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        return INTERRUPTED
    return worst


def measure(pair: list[Environment], rounds: int, arguments: list[str]) -> int:
    """Measure so many rounds and say how far it is; the worst exit status."""
    beside = _beside_results(Config.load())
    beside.mkdir(parents=True, exist_ok=True)
    last = max((int(path.name) for path in round_folders(Config.load())), default=0)
    LOG.write_text("")
    names, began, worst = " and ".join(map(quick.name_of, pair)), time.monotonic(), 0
    for done in range(rounds):
        left = f", {(time.monotonic() - began) / done * (rounds - done) / 60:.0f} minutes left" if done else ""
        _show(f"{names}: round {done + 1} of {rounds}{left}")
        status = measure_round(beside / str(last + done + 1), pair, arguments)
        if status not in {0, SOME_FAILED}:
            what = "interrupted" if status == INTERRUPTED else f"asv could not measure it ({LOG}): {_last_line()}"
            _show(f"{names}: {what}; {done} rounds are kept", end=True)
            return status
        worst = max(worst, status)
    failed = f"; some benchmarks failed, see {LOG}" if worst else ""
    _show(f"{names}: {rounds} rounds in {(time.monotonic() - began) / 60:.1f} minutes{failed}", end=True)
    return worst


def _last_line() -> str:
    return next(
        (line for line in reversed(LOG.read_text(errors="replace").split("\n")) if line.strip()), "it said nothing"
    )


def _show(text: str, *, end: bool = False) -> None:
    """Write a line over the one before it in a terminal; elsewhere only the last."""
    live = sys.stdout.isatty()
    if live or end:
        sys.stdout.write(("\r\x1b[K" if live else "") + text + ("\n" if end else ""))
        sys.stdout.flush()


def _environment(letter: str, name: str) -> Environment:
    if not name:
        raise UserError(f"{letter}= is missing: a Python of asv.conf.json, or the name of an environment")
    return quick.in_order(name)[0]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise UserError(f"ROUNDS={text} is not a whole number from 1 to 1000")
    return int(text)


def main(arguments: list[str]) -> int:
    """Measure both environments in rounds; 1 and a line if one of them cannot be made here."""
    if arguments[:1] == ["--into"]:
        return run_into(Path(arguments[1]), arguments[2:])
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--rounds", required=True)
    options, rest = parser.parse_known_args(arguments)
    try:
        count = _count(options.rounds)
        pair = [_environment(letter, name) for letter, name in (("A", options.first), ("B", options.second))]
        if pair[0].name == pair[1].name:
            raise UserError(f"A={options.first} and B={options.second} are the same environment, {pair[0].name}")
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return measure(pair, count, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
