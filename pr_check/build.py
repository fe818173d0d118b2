"""Build one side by asv's own environment code; the suite's ``asv.conf.json`` stays the one description of a build.

``python -m pr_check.build FOLDER CONFIGURATION REPOSITORY TYPE PYTHON COMMIT`` makes or reuses the environment,
installs the commit and ends with a line of JSON that names its interpreter. It is a process of its own, so that two can
build at the same time, that what asv says stays in a file, and that it can be ended. It does not know what is measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from asv import util
from asv.config import Config
from asv.environment import EnvironmentUnavailable, get_environments
from asv.repo import get_repo
from asv.util import ProcessError, UserError

from asv_plugins import interpreters

from .errors import SetUpError

if TYPE_CHECKING:
    from .suite import Suite

# A free-threaded one has a name of its own.
THIS_PYTHON = "{}.{}".format(*sys.version_info) + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")

# Seconds for a build to end when it is told to; asv gives each command that it has started one.
ENDING = 10.0


class Build:
    """A build under way, of ``longest`` seconds at most, out of Ctrl-C's reach: whoever started it ends it."""

    def __init__(self, side: str, suite: Suite, configuration: Path, python: str, commit: str, longest: float) -> None:
        self._side, self._commit, self._longest = side, commit, longest
        self._until = time.monotonic() + longest
        folder = suite.folder / ".asv" / "pr_check" / side
        what = map(str, (folder, configuration, suite.repository, suite.environment_type, python, commit))
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "build.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                # -P: this very code, not what the repository's work tree may have in its place.
                [sys.executable, "-P", "-m", "pr_check.build", *what],
                cwd=suite.folder,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
                stdin=subprocess.PIPE,  # it ends when we do, however that is
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> tuple[str, dict[str, str]]:
        """Return the interpreter of the finished environment and the variables that it is run with."""
        try:
            status = self.process.wait(max(self._until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            raise self._failure(f"not done after {self._longest:g} s") from None
        said = self._log.read_text(errors="replace").strip().splitlines() or [f"status {status}"]
        if status:
            raise self._failure(said[-1] if status > 0 else f"ended by signal {-status}")
        built = json.loads(said[-1])
        return built["interpreter"], built["variables"]

    def _failure(self, why: str) -> SetUpError:
        return SetUpError(f"the {self._side} {self._commit[:8]} does not build: {why} (all of it: {self._log})")

    def end(self) -> None:
        """Wait until it has ended, once told to, by force if it does not.

        What asv has started for it is in groups of its own, and is ended by it on the way out.
        """
        try:
            self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdin is not None  # noqa: S101
        self.process.stdin.close()


def main(folder: str, configuration: str, repository: str, kind: str, python: str, commit: str) -> int:
    """Build; return 1, with the reason in the last line, if that fails."""
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_the_check, args=(os.dup(0),), daemon=True).start()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    interpreters.setup()
    config = Config.load(configuration)
    config.repo, config.environment_type = repository, kind
    config.env_dir = str(_environments(Path(folder), Path(configuration)))
    try:
        if kind == "existing":
            interpreter, variables = _install_beside(config, Path(folder), python, commit)
        else:
            # The first of asv's environments for this Python: later ones vary what the suite varies (include).
            environment = next(iter(get_environments(config, [f"{kind}:{python}"], verbose=False)), None)
            if environment is None:
                raise UserError(f"no Python {python} starts here, or asv.conf.json does not list it")
            environment.create()
            environment.install_project(config, get_repo(config), commit)
            interpreter, variables = environment.find_executable("python"), environment.env_vars
    except ProcessError as error:
        print(_reason(f"{error.stdout or ''}\n{error.stderr or ''}") or error)  # noqa: T201 read by Build.wait
        return 1
    except (UserError, EnvironmentUnavailable, OSError) as error:
        print(error)  # noqa: T201
        return 1
    print(json.dumps({"interpreter": interpreter, "variables": variables}))  # noqa: T201
    return 0


def _install_beside(config: Config, folder: Path, python: str, commit: str) -> tuple[str, dict[str, str]]:
    """Install a commit into a folder of its own that comes first: an existing environment stays as it is.

    What is there already is kept, as asv keeps it in an environment.
    """
    interpreter = (
        sys.executable if python == THIS_PYTHON else util.which(python if "/" in python else f"python{python}")
    )
    source, target, note = folder / "source", folder / "installed", folder / "installed.txt"
    variables = {"PYTHONPATH": str(target)}
    what = f"{commit} of {config.repo}, {config.repo_subdir!r}, by {interpreter}"
    if note.exists() and note.read_text() == what:
        return interpreter, variables
    note.unlink(missing_ok=True)
    for old in (source, target):
        shutil.rmtree(old, ignore_errors=True)
    util.check_output([util.which("git"), "clone", "--quiet", "--shared", "--no-checkout", config.repo, str(source)])
    util.check_output([util.which("git"), "checkout", "--quiet", commit], cwd=str(source))
    pip = [interpreter, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    try:  # by the build tools that are there
        util.check_output([*pip, "--no-build-isolation", str(source / config.repo_subdir)], display_error=False)
    except ProcessError:
        util.check_output([*pip, str(source / config.repo_subdir)], timeout=config.install_timeout)
    note.write_text(what)
    return interpreter, variables


def _environments(folder: Path, configuration: Path) -> Path:
    """Return where asv keeps them: another folder for another configuration, since asv takes up what it finds."""
    found = folder / f"env-{hashlib.sha256(configuration.read_bytes()).hexdigest()[:8]}"
    for other in {*folder.glob("env-*"), folder / "env"} - {found}:
        shutil.rmtree(other, ignore_errors=True)
    return found


def _end(*_: object) -> NoReturn:
    """End once: another signal would interrupt asv as it ends what it has started."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_the_check(pipe: int) -> None:
    """Wait for the end of a pipe that the check holds, and then end as if told to."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _reason(output: str) -> str:
    """Return the line of a failed build's output that says why: its last that names an error, or its last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for mark in ("Error:", "Error|^error|^ERROR", ""):
        for line in reversed(lines):
            if re.search(mark, line):
                return line
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
