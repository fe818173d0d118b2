"""A metric by the name that asv and the pages give it, and its values in words. Takes no samples."""

from __future__ import annotations

import difflib
import itertools
import json
import math
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pr_check.errors import SetUpError

# So many names are shown in place of one that is not there.
NEAR = 5

Listed = dict[str, Any]

# asv's own discovery, in a process of its own: the suite's modules are not imported beside ours.
_DISCOVERY = (
    "import sys; from asv_runner.discovery import list_benchmarks; list_benchmarks(sys.argv[1], open(sys.argv[2], 'w'))"
)


@dataclass(frozen=True)
class Metric:
    """One benchmark with one set of parameters.

    name: as people read it. benchmark, index: the same for asv_runner, which counts the sets of parameters; None
    without any. timeout: in seconds, of one sample.
    """

    name: str
    benchmark: str
    index: int | None
    unit: str
    timeout: float = 60.0

    def show(self, value: float) -> str:
        """Return a value with its unit; infinity stands for a sample that failed."""
        if math.isinf(value):
            return "fails"
        if self.unit == "seconds":
            return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.2f} ms"
        number = f"{value:,.0f}" if value == round(value) else f"{value:,.3g}"
        return f"{number} {self.unit}"


def list_benchmarks(suite: Path) -> list[Listed]:
    """Return what asv finds in that folder of benchmarks."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "benchmarks.json")
        done = subprocess.run(
            [sys.executable, "-c", _DISCOVERY, str(suite), str(result)],
            cwd=suite.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise SetUpError(f"the benchmarks in {str(suite)!r} cannot be listed: {said[-1]}")
        found: list[Listed] = json.loads(result.read_text())
    return found


def find_metric(name: str, listed: list[Listed]) -> Metric:
    """Return the one metric of that name; ``SetUpError`` names what is near, or which parameters there are.

    Quotes and spaces within the parameters do not matter: a shell may have taken them.
    """
    wanted = _bare(name)
    for benchmark in listed:
        if wanted.partition("(")[0] != benchmark["name"]:
            continue
        for index, parameters in enumerate(itertools.product(*benchmark["params"])):
            full = f"{benchmark['name']}({', '.join(parameters)})" if parameters else str(benchmark["name"])
            if _bare(full) == wanted:
                return Metric(
                    full,
                    str(benchmark["name"]),
                    index if parameters else None,
                    str(benchmark["unit"]),
                    float(benchmark.get("timeout") or Metric.timeout),
                )
        raise SetUpError(_other_parameters(name, benchmark))
    names = [str(benchmark["name"]) for benchmark in listed]
    head = wanted.partition("(")[0]
    near = [one for one in names if one.startswith(f"{head}.")] or difflib.get_close_matches(head, names, NEAR, 0.6)
    more = ", …" if len(near) > NEAR else ""
    hint = f"near it are {', '.join(near[:NEAR])}{more}" if near else f"it has {', '.join(names[:NEAR])}, …"
    raise SetUpError(f"METRIC {name!r} is not in the suite; {hint}")


def _bare(name: str) -> str:
    return re.sub(r"[\s'\"]", "", name).removesuffix("()")


def _other_parameters(name: str, benchmark: Listed) -> str:
    if not benchmark["params"]:
        return f"METRIC {name!r}: {benchmark['name']} has no parameters"
    axes = "; ".join(f"{axis}: {', '.join(of)}" for axis, of in zip(benchmark["param_names"], benchmark["params"]))
    example = ", ".join(of[len(of) // 2] for of in benchmark["params"])
    what = "names no parameters" if "(" not in name else "has other parameters"
    return f"METRIC {name!r} {what}: write {benchmark['name']}({example}), of {axes}"
