"""Say in one line why asv could not measure where this project is; knows git and asv.conf.json, no benchmarks.

asv measures commits of a repository. The project is its root, or a folder in it that ``asv.conf.json`` has to name. A
worktree, a submodule, a shallow clone and a detached HEAD need nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from asv.config import Config
from asv.util import UserError


def problem(config: Config) -> str:
    """Return what is in the way, and what to do about it; empty if nothing is."""
    if not Path(config.repo).is_dir():  # an address: asv clones it
        return ""
    top = _git("rev-parse", "--show-toplevel")
    if not top:
        return "this is no git repository, and asv measures commits: clone the project, or git init and git commit"
    if not _git("rev-parse", "--verify", "--quiet", "HEAD"):
        return "this repository has no commit yet, and asv measures commits: git commit"
    inside = _git("rev-parse", "--show-prefix").rstrip("/")
    if Path(config.repo).resolve() != Path(top).resolve() or config.repo_subdir.rstrip("/") != inside:
        where, wanted = "at the root", '"repo": "." there, and no "repo_subdir"'
        if inside:
            up = "/".join([".."] * len(Path(inside).parts))
            where, wanted = f"in the folder {inside}", f'"repo": "{up}", "repo_subdir": "{inside}" there'
        return f"this project is {where} of its repository, and asv.conf.json says otherwise: set {wanted}"
    return ""


def _git(*arguments: str) -> str:
    """Return what git says, without the end of its line; empty if it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.removesuffix("\n") if done.returncode == 0 else ""


def main() -> int:
    """Print the problem, if there is one; 1 then."""
    try:
        found = problem(Config.load(*sys.argv[1:2]))
    except (UserError, OSError) as error:
        found = " ".join(str(error).split())
    if found:
        sys.stderr.write(f"{found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
