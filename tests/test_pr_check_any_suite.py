"""A suite that is not ours: a small project in a subfolder, an existing environment, and asv's kinds of benchmarks."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pr_check.check import Options, check
from pr_check.commits import git
from pr_check.plan import PLAN

if TYPE_CHECKING:
    from pathlib import Path

    from pr_check.findings import Finding
    from pr_check.report import CheckReport

# One look at each time, and hardly any time for it.
SMALL = replace(PLAN, looks=(12, 24), least_seconds=6.0)

FILES = {
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
         "environment_type": "existing", "regressions_first_commits": {".*never_judged": null}}
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
TINY, NUMBERS = "tiny/__init__.py", "bench/numbers.py"


class Project:
    """A repository with that project, whose environments all these tests share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(textwrap.dedent(text))
        self.base = self.commit()

    def commit(self, *texts: tuple[str, str, str]) -> str:
        """Replace a text in each of these files, and commit all that there is."""
        for name, old, new in texts:
            path = self.folder / "python" / name
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        git(self.folder, "add", "-A")
        git(self.folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "A change")
        return git(self.folder, "rev-parse", "HEAD")

    def check(self, time_limit: float = 12.0, only: str = "") -> CheckReport:
        """Compare the newest commit with the first."""
        told = Options(time_limit=time_limit, seed=1)
        plan = replace(SMALL, only=only)
        report, _ = check(self.folder / "python" / "asv.conf.json", self.base, "HEAD", told, plan)
        left = sorted(path.name for path in (self.folder / "python" / ".asv" / "pr_check").iterdir())
        assert left == [".gitignore", "base", "head", "lock"]
        assert git(self.folder, "status", "--porcelain") == ""
        return report


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("any suite") / "project")


@pytest.fixture
def project(shared: Project) -> Project:
    git(shared.folder, "reset", "-q", "--hard", shared.base)
    return shared


def test_commits_that_do_the_same_pass_and_the_report_says_what_was_judged(project: Project) -> None:
    project.commit((TINY, "return 3 * n", "return n * 3"))
    report = project.check()
    judgement = report.judgement
    assert judgement.findings == []
    seen = {timing.benchmark.partition("(")[0] for timing in judgement.timings} | {
        name for name, _ in judgement.left_out
    }
    assert seen >= {"numbers.Work.time_work", "numbers.time_other", "numbers.timeraw_import"}
    assert "numbers.track_never_judged" not in seen
    assert judgement.judged + len(judgement.left_out) == len(BENCHMARKS) - 1  # one says itself that it has no value
    assert f"in {judgement.judged} benchmarks" in report.sentence() or judgement.verdict == "INCONCLUSIVE"


def test_what_got_worse_is_named_with_its_cause(project: Project) -> None:
    """Slower, costlier, raising; and a new benchmark that raises with the base's package too."""
    project.commit(
        (TINY, "return sum(i * i for i in range(n))", "return sum(i * i for i in range(n + n // 2))"),
        (TINY, "return 3 * n", "return 4 * n"),
        (TINY, "    return sum(i + i", "    nowhere\n    return sum(i + i"),
        (NUMBERS, "def time_other():", "def time_new():\n    raise RuntimeError('born broken')\ndef time_other():"),
    )
    report = project.check(time_limit=200.0, only="Work|other|new|pages")  # it ends when all is decided
    found: dict[str, Finding] = {finding.benchmark: finding for finding in report.judgement.findings}
    assert report.judgement.verdict == "NEW FAILURE"
    assert found["numbers.time_other"].cause == "NameError: name 'nowhere' is not defined"
    assert found["numbers.time_new"].cause == "RuntimeError: born broken"
    assert found["numbers.time_new"].base == "not there"
    assert found["numbers.track_pages"].cause == "+5 pages"
    work = found["numbers.Work.time_work(20000)"]
    assert "% longer: " in work.cause
    assert "tiny/__init__.py:<genexpr>" in work.cause


def test_where_both_commits_install_the_same_nothing_is_measured(project: Project) -> None:
    (project.folder / "python" / "notes.py").write_text("print('nobody installs me')")
    project.commit()
    report = project.check()
    assert report.nothing_to_measure == "1 changed files, and both commits install the same"


def test_a_head_that_cannot_be_imported_is_a_failure(project: Project) -> None:
    project.commit((TINY, "def work(n)", "import nowhere\ndef work(n)"))
    report = project.check()
    assert report.judgement.verdict == "NEW FAILURE"
    assert report.judgement.findings[0].cause == "ModuleNotFoundError: No module named 'nowhere'"
