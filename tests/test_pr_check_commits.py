"""Which commits are compared, what is refused, and what is answered at once: real repositories, the real command."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pr_check import build
from pr_check.accepted import AcceptedCost, accepted_costs
from pr_check.check import identify
from pr_check.command_line import main
from pr_check.commits import Comparison, find_comparison, git
from pr_check.errors import SetUpError
from pr_check.side import Side
from pr_check.suite import find_suite
from pr_check.workplace import extract

from .conftest import PROJECT

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b")


def commit(folder: Path, name: str, text: str, message: str = "A change") -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, *IDENTITY, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a main branch of two commits, and a branch that left it after the first."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "asv.conf.json").write_text('{"version": 1, "project": "p", "repo": "."}')
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "cost.py").write_text("def track_syncs(): pass")
    commit(folder, "sqlite_writes/__init__.py", "")
    git(folder, "checkout", "-qb", "topic")
    commit(folder, "README.md", "words")
    git(folder, "checkout", "-q", "main")
    commit(folder, "sqlite_writes/__init__.py", "# main went on")
    git(folder, "checkout", "-q", "topic")
    return folder


def compare(folder: Path, base: str | None = None, head: str = "HEAD", **named: bool) -> Comparison:
    """What is compared by the suite in that folder."""
    suite = find_suite(folder / "asv.conf.json")
    return find_comparison(suite.repository, base, head, suite.measured, **named)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command does in that folder; in this process, since to start it takes a second."""
    out, err, here = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(arguments))
    finally:
        os.chdir(here)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def test_the_command_itself_ends_with_its_status_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "asv.conf.json").write_text('{"version": 1, "project": "p", "repo": "."}')
    done = subprocess.run(
        [sys.executable, "-m", "pr_check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "GIT_CEILING_DIRECTORIES": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "not a git repository" in one_line(done)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a check said that could not be made."""
    assert done.returncode == 4, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("pr_check: ")
    return line.removeprefix("pr_check: ")


def test_the_base_is_the_merge_base_with_the_main_branch(repository: Path) -> None:
    comparison = compare(repository)
    assert comparison.base == git(repository, "rev-parse", "main^")
    assert comparison.changed == ("README.md",)
    assert comparison.measurable == ()


def test_only_what_can_change_a_result_is_measured(repository: Path) -> None:
    """Whatever may be installed or run, wherever it lies; not words, tests and what a hosting site reads."""
    measured = ["any/where.c", "benchmarks/README.md", "setup.py", "sqlite_writes/größe.py", "sqlite_writes/pool.py"]
    for name in (*measured, ".github/workflows/x.yml", "docs/setup.py", "tests/test_x.py", "sqlite_writes.md"):
        commit(repository, name, "other")
    assert sorted(compare(repository).measurable) == measured


def test_what_the_build_only_reads_is_measured_when_it_is_gone(repository: Path) -> None:
    base = commit(repository, "README.md", "other words")
    (repository / "README.md").unlink()
    commit(repository, "docs/README.md", "")
    assert compare(repository, base).measurable == ("README.md",)


def test_where_there_is_nothing_to_measure_it_is_answered_at_once(repository: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    done = run(repository, "--report", str(report))
    assert done.returncode == 0, done.stderr
    assert "nothing to measure: 1 changed file, none" in done.stdout
    assert "nothing to measure" in report.read_text()
    assert "nothing to measure: nothing changed" in run(repository, "HEAD", "HEAD").stdout
    assert not (repository / ".asv").exists()


def test_an_uncommitted_change_is_refused_where_it_would_be_measured(repository: Path) -> None:
    (repository / "README.md").write_text("other words")
    assert run(repository).returncode == 0
    (repository / "sqlite_writes" / "new.py").write_text("")
    said = one_line(run(repository))
    assert said == "sqlite_writes/new.py: uncommitted changes would not be measured; commit or stash them"
    assert run(repository, "main^", "main^").returncode == 0  # another commit than the one that is checked out


@pytest.mark.parametrize("name", ["nowhere", "HEAD~99", "", "--upload-pack=x"])
def test_an_unknown_commit_is_named(repository: Path, name: str) -> None:
    with pytest.raises(SetUpError, match=r"is not a commit of this repository|is no name of a commit"):
        compare(repository, name)


def test_a_shallow_clone_is_refused(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    assert "shallow" in one_line(run(tmp_path / "shallow"))


def test_a_repository_without_a_main_branch_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "other")
    commit(tmp_path, "asv.conf.json", '{"version": 1, "project": "p", "repo": "."}')
    assert "there is no main branch" in one_line(run(tmp_path))


@pytest.mark.parametrize(
    "wrong", ["--time-limit 0", "--time-limit x", "--seed x", "--what", "a b c", "--report nowhere/x.md", "--json ."]
)
def test_wrong_usage_is_one_line_that_names_the_value(repository: Path, wrong: str) -> None:
    line = one_line(run(repository, *wrong.split()))
    assert "--help" in line
    assert wrong.rsplit(maxsplit=1)[-1] in line


def test_a_report_that_is_no_plain_file_is_written_to_and_not_replaced(repository: Path, tmp_path: Path) -> None:
    """As /dev/null is none."""
    (tmp_path / "link").symlink_to(tmp_path / "report.json")
    (tmp_path / "report.json").touch()
    assert run(repository, "--json", str(tmp_path / "link")).returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "report.json").read_text())["nothing_to_measure"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_it_needs_no_reader(encoding: str, repository: Path, tmp_path: Path) -> None:
    """Where nobody reads what is printed, or cannot show it, the reports and the status are the same."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pr_check", "--json", str(tmp_path / "report.json")],
            cwd=repository,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": encoding},
            stdin=subprocess.DEVNULL,
            stdout=nobody if encoding == "utf-8" else subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 0
    assert json.loads((tmp_path / "report.json").read_text())["nothing_to_measure"]


def test_within_a_hook(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository is that of the folder, also where git has named another."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    done = run(repository)
    assert done.returncode == 0, done.stderr


def test_a_head_without_a_commit_in_common_is_told_so(repository: Path) -> None:
    git(repository, "checkout", "-q", "--orphan", "stranger")
    commit(repository, "README.md", "other words")
    assert one_line(run(repository)) == "main and 'HEAD' have no commit in common: name the base"


def test_environments_that_differ_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def identity(side: Side, _reply: dict[str, Any]) -> dict[str, Any]:
        side.end()
        return {"python": "3.12.9" if side.name == "head" else "3.12.1", "sqlite": "3.40.1", "benchmarks": []}

    monkeypatch.setattr("pr_check.check._identity", identity)
    before, base, head = (Side(name, sys.executable, tmp_path, tmp_path, {}) for name in ("before", "base", "head"))
    with pytest.raises(
        SetUpError, match=r"base has Python 3.12.1 with SQLite 3.40.1, and that of the head Python 3.12.9"
    ):
        identify(before, base, head)


def test_benchmarks_that_the_base_does_not_suit_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = {"python": "3.12.1", "sqlite": "3.40.1", "benchmarks": []}
    known = {"before": fine, "base": {"reason": "Traceback\nImportError: no such name"}, "head": fine}
    monkeypatch.setattr("pr_check.check._identity", lambda side, _reply: side.end() or known[side.name])
    sides = [Side(name, sys.executable, tmp_path, tmp_path, {}) for name in known]
    with pytest.raises(
        SetUpError, match="head's benchmarks beside the base cannot be sampled: ImportError: no such name"
    ):
        identify(*sides)
    known["before"] = known["base"]
    with pytest.raises(SetUpError, match="the base cannot be sampled"):
        identify(*sides)


def test_another_configuration_has_environments_of_its_own(tmp_path: Path) -> None:
    configuration = tmp_path / "asv.conf.json"
    configuration.write_text("{}")
    first = build._environments(tmp_path, configuration)
    first.mkdir()
    assert build._environments(tmp_path, configuration) == first
    assert first.exists()
    configuration.write_text("[]")
    assert build._environments(tmp_path, configuration) != first
    assert not first.exists()


def test_a_message_in_another_encoding_is_no_obstacle(repository: Path) -> None:
    (repository / "README.md").write_text("other words")
    git(repository, "add", "-A")
    message = repository / ".git" / "message"
    message.write_text("Größe\n\nAccept-Cost: syncs +1 a reason\n", encoding="latin-1")
    git(repository, *IDENTITY, "commit", "-qF", str(message))
    assert "Accept-Cost: syncs +1 a reason" in compare(repository).messages


def test_extraction_without_a_filter(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive is extracted where tarfile knows no filter, as up to Python 3.11.3."""
    head = commit(repository, "benchmarks/burst.py", "words")
    extract_all = tarfile.TarFile.extractall

    def extract_without_filter(archive: tarfile.TarFile, folder: Path) -> None:
        extract_all(archive, folder)

    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extractall", extract_without_filter)
    extract(repository, head, "benchmarks", tmp_path / "folder")
    assert (tmp_path / "folder" / "benchmarks" / "burst.py").read_text() == "words"


def test_a_defect_of_the_check_is_no_verdict(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pr_check.check.accepted_costs", None)  # as a mistake would have it
    done = run(repository)
    assert done.returncode == 4
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("pr_check: a defect of the check, see above: TypeError")


def test_a_cost_is_accepted_by_a_trailer_or_in_the_text() -> None:
    text = "A change\r\n\r\nAccept-Cost: bytes_written +4,096 a page for the index\r\nSigned-off-by: x"
    assert accepted_costs(text) == [AcceptedCost("bytes_written", 4096.0, "a page for the index")]
    assert accepted_costs("Accept-Cost: a +1_000,000.5 b") == [AcceptedCost("a", 1_000_000.5, "b")]
    assert accepted_costs("Accept-Cost: syncs -1 on purpose") == [AcceptedCost("syncs", -1.0, "on purpose")]


@pytest.mark.parametrize("line", ["Accept-Cost: syncs +1 a reason", "Something else"])
def test_the_command_names_a_text_that_is_needed_to_repeat_it(repository: Path, tmp_path: Path, line: str) -> None:
    (tmp_path / "text").write_text(line)
    run(repository, "--pull-request-text", str(tmp_path / "text"), "--json", str(tmp_path / "report.json"))
    command = json.loads((tmp_path / "report.json").read_text())["command"]
    assert ("--pull-request-text" in command) == line.startswith("Accept-Cost")


@pytest.mark.parametrize(
    "line", ["all", "bytes_written 4096 x", "syncs +1", "a +. x", "syncs +0,1 x", "syncs +40,96 x", "syncs +1.2.3 x"]
)
def test_a_line_that_accepts_nothing_is_refused(repository: Path, line: str) -> None:
    commit(repository, "sqlite_writes/x.py", "", f"A change\n\nAccept-Cost: {line}")
    assert one_line(run(repository)).startswith(f"'Accept-Cost: {line}'")


def test_a_cost_that_there_is_none_of_cannot_be_accepted(repository: Path) -> None:
    commit(repository, "sqlite_writes/x.py", "", "A change\n\nAccept-Cost: byte_written +1 mistyped")
    assert one_line(run(repository)).startswith("Accept-Cost: 'byte_written' is no metric of benchmarks")


@pytest.mark.parametrize(
    "hidden",
    ["<!--\n{0}\n-->", "<!-- never ended\n{0}", "```\n{0}\n```", "~~~text\n{0}\n~~~", "```\n{0}", "<pre>\n{0}\n</pre>"],
)
def test_what_a_reader_does_not_see_accepts_nothing(hidden: str) -> None:
    """Neither a comment nor an example in a block of code is anybody's word."""
    line = "Accept-Cost: syncs +1 a reason"
    assert accepted_costs(hidden.format(line)) == []
    assert len(accepted_costs(f"{line}\n\n{hidden.format('x')}")) == 1


def test_a_base_that_went_on_is_not_blamed_on_the_head(repository: Path) -> None:
    """``BASE=main`` compares with where the head has left it, and says so; ``as_given`` with main itself."""
    comparison = compare(repository, "main")
    assert comparison.base == git(repository, "rev-parse", "main^")
    assert comparison.changed == ("README.md",)
    assert comparison.notes[0].endswith("where HEAD leaves main: main is 1 commits further")
    assert compare(repository, "main", as_given=True).changed == ("README.md", "sqlite_writes/__init__.py")
    assert "where HEAD leaves main" in run(repository, "main").stdout


def test_commits_of_others_since_a_stale_base_are_counted(repository: Path, tmp_path: Path) -> None:
    """In a fork whose main branch is old, what others have merged since looks like mine: the report says how much."""
    git(repository, "checkout", "-q", "main")
    git(tmp_path, "clone", "-q", str(repository), "fork")
    fork = tmp_path / "fork"
    git(fork, "-c", "user.name=b", "-c", "user.email=b@b", "commit", "-q", "--allow-empty", "-m", "By somebody else")
    commit(fork, "README.md", "mine")
    date = git(fork, "show", "--no-patch", "--format=%cs", "origin/main")
    notes = compare(fork).notes
    assert (
        notes[-1]
        == f"2 commits since the base of {date}, 1 of them by others than a@b: a stale base makes theirs yours"
    )
    git(fork, "remote", "add", "upstream", str(fork))
    git(fork, "update-ref", "refs/remotes/upstream/main", "HEAD^")  # the original is not so old
    assert compare(fork).base == git(fork, "rev-parse", "HEAD^")
    assert compare(fork).notes[0] == "the base is where HEAD leaves upstream/main"


def test_a_clone_without_files_is_refused(repository: Path, tmp_path: Path) -> None:
    commit(repository, "sqlite_writes/__init__.py", "mine")
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "-b", "topic", f"file://{repository}", "partial")
    assert "this clone lacks 1 files of the two commits (git clone --filter)" in one_line(
        run(tmp_path / "partial", "origin/main")
    )


def test_a_project_in_a_subfolder_is_measured(repository: Path) -> None:
    """Wherever it lies in its repository, and wherever the check is started."""
    configuration = '{"version": 1, "project": "p", "repo": "..", "repo_subdir": "python", "benchmark_dir": "bench"}'
    commit(repository, "python/asv.conf.json", configuration)
    base = commit(repository, "python/p/__init__.py", "")
    commit(repository, "python/docs/x.py", "")
    commit(repository, "python/p/__init__.py", "slower = True")
    suite = find_suite(repository / "python" / "asv.conf.json")
    assert (suite.repository, suite.benchmarks_inside) == (repository, "python/bench")
    assert find_comparison(repository, base, "HEAD", suite.measured).measurable == ("python/p/__init__.py",)


@pytest.mark.parametrize("by_url", [False, True])
def test_a_suite_in_a_repository_of_its_own(by_url: bool, repository: Path, tmp_path: Path) -> None:
    suite_folder = tmp_path / "suite"
    suite_folder.mkdir()
    git(suite_folder, "init", "-q")
    repo = f"file://{repository}" if by_url else "../repository"
    commit(suite_folder, "asv.conf.json", json.dumps({"version": 1, "project": "p", "repo": repo}))
    suite = find_suite(suite_folder / "asv.conf.json")
    assert (suite.repository, suite.inside) == (repository, None)


def test_a_repo_that_is_not_on_this_machine_is_named(repository: Path) -> None:
    commit(repository, "asv.conf.json", '{"version": 1, "project": "p", "repo": "https://example.org/p.git"}')
    assert one_line(run(repository)).startswith("the repo 'https://example.org/p.git' is not on this machine")
    assert "'nowhere.json' is not there" in one_line(run(repository, "--config", "nowhere.json"))
