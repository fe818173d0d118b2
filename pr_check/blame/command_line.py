"""The command's options, and every way in which it ends; knows nothing of how the commit is found.

Ends with 0 one commit, 1 between two commits, 3 GOOD and BAD do not differ or BAD is better, 4 it could not be looked
for, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import traceback
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pr_check.build import THIS_PYTHON
from pr_check.command_line import seconds
from pr_check.commits import GIT_VARIABLES
from pr_check.errors import SetUpError
from pr_check.suite import find_suite

from .answer import NOTHING
from .bench import built_bench, find_benchmarks
from .blame import Blame
from .difference import NothingToFindError
from .history import history_between
from .metric import find_metric

TIME_LIMIT = 1800.0


def main(arguments: list[str]) -> int:
    """Find one commit; every way out is an answer or one line, and a status."""
    for name in GIT_VARIABLES:
        os.environ.pop(name, None)
    started: list[Blame] = []
    try:
        return run(parse(arguments), started)
    except NothingToFindError as error:
        sys.stdout.write(f"{error}\n")
        return NOTHING
    except SetUpError as error:
        reason = str(error)
    except OSError as error:
        reason = f"the disk is full: {error}" if error.errno == 28 else str(error)
    except Exception as error:  # a defect: it must not look like an answer
        traceback.print_exc()
        reason = f"a defect, see above: {error!r}"
    except KeyboardInterrupt:
        where = started[0].where() if started else "nothing was found yet"
        sys.stderr.write(f"interrupted: {where}; nothing is left running\n")
        return 130
    sys.stderr.write(f"blame: {' '.join(reason.split())}\n")
    return 4


def run(options: argparse.Namespace, started: list[Blame]) -> int:
    """Find the commit of the suite, print how, and return the answer's status."""
    suite = find_suite(options.config)
    metric = find_metric(options.metric, find_benchmarks(suite))
    history = history_between(suite, options.good, options.bad)
    if not history.last:
        raise NothingToFindError(
            f"no difference between GOOD and BAD: none of {history.others} commits touches the package or its build"
        )
    others = f", and {history.others} that cannot" if history.others else ""
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    say(f"{metric.name}: {history.last} commits that can change it{others}")
    with console.status("building GOOD and BAD") as status, built_bench(suite, options.python, metric) as bench:
        order = random.Random(options.seed)
        blame = Blame(history, metric, bench, order, options.time_limit, say, lambda what: status.update(escape(what)))
        started.append(blame)
        answer = blame.run()
    say("\n".join(["", *answer.lines()]))
    return answer.status


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; what is wrong with them is a ``SetUpError``."""
    parser = argparse.ArgumentParser(prog="python -m pr_check.blame", description="Find the commit that made it worse.")
    parser.error = _wrong_usage  # type: ignore[method-assign, assignment]
    parser.add_argument("metric", help="as asv and the pages name it: burst.Burst.time_burst(100, 'grouped')")
    parser.add_argument("good", help="a commit that was good")
    parser.add_argument("bad", nargs="?", default="HEAD", help="a later one that is bad (HEAD)")
    parser.add_argument(
        "--config", type=Path, default=Path("asv.conf.json"), metavar="FILE", help="the suite's (asv.conf.json)"
    )
    parser.add_argument("--python", default=THIS_PYTHON, metavar="3.X", help="to measure with (this one)")
    parser.add_argument("--seed", type=int, help="of the order of the samples (random)")
    parser.add_argument(
        "--time-limit", type=seconds, default=TIME_LIMIT, metavar="SECONDS", help=f"of the search ({TIME_LIMIT:g})"
    )
    return parser.parse_args(arguments)


def _wrong_usage(message: str) -> None:
    raise SetUpError(f"{message} (python -m pr_check.blame --help)")
