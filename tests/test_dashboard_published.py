"""What ``asv publish`` writes, against the result files it was made from, and ``make dashboard``; no browser here."""

from __future__ import annotations

import html
import itertools
import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asv.benchmarks import Benchmarks
from asv.config import Config

from dashboard.answer import answer_of
from dashboard.history import read_histories
from dashboard.limits_data import LEADING
from dashboard.results import MUST_BE_ZERO

from .conftest import PROJECT, Living
from .dashboard_project import SETTINGS, WORKERS, Numbers, Project, all_well, nothing_built, rows


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with nothing in it."""
    return Project(tmp_path / "project")


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three commits, two machines and two Pythons: failures only at 500 workers, from the second commit on."""
    made = Project(tmp_path_factory.mktemp("ordinary") / "project")
    made.commit("First")
    made.measure()
    made.commit("Second")
    made.measure(all_well(track_failed_rows=rows(16.25)))
    made.commit("Third")
    made.measure(all_well(track_failed_rows=rows(16.25)))
    made.measure(all_well(track_failed_rows=rows(14.0)), python="3.9")
    made.measure(machine="other")
    made.publish()
    return made


def stored_numbers(path: Path) -> dict[str, list[Any]]:
    """A result file as plain JSON: per benchmark, (value, low, high) for each combination of parameters."""
    content = json.loads(path.read_text())
    numbers = {}
    for name, row in content["results"].items():
        cell = dict(zip(content["result_columns"], row, strict=False))
        values = cell["result"]
        lows, highs = (cell.get(key) or [None] * len(values) for key in ("stats_ci_99_a", "stats_ci_99_b"))
        numbers[name] = list(zip(values, lows, highs, strict=True))
    return numbers


def test_published_numbers(ordinary: Project) -> None:
    """Every number of every commit is the one in the result file."""
    index = ordinary.json("index.json")
    compared = 0
    for history in index["histories"]:
        for place in history["commits"]:
            data = ordinary.json(f"{history['folder']}/{index['commits'][place]['hash']}.json")
            stored = stored_numbers(ordinary.results / data["result"])
            cases = [(case["workers"], case["settings"]) for case in data["cases"]]
            for metric in index["metrics"]:
                shown = dict(zip(cases, data["values"][metric["name"]], strict=True))
                cells = zip(itertools.product(WORKERS, SETTINGS), stored[f"burst.Burst.{metric['name']}"], strict=True)
                for (workers, settings), (value, low, high) in cells:
                    told = shown[int(workers), settings.strip("'")]
                    expected = (None if math.isnan(value) else value, low, high)
                    assert tuple(told.get(key) for key in ("number", "low", "high")) == expected
                    assert (told["text"] == "n/a") == math.isnan(value)
                    compared += 1
    assert compared == 5 * len(LEADING) * len(WORKERS) * len(SETTINGS)


def test_one_story(ordinary: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal and the page say the same sentences."""
    monkeypatch.chdir(ordinary.folder)
    config = Config.load()
    histories, _ = read_histories(config, Benchmarks.load(config), {ordinary.commits[-1]: 0})
    assert len(histories) == 3
    for history in histories:
        data = ordinary.json(f"{history.folder}/{ordinary.commits[-1]}.json")
        answer = answer_of(history.measurements[0].values)
        assert (data["headline"], data["baseline"]) == (answer.headline(), answer.baseline())
        assert data["sqlite"] == history.sqlite(0) == "SQLite 3.40.1"


def test_first_page(ordinary: Project) -> None:
    """It has failures of the largest size only, every machine, and the naive way as a baseline without an alarm."""
    page = ordinary.first_page()
    for text in (
        "failures began at 500: 16.3 of 500",
        "16.3 failed at 500",
        "Nothing got worse, as far as one can be sure",
        "burst.Burst.track_failed_rows(500, 'default'): 0 to 16.3 at 3 commits",
        '<th scope="row">vm</th>',
        '<th scope="row">other</th>',
        "the naive way (baseline)",
        "485.5 were lost at 500",
        f'<a href="https://example.org/c/{ordinary.commits[-1]}">{ordinary.commits[-1][:8]}</a>',
    ):
        assert text in page, text
    assert 'class="banner' not in page
    assert not any("Naive" in str(title) for title in ordinary.feed_titles())
    assert not MUST_BE_ZERO.fullmatch("caller.NaiveBurst.track_lost_rows")
    assert MUST_BE_ZERO.fullmatch("caller.HeldConnection.track_lost_rows")


@pytest.mark.parametrize(("count", "what"), [("track_lost_rows", "lost"), ("track_duplicated_rows", "there twice")])
def test_lost_and_duplicated_rows(project: Project, count: str, what: str) -> None:
    """They are a banner above the first page's question."""
    project.commit()
    project.measure(all_well(**{count: rows(wal=3.0)}))
    project.publish()
    (line,) = project.banner()
    assert line.startswith(f"3 rows of a burst {what}: burst.Burst(500, 'wal') — Python 3.12")
    assert 'class="banner lost"' in project.first_page()


def test_crash(project: Project) -> None:
    """A benchmark that begins to fail is on the first page, in the feed and in the data."""
    project.commit("Works")
    project.measure()
    project.commit("Breaks")
    crash = all_well(track_failed_rows=rows(None), track_lost_rows=rows(None))
    project.measure({**crash, "pool.Pool.track_memory": {(): None}})
    project.publish()
    page, titles = project.first_page(), project.feed_titles()
    assert "at 500 the benchmark itself failed" in page
    assert "benchmark failed at 500" in page
    assert any(line.startswith("pool.Pool.track_memory — Python 3.12") for line in project.banner())
    assert "benchmark began to fail: pool.Pool.track_memory" in titles
    assert "benchmark began to fail: burst.Burst.track_failed_rows(500, 'default')" in titles
    failed = project.case_json(500, "default")["values"]["track_failed_rows"][-1]
    assert failed == {"text": "benchmark failed", "failed": True}


def test_commit_that_cannot_be_built(project: Project) -> None:
    """It is one warning, one change, and no change of SQLite that nobody saw."""
    name = "every benchmark, as when the package cannot be built"
    project.commit()
    project.measure()
    project.commit()
    project.measure(nothing_built())
    project.publish()
    page = project.first_page()
    assert [line.partition(" — ")[0] for line in project.banner()] == [name]
    assert "no size that was measured is safe; at 50 the benchmark itself failed" in page
    assert project.feed_titles() == [f"benchmark began to fail: {name}"]
    assert "numbers → failed <em>certain</em> <small>Python 3.12, SQLite of unknown version, on vm</small>" in page


def test_other_branch(project: Project) -> None:
    """What was measured on another branch is no part of the history."""
    lost = project.commit("Loses rows")
    project.measure(all_well(track_lost_rows=rows(wal=3.0)))
    project.git("checkout", "-qb", "topic")
    project.commit("A fix")
    project.measure()
    project.git("tag", "v1")
    project.git("checkout", "-q", "-")
    project.publish()
    assert [commit["hash"] for commit in project.json("index.json")["commits"]] == [lost]
    assert "3 of 500 were lost without an error" in project.first_page()
    assert len(project.banner()) == 1


def test_newer_part(project: Project) -> None:
    """A part that is measured at a newer commit takes back nothing of the rest, neither answer nor warnings."""
    whole = project.commit("All of it")
    numbers = all_well(track_failed_rows=rows(20.0), track_lost_rows=rows(wal=3.0), time_burst=rows(None, 1.0))
    project.measure(numbers)
    part = project.commit("A part")
    project.measure({"pool.Pool.track_memory": {(): None}, "burst.Burst.time_burst": {("500", "'wal'"): 1.0}})
    project.measure({"pool.Pool.track_memory": {(): 7.0}}, python="3.13")
    project.publish()
    page = project.first_page()
    assert "failures began at 500: 20 of 500" in page
    assert "No burst was measured" not in page
    history = project.json("index.json")["histories"][0]
    assert (history["commits"], history["newest"]) == ([0, 1], 0)
    where = "Python 3.12, SQLite 3.40.1, on vm, commit"
    assert project.banner() == [
        f"3 rows of a burst lost: burst.Burst(500, 'wal') — {where} {whole[:8]}",
        f"pool.Pool.track_memory — Python 3.12, SQLite of unknown version, on vm, commit {part[:8]}",
        f"burst.Burst.time_burst(500, 'default') — {where} {whole[:8]}",
    ]


def test_withdrawn_alarm(project: Project) -> None:
    """An alarm ends where its environment is named anew, for another runner, or where its parameters are gone."""
    project.commit()
    project.measure(all_well(track_lost_rows=rows(wal=3.0)), environment="-runner1")
    project.publish()
    assert len(project.banner()) == 1
    project.commit("Mended")
    project.measure({"burst.Burst.track_lost_rows": rows()}, environment="-runner2")
    project.publish()
    assert project.banner() == []
    project.measure({"burst.Burst.track_lost_rows": rows(wal=3.0)}, environment="-runner2")
    without = json.loads((project.results / "benchmarks.json").read_text())
    for described in without.values():
        if isinstance(described, dict) and len(described["params"]) == 2:
            described["params"] = [WORKERS, [name for name in SETTINGS if name != "'wal'"]]
    (project.results / "benchmarks.json").write_text(json.dumps(without))
    project.publish()
    assert project.banner() == []


def test_unreadable_result(project: Project) -> None:
    """A result file that was cut short is named on the first page."""
    project.commit()
    project.measure()
    cut = project.measure(all_well(track_lost_rows=rows(wal=3.0)), python="3.13")
    cut.write_text(cut.read_text()[:-20])
    project.publish()
    assert project.banner() == [f"vm/{cut.name}"]


def test_history(project: Project) -> None:
    """A case has each commit's number; a change names the commit measured before, if others lie between, and SQLite."""
    newer: dict[str, Numbers] = {"cost.Library.track_sqlite_version": {(): 3046000}}
    first = project.commit("Measured")
    project.measure()
    project.commit("Not measured")
    for subject, count in (("With another SQLite", 20.0), ("Broken", None), ("As before it broke", 20.0)):
        project.commit(subject)
        project.measure({**all_well(track_lost_rows=rows(count)), **newer})
    project.publish()
    page = project.first_page()
    assert (
        f"0 → 20, after {first[:8]} <em>certain</em> <small>Python 3.12, SQLite 3.40.1 → SQLite 3.46.0, on vm</small>"
        in page
    )
    assert "a number → failed <em>certain</em> <small>Python 3.12, SQLite 3.46.0, on vm</small>" in page
    assert page.count("lost rows where there were none") == 1
    case = project.case_json(500, "default")
    values = [value["text"] for value in case["values"]["track_lost_rows"]]
    assert (case["commits"], values) == ([0, 1, 2, 3], ["0", "20", "benchmark failed", "20"])
    assert case["changes"]["track_failed_rows"] == []
    assert case["changes"]["track_lost_rows"] == [
        {"commit": 1, "since": 0, "before": "0", "after": "20", "how_sure": "certain"},
        {"commit": 2, "since": None, "before": "20", "after": "benchmark failed", "how_sure": "certain"},
        {"commit": 3, "since": None, "before": "benchmark failed", "after": "20", "how_sure": "certain"},
    ]


def test_regression(project: Project) -> None:
    """A step is on the page, in the feed, in asv's file and in the history; its subject is text for a terminal too."""
    subject = "Slow\ufffd[31m <b>down</b>, ä\U0001f600"
    for number in range(12):
        project.commit(subject.replace("\ufffd", "\x1b") if number == 6 else f"Commit {number}")
        seconds = (1.0 if number < 6 else 3.0) + number / 100
        project.measure(all_well(time_burst={("500", "'wal'"): [seconds, seconds + 0.01, seconds + 0.02]}))
    project.publish()
    name = "burst.Burst.time_burst(500, 'wal')"
    assert project.feed_titles() == [f"slower: {name}"]
    page = (project.html / "index.html").read_text()
    assert re.search(r"1\.0\ds → 3\.\d\ds\s+<em>p &lt; 0\.00001</em>", page)
    (line,) = json.loads((project.html / "regressions.json").read_text())["regressions"]
    assert (line[0], line[3], line[4]) == (name, 7, pytest.approx(3.12))
    assert line[6] == [[None, 6, pytest.approx(1.035, abs=0.001), pytest.approx(3.095, abs=0.001)]]
    assert f"{project.commits[6][:8]}</a> {html.escape(subject)}" in page
    entry = ET.parse(project.html / "regressions.xml").getroot().find("{*}entry")
    assert entry is not None
    assert html.escape(subject) in (entry.findtext("{*}content") or "")
    (change,) = project.case_json(500, "wal")["changes"]["time_burst"]
    assert project.json("index.json")["commits"][change["commit"]]["subject"] == subject


def test_feed_ids(project: Project) -> None:
    """An entry of the feed keeps its id when it is published again; the pages have a new version."""
    project.commit()
    project.measure()
    project.commit()
    project.measure(all_well(track_lost_rows=rows(wal=1.0)))
    project.publish()

    def ids() -> list[str | None]:
        return [entry.findtext("{*}id") for entry in ET.parse(project.html / "regressions.xml").iterfind("{*}entry")]

    before, version = ids(), project.json("index.json")["version"]
    project.publish()
    assert ids() == before != []
    assert project.json("index.json")["version"] != version


def test_missing_parameters(project: Project) -> None:
    """Parameters that a result was taken without are missing, and not failed."""
    project.commit()
    path = project.measure()
    content = json.loads(path.read_text())
    row = content["results"]["burst.Burst.track_failed_rows"]
    row[0], row[1] = row[0][:6], [WORKERS[:2], SETTINGS]
    path.write_text(json.dumps(content))
    project.publish()
    assert "track_failed_rows" not in project.case_json(500, "wal")["values"]
    assert project.banner() == []


def test_no_burst(project: Project) -> None:
    """Without a burst the page says so."""
    project.commit()
    project.measure({})
    project.publish()
    assert "No burst was measured." in project.first_page()


def test_links_between_pages(ordinary: Project) -> None:
    """No page names another host to load from, and each links to the first."""
    for page in ("index.html", "asv.html", "tachyon.html"):
        text = (ordinary.html / page).read_text()
        assert "Content-Security-Policy" in text
        assert not re.search(r'(\bsrc|<link[^>]*\bhref)="(https?:)?//', text)
        assert "index.html" in text


def make_dashboard(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """``make dashboard`` in that project, with this environment's packages."""
    # As a user calls it, though the tests themselves may be run by make.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    program = ["make", "-f", str(PROJECT / "Makefile"), "-o", ".venv/ready", f"BIN={Path(sys.executable).parent}"]
    return subprocess.Popen(
        [*program, "dashboard", *arguments],
        cwd=project.folder,
        env={**environment, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def free_port() -> int:
    """A port that nobody listens at, and that the system gives to nobody who asks for any."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randint(20_000, 30_000))) as server:
            return int(server.getsockname()[1])


@pytest.mark.parametrize("asked", [(), ("HOST=0.0.0.0",)])
def test_make_dashboard(project: Project, asked: tuple[str, ...], marked: Living) -> None:
    """It publishes, serves where it is told to, and ends at Ctrl-C with one line and no process left."""
    project.commit()
    project.measure()
    port = free_port() if asked else None
    with make_dashboard(project, *asked, *([f"PORT={port}"] if asked else [])) as process:
        try:
            assert process.stdout is not None
            host, shown = re.findall(r"http://([^:/]+):(\d+)/", process.stdout.readline())[0]
            assert (host, int(shown)) == ((socket.gethostname(), port) if asked else ("127.0.0.1", int(shown)))
            with urllib.request.urlopen(f"http://127.0.0.1:{shown}/", timeout=30) as page:  # it is ours
                assert b"With default settings" in page.read()
        finally:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal's Ctrl-C
        said, complained = process.communicate(timeout=30)
    assert said.split() == ["stopped"]
    assert "Traceback" not in complained
    assert marked() == []


def test_make_dashboard_where_it_cannot_serve(project: Project) -> None:
    """A wrong port, one that is in use and an address of another machine are one line each, before it publishes."""
    project.commit()
    project.measure()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for asked, said in (
            ("PORT=http", "PORT=http is no port: a whole number from 0, which is any free one, to 65535"),
            (f"PORT={port}", f"PORT={port} is in use on 127.0.0.1: choose another, or none for any that is free"),
            ("HOST=nowhere.invalid", "HOST=nowhere.invalid is no address of this machine"),
        ):
            with make_dashboard(project, asked) as process:
                _, complained = process.communicate(timeout=30)
            assert complained.splitlines()[:-1] == [said]
    assert not project.html.exists()


@pytest.mark.parametrize(
    ("measured", "said"),
    [(False, "no results yet: run make bench first"), (True, "asv publish failed (.asv/publish.log)")],
)
def test_make_dashboard_without_pages(project: Project, measured: bool, said: str) -> None:
    """Without results it says what to do, and where the pages cannot be written what asv says: in one line."""
    project.commit()
    if measured:
        project.measure()
        project.html.write_text("in the way")
    with make_dashboard(project) as process:
        _, complained = process.communicate(timeout=60)
    line, makes_own = complained.splitlines()
    assert line.startswith(said)
    assert makes_own.startswith("make: ***")
