"""Print what the model of the line shows. Knows no step of it.

python -m experiments.line_model [WRITERS]    every scenario, and what breaks without each rule; 3 unless given
python -m experiments.line_model paths COUNT  hold as many recorded runs of the real code to the model
"""

from __future__ import annotations

import sys
import tempfile

from .paths import is_path, record_line
from .search import SCENARIOS, counterexample, search
from .steps import RULES


def main(writers: int = 3) -> int:
    """Print what was visited, and a counterexample for each rule; 1 if a promise is broken with all rules."""
    status = 0
    sys.stdout.write("| what may happen | states | steps | seconds | broken |\n| --- | ---: | ---: | ---: | --- |\n")
    for name, (faults, connects) in SCENARIOS.items():
        found = search(writers, faults, connects)
        cells = (name, f"{found.states:,}", f"{found.steps:,}", f"{found.seconds:.1f}", found.broken or "nothing")
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
        sys.stdout.flush()
        status |= bool(found.broken)
    sys.stdout.write("\n| without the rule | then | what breaks | with | steps |\n| --- | --- | --- | --- | ---: |\n")
    ways = []
    for rule, otherwise in RULES.items():
        name, found = counterexample(rule)
        sys.stdout.write(f"| {rule} | {otherwise} | {found.broken} | {name} | {len(found.path)} |\n")
        sys.stdout.flush()
        ways.append(f"\nWithout {rule!r}:\n    {'; '.join(found.path)}; {found.broken}\n")
    sys.stdout.write("".join(ways))
    return status


def paths(count: int) -> int:
    """Record as many runs; 1 if one is no path of the model."""
    status, calls = 0, 0
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            inject = f"fdatasync:delay_enter={(0, 500, 2000, 5000)[number % 4]}"
            _, shown = record_line("grouped", f"{folder}/messages.db", keep_open=number % 2 == 0, inject=inject)
        calls += len(shown)
        if why := is_path(shown):
            sys.stdout.write(f"run {number} is no path of the model: {why}\n")
            status = 1
    sys.stdout.write(f"{count} runs, {calls} calls that show steps\n")
    return status


if __name__ == "__main__":
    if sys.argv[1:2] == ["paths"]:
        sys.exit(paths(int(sys.argv[2])))
    sys.exit(main(*map(int, sys.argv[1:])))
