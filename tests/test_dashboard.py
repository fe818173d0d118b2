"""What ``asv publish`` writes for the Limits page, against the result files it was made from; no browser here.

``Project`` makes a repository with result files that asv's own classes write, so that nothing has to be measured.
"""

from __future__ import annotations

import html
import itertools
import json
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config
from asv.results import Results
from asv.runner import BenchmarkResult

from dashboard.answer import Answer, Cell, read_answers
from dashboard.limits import LEADING, changes_of
from dashboard.results import MUST_BE_ZERO, Value

from .conftest import PROJECT

WORKERS = ["50", "250", "500"]
SETTINGS = ["'default'", "'wal'", "'concurrent'"]
UNITS = {"time_burst": "seconds", "track_contention_factor": "ratio"}
NAN = math.nan

Numbers = dict[tuple[str, ...], Any]


def benchmark(name: str, parameters: list[list[str]], unit: str = "rows per burst") -> dict[str, Any]:
    return {
        "name": name,
        "code": "",
        "params": parameters,
        "param_names": ["workers", "settings"][: len(parameters)],
        "type": "time" if ".time_" in name else "track",
        "unit": unit,
        "version": "1",
        "timeout": 60.0,
        "setup_cache_key": None,
    }


KNOWN = {
    **{f"burst.Burst.{name}": [WORKERS, SETTINGS] for name in LEADING},
    "caller.NaiveBurst.track_failed_rows": [["500"]],
    "caller.NaiveBurst.track_lost_rows": [["500"]],
    "cost.Library.track_sqlite_version": [],
    "pool.Pool.track_memory": [],
}


@dataclass
class Project:
    """A repository with commits, and asv's results for them; ``publish`` runs plain asv in it."""

    folder: Path
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.results.mkdir(parents=True)
        self.git("init", "-q")
        if not self.known:
            for name, parameters in KNOWN.items():
                unit = UNITS.get(name.rpartition(".")[2], "seconds" if name.endswith("insert") else "rows per burst")
                self.known[name] = benchmark(name, parameters, unit)
        described = {"version": 2, **self.known}
        (self.results / "benchmarks.json").write_text(json.dumps(described))
        configuration = json.loads((PROJECT / "asv.conf.json").read_text())
        configuration |= {"plugins": [".dashboard.publish"], "branches": ["HEAD"], **self.more}
        (self.folder / "asv.conf.json").write_text(json.dumps(configuration))

    @property
    def results(self) -> Path:
        """Where asv keeps its results."""
        return self.folder / ".asv" / "results"

    @property
    def html(self) -> Path:
        """Where asv publishes to."""
        return self.folder / ".asv" / "html"

    def git(self, *arguments: str, **more: str) -> str:
        """What git says."""
        names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **names, **more},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self, subject: str = "Change something") -> str:
        """An empty commit, an hour after the one before."""
        date = f"{1_700_000_000 + 3600 * len(self.commits)} +0000"
        self.git(*("commit", "-q", "--allow-empty", "-m", subject), GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def measure(
        self,
        numbers: dict[str, Numbers],
        machine: str = "vm",
        python: str = "3.12",
        commit: str | None = None,
        environment: str = "",
    ) -> Path:
        """Store a result: per benchmark, a number, None (failed), NaN or a list of samples for each parameters.

        Parameters that are not named are n/a; what is said of ``burst.Burst`` alone is 0 rows.
        """
        of = commit or self.commits[-1]
        parameters = {"machine": machine, "python": python, "os": "Linux", "arch": "x86_64", "cpu": "", "ram": "1"}
        (self.results / machine).mkdir(exist_ok=True)
        described = {**{key: parameters[key] for key in ("machine", "os", "arch", "cpu", "ram")}, "version": 1}
        (self.results / machine / "machine.json").write_text(json.dumps(described))
        date = 1000 * int(self.git("log", "-1", "--format=%ct", of))
        result = Results(parameters, {}, of, date, python, f"virtualenv-py{python}{environment}", {})
        for name, cells in numbers.items():
            combinations = list(itertools.product(*self.known[name]["params"]))
            assert set(cells) <= set(combinations), name
            given = [cells.get(combination, NAN) for combination in combinations]
            sampled = [value if isinstance(value, list) else None for value in given]
            plain = [value if not isinstance(value, list) else 0 for value in given]
            counts = [None if value is None else 1 for value in sampled]
            result.add_result(self.known[name], BenchmarkResult(plain, sampled, counts, 0, "", None))
        result.save(str(self.results))
        return Path(self.results, result._filename)

    def publish(self, status: int = 0) -> str:
        """Plain asv publish, and what it says."""
        done = subprocess.run(
            [sys.executable, "-W", "error::SyntaxWarning", "-m", "asv", "publish", "--no-pull"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def json(self, path: str) -> Any:
        """A file of the Limits page's data."""
        return json.loads((self.html / "limits" / path).read_text())

    def first_page(self) -> str:
        """The HTML of the first page."""
        return (self.html / "index.html").read_text()


def rows(default: float | None = 0.0, wal: float | None = 0.0, at: str = "500") -> Numbers:
    """Counts of rows: 0 everywhere, but with default settings and with WAL at one size; concurrent is n/a."""
    cells: Numbers = {(workers, settings): 0.0 for workers in WORKERS for settings in SETTINGS[:2]}
    return {**cells, (at, "'default'"): default, (at, "'wal'"): wal}


def burst(**numbers: Numbers) -> dict[str, Numbers]:
    """All of the burst's numbers, by the end of their names: all is well but for what is given."""
    given = {
        "track_failed_rows": rows(),
        "track_lost_rows": rows(),
        "track_recovered_rows": rows(),
        "track_duplicated_rows": rows(),
        "time_burst": {cell: [0.5 + place / 7, 0.6, 0.7, 0.8, 0.9] for place, cell in enumerate(rows())},
        "track_contention_factor": {cell: [2.5, 3.5 + place] for place, cell in enumerate(rows())},
        "track_slowest_insert": {cell: [0.0004, 0.0005, 0.00062] for cell in rows()},
        "track_p99_insert": {cell: [0.0003, 0.0004, 0.00052] for cell in rows()},
        **numbers,
    }
    return {f"burst.Burst.{name}": cells for name, cells in given.items()}


def quiet() -> dict[str, Numbers]:
    """Numbers beside the bursts: the naive way loses rows by design, and a benchmark that works."""
    return {
        "caller.NaiveBurst.track_failed_rows": {("500",): 0.0},
        "caller.NaiveBurst.track_lost_rows": {("500",): 485.5},
        "cost.Library.track_sqlite_version": {(): 3040001},
        "pool.Pool.track_memory": {(): 7.0},
    }


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three commits, two machines and two Pythons: failures only at 500 workers, from the second commit on."""
    project = Project(
        tmp_path_factory.mktemp("ordinary") / "project", more={"show_commit_url": "https://example.org/c/"}
    )
    project.commit("First")
    project.measure({**burst(), **quiet()})
    project.commit("Second")
    project.measure({**burst(track_failed_rows=rows(16.25)), **quiet()})
    project.commit("Third")
    project.measure({**burst(track_failed_rows=rows(16.25)), **quiet()})
    project.measure({**burst(track_failed_rows=rows(14.0)), **quiet()}, python="3.9")
    project.measure({**burst(), **quiet()}, machine="other")
    project.publish()
    return project


def stored_numbers(path: Path) -> dict[str, list[Any]]:
    """A result file as plain JSON: per benchmark, (value, low, high) for each combination of parameters."""
    content = json.loads(path.read_text())
    columns = content["result_columns"]
    numbers = {}
    for name, row in content["results"].items():
        cell = dict(zip(columns, row, strict=False))
        count = max(1, math.prod(len(values) for values in cell["params"]))
        values, lows, highs = (cell.get(key) or [None] * count for key in ("result", "stats_ci_99_a", "stats_ci_99_b"))
        numbers[name] = list(zip(values, lows, highs, strict=True))
    return numbers


def test_every_number_of_every_commit_is_the_one_in_the_result_file(ordinary: Project) -> None:
    index = ordinary.json("index.json")
    compared = 0
    for series in ordinary.json("index.json")["series"]:
        for place in series["commits"]:
            data = ordinary.json(f"{series['folder']}/{index['commits'][place]['hash']}.json")
            stored = stored_numbers(ordinary.results / data["result"])
            for metric in index["metrics"]:
                cells = dict(
                    zip(itertools.product(WORKERS, SETTINGS), stored[f"burst.Burst.{metric['name']}"], strict=True)
                )
                shown = dict(zip(map(tuple, data["cells"]), data["values"][metric["name"]], strict=True))
                for (workers, settings), (value, low, high) in cells.items():
                    told = shown[int(workers), settings.strip("'")]
                    expected = "n/a" if math.isnan(value) else value if low is None else [value, low, high]
                    assert told == expected, (metric, workers, settings)
                    compared += 1
    assert compared == 5 * len(LEADING) * len(WORKERS) * len(SETTINGS)


def test_a_history_has_each_commits_number_and_the_commits_at_which_it_changed(ordinary: Project) -> None:
    index = ordinary.json("index.json")
    (series,) = (one for one in index["series"] if (one["machine"], one["python"]) == ("vm", "3.12"))
    data = ordinary.json(f"{series['folder']}/{ordinary.commits[-1]}.json")
    history = ordinary.json(f"{series['folder']}/cell-{data['cells'].index([500, 'default'])}.json")
    assert [index["commits"][place]["subject"] for place in history["commits"]] == ["First", "Second", "Third"]
    assert history["values"]["track_failed_rows"] == [0, 16.25, 16.25]
    changes = history["changes"]["track_failed_rows"]
    assert [index["commits"][change["commit"]]["subject"] for change in changes] == ["Second"]
    assert (changes[0]["before"], changes[0]["after"]) == (0, 16.25)
    assert history["changes"]["track_lost_rows"] == []


def test_the_terminal_and_the_page_say_the_same_sentences(ordinary: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ordinary.folder)
    printed = {answer.environment: answer for answer in read_answers(Config.load(), ordinary.commits[-1], "vm")}
    assert sorted(printed) == ["virtualenv-py3.12", "virtualenv-py3.9"]
    for series in ordinary.json("index.json")["series"]:
        if series["machine"] == "vm":
            data = ordinary.json(f"{series['folder']}/{ordinary.commits[-1]}.json")
            answer = printed[series["environment"]]
            assert (data["headline"], data["baseline"]) == (answer.headline(), answer.baseline())
            assert data["sqlite"] == answer.sqlite == "SQLite 3.40.1"


def test_the_headline_says_where_failures_begin_with_default_settings_and_what_has_none() -> None:
    clean, failed = Cell(0.0, 0.0), Cell(16.0, 0.0)
    answer = Answer("env", "3.12")
    answer.cells = {
        "default": {50: clean, 250: clean, 500: failed},
        "wal": {500: clean, 1000: clean},
        "queued": {1000: clean},
        "the naive way": {500: Cell(0.0, 485.0)},
    }
    assert answer.headline() == (
        "With default settings 250 concurrent inserts succeeded; failures began at 500: 16 of 500. "
        "With wal and queued none failed up to 1000."
    )
    assert answer.baseline() == "the naive way, wrong on purpose: already at 500, 485 were lost"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (Cell(0.0, 3.0), "at 500, 3 of 500 were lost without an error."),
        (Cell(2.0, 3.0), "failures began at 500: 2 of 500, and at 500, 3 of 500 were lost without an error."),
        (Cell(None, None), "at 500 the benchmark itself failed."),
        (Cell(0.01, 0.0), "failures began at 500: 0.01 of 500."),
    ],
)
def test_the_headline_hides_neither_a_lost_row_nor_a_crash_nor_a_small_mean(cell: Cell, said: str) -> None:
    answer = Answer("env", "3.12", cells={"default": {250: Cell(0.0, 0.0), 500: cell}})
    assert answer.headline() == f"With default settings 250 concurrent inserts succeeded; {said}"


def test_failures_only_at_the_largest_size_are_on_the_first_page(ordinary: Project) -> None:
    page = ordinary.first_page()
    assert "failures began at 500: 16.3 of 500" in page
    assert "16.3 failed at 500" in page
    assert "failed rows where there were none" in page


def test_every_machine_is_on_the_first_page(ordinary: Project) -> None:
    page = ordinary.first_page()
    assert '<th scope="row">vm</th>' in page
    assert '<th scope="row">other</th>' in page


def test_the_naive_way_is_the_baseline_and_raises_no_alarm(ordinary: Project) -> None:
    page = ordinary.first_page()
    assert "the naive way (baseline)" in page
    assert "485.5 were lost at 500" in page
    assert 'class="banner' not in page
    assert not MUST_BE_ZERO.fullmatch("caller.NaiveBurst.track_lost_rows")
    assert MUST_BE_ZERO.fullmatch("caller.HeldConnection.track_lost_rows")
    assert not any("Naive" in entry for entry in feed_titles(ordinary))


@pytest.mark.parametrize(("count", "what"), [("track_lost_rows", "lost"), ("track_duplicated_rows", "there twice")])
def test_rows_lost_or_there_twice_are_a_banner_on_the_first_page(tmp_path: Path, count: str, what: str) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({**burst(**{count: rows(wal=3.0)}), **quiet()})
    project.publish()
    page = project.first_page()
    assert page.index('class="banner lost"') < page.index("<h1")
    assert html.escape(f"3 rows of a burst {what}: burst.Burst(500, 'wal')", quote=False) in page


def test_a_benchmark_that_crashes_says_so_on_the_first_page_and_in_the_feed(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit("Works")
    project.measure({**burst(), **quiet()})
    project.commit("Breaks")
    broken = {**burst(track_failed_rows=rows(None), track_lost_rows=rows(None)), **quiet()}
    project.measure({**broken, "pool.Pool.track_memory": {(): None}})
    project.publish()
    page = project.first_page()
    assert "at 500 the benchmark itself failed" in page
    assert "benchmark failed at 500" in page
    assert page.index('class="banner broken"') < page.index("<h1")
    assert "pool.Pool.track_memory — Python 3.12" in page
    assert "benchmark began to fail: pool.Pool.track_memory" in feed_titles(project)
    assert "benchmark began to fail: burst.Burst.track_failed_rows(500, 'default')" in feed_titles(project)
    series = project.json("index.json")["series"][0]["folder"]
    data = project.json(f"{series}/{project.commits[-1]}.json")
    assert data["values"]["track_failed_rows"][data["cells"].index([500, "default"])] == "failed"


def test_a_commit_that_cannot_be_built_is_one_line_on_the_first_page(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    failed = {name: dict.fromkeys(itertools.product(*parameters)) for name, parameters in KNOWN.items()}
    project.measure(failed)
    project.publish()
    page = project.first_page()
    assert page.count("<li>") == 1
    assert "every benchmark, as when the package cannot be built" in page
    assert "no size that was measured is safe; at 50 the benchmark itself failed" in page


def banner(project: Project) -> list[str]:
    """The lines of the warnings on the first page."""
    return [html.unescape(line) for line in re.findall(r"<li>(.*?)</li>", project.first_page().partition("<h1")[0])]


def test_what_was_measured_on_another_branch_is_no_part_of_the_history(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    lost = project.commit("Loses rows")
    project.measure({**burst(track_lost_rows=rows(wal=3.0)), **quiet()})
    project.git("checkout", "-qb", "topic")
    project.commit("A fix")
    project.measure({**burst(), **quiet()})
    project.git("tag", "v1")
    project.git("checkout", "-q", "-")
    project.publish()
    assert [commit["hash"] for commit in project.json("index.json")["commits"]] == [lost]
    assert "3 of 500 were lost without an error" in project.first_page()
    assert len(banner(project)) == 1


def test_a_part_measured_at_a_newer_commit_takes_back_nothing_of_the_rest(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    whole = project.commit("All of it")
    numbers = {**burst(track_failed_rows=rows(20.0), track_lost_rows=rows(wal=3.0)), **quiet()}
    project.measure({**numbers, "caller.NaiveBurst.track_failed_rows": {("500",): None}})
    project.commit("A part")
    project.measure({"pool.Pool.track_memory": {(): None}})
    project.publish()
    page = project.first_page()
    assert "failures began at 500: 20 of 500" in page
    (series,) = project.json("index.json")["series"]
    assert (series["commits"], series["newest"]) == ([0, 1], 0)
    said = banner(project)
    assert [line.partition(" — ")[0] for line in said] == [
        "3 rows of a burst lost: burst.Burst(500, 'wal')",
        "pool.Pool.track_memory",
        "caller.NaiveBurst.track_failed_rows",
    ]
    assert said[0].endswith(f"commit {whole[:8]}")
    assert said[1].endswith(f"commit {project.commits[-1][:8]}")


def test_the_first_page_answers_with_the_newest_bursts_whatever_else_was_measured_since(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit("Bursts")
    project.measure({**burst(track_failed_rows=rows(20.0)), **quiet()})
    project.commit("Others")
    project.measure(quiet())
    project.measure({"pool.Pool.track_memory": {(): 7.0}}, python="3.13")
    project.publish()
    assert "failures began at 500: 20 of 500" in project.first_page()
    assert "No burst was measured" not in project.first_page()


def test_what_is_measured_no_more_in_that_way_raises_no_alarm(tmp_path: Path) -> None:
    """The environment has another name, since it requires another runner; or a set of parameters is gone."""
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({**burst(track_lost_rows=rows(wal=3.0)), **quiet()}, environment="-runner1")
    project.publish()
    assert len(banner(project)) == 1
    project.commit("Mended")
    project.measure({"burst.Burst.track_lost_rows": rows()}, environment="-runner2")
    project.publish()
    assert banner(project) == []
    project.measure({"burst.Burst.track_lost_rows": rows(wal=3.0)}, environment="-runner2")
    without = json.loads((project.results / "benchmarks.json").read_text())
    for described in without.values():
        if isinstance(described, dict) and len(described["params"]) == 2:
            described["params"] = [WORKERS, [name for name in SETTINGS if name != "'wal'"]]
    (project.results / "benchmarks.json").write_text(json.dumps(without))
    project.publish()
    assert banner(project) == []


def test_a_benchmark_of_which_a_part_failed_names_that_part_when_the_rest_is_measured_again(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({"burst.Burst.time_burst": {("50", "'wal'"): None, ("500", "'wal'"): 1.0}})
    project.commit()
    project.measure({"burst.Burst.time_burst": {("500", "'wal'"): 1.0}})
    project.publish()
    assert [line.partition(" — ")[0] for line in banner(project)] == ["burst.Burst.time_burst(50, 'wal')"]


def test_a_result_that_cannot_be_read_is_named_on_the_first_page(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({**burst(), **quiet()})
    cut = project.measure({**burst(track_lost_rows=rows(wal=3.0)), **quiet()}, python="3.13")
    cut.write_text(cut.read_text()[:-20])
    project.publish()
    assert banner(project) == [f"vm/{cut.name}"]


def test_a_commit_that_cannot_be_built_is_one_change(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({**burst(), **quiet()})
    project.commit()
    project.measure({name: dict.fromkeys(itertools.product(*parameters)) for name, parameters in KNOWN.items()})
    project.publish()
    name = "every benchmark, as when the package cannot be built"
    assert feed_titles(project) == [f"benchmark began to fail: {name}"]
    where = "Python 3.12, SQLite of unknown version, on vm"  # and no change of SQLite that nobody saw
    assert f"numbers \u2192 failed <small>{where}</small>" in project.first_page()


def test_a_subject_that_controls_a_terminal_leaves_the_feed_readable(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({**burst(), **quiet()})
    project.commit("Mend\x1b[31m it, ä\U0001f600")
    project.measure({**burst(track_failed_rows=rows(20.0)), **quiet()})
    project.publish()
    assert len(feed_titles(project)) == 1
    assert "Mend\ufffd[31m it, ä\U0001f600" in project.first_page()


def test_a_change_names_the_commit_measured_before_and_another_sqlite(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    first = project.commit("Measured")
    project.measure({**burst(), **quiet()})
    project.commit("Not measured")
    project.commit("Measured with another SQLite")
    newer: dict[str, Numbers] = {"cost.Library.track_sqlite_version": {(): 3046000}}
    project.measure({**burst(track_failed_rows=rows(20.0)), **quiet(), **newer})
    project.commit("Broken")
    project.measure({**burst(track_failed_rows=rows(None)), **quiet(), **newer})
    project.commit("As before it broke")
    project.measure({**burst(track_failed_rows=rows(20.0)), **quiet(), **newer})
    project.publish()
    page = html.unescape(project.first_page())
    assert f"0 → 20, after {first[:8]} <small>Python 3.12, SQLite 3.40.1 → SQLite 3.46.0, on vm</small>" in page
    assert "a number → failed <small>Python 3.12, SQLite 3.46.0, on vm</small>" in page
    assert page.count("failed rows where there were none") == 1
    (series,) = project.json("index.json")["series"]
    data = project.json(f"{series['folder']}/{project.commits[-1]}.json")
    history = project.json(f"{series['folder']}/cell-{data['cells'].index([500, 'default'])}.json")
    assert history["changes"]["track_failed_rows"] == [
        {"commit": 1, "since": 0, "before": 0, "after": 20},
        {"commit": 2, "since": None, "before": 20, "after": "failed"},
        {"commit": 3, "since": None, "before": "failed", "after": 20},
    ]


def test_the_table_in_the_terminal_cuts_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from dashboard.answer import print_answers

    names = ["default", "wal", "wal-normal", "patient", "fair", "synced", "queued", "grouped"]
    answer = Answer("env", "3.12", cells={name: {1000: Cell(139.5, 0.0)} for name in names})
    answer.cells["the naive way"] = {1000: Cell(0.0, 485.5)}
    print_answers([answer], "", Console(width=80))
    table = capsys.readouterr().out.partition("With ")[0]
    assert re.search(r"^ +1000 ", table, re.MULTILINE)
    assert (table.count("139.5"), table.count("485.5"), table.count("…")) == (len(names), 1, 0)


def feed_titles(project: Project) -> list[str]:
    feed = ET.parse(project.html / "regressions.xml").getroot()
    return [title.text or "" for title in feed.iterfind("{*}entry/{*}title")]


def test_a_regression_that_asv_finds_is_listed_with_its_commit_and_is_in_the_feed(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    for number in range(12):
        project.commit("Slow <b>down</b>" if number == 6 else f"Commit {number}")
        seconds = 1.0 if number < 6 else 3.0
        project.measure({**burst(time_burst={("500", "'wal'"): [seconds, seconds + 0.01, seconds + 0.02]}), **quiet()})
    project.publish()
    assert feed_titles(project) == ["regression: burst.Burst.time_burst(500, 'wal')"]
    page = project.first_page()
    assert "1.01s → 3.01s" in page
    assert f"<code>{project.commits[6][:8]}</code> Slow &lt;b&gt;down&lt;/b&gt;" in page
    entry = ET.parse(project.html / "regressions.xml").getroot().find("{*}entry")
    assert entry is not None
    assert "&lt;b&gt;" in (entry.findtext("{*}content") or "")
    history = next(
        content
        for path in (project.html / "limits").glob("*/cell-*.json")
        for content in [json.loads(path.read_text())]
        if (content["workers"], content["settings"]) == (500, "wal")
    )
    (change,) = history["changes"]["time_burst"]
    assert project.json("index.json")["commits"][change["commit"]]["subject"] == "Slow <b>down</b>"


def test_an_entry_of_the_feed_keeps_its_id_when_it_is_published_again(ordinary: Project) -> None:
    def ids() -> list[str | None]:
        return [entry.findtext("{*}id") for entry in ET.parse(ordinary.html / "regressions.xml").iterfind("{*}entry")]

    before = ids()
    assert before
    version = ordinary.json("index.json")["version"]
    ordinary.publish()
    assert ids() == before
    assert ordinary.json("index.json")["version"] != version


def test_where_a_cell_changed_includes_what_levels_hide() -> None:
    history: list[tuple[int, Value | None]] = [
        (revision, Value(number)) for revision, number in enumerate([0.0, 0.5, 0.0, None, 0.0, NAN, 2.0])
    ]
    assert changes_of("burst.Burst.track_failed_rows", [*history, (7, None)], []) == [
        (1, 0, 0.0, 0.5),
        (2, 1, 0.5, 0.0),
        (3, 2, 0.0, "failed"),
        (4, 3, "failed", 0.0),
        (6, 4, 0.0, 2.0),
    ]
    assert changes_of("burst.Burst.time_burst", history[:3], [(0, 1, 0.1, 0.1, 0.0), (1, 3, 0.2, 0.2, 0.0)]) == [
        (1, 0, 0.1, 0.2)
    ]


def test_parameters_that_a_result_was_taken_without_are_missing_and_not_failed(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    path = project.measure({**burst(), **quiet()})
    content = json.loads(path.read_text())
    row = content["results"]["burst.Burst.track_failed_rows"]
    row[0], row[1] = row[0][:6], [WORKERS[:2], SETTINGS]
    path.write_text(json.dumps(content))
    project.publish()
    series = project.json("index.json")["series"][0]["folder"]
    data = project.json(f"{series}/{project.commits[-1]}.json")
    assert data["values"]["track_failed_rows"][data["cells"].index([500, "wal"])] is None
    assert data["broken"] == []


def test_without_results_the_page_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({})
    project.publish()
    assert "No burst was measured." in project.first_page()


def test_no_page_names_another_host_to_load_from_and_each_links_to_the_first(ordinary: Project) -> None:
    for page in ("index.html", "asv.html", "tachyon.html"):
        text = (ordinary.html / page).read_text()
        assert "Content-Security-Policy" in text
        assert not re.search(r'(\bsrc|<link[^>]*\bhref)="(https?:)?//', text)
        assert "index.html" in text


def test_a_package_that_is_missing_is_one_clear_line(ordinary: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from asv.util import UserError

    from dashboard import publish

    with pytest.raises(UserError, match=r"needs no_such_package with a\.js: pip install -e '\.\[bench,dashboard\]'"):
        publish._packaged("no_such_package", "a.js")
