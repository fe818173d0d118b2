"""The table of Python libraries: made-up results as data, in the terminal, as Markdown and on its page; no measuring.

What the libraries are called is made up as well, except on the page, which asv's own process writes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.repo import get_repo
from rich.console import Console

from dashboard import answer
from dashboard.history import read_histories
from dashboard.libraries import SHORT, print_table, to_markdown, to_short_markdown
from dashboard.library_table import BESIDE_SQLITE, OUR_SETTINGS, OVER_SQLITE, LibraryTable, latest_tables
from sqlite_writes.writers.endings import Ending
from sqlite_writes.writers.libraries import AS_ADVISED, AS_IT_COMES, IN_TURN, LIBRARIES, Library

from .conftest import PROJECT
from .dashboard_project import NAN, PARAMETERS, WITH_LIBRARIES, Numbers, Project, all_well, describe, libraries
from .test_dashboard_pages import CHROMIUM, NASTY_MACHINE, launched, opened, served

if TYPE_CHECKING:
    from pathlib import Path

NOTE, LINK = (
    "It sets no busy timeout, so that a locked database is an error at once.",
    "https://made-up.example/timeout",
)
REGISTRY = {
    "made-up": Library("", "Made_Up ORM", "Made_Up", note=NOTE, link=LINK),
    "made-up-in-turn": Library("", "Made_Up ORM", "Made_Up", IN_TURN),
    "sqlalchemy-core": Library("", "SQLAlchemy Core", "SQLAlchemy"),
    "lmdb": Library("", "LMDB", "lmdb"),
    "postgresql": Library("", "PostgreSQL", "psycopg"),
}
ENDINGS = {
    "made-up": Ending("SQLITE_BUSY at once", "a turn", "made-up-in-turn"),
    "sqlalchemy-core": Ending("SQLITE_BUSY after 5 s", "a minute", "nobody"),
}
INSTALLED = {"asv_runner": "0.3.2", "made-up": "1.4", "SQLAlchemy": "2.1.9", "psycopg[binary]": "3.2"}
MADE_UP: Numbers = {("200", "'made-up'"): 198.0, ("50", "'made-up'"): 40.25}
IN_ITS_TURN: Numbers = {("200", "'made-up-in-turn'"): 0.0, ("50", "'made-up-in-turn'"): 0.0}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one commit, whose suite has the libraries."""
    made = Project(tmp_path / "project", benchmarks=WITH_LIBRARIES)
    made.commit("First")
    return made


def measure(project: Project, numbers: dict[str, Numbers], **where: Any) -> None:
    """Store them as ``make libraries`` does: in an environment of its own, in which the libraries are installed."""
    project.measure(numbers, **{"environment": "-libraries", "required": INSTALLED, **where})


def read(project: Project, registry: dict[str, Library] = REGISTRY) -> list[LibraryTable]:
    """The tables of what is stored."""
    config = Config.from_json({"repo": str(project.folder), "results_dir": str(project.results), "project": "made up"})
    revisions = get_repo(config).get_revisions(set(project.commits))
    histories, unreadable = read_histories(config, Benchmarks.load(config), revisions)
    assert not unreadable
    return latest_tables(histories, registry, ENDINGS)


def printed(table: LibraryTable, capsys: pytest.CaptureFixture[str]) -> str:
    """What a terminal of 80 columns shows."""
    print_table(table, Console(width=80))
    return capsys.readouterr().out


def run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m dashboard.libraries`` in that project."""
    return subprocess.run(
        [sys.executable, "-m", "dashboard.libraries", *arguments],
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_table_says_what_the_files_say(project: Project) -> None:
    """Counts, times and versions are those that are stored; what belongs together stands together."""
    measure(project, libraries({**MADE_UP, **IN_ITS_TURN}, {"'made-up'": 5.25}))
    (table,) = read(project)
    assert [
        (group, [[of.name for of in family] for family in families]) for group, families in table.groups.items()
    ] == [
        (OUR_SETTINGS, [["default"]]),
        (OVER_SQLITE, [["made-up", "made-up-in-turn"], ["sqlalchemy-core"]]),
        (BESIDE_SQLITE, [["lmdb"], ["postgresql"]]),
    ]
    plain, in_turn = table.groups[OVER_SQLITE][0]
    assert table.sizes == [200, 50]
    assert [plain.failed_text(size) for size in table.sizes] == ["198", "40.3"]
    assert (plain.burst_time_text(200), plain.slowest_text(200)) == ("5.25s", "5.25s")
    assert (plain.label, plain.version, plain.share(200)) == (AS_IT_COMES, "1.4", 0.99)
    assert [in_turn.failed_text(size) for size in table.sizes] == ["0", "0"]
    assert table.failing == [(plain, "of 200 rows, 198 failed; of 50 rows, 40.3 failed")]
    assert table.warned == []
    assert table.counted == "Rows failed in 1 of 4 ways to write, in a burst of 200."
    assert table.where == f"commit {project.commits[0][:8]}, Python 3.12, SQLite 3.40.1, on vm"


def test_what_ends_the_failures_stands_beside_what_is_left_of_them(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nobody has measured it, or nobody knows."""
    few: Numbers = {("200", "'sqlalchemy-core'"): 5.0, ("200", "'default'"): 2.0}
    measure(project, libraries({**MADE_UP, **few, ("200", "'made-up-in-turn'"): 3.0}))
    (table,) = read(project)
    lines = to_markdown(table).partition("### The one option that ends it\n\n")[2].splitlines()[2:]
    assert lines == [
        "| default settings | not known | not known | 2 | not measured |",
        "| Made_Up ORM, as it comes | SQLITE_BUSY at once | a turn | 198 | 3 |",
        "| Made_Up ORM, in turn | not known | not known | 3 | not measured |",
        "| SQLAlchemy Core, as it comes | SQLITE_BUSY after 5 s | a minute | 5 | not measured |",
    ]
    words = " ".join(printed(table, capsys).split())
    assert "SQLITE_BUSY at once; with a turn: 3. " in words
    assert words.count("not known") == 0


def test_the_range_over_the_bursts(project: Project) -> None:
    """Where asv recorded samples the mean and the range are theirs; asv's own number is the median."""
    samples: Numbers = {("200", "'made-up'"): [197.0, 197.0, 200.0], ("50", "'made-up'"): [40.0, 40.0]}
    measure(project, libraries(samples), record_samples=True)
    (table,) = read(project)
    entry = table.groups[OVER_SQLITE][0][0]
    assert [entry.failed_text(size) for size in table.sizes] == ["198 (197\N{EN DASH}200)", "40"]


@pytest.mark.parametrize(
    ("count", "what"),
    [("track_lost_rows", "3 lost"), ("track_altered_rows", "3 altered"), ("track_duplicated_rows", "3 there twice")],
)
def test_what_must_never_be_is_a_warning(
    project: Project, capsys: pytest.CaptureFixture[str], count: str, what: str
) -> None:
    """It stands beside the failed rows, in the sentence, and on the first page; where there is none, not a word."""
    never: Numbers = {("200", "'sqlalchemy-core'"): 3.0}
    measure(project, {**libraries(), f"libraries.Libraries.{count}": never})
    (table,) = read(project)
    assert table.warned == [f"SQLAlchemy Core, as it comes: of 200 rows, {what}"]
    terminal = printed(table, capsys)
    assert f"0, {what}" in terminal
    assert f"| **0, and {what}** | 0 |" in to_markdown(table)
    word = what.partition(" ")[2]
    assert len(re.findall(rf"\d {word}", terminal)) == 2
    project.publish()
    (line,) = project.banner()
    assert line.startswith(f"3 rows of a burst {word}: libraries.Libraries(200, 'sqlalchemy-core')")


def test_no_number_has_a_reason(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A library that is not installed, a server that is not named, a cell that was not chosen; a crash is no n/a."""
    crash: Numbers = {("200", "'default'"): None, ("50", "'sqlalchemy-core'"): NAN}
    measure(project, libraries(crash))
    (table,) = read(project)
    reasons = {entry.name: entry.why_absent for entry in table.entries if entry.why_absent}
    assert reasons == {
        "made-up-in-turn": "not chosen, or not possible with this commit",
        "lmdb": "lmdb is not installed for Python 3.12",
        "postgresql": "no server was named, or one that may lose rows",
    }
    terminal, markdown = printed(table, capsys), to_markdown(table)
    for reason in reasons.values():
        assert f"n/a: {reason}" in terminal
        assert f"n/a: {reason} |" in markdown
    assert "benchmark failed" in terminal
    assert "default settings: of 200 rows, the benchmark itself failed." in terminal
    assert "| SQLAlchemy Core | as it comes | 0 | n/a |" in markdown


def test_each_machine_has_its_newest_commit(project: Project) -> None:
    """A commit without the libraries, and a plain environment with what Python brings, take nothing back."""
    measure(project, libraries(MADE_UP))
    measure(project, libraries(), machine="other")
    project.commit("Second")
    measure(project, libraries({("200", "'made-up'"): 7.0}))
    project.measure(all_well())
    project.commit("Third")
    of_ours: Numbers = {("200", "'default'"): 1.0}
    project.measure({**all_well(), "libraries.Libraries.track_failed_rows": of_ours})
    measure(project, {"libraries.Libraries.track_failed_rows": {}})
    told = [(of.history.machine, of.measurement.commit, of.entries[1].failed_text(200)) for of in read(project)]
    assert told == [("other", project.commits[0], "0"), ("vm", project.commits[1], "7")]


def test_old_results_have_no_table(project: Project) -> None:
    """A result without the libraries, and one in which all of them crashed, as when the package cannot be built."""
    project.measure()
    project.commit("Cannot be built")
    crash: Numbers = {(workers, "'made-up'"): None for workers in ("50", "200")}
    measure(project, {f"libraries.Libraries.{name}": crash for name in ("track_failed_rows", "track_lost_rows")})
    assert read(project) == []


def test_the_terminal_has_80_columns_and_every_reason(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is cut, and a failing row has the registry's sentence and the library's own page."""
    measure(project, libraries({**MADE_UP, **IN_ITS_TURN}))
    (table,) = read(project)
    text = printed(table, capsys)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert re.search(
        r"^Made_Up ORM 1\.4\n  as it comes +198 +40\.3 +500ms +500ms *\n  in turn +0 +0 ", text, re.MULTILINE
    )
    words = " ".join(text.split())
    assert f"Made_Up ORM, as it comes: of 200 rows, 198 failed; of 50 rows, 40.3 failed. {NOTE} {LINK}" in words


def test_markdown_is_a_table_of_each_group(project: Project) -> None:
    """Each line has as many cells as its head; what failed is bold; a driver's version names the driver."""
    measure(project, libraries({**MADE_UP, **IN_ITS_TURN, ("200", "'postgresql'"): 0.0}))
    (table,) = read(project)
    text = to_markdown(table)
    assert "| Made_Up ORM | as it comes | **198** | **40.3** | 500ms | 500ms | 1.4 |" in text
    assert "| PostgreSQL | as it comes | 0 | n/a | 500ms | 500ms | psycopg 3.2 |" in text
    assert f"[Its documentation]({LINK})" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))


def test_the_short_table_has_a_line_a_library(project: Project) -> None:
    """The styles are its columns, and it has the failed rows of the largest burst only."""
    measure(project, libraries({**MADE_UP, **IN_ITS_TURN}))
    (table,) = read(project)
    lines = to_short_markdown(table).splitlines()
    assert lines[:7] == [
        "| failed rows of 200 | as it comes | as advised | in turn |",
        "| --- | ---: | ---: | ---: |",
        "| `default` | 0 |  |  |",
        "| Made_Up ORM | **198** |  | 0 |",
        "| SQLAlchemy Core | 0 |  |  |",
        "| LMDB | n/a |  |  |",
        "| PostgreSQL | n/a |  |  |",
    ]


def test_a_long_table_is_short_in_the_readme(tmp_path: Path) -> None:
    """Libraries of which no row failed share a line, those that failed least are counted, and other stores stay."""
    failing, well = [f"bad{number}" for number in range(20)], [f"good{number}" for number in range(5)]
    names = [*failing, *well, "lmdb"]
    parameters = [["50", "200"], [repr(name) for name in names]]
    metrics = ("track_failed_rows", "track_burst_time")
    of_libraries = {f"libraries.Libraries.{name}": parameters for name in metrics}
    project = Project(tmp_path / "project", benchmarks=describe({**PARAMETERS, **of_libraries}))
    project.commit()
    counts: Numbers = {("200", repr(name)): float(names.index(name) + 1 if name in failing else 0) for name in names}
    measure(project, {"libraries.Libraries.track_failed_rows": counts})
    registry = {name: Library("", name, name, AS_ADVISED if name == "bad19" else AS_IT_COMES) for name in names}
    (table,) = read(project, registry)
    text = to_short_markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert len(lines) == SHORT
    assert "| good0; good1; good2; good3; good4 | 0 |  |  |" in lines
    assert lines[-1] == "| lmdb | 0 |  |  |"
    assert "| bad19 |  | **20** |  |" in lines
    assert not any(line.startswith("| bad7 |") for line in lines)
    assert "8 more are in the whole table." in " ".join(text.split())


def test_the_command_prints_every_machine_or_one(project: Project) -> None:
    """It reads what asv stored; a name keeps to one machine."""
    measure(project, libraries(MADE_UP))
    measure(project, libraries(), machine="other")
    both, one = run(project), run(project, "--markdown", "other")
    assert (both.returncode, both.stderr, both.stdout.count("Python libraries under N processes")) == (0, "", 2)
    assert (one.returncode, one.stderr, one.stdout.count("Measured at")) == (0, "", 1)
    assert "on other." in one.stdout
    assert run(project, "--short", "other").stdout.startswith("| failed rows of 200 |")


def test_without_results_it_says_what_to_do_in_one_line(project: Project) -> None:
    """No result at all, and none of libraries."""
    said = "no results of libraries (nothing was measured): run make libraries first\n"
    for _ in range(2):
        ended = run(project)
        assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", said)
        project.measure()
    assert "no results of libraries on nobody " in run(project, "nobody").stderr
    (project.results / "benchmarks.json").unlink()
    assert re.fullmatch(r"no results of libraries \(.+\): run make libraries first\n", run(project).stderr)


def test_the_limits_page_and_make_bench_leave_the_libraries_out(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their environment is no line there and no choice; the first page has one sentence, and a link to the table."""
    project.measure()
    measure(project, libraries(MADE_UP), python="3.13")
    project.publish()
    assert [of["python"] for of in project.json("index.json")["histories"]] == ["3.12"]
    page = project.first_page()
    assert "vm: Rows failed in 1 of 3 ways to write, in a burst of 200." in page
    assert 'href="libraries.html#' in page
    assert "3.13" not in page
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("HOME", str(project.folder))
    (project.folder / ".asv-machine.json").write_text(json.dumps({"vm": {"machine": "vm"}, "version": 1}))
    assert answer.main("vm") == 0
    assert re.findall(r"^Python [\d.]+", capsys.readouterr().out, re.MULTILINE) == ["Python 3.12"]


def test_only_a_driver_is_told_beside_sqlite(project: Project) -> None:
    """What else an environment installs does not write, and is not in the names of what was measured."""
    project.measure(environment="-driver", required={"asv_runner": "0.3.2", "pysqlite3": "0.6.1"}, driver="pysqlite3")
    project.measure(required={"asv_runner": "0.3.2", "made-up": "1.4"})
    project.publish()
    told = {of["sqlite"] for of in project.json("index.json")["histories"]}
    assert told == {"SQLite 3.40.1", "SQLite 3.40.1 (pysqlite3 0.6.1)"}


def test_a_library_that_gets_worse_leads_to_its_page(project: Project) -> None:
    """Rows that begin to be lost are in what got worse, and the link is not to a view that is not there."""
    measure(project, libraries())
    project.commit("Second")
    lost = "libraries.Libraries.track_lost_rows"
    measure(project, {**libraries(), lost: {**libraries()[lost], ("200", "'made-up'"): 3.0}})
    project.publish()
    page = project.first_page()
    assert "lost rows where there were none" in page
    assert f"<a href=\"libraries.html\">{lost}(200, 'made-up')</a> 0 → 3" in page


def test_page_without_results(project: Project) -> None:
    """It is one line, and no table."""
    project.measure()
    project.publish()
    page = (project.html / "libraries.html").read_text()
    assert "No library was measured yet: run <code>make libraries</code>" in page
    assert "<table" not in page
    assert "Through a Python library" not in project.first_page()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_page_in_a_browser(project: Project) -> None:
    """It shows the table without a script, light and dark, and nothing is wider than a narrow screen."""
    title, between = LIBRARIES["sqlalchemy-core"].title, "197\N{EN DASH}199"
    measure(project, libraries({("200", "'sqlalchemy-core'"): [197.0, 199.0, 198.0]}), record_samples=True)
    lost: Numbers = {("200", "'made-up'"): 3.0}
    measure(project, {**libraries(), "libraries.Libraries.track_lost_rows": lost}, machine=NASTY_MACHINE)
    project.publish()
    with served(project.html) as address, launched() as browser:
        for width, scheme in ((375, "light"), (375, "dark"), (1200, "light"), (1200, "dark")):
            wide = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
            with opened(browser, java_script_enabled=False, **wide) as page:
                page.goto(f"{address}/libraries.html")
                assert page.evaluate("document.documentElement.scrollWidth") == width
                assert page.eval_on_selector_all(
                    ".scroll", "all => all.every(one => one.scrollWidth <= one.clientWidth)"
                )
                assert page.locator("table.libraries").count() == 2
                text = page.inner_text("main")
                assert "vm: Rows failed in 1 of 3 ways to write" in text
                assert "3 lost" in page.inner_text(".banner.lost")
                assert NASTY_MACHINE in text
                family = page.locator("tbody", has_text=title).last
                assert re.search(rf"198\s+{between}\s+0\s+500ms\s+500ms", family.inner_text())
                family.locator("td.failed a").click()
                why = page.locator("li:target").inner_text()
                assert why.startswith(f"{title}, as it comes: of 200 rows, 198 ({between}) failed.")
                page.get_by_role("link", name="Limits").click()
                page.get_by_role("link", name="Libraries").click()
                assert page.get_by_text("no server was named").first.is_visible()
