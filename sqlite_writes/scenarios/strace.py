"""Run a function of the package in a fresh process under strace. Knows neither what it does nor what its calls mean."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The arguments: the path of imports, and the function with its arguments.
_SCRIPT = (
    "import pickle, sys; sys.path[:] = pickle.loads(bytes.fromhex(sys.argv[1]));"
    "function, arguments = pickle.loads(bytes.fromhex(sys.argv[2])); function(*arguments)"
)


def can_trace() -> bool:
    """Whether strace is installed, and may trace."""
    strace = shutil.which("strace")
    return (
        strace is not None
        and subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0
    )


def run_traced(
    function: Callable[..., object], *arguments: object, options: Sequence[str], log: str, seconds: float = 120.0
) -> str:
    """Call the function of a module in a fresh process, with strace's words in the file ``log``; what it printed.

    ``NotImplementedError`` where there is no strace, ``subprocess.CalledProcessError`` if the function fails, and
    ``TimeoutError`` if it or a process that it started still runs after so many seconds; none runs on.
    """
    if not can_trace():
        raise NotImplementedError("strace is not installed, or may not trace")
    with subprocess.Popen(
        ["strace", "-f", *options, "-o", log, sys.executable, "-c", _SCRIPT]
        + [pickle.dumps(sent).hex() for sent in (sys.path, (function, arguments))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            said, complaint = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{function.__qualname__} did not end within {seconds:g} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, function.__qualname__, said, complaint)
    return said
