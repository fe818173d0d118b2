"""A suite that is not ours: a small project in a subfolder, an existing environment, and asv's kinds of benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pr_check.commits import git

from .tiny_project import BENCHMARKS, NUMBERS, TINY, Project

if TYPE_CHECKING:
    from pr_check.findings import Finding


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("any suite") / "project")


@pytest.fixture
def project(shared: Project) -> Project:
    git(shared.folder, "reset", "-q", "--hard", shared.base)
    return shared


def test_commits_that_do_the_same_pass_and_the_report_says_what_was_judged(project: Project) -> None:
    project.nothing()
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
        (TINY, "return sum(i * i for i in range(n))", "return sum(i * i for i in range(2 * n))"),
        (TINY, "return 3 * n", "return 4 * n"),
        (TINY, "    return sum(i + i", "    nowhere\n    return sum(i + i"),
        (NUMBERS, "def time_other():", "def time_new():\n    raise RuntimeError('born broken')\ndef time_other():"),
    )
    report = project.check(time_limit=200.0, only=r"Work.*\(20000|other|new|pages")  # it ends when all is decided
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
    (project.suite / "notes.py").write_text("print('nobody installs me')")
    project.commit()
    report = project.check()
    assert report.nothing_to_measure == "1 changed files, and both commits install the same"
