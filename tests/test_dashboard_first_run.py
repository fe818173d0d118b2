"""The pages after a first run: asv measures a few real cells here, and no page may have an empty chart, card or column.

Two environments of one commit are measured: this Python, and the one that it was made from.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from .conftest import PROJECT
from .dashboard_project import Project
from .test_dashboard_pages import CHROMIUM, launched, opened, served, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

# As in the Makefile: what a first run measures, with small bursts.
ROWS = r"burst\.Burst\.(time_burst|track_(failed|lost|duplicated)_rows)"
BESIDE = [r"cost\.Library", r"cost\.InsertCost\..*'wal', 'disk'"]
BASE: str = getattr(sys, "_base_executable")  # noqa: B009 typeshed lacks it
PYTHONS = {sys.executable: rf"{ROWS}\((5|20), '(default|wal|grouped)'\)", BASE: rf"{ROWS}\(5, 'wal'\)"}


def asv(project: Project, *arguments: str) -> None:
    """Run asv in that project, with its own home; the benchmarks find this project and asv's runner.

    The databases are in memory, where there is any: how long a sync takes is of no interest here.
    """
    found = os.pathsep.join([str(PROJECT), sysconfig.get_path("purelib")])
    paths = {"PYTHONPATH": found, "ASV_PYTHONPATH": found}  # asv takes the one away where the other is not set
    folder = {"SQLITE_WRITES_FOLDER": "/dev/shm"} if os.access("/dev/shm", os.W_OK | os.X_OK) else {}  # noqa: S108
    command = [sys.executable, "-m", "asv", *arguments]
    subprocess.run(
        command,
        cwd=project.folder,
        env={**os.environ, **paths, **folder, "HOME": str(project.folder.parent), "SQLITE_WRITES_BURSTS": "2"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the pages of a commit that was really measured."""
    project = Project(tmp_path_factory.mktemp("first") / "project")
    shutil.rmtree(project.results)
    configuration = json.loads((project.folder / "asv.conf.json").read_text())
    configuration |= {"benchmark_dir": str(PROJECT / "benchmarks")}
    (project.folder / "asv.conf.json").write_text(json.dumps(configuration))
    commit = project.commit("The first one that was measured")
    asv(project, "machine", "--yes", "--machine", "vm")
    for python, cells in PYTHONS.items():
        chosen = [part for bench in (cells, *BESIDE) for part in ("--bench", bench)]
        asv(
            project,
            "run",
            "--machine",
            "vm",
            "--environment",
            f"existing:{python}",
            "--set-commit-hash",
            commit,
            *chosen,
        )
    project.publish()
    with served(project.html) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of this file."""
    with launched() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a fresh profile, which may complain of nothing."""
    with opened(browser) as fresh:
        yield fresh


def test_limits(site: str, page: Page) -> None:
    """Each picture has lines with numbers, each column a number; the rest is a line with its command."""
    show(page, f"{site}/")
    lines = page.evaluate("plots.map(plot => plot.data.slice(1).map(line => line.filter(at => at !== null).length))")
    assert len(lines) == page.locator("#charts figure").count() >= 3
    assert all(all(line) for line in lines)
    assert page.locator("#charts canvas").count() == len(lines)
    assert page.locator("#lines input").count() == 3
    empty = """table => [...table.rows[0].cells].map(head => head.textContent).filter((_head, column) => column > 2 &&
        ![...table.tBodies[0].rows].some(row => row.cells[column].querySelector('button')))"""
    assert page.locator("#table").evaluate(empty) == []
    for place in ("#not-drawn", "#not-shown"):
        said = page.inner_text(place)
        assert "contention factor" in said
        assert "make bench-full ONLY=" in said


def test_every_benchmark(site: str, page: Page) -> None:
    """Every card has a number, and its own page a line."""
    page.goto(f"{site}/tachyon.html")
    page.wait_for_load_state("networkidle")
    cards = page.locator(".bento .card:not(.hero)")
    assert cards.count() >= 10
    assert [text for text in cards.all_inner_texts() if "—" in text] == []
    assert "benchmarks have no number yet: make bench-full" in page.inner_text("body")


def test_asvs_own_page(site: str, page: Page) -> None:
    """Each benchmark's picture has a line with a number, and its legend is not over it."""
    page.goto(f"{site}/asv.html")
    page.wait_for_load_state("networkidle")
    names = page.eval_on_selector_all(".benchmark-container", "all => all.map(one => one.getAttribute('href'))")
    assert len(names) >= 10
    blank = """all => all.filter(one => { const [line] = jQuery(one).data('plot').getData();
        return !line.points.show && line.data.filter(at => at[1] !== null).length < 2; }).length"""
    assert page.locator(".benchmark-plot canvas.flot-base").count() == len(names)
    assert page.eval_on_selector_all(".benchmark-plot", blank) == 0
    drawn = """() => { const lines = jQuery('#main-graph').data('plot')?.getData() ?? [];
        return lines.length > 0 && lines.every(line => line.data.some(at => at[1] !== null)); }"""
    for name in names:
        page.goto("about:blank")
        page.goto(f"{site}/asv.html{name}")
        page.wait_for_function(drawn)
        legend, picture = (page.locator(of).bounding_box() for of in ("#legend", "#main-graph"))
        assert legend is not None
        assert picture is not None
        assert legend["y"] >= picture["y"] + picture["height"] - 1


def test_compare(site: str, page: Page) -> None:
    """Both environments are named, every cell of the table has a text, and one line says how to get samples."""
    page.goto(f"{site}/compare.html")
    assert "1 with not enough samples" in page.inner_text(".headline")
    cells = page.locator(".compared td").all_inner_texts()
    assert len(cells) >= 4 * 10
    assert "" not in [text.strip() for text in cells]
    assert "ROUNDS=" in page.inner_text("#answer")


def test_libraries(site: str, page: Page) -> None:
    """It says with which command they are measured."""
    page.goto(f"{site}/libraries.html")
    assert "make libraries" in page.inner_text("#answer")


@pytest.mark.parametrize(
    "name", ["", "compare.html", "libraries.html", "tachyon.html", "asv.html", "asv.html#/summarylist"]
)
def test_narrow_screen(site: str, name: str, browser: Browser) -> None:
    """No page is wider than a telephone."""
    with opened(browser, viewport={"width": 375, "height": 700}) as page:
        page.goto(f"{site}/{name}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") == 375
