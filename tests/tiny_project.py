"""A small project with a suite that is not ours: in a subfolder, an existing environment, asv's kinds of benchmarks.

It is installed in a second. Tests of the check and of blame share it; it holds none itself.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from pr_check.check import Options, check
from pr_check.commits import git
from pr_check.plan import PLAN

if TYPE_CHECKING:
    from pathlib import Path

    from pr_check.report import CheckReport

# A few looks at each time, the first as soon as it can tell, and hardly any time for it: each pair starts interpreters.
SMALL = replace(PLAN, looks=(10, 24, 48), least_seconds=4.0)

FILES = {
    ".gitignore": "__pycache__/",
    "python/pyproject.toml": """
        [build-system]
        requires = []
        build-backend = "backend"
        backend-path = ["."]
        """,
    # The smallest thing that builds a wheel: nothing has to be installed for it.
    "python/backend.py": """
        import pathlib
        import zipfile
        def build_wheel(folder, settings=None, metadata=None):
            texts = {str(path): path.read_text() for path in sorted(pathlib.Path("tiny").glob("*.py"))}
            info = "tiny-1.dist-info"
            texts[f"{info}/METADATA"] = "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n"
            texts[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
            texts[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*texts, f"{info}/RECORD"])
            with zipfile.ZipFile(pathlib.Path(folder, "tiny-1-py3-none-any.whl"), "w") as wheel:
                for name, text in texts.items():
                    wheel.writestr(name, text)
            return "tiny-1-py3-none-any.whl"
        """,
    "python/asv.conf.json": """
        {"version": 1, "project": "tiny", "repo": "..", "repo_subdir": "python", "benchmark_dir": "bench",
         "environment_type": "existing",
         "build_command": ["python -m pip wheel --no-deps --no-build-isolation -w {build_cache_dir} {build_dir}"],
         "regressions_first_commits": {".*never_judged": null}}
        """,
    "python/tiny/__init__.py": """
        def work(n):
            return sum(i * i for i in range(n))
        def other(n):
            return sum(i + i for i in range(n))
        def pages(n):
            return 3 * n
        """,
    "python/tiny/unused.py": "",
    "python/bench/__init__.py": "",
    "python/bench/numbers.py": """
        import itertools
        import os
        import tiny

        class Work:
            params = ([100, 20_000],)
            param_names = ("n",)
            def setup_cache(self):
                with open("counted", "a") as file:
                    file.write("x")
                return 7
            def setup(self, seven, n):
                assert (seven, os.path.getsize("counted")) == (7, 1)
            def time_work(self, seven, n):
                tiny.work(n)

        def time_other():
            tiny.other(5000)
        def timeraw_import():
            return "import json"
        def track_pages():
            return tiny.pages(5)
        track_pages.unit = "pages"
        def track_never_judged(numbers=itertools.count()):
            return os.getpid()
        def track_of_no_use():
            return float("nan")
        def peakmem_list():
            return [0] * 100_000
        """,
}


BENCHMARKS = re.findall(r"def ((?:time|track|peakmem)\w*_\w+)", FILES["python/bench/numbers.py"])
TINY, NUMBERS, BACKEND = "tiny/__init__.py", "bench/numbers.py", "backend.py"


class Project:
    """A repository with that project, whose environments all these tests share."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.suite = folder, folder / "python"
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(textwrap.dedent(text))
        self.base = self.commit()

    def commit(self, *texts: tuple[str, str, str], message: str = "A change") -> str:
        """Replace a text in each of these files, and commit all that there is."""
        for name, old, new in texts:
            path = self.suite / name
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        git(self.folder, "add", "-A")
        git(self.folder, "-c", "user.name=Ada", "-c", "user.email=a@b", "commit", "-qm", message)
        return git(self.folder, "rev-parse", "HEAD")

    def nothing(self) -> str:
        """Commit a change that does the same."""
        return self.commit((TINY, "return 3 * n", "return n * 3"))

    def check(self, time_limit: float = 6.0, only: str = "") -> CheckReport:
        """Compare the newest commit with the first."""
        told = Options(time_limit=time_limit, seed=1)
        plan = replace(SMALL, only=only)
        report, _ = check(self.suite / "asv.conf.json", self.base, "HEAD", told, plan)
        self.assert_nothing_is_left()
        return report

    def assert_nothing_is_left(self) -> None:
        """But the two environments, which the check and blame have together."""
        left = sorted(path.name for path in (self.suite / ".asv" / "pr_check").glob("[!.]*"))
        assert left == ["base", "head", "lock"]
        assert git(self.folder, "status", "--porcelain") == ""
