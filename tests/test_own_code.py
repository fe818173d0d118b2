"""The example of docs/own-code.md as a stranger runs it: its tests, its asv suite at three commits, and the page."""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sqlite_writes.asv import Burst

from .conftest import PROJECT

if TYPE_CHECKING:
    from sqlite_writes.writers.names import AnyWriter

EXAMPLE = PROJECT / "examples" / "notes"
PAGE = PROJECT / "docs" / "own-code.md"
BIN = Path(sys.executable).parent
COUNTS = ["failed_rows", "lost_rows", "altered_rows", "duplicated_rows", "recovered_rows"]
TIMES = ["burst_time", "slowest_insert", "p99_insert"]

# A second module, whose class has the name of the example's, and which has other classes beside it. Both writers are in
# the suite itself.
MORE = """
from contextlib import contextmanager

from notes import store
from sqlite_writes.asv import Burst


class _Writer:
    def __init__(self, add):
        self.add = add

    def create(self, database):
        store.create(database)

    @contextmanager
    def open(self, database):
        yield lambda row: self.add(database, *row)

    def rows(self, database):
        return store.texts(database)


class _Few(Burst):
    params = [[30]]
    bursts = 1


class Notes(_Few):
    writer = _Writer(store.add)


class InTurn(_Few):
    writer = _Writer(store.add_in_turn)


class NoTable(_Few):
    writer = "benchmarks.more:no_table"


no_table = _Writer(store.add)
no_table.create = len  # returns at once, and makes no table
"""


def copy(names: list[str], to: Path) -> None:
    """Copy the tree's files of these names, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *names],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, to / name)


class Stranger:
    """Somebody with a home, a folder with the wheel of this package, and a copy of the example."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        (folder / "home").mkdir()
        copy(["sqlite_writes", "setup.py", "pyproject.toml", "README.md"], folder / "sqlite-writes")
        copy([str(EXAMPLE.relative_to(PROJECT))], folder / "tree")
        (folder / "tree" / "examples" / "notes").rename(self.notes)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        links = f"{folder / 'wheels'} {self.env.get('PIP_FIND_LINKS', '')}"
        path = f"{BIN}{os.pathsep}{self.env['PATH']}"
        self.env |= {
            **identity,
            "HOME": str(folder / "home"),
            "PIP_FIND_LINKS": links,
            "PIP_RETRIES": "0",
            "PATH": path,
        }
        self.pip(sys.executable, "wheel", "--no-deps", "-w", str(folder / "wheels"), str(folder / "sqlite-writes"))

    def run(self, *command: str, status: int = 0) -> str:
        """What the command prints, in the example's folder."""
        done = subprocess.run(
            command,
            cwd=self.notes,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def pip(self, python: str, *arguments: str) -> None:
        """Run pip, and skip without a network."""
        command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        # pip's words where no index answers. Only a wheel of our own cannot be missing for that reason.
        if re.search(r"No matching distribution found for (?!sqlite)", done.stdout + done.stderr):
            pytest.skip("no network, from which pip could get setuptools and pytest")
        assert done.returncode == 0, done.stdout + done.stderr

    def asv(self, *arguments: str, status: int = 0) -> str:
        """Run plain asv."""
        return self.run(sys.executable, "-m", "asv", *arguments, status=status)

    def commit(self, subject: str, date: int) -> None:
        """Commit all."""
        self.env |= {"GIT_AUTHOR_DATE": f"{date} +0000", "GIT_COMMITTER_DATE": f"{date} +0000"}
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", subject)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that is there once."""
        text = (self.notes / name).read_text()
        assert text.count(old) == 1, name
        (self.notes / name).write_text(text.replace(old, new))

    def results(self, revision: str) -> dict[str, Any]:
        """For each benchmark of the commit, the values by parameter."""
        commit = self.run("git", "rev-parse", "--short=8", revision).strip()
        (path,) = (self.notes / ".asv" / "results").glob(f"*/{commit}-*.json")
        return {name: row[0] for name, row in json.loads(path.read_text())["results"].items()}


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """With a fresh copy of the example."""
    return Stranger(tmp_path_factory.mktemp("stranger"))


def test_the_examples_tests_say_in_words_what_is_wrong_and_that_the_advice_mends_it(stranger: Stranger) -> None:
    """In an environment that has pip, pytest and this package from a wheel."""
    subprocess.run([sys.executable, "-m", "virtualenv", "--quiet", str(stranger.folder / "venv")], check=True)
    python = str(stranger.folder / "venv" / "bin" / "python")
    stranger.pip(python, "install", "--no-compile", "pytest", "sqlite-writes")
    said = stranger.run(python, "-m", "pytest", "-v", "-p", "no:cacheprovider", status=1)
    assert re.search(r"test_add FAILED", said)
    assert re.search(r"test_add_in_turn PASSED", said)
    assert re.search(r"AssertionError: .*: 50 processes wrote one row each at one moment\n", said)
    assert re.search(r"E +\d+ x SQLITE_BUSY(_SNAPSHOT)?: database is locked\n", said)
    assert re.search(r"E +to do: .*BEGIN IMMEDIATE", said)
    assert "write_turn(path)" in said


@pytest.fixture(scope="module")
def measured(stranger: Stranger) -> Stranger:
    """Three commits, measured by plain asv: without a writer, with the mistake, and with the advice taken."""
    stranger.edit("benchmarks/writes.py", '"notes.store:writer"', '"notes.store:writer"\n    params = [[30]]')
    # asv's environment has setuptools: to get it for each build again takes longer than the build.
    stranger.env["PIP_NO_BUILD_ISOLATION"] = "0"
    stranger.run("git", "init", "-q")
    stranger.edit("notes/store.py", "writer = Notes(add)\n", "")
    stranger.commit("Keep notes", 1_700_000_000)
    with (stranger.notes / "notes" / "store.py").open("a") as file:
        file.write("writer = Notes(add)\n")
    stranger.commit("Have a writer", 1_700_003_600)
    stranger.edit("notes/store.py", "writer = Notes(add)\n", "writer = Notes(add_in_turn)\n")
    stranger.commit("Take the advice", 1_700_007_200)
    stranger.asv("machine", "--yes")
    stranger.asv("run", "--launch-method", "forkserver", "ALL")  # quicker; the other way is tried below
    return stranger


def test_asv_shows_when_the_advice_was_taken(measured: Stranger) -> None:
    """And nothing of what it needs stays behind."""
    before, after = measured.results("HEAD~1"), measured.results("HEAD")
    assert 0 < before["writes.Notes.track_failed_rows"][0] < 30
    assert all(after[f"writes.Notes.track_{name}"] == [0.0] for name in COUNTS)
    assert all(before[f"writes.Notes.track_{name}"] == [0.0] for name in COUNTS[1:])
    assert all(0 < seconds < 60 for name in TIMES for seconds in after[f"writes.Notes.track_{name}"])
    # Of so few inserts these are the same one, if the two benchmarks are about the same bursts.
    assert after["writes.Notes.track_p99_insert"] == after["writes.Notes.track_slowest_insert"]
    assert measured.run("git", "status", "--porcelain") == ""
    assert list((measured.notes / ".asv" / "databases").iterdir()) == []


def test_a_commit_without_the_writer_is_n_a(measured: Stranger) -> None:
    """It is neither a failure nor a 0."""
    found = measured.results("HEAD~2")
    assert len(found) == len(COUNTS + TIMES)
    assert all(all(map(math.isnan, values)) for values in found.values())


def test_compare_prints_the_failed_rows_of_both_commits(measured: Stranger) -> None:
    said = measured.asv("compare", "HEAD~1", "HEAD")
    (line,) = (line for line in said.splitlines() if "writes.Notes.track_failed_rows(30)" in line)
    assert re.match(r"\| - +\| [\d.]+ +\| 0\.0 +\|", line)


def test_publish_makes_a_page_that_names_the_benchmarks(measured: Stranger) -> None:
    """And no other: what is imported, to be inherited from, is none."""
    measured.asv("publish", "--no-pull")
    published = json.loads((measured.notes / ".asv" / "html" / "index.json").read_text())["benchmarks"]
    assert set(published) == {f"writes.Notes.track_{name}" for name in COUNTS + TIMES}
    assert {benchmark["unit"] for benchmark in published.values()} == {"rows per burst", "seconds"}
    assert list((measured.notes / ".asv" / "html" / "graphs").rglob("writes.Notes.track_failed_rows.json"))


def test_classes_do_not_share_reports_and_a_broken_writer_fails_in_one_line(measured: Stranger) -> None:
    """Neither two of one module nor two of one name, though asv gives them all one folder."""
    (measured.notes / "benchmarks" / "more.py").write_text(MORE)
    try:
        said = measured.asv("run", "HEAD^!", "--show-stderr", "--bench", "failed_rows", status=2)
    finally:
        (measured.notes / "benchmarks" / "more.py").unlink()
    found = {name: values for name, values in measured.results("HEAD").items() if "failed_rows" in name}
    assert 0 < found.pop("more.Notes.track_failed_rows")[0] < 30
    assert found == {
        "more.InTurn.track_failed_rows": [0.0],
        "more.NoTable.track_failed_rows": None,
        "writes.Notes.track_failed_rows": [0.0],
    }
    assert "sqlite-writes: rows of benchmarks.more:no_table fails: SQLITE_ERROR: no such table: notes\n" in said
    assert re.search(r"30 rows: \d+ acknowledged, \d+ failed \(SQLITE_BUSY", said)
    assert "Traceback" not in said


def test_the_base_class_is_passed_over_and_a_forgotten_writer_is_not() -> None:
    """A class that a module has imported is a benchmark to asv, unless it is abstract."""
    assert inspect.isabstract(Burst)
    assert not inspect.isabstract(type("Notes", (Burst,), {"writer": "notes.store:writer"}))
    with pytest.raises(TypeError, match=r'^Notes has no writer: add a line such as writer = "package.module:name"'):
        type("Notes", (Burst,), {})
    with pytest.raises(ValueError, match="never finds a difference between two sets of 6 samples"):
        type("Notes", (Burst,), {"writer": "notes.store:writer", "bursts": 6})


class _InThisSuite(Burst):
    bursts = 1
    writer: AnyWriter = "wal"


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that asv makes for setup_cache, in which it runs the benchmarks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def test_what_asv_has_ended_is_not_begun_again_by_the_next_benchmark(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its timeout is a kill. Eight benchmarks of a cell that hangs would take eight times as long."""
    monkeypatch.setattr(_InThisSuite, "_measure", lambda *_: sys.exit("killed"))
    monkeypatch.setattr(Path, "unlink", bool)  # what a kill does not let happen
    for reason in (
        "killed",
        "sqlite-writes: the same bursts were ended before they were done, in an earlier benchmark",
    ):
        with pytest.raises(SystemExit, match=rf"^{reason}$"):
            _InThisSuite().setup(5)


def test_what_this_machine_lacks_is_n_a(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is kept of it."""
    monkeypatch.setattr(_InThisSuite, "writer", "concurrent")
    try:
        _InThisSuite().setup(1)
    except NotImplementedError:
        assert list(cache_folder.glob("*.json")) == []
    else:
        pytest.skip("this SQLite has BEGIN CONCURRENT")


@pytest.mark.parametrize(
    ("writer", "reason"),
    [
        ("nonsense", "writer 'nonsense' is no package.module:name"),
        (object(), "lacks create, open, rows"),
        ("broken_for_own_code:writer", "cannot be imported: RuntimeError: on purpose"),
    ],
)
def test_a_writer_that_will_not_do_fails_in_one_line(
    writer: AnyWriter, reason: str, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for a writer that a commit does not have yet."""
    (cache_folder / "broken_for_own_code.py").write_text("raise RuntimeError('on purpose')")
    monkeypatch.syspath_prepend(cache_folder)
    monkeypatch.setattr(_InThisSuite, "writer", writer)
    with pytest.raises(SystemExit, match=reason) as end:
        _InThisSuite().setup(1)
    assert str(end.value).startswith("sqlite-writes: ")
    assert "\n" not in str(end.value)


def test_the_page_shows_the_files_of_the_example_to_the_letter() -> None:
    """Each block of code follows the name of its file."""
    blocks = re.findall(r"`([\w./]+)`[^`\n]*:\n\n```(?:python|json|toml)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert {name for name, _ in blocks} == {
        "notes/store.py",
        "tests/test_writes.py",
        "benchmarks/writes.py",
        "asv.conf.json",
    }
    assert len(blocks) == len(re.findall(r"^```(?:python|json|toml)$", PAGE.read_text(), re.MULTILINE))
    for name, code in blocks:
        assert code in (EXAMPLE / name).read_text(), name


def test_the_page_says_what_each_number_means() -> None:
    """Each benchmark of the class stands in the page's table, and no other."""
    named = set(re.findall(r"`(track_\w+)`", PAGE.read_text()))
    assert named == {name for name in dir(Burst) if name.startswith("track_")} == {f"track_{x}" for x in COUNTS + TIMES}


def test_the_example_is_typed() -> None:
    """In its own folder: its benchmarks have the name of ours."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(PROJECT / ".mypy_cache" / "examples"), "."],
        cwd=EXAMPLE,
        env={**os.environ, "MYPYPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
