"""The search for a commit as a user calls it: real histories, asv's environments, every way out."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from experiments import blame_histories
from experiments.bad_changes import MUTANTS
from pr_check.blame.command_line import main
from pr_check.blame.history import history_between, into_the_merge
from pr_check.commits import git
from pr_check.errors import SetUpError
from pr_check.suite import find_suite

from .conftest import PROJECT, READS_PROC, Living
from .tiny_project import BACKEND, TINY, Project

if TYPE_CHECKING:
    from collections.abc import Callable

IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
BAD = next(mutant for mutant in MUTANTS if mutant.name == "a second statement")
METRIC = "numbers.track_pages"
OURS = "cost.InsertCost.track_sql_statements('wal', 'disk')"


def commit(folder: Path, name: str, change: Callable[[str], str], message: str) -> str:
    """Change one file, which need not be there yet."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(change(path.read_text() if path.exists() else ""))
    git(folder, "add", "-A")
    git(folder, *IDENTITY, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


def merge(folder: Path, branch: str, message: str) -> str:
    git(folder, *IDENTITY, "merge", "-q", "--no-ff", "-m", message, branch)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A build that fails, its repair, words, and a merge that makes something cost more."""
    project = Project(tmp_path_factory.mktemp("blame") / "project")
    broken = "raise SystemError('on purpose')\nimport pathlib"
    project.commit((BACKEND, "import pathlib", broken), message="Break the build")
    project.commit((BACKEND, broken, "import pathlib"), message="Repair the build")
    commit(project.folder, "docs/words.md", lambda text: f"{text}\nMore words.\n", "Say more")
    git(project.folder, "checkout", "-qb", "topic")
    project.commit((TINY, "3 * n", "4 * n"), message="Fill more pages")
    git(project.folder, "checkout", "-q", "main")
    commit(project.folder, "docs/words.md", lambda text: f"{text}\nStill more.\n", "Say still more")
    merge(project.folder, "topic", "Merge more pages")
    return project


def test_an_exact_cost_is_blamed_on_its_commit_and_a_build_that_fails_is_stepped_around(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.suite)
    assert main([METRIC, "HEAD~5", "--seed", "1"]) == 0
    said, _, answer = capsys.readouterr().out.partition("\n\n")
    head, base, topic = (git(project.folder, "rev-parse", name)[:8] for name in ("HEAD", "HEAD^2^", "HEAD^2"))
    assert "3 commits that can change it, and 2 that cannot" in said
    assert re.search(r'1 of about 2: \w{8} "Break the build": stepped around: does not build: SystemError', said)
    assert re.search(r'2 of about 2: \w{8} "Repair the build": good \(15 pages\)', said)
    assert answer.startswith(f'{head} "Merge more pages"\n  by Ada on 20')
    assert re.search(r"\n  sure: 3 fresh samples of it and of the commit before it, each the same\n", answer)
    assert f"\n  see it: git show {head}\n" in answer
    assert f'make blame METRIC="{METRIC}" GOOD={base} BAD={topic}' in answer
    project.assert_nothing_is_left()


@READS_PROC
def test_ctrl_c_says_how_far_it_got_and_leaves_nothing(project: Project, marked: Living) -> None:
    search = subprocess.Popen(
        [sys.executable, "-P", "-m", "pr_check.blame", METRIC, "HEAD~5"],
        cwd=project.suite,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert search.stdout is not None
    for line in search.stdout:
        if line.startswith("GOOD and BAD differ"):
            search.send_signal(signal.SIGINT)
            break
    out, err = search.communicate(timeout=60)
    assert search.returncode == 130, out + err
    assert re.fullmatch(r'interrupted: between \w{8} ".*" and \w{8} ".*"; nothing is left running\n', err)
    assert marked() == []
    project.assert_nothing_is_left()


def test_where_only_words_changed_there_is_nothing_to_find(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.suite)
    assert main([METRIC, "HEAD~3", "HEAD~1"]) == 3
    assert "no difference between GOOD and BAD: none of 2 commits touches the package" in capsys.readouterr().out


def test_the_histories_that_it_is_measured_with_have_one_bad_commit_and_harmless_ones(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(PROJECT), str(clone))
    commits = blame_histories.make_history(clone, (BAD.file, BAD.old, BAD.new), 5, 1, random.Random(1))
    bad = [BAD.new in git(clone, "show", f"{one}:{BAD.file}") for one in commits]
    broken = ["on purpose" in git(clone, "show", f"{one}:setup.py") for one in commits]
    assert (bad, broken.index(True), broken.count(True)) == ([False] * 5 + [True] * 12, 6, 1)
    assert len(set(commits)) == 17
    for path in (clone / "sqlite_writes").rglob("*.py"):
        compile(path.read_text(), path, "exec")
    touched = set(git(clone, "log", "--name-only", "--format=", f"{commits[0]}..").split())
    assert all(name.startswith("sqlite_writes/") for name in touched - {"setup.py"})
    assert blame_histories.judge(0, [5], 5) == "yes"
    assert blame_histories.judge(0, [4], 5) == blame_histories.judge(1, [2, 4], 5) == "no"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three commits on main, and between the last two a merge of a branch that left after the first."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-qb", "main")
    (folder / "asv.conf.json").write_text('{"version": 1, "project": "p", "repo": "."}')
    commit(folder, "sqlite_writes/a.py", lambda _text: "1", "One")
    git(folder, "tag", "one")
    git(folder, "checkout", "-qb", "topic")
    commit(folder, "sqlite_writes/b.py", lambda _text: "1", "Topic")
    git(folder, "checkout", "-q", "main")
    commit(folder, "docs/a.md", lambda _text: "1", "Two, of words")
    merge(folder, "topic", "Merge the topic")
    commit(folder, "sqlite_writes/a.py", lambda _text: "3", 'Three "quoted" | words')
    return folder


def test_the_history_is_the_line_of_first_parents_without_what_changes_only_words(repository: Path) -> None:
    history = history_between(find_suite(repository / "asv.conf.json"), "one", "HEAD")
    assert [one.subject for one in history.commits] == ["One", "Merge the topic", 'Three "quoted" | words']
    assert (history.others, history.last) == (1, 2)
    good, bad = into_the_merge(repository, history.commits[1])
    assert [one.subject for one in history_between(find_suite(repository / "asv.conf.json"), good, bad).commits] == [
        "One",
        "Topic",
    ]


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("nowhere", "HEAD", "GOOD 'nowhere' is not a commit of this repository"),
        ("one", "HEAD~99", "BAD 'HEAD~99' is not a commit"),
        ("", "HEAD", "GOOD '' is not a commit"),
        ("--all", "HEAD", "GOOD '--all' is not a commit"),
        ("HEAD", "main", "GOOD 'HEAD' and BAD 'main' are the same commit"),
        ("HEAD", "one", "GOOD 'HEAD' is not an ancestor of BAD 'one'; BAD comes before GOOD: swap them"),
        ("topic", "HEAD~2", "GOOD 'topic' is not an ancestor of BAD 'HEAD~2'$"),
        ("topic", "HEAD", "GOOD 'topic' came in with the merge .* \"Merge the topic\": take"),
    ],
)
def test_commits_between_which_there_is_no_line_are_refused(good: str, bad: str, said: str, repository: Path) -> None:
    with pytest.raises(SetUpError, match=said):
        history_between(find_suite(repository / "asv.conf.json"), good, bad)


def test_a_shallow_clone_is_refused(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
    with pytest.raises(SetUpError, match="shallow"):
        history_between(find_suite(tmp_path / "shallow" / "asv.conf.json"), "HEAD", "HEAD")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "METRIC '' is not in the suite; it has "),
        (("METRIC=burst.Burst.time_burst", "GOOD=HEAD^"), "names no parameters: write burst.Burst.time_burst("),
        ((f"METRIC={OURS}", "GOOD=nowhere"), "GOOD 'nowhere' is not a commit of this repository"),
        ((f"METRIC={OURS}", "GOOD=HEAD", "BLAME=--time-limit 0"), "'0' is not a number of seconds from 1 to 86400"),
    ],
)
def test_make_blame_passes_a_metric_with_its_quotes_and_says_in_one_line_what_is_wrong(
    given: tuple[str, ...], said: str
) -> None:
    done = subprocess.run(
        ["make", "--silent", "--old-file=.venv/ready", f"BIN={Path(sys.executable).parent}", "blame", *given],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name not in ("METRIC", "GOOD", "BAD", "MAKEFLAGS")},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2
    assert len(lines) == 1
    assert lines[0].startswith("blame: ")
    assert said in lines[0]
