"""The pages in a real browser with no network: what a person sees without a click, and what the console says.

Chromium's own console, failed requests and answers of the server are watched on every page; any complaint fails the
test. Without Chromium these tests are skipped, and say so.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .dashboard_project import NAN, SETTINGS, Numbers, Project, all_well, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
]
NASTY = "<script>document.title='owned'</script> & \"quotes\" 'too'"
NASTY_MACHINE = '<script>alert("1")<b>\''
VIEW = "#machine=vm&environment=virtualenv-py3.12"
EDGES = "element => element.getBoundingClientRect().toJSON()"
STOCK_PAGES = ["asv.html", "asv.html#/summarylist", "asv.html#/regressions", "asv.html#burst.Burst.time_burst"]
TACHYON_PAGES = ["tachyon.html", "tachyon.html#view=explore&bench=burst.Burst.time_burst"]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder on a plain static server, which sends no cache headers: its address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def launched() -> Iterator[Browser]:
    """Headless Chromium that can reach this machine only."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of this file."""
    with launched() as running:
        yield running


@contextmanager
def opened(browser: Browser, **context: Any) -> Iterator[Page]:
    """A page of a fresh profile; whatever it complained of fails the test at the end."""
    complaints: list[str] = []
    ours = ("http://127.0.0.1:", "data:", "blob:")
    with browser.new_context(**context) as fresh:
        page = fresh.new_page()
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.on("request", lambda sent: complaints.extend([] if sent.url.startswith(ours) else [f"asked: {sent.url}"]))
        page.on(
            "response", lambda said: complaints.extend([f"{said.status}: {said.url}"] if said.status >= 400 else [])
        )
        yield page
        assert page.title() != "owned"
    assert complaints == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a fresh profile, which may complain of nothing."""
    with opened(browser) as fresh:
        yield fresh


def show(page: Page, address: str) -> None:
    """Open the Limits page and wait until it shows its view."""
    page.goto(address)
    page.wait_for_selector("body[data-shown]")


def few(default: float = 0.0, wal: float = 0.0) -> Numbers:
    """Counts of rows that were not taken at 50 workers."""
    return {cell: NAN if cell[0] == "50" else number for cell, number in rows(default, wal).items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two machines, one with a name that would break a careless page, and three commits, one with such a subject."""
    made = Project(tmp_path_factory.mktemp("pages") / "project")
    made.commit("First")
    made.measure()
    made.commit("Second")
    made.measure(all_well(track_failed_rows=rows(16.0), track_lost_rows=rows(wal=1.0)))
    made.commit(NASTY)
    made.measure(
        all_well(track_failed_rows=few(16.25), time_burst={("500", "'wal'"): None, ("500", "'default'"): [0.5, 0.6]})
    )
    made.measure(all_well(track_failed_rows=few(12.0)), python="3.9")
    made.measure(all_well(track_failed_rows=few(wal=0.5)), machine=NASTY_MACHINE)
    made.publish()
    return made


@pytest.fixture(scope="module")
def site(project: Project) -> Iterator[str]:
    """The address of the published pages."""
    with served(project.html) as address:
        yield address


def test_every_page(site: str, browser: Browser) -> None:
    """Each opens without a failed request or a word on the console."""
    for name in [*STOCK_PAGES, *TACHYON_PAGES]:
        with opened(browser) as page:
            page.goto(f"{site}/{name}")
            page.wait_for_load_state("networkidle")
            assert "burst.Burst" in page.inner_text("body").replace(" ", "") or "Burst.time_burst" in page.content()


def test_files_of_the_first_view(site: str, page: Page) -> None:
    """It asks for eleven files, however long the history is."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
    show(page, f"{site}/")
    assert len([url for url in asked if "/limits/" in url]) == len(asked) - 1 == 10


def test_table(site: str, project: Project, page: Page) -> None:
    """The table shows every number of the data, each at its place."""
    show(page, f"{site}/{VIEW}")
    folder, commit = str(page.get_attribute("body", "data-shown")).split()
    data = project.json(f"{folder}/{commit}.json")
    page.check("#empty")
    shown = page.eval_on_selector_all(
        "#table tbody tr",
        """rows => rows.map(row => [...row.cells].map(
            cell => [cell.querySelector('button')?.textContent ?? cell.textContent,
                     cell.querySelector('small')?.textContent ?? '']))""",
    )
    heads = page.eval_on_selector_all("#table thead th", "heads => heads.map(head => head.textContent)")
    metrics = project.json("index.json")["metrics"]
    assert heads[3:] == [metric["label"] for metric in metrics]
    for place, (case, (settings, workers, _file, *numbers)) in enumerate(zip(data["cases"], shown, strict=True)):
        assert (settings[0].removesuffix(" (baseline)"), int(workers[0])) == (case["settings"], case["workers"])
        told = [data["values"][metric["name"]][place] or {"text": "not measured"} for metric in metrics]
        assert numbers == [[value["text"], value.get("between", "")] for value in told]
    naive = dict(zip(heads, shown[-1], strict=True))
    assert [naive[head][0] for head in ("failed rows", "lost rows", "burst time")] == ["0", "485.5", "not measured"]


def test_visible_without_a_click(site: str, page: Page) -> None:
    """What the first page must show is there at once."""
    show(page, f"{site}/")
    for text in (
        "failures began at 500: 16.3 of 500",
        "16.3 failed at 500",  # vm, Python 3.12
        "12 failed at 500",  # vm, Python 3.9
        "0.5 failed at 500",  # the other machine
        "Benchmark failed",
        "burst.Burst.time_burst(500, 'wal') — Python 3.12",
        "485.5 were lost at 500",
        "the naive way (baseline)",
    ):
        assert page.get_by_text(text).first.is_visible(), text
    assert page.locator(".banner.lost").count() == 0


def test_lost_row(tmp_path: Path, page: Page) -> None:
    """A lost row is a banner above everything; an older commit's is told in that commit's view."""
    project = Project(tmp_path / "project")
    project.commit()
    project.measure(all_well(track_lost_rows=rows(wal=3.0)))
    project.commit("Worse elsewhere only")
    project.measure(machine="other")
    project.measure(all_well(track_duplicated_rows=rows(1.0)), machine="third")
    project.commit("Better again")
    project.measure(machine="third")
    project.publish()
    with served(project.html) as address:
        show(page, address)
        banner = page.locator(".banner.lost").first
        assert "on vm" in banner.inner_text()
        assert "on third" not in banner.inner_text()
        banner_box, heading_box = (page.locator(of).evaluate(EDGES) for of in (".banner.lost", "h1"))
        assert banner_box["bottom"] <= heading_box["top"]
        assert page.locator("#table td.bad").count() == 0
        assert page.locator("#alarms").is_hidden()
        show(page, f"{address}/#machine=third&environment=virtualenv-py3.12&commit={project.commits[1]}")
        page.locator("#alarms", has_text="1 row of a burst there twice: burst.Burst(500, 'default')").wait_for()
        assert page.locator("#table td.bad").count() == 1
        assert "at 500, 1 of 500 are there twice" in page.inner_text("#headline")


def test_markup(site: str, page: Page) -> None:
    """Names and subjects with markup are text."""
    show(page, f"{site}/")
    assert NASTY in page.inner_text("#status")
    assert page.locator("tbody th", has_text=NASTY_MACHINE).is_visible()
    page.select_option("select[name=machine]", NASTY_MACHINE)
    page.locator("#headline", has_text="0.5 of 500").wait_for()
    assert page.locator("select[name=machine]").input_value() == NASTY_MACHINE
    assert page.evaluate("document.querySelectorAll('main script, main b').length") == 0


def test_address(site: str, project: Project, browser: Browser) -> None:
    """A choice is kept in the address, and opens again."""
    with opened(browser) as page:
        show(page, f"{site}/{VIEW}")
        page.select_option("select[name=commit]", label=f"{project.commits[0][:8]} First")
        page.locator("#status", has_text="First").wait_for()
        address = page.url
        assert f"commit={project.commits[0]}" in address
    with opened(browser) as page:
        show(page, address)
        assert "First" in page.inner_text("#status")
        assert page.inner_text("#headline").startswith("With default settings no row failed up to 500")
        page.select_option("select[name=python]", "3.9")
        page.locator("#headline", has_text="12 of 500").wait_for()
        assert project.commits[2] in page.url


def test_skip_link_and_unknown_address(site: str, project: Project, page: Page) -> None:
    """The skip link keeps to what is shown; an address of what was not measured says so."""
    show(page, f"{site}/{VIEW}&commit={project.commits[0]}")
    address = page.url
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answer"
    assert page.url == address
    assert "was not measured" not in page.inner_text("#status")
    page.goto("about:blank")
    show(page, f"{site}/#machine=another&environment=virtualenv-py3.12&commit={project.commits[2]}")
    assert "What the address names was not measured" in page.inner_text("#status")


def test_history_of_a_number(site: str, page: Page) -> None:
    """A number opens its history by keyboard, and links to its JSON."""
    show(page, f"{site}/{VIEW}")
    row = page.locator("#table tr:has(th:text-is('default')):has(th:text-is('500'))")
    number = row.locator("button[data-metric=track_failed_rows]")
    number.focus()
    page.keyboard.press("Enter")
    panel = page.locator("tr.history .panel")
    panel.locator("h3").wait_for()
    assert "failed rows, default, 500 workers" in panel.inner_text()
    assert "It changed at no commit, as far as one can be sure." in panel.inner_text()
    assert panel.locator(".u-wrap canvas").count() == 1
    assert number.get_attribute("aria-expanded") == "true"
    link = panel.locator("a[href*='case-']").get_attribute("href")
    values = page.request.get(f"{site}/{link}").json()["values"]["track_failed_rows"]
    assert [value["number"] for value in values] == [0, 16, 16.25]
    page.keyboard.press("Enter")
    assert page.locator("tr.history").count() == 0


def test_no_number(site: str, page: Page) -> None:
    """Cells without a number say so, and are not drawn as zero; settings without any have no line."""
    show(page, f"{site}/{VIEW}")
    page.check("#empty")
    concurrent = page.locator("#table tbody tr", has=page.locator("th", has_text="concurrent")).first
    assert set(concurrent.locator("td").all_inner_texts()) == {"n/a", "JSON"}
    labels = page.eval_on_selector_all("#charts [role=img]", "all => all.map(one => one.ariaLabel)")
    assert len(labels) == 6
    assert "default: 0 at 250, 16.3 at 500." in labels[0]
    assert "concurrent" not in labels[0]
    assert any("benchmark failed at 500" in label for label in labels)
    assert page.get_by_text("Benchmark failed: wal at 500.").is_visible()


def test_line_styles(site: str, page: Page) -> None:
    """Every line has a colour and dashes of its own, however many there are."""
    show(page, f"{site}/")
    styles = page.evaluate("[...Array(20).keys()].map(place => [colour(place), dashes(place).join()])")
    assert [len(set(kind)) for kind in zip(*styles, strict=True)] == [20, 20]
    drawn = page.eval_on_selector_all(
        "#lines .sample line",
        "lines => lines.map(line => getComputedStyle(line).stroke + getComputedStyle(line).strokeDasharray)",
    )
    assert len(set(drawn)) == len(drawn) == len(SETTINGS) - 1  # concurrent has no number


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(251, 251, 250)"), ("dark", "rgb(20, 23, 26)")])
def test_narrow_screen(site: str, browser: Browser, scheme: str, background: str) -> None:
    """Nothing is wider than a narrow screen, light or dark."""
    with opened(browser, viewport={"width": 360, "height": 700}, color_scheme=scheme) as page:
        show(page, f"{site}/")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == background


def test_sub_path(project: Project, tmp_path: Path, page: Page) -> None:
    """It works the same under a sub-path, and each page leads to the next and back."""
    shutil.copytree(project.html, tmp_path / "host" / "some" / "project")
    with served(tmp_path / "host") as address:
        show(page, f"{address}/some/project/")
        assert "16.3 of 500" in page.inner_text("#headline")
        for name in ("Every benchmark", re.compile("^asv.s page$")):
            page.get_by_role("link", name=name).click()
            page.wait_for_load_state("networkidle")
            page.get_by_role("link", name="Limits").click()
            page.wait_for_selector("body[data-shown]")


def test_new_publish(tmp_path: Path, page: Page) -> None:
    """Opened again after a new publish, it shows the new data, whatever the browser has kept."""
    project = Project(tmp_path / "project")
    project.commit("Before")
    project.measure(all_well(track_failed_rows=rows(16.0)))
    project.publish()
    for path in project.html.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # so old that a browser may keep it without asking
    with served(project.html) as address:
        show(page, f"{address}/")
        assert "16 of 500" in page.inner_text("#headline")
        # The same commit measured again, so that every address but the versions stays the same.
        project.measure(all_well(track_failed_rows=rows(99.0)))
        project.publish()
        page.goto("about:blank")
        show(page, f"{address}/")
        assert "99 of 500" in page.inner_text("#headline")
        assert page.get_by_text("99 failed at 500").first.is_visible()


def test_without_javascript(site: str, browser: Browser) -> None:
    """The first page still answers."""
    with opened(browser, java_script_enabled=False) as page:
        page.goto(f"{site}/")
        text = page.inner_text("main")
        for told in ("16.3 failed at 500", "Benchmark failed", NASTY_MACHINE):
            assert told in text
