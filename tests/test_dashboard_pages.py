"""The pages in a real browser with no network: what a person sees without a click, and what the console says.

Chromium's own console, failed requests and answers of the server are watched on every page; any complaint fails the
test. Without Chromium these tests are skipped, and say so.
"""

from __future__ import annotations

import functools
import http.server
import math
import os
import re
import shutil
import threading
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import pytest

from .test_dashboard import NAN, SETTINGS, WORKERS, Numbers, Project, burst, quiet, rows, stored_numbers

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
EN_DASH = "\u2013"
NASTY = "<script>document.title='owned'</script> & \"quotes\" 'too'"
NASTY_MACHINE = '<script>alert("1")<b>\''
STOCK_PAGES = ["asv.html", "asv.html#/summarylist", "asv.html#/regressions", "asv.html#burst.Burst.time_burst"]
TACHYON_PAGES = ["tachyon.html", "tachyon.html#view=explore&bench=burst.Burst.time_burst"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Say nothing of each request."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder on a plain static server, which sends no cache headers: its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium that can reach this machine only."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@contextmanager
def opened(browser: Browser, **context: Any) -> Iterator[Page]:
    """A page of a fresh profile; whatever it complained of fails the test at the end."""
    complaints: list[str] = []
    with browser.new_context(**context) as fresh:
        page = fresh.new_page()

        def watch(watched: Page) -> None:
            watched.on(
                "console",
                lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None,
            )
            watched.on("pageerror", lambda error: complaints.append(str(error)))
            watched.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
            watched.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
            watched.on("request", lambda request: _check_local(request.url, complaints))
            watched.on(
                "response",
                lambda answer: complaints.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None,
            )

        watch(page)
        yield page
        assert page.title() != "owned"
    assert complaints == []


def _check_local(url: str, complaints: list[str]) -> None:
    if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
        complaints.append(f"asked for {url}")


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
    made.measure({**burst(), **quiet()})
    made.commit("Second")
    made.measure({**burst(track_failed_rows=rows(16.0)), **quiet()})
    made.commit(NASTY)
    made.measure(
        {
            **burst(
                track_failed_rows=few(16.25), time_burst={("500", "'wal'"): None, ("500", "'default'"): [0.5, 0.6]}
            ),
            **quiet(),
        }
    )
    made.measure({**burst(track_failed_rows=few(12.0)), **quiet()}, python="3.9")
    made.measure({**burst(track_failed_rows=few(wal=0.5)), **quiet()}, machine=NASTY_MACHINE)
    made.publish()
    return made


@pytest.fixture(scope="module")
def site(project: Project) -> Iterator[str]:
    """The address of the published pages."""
    with served(project.html) as address:
        yield address


def test_every_page_opens_without_a_failed_request_or_a_word_on_the_console(site: str, browser: Browser) -> None:
    with opened(browser) as page:
        show(page, f"{site}/index.html")
    for name in [*STOCK_PAGES, *TACHYON_PAGES]:
        with opened(browser) as page:
            page.goto(f"{site}/{name}")
            page.wait_for_load_state("networkidle")
            assert "burst.Burst" in page.inner_text("body").replace(" ", "") or "Burst.time_burst" in page.content()


def test_the_first_view_asks_for_seven_files_however_long_the_history_is(site: str, browser: Browser) -> None:
    with opened(browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
        show(page, f"{site}/")
        assert len([url for url in asked if "/limits/" in url]) == len(asked) - 1 == 6


def test_the_table_shows_every_number_of_the_result_file(site: str, project: Project, browser: Browser) -> None:
    with opened(browser) as page:
        show(page, f"{site}/#machine=vm&environment=virtualenv-py3.12")
        folder, commit = str(page.get_attribute("body", "data-shown")).split()
        data = project.json(f"{folder}/{commit}.json")
        stored = stored_numbers(project.results / data["result"])
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
        lines = {(line[0][0], line[1][0]): dict(zip(heads, line, strict=True)) for line in shown}
        for metric in metrics:
            numbers = stored[f"burst.Burst.{metric['name']}"]
            cells = [(workers, settings) for workers in WORKERS for settings in SETTINGS]
            for (workers, settings), (value, low, high) in zip(cells, numbers, strict=True):
                text, between = lines[settings.strip("'"), workers][metric["label"]]
                assert text == as_shown(value, metric["unit"]), (metric, workers, settings)
                bounds = [as_shown(max(0.0, bound), metric["unit"]) for bound in (low, high) if bound is not None]
                assert between == f" {EN_DASH} ".join(bounds)
        naive = lines["the naive way (baseline)", "500"]
        told = [naive[head][0] for head in ("failed rows", "lost rows", "burst time")]
        assert told == ["0", "485.5", "not measured"]


def as_shown(value: float | None, unit: str) -> str:
    """The same number by other means than the page's."""
    if value is None:
        return "benchmark failed"
    if math.isnan(value):
        return "n/a"
    if unit.startswith("rows"):
        return f"{value:.0f}" if value == int(value) else str(Decimal(value).quantize(Decimal("0.1"), ROUND_HALF_UP))
    scale, name = 1.0, ""
    if unit == "seconds":
        scale, name = (1.0, " s") if value >= 1 or value == 0 else (1e3, " ms") if value >= 1e-3 else (1e6, " µs")
    number = Decimal(value * scale)
    whole = number == number.to_integral_value() or number >= 100
    digits = Decimal(1) if whole else Decimal(10) ** (number.adjusted() - 2)
    return f"{number.quantize(digits, ROUND_HALF_UP)}{name}"


def test_what_the_first_page_must_show_is_visible_without_a_click(site: str, browser: Browser) -> None:
    with opened(browser) as page:
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


def test_a_lost_row_is_a_banner_above_everything(tmp_path: Path, browser: Browser) -> None:
    project = Project(tmp_path / "project")
    project.commit()
    project.measure({**burst(track_lost_rows=rows(wal=3.0)), **quiet()})
    project.commit("Worse elsewhere only")
    project.measure({**burst(), **quiet()}, machine="other")
    project.measure({**burst(track_duplicated_rows=rows(1.0)), **quiet()}, machine="third")
    project.commit("Better again")
    project.measure({**burst(), **quiet()}, machine="third")
    project.publish()
    with served(project.html) as address, opened(browser, viewport={"width": 1280, "height": 800}) as page:
        show(page, address)
        banner = page.locator(".banner.lost").first
        assert "on vm" in banner.inner_text()
        assert "on third" not in banner.inner_text()
        box = banner.bounding_box()
        heading = page.locator("h1").bounding_box()
        assert box is not None
        assert heading is not None
        assert box["y"] + box["height"] <= heading["y"]
        assert page.locator("#table td.bad").count() == 0
        assert page.locator("#alarms").is_hidden()
        show(page, f"{address}/#machine=third&environment=virtualenv-py3.12&commit={project.commits[1]}")
        page.locator("#alarms", has_text="1 row of a burst there twice: burst.Burst(500, 'default')").wait_for()
        assert page.locator("#table td.bad").count() == 1
        assert "at 500, 1 of 500 are there twice" in page.inner_text("#headline")


def test_names_and_subjects_with_markup_are_text(site: str, browser: Browser) -> None:
    with opened(browser) as page:
        show(page, f"{site}/")
        assert NASTY in page.inner_text("#status")
        assert page.locator("tbody th", has_text=NASTY_MACHINE).is_visible()
        page.select_option("select[name=machine]", NASTY_MACHINE)
        page.locator("#headline", has_text="0.5 of 500").wait_for()
        assert page.locator("select[name=machine]").input_value() == NASTY_MACHINE
        assert page.evaluate("document.querySelectorAll('main script, main b').length") == 0


def test_a_choice_is_kept_in_the_address_and_opens_again(site: str, project: Project, browser: Browser) -> None:
    with opened(browser) as page:
        show(page, f"{site}/#machine=vm&environment=virtualenv-py3.12")
        page.select_option("select[name=commit]", label=f"{project.commits[0][:8]} First")
        page.locator("#status", has_text="First").wait_for()
        assert "none failed" not in page.inner_text("#headline").partition(".")[0]
        address = page.url
        assert f"commit={project.commits[0]}" in address
    with opened(browser) as page:
        show(page, address)
        assert "First" in page.inner_text("#status")
        assert page.inner_text("#headline").startswith("With default settings no row failed up to 500")
        page.select_option("select[name=python]", "3.9")
        page.locator("#headline", has_text="12 of 500").wait_for()
        assert project.commits[2] in page.url


def test_the_skip_link_and_an_unknown_address_keep_to_what_is_shown(
    site: str, project: Project, browser: Browser
) -> None:
    with opened(browser) as page:
        show(page, f"{site}/#machine=vm&environment=virtualenv-py3.12&commit={project.commits[0]}")
        address = page.url
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "answer"
        assert page.url == address
        assert "was not measured" not in page.inner_text("#status")
    with opened(browser) as page:
        show(page, f"{site}/#machine=another&environment=virtualenv-py3.12&commit={project.commits[2]}")
        assert "What the address names was not measured" in page.inner_text("#status")


def test_a_number_opens_its_history_by_keyboard_and_links_to_its_json(site: str, browser: Browser) -> None:
    with opened(browser) as page:
        show(page, f"{site}/#machine=vm&environment=virtualenv-py3.12")
        row = page.locator("#table tr:has(th:text-is('default')):has(th:text-is('500'))")
        number = row.locator("button[data-metric=track_failed_rows]")
        number.focus()
        page.keyboard.press("Enter")
        panel = page.locator("tr.history .panel")
        panel.locator("h3").wait_for()
        assert "failed rows, default, 500 workers" in panel.inner_text()
        assert "Second: 0 → 16" in panel.inner_text()
        assert panel.locator(".u-wrap canvas").count() == 1
        assert number.get_attribute("aria-expanded") == "true"
        link = panel.locator("a[href*='cell-']").get_attribute("href")
        history = page.request.get(f"{site}/{link}")
        assert history.json()["values"]["track_failed_rows"] == [0, 16, 16.25]
        page.keyboard.press("Enter")
        assert page.locator("tr.history").count() == 0


def test_cells_without_a_number_say_so_and_are_not_drawn_as_zero(site: str, browser: Browser) -> None:
    with opened(browser) as page:
        show(page, f"{site}/#machine=vm&environment=virtualenv-py3.12")
        page.check("#empty")
        concurrent = page.locator("#table tbody tr", has=page.locator("th", has_text="concurrent")).first
        assert set(concurrent.locator("td").all_inner_texts()) == {"n/a", "JSON"}
        pictures = page.locator("#charts [role=img]")
        labels = [str(pictures.nth(place).get_attribute("aria-label")) for place in range(pictures.count())]
        assert len(labels) == 6
        assert "default: 0 at 250, 16.3 at 500." in labels[0]
        assert "concurrent: n/a at 250, n/a at 500." in labels[0]
        assert any("benchmark failed at 500" in label for label in labels)
        assert page.get_by_text("Benchmark failed: wal at 500.").is_visible()


def test_every_line_has_a_colour_and_dashes_of_its_own_however_many_there_are(site: str, browser: Browser) -> None:
    with opened(browser) as page:
        show(page, f"{site}/")
        styles = page.evaluate("[...Array(12).keys()].map(place => [colour(place), dashes(place).join()])")
        assert [len(set(kind)) for kind in zip(*styles, strict=True)] == [12, 12]
        drawn = page.eval_on_selector_all(
            "#lines .sample line",
            "lines => lines.map(line => getComputedStyle(line).stroke + getComputedStyle(line).strokeDasharray)",
        )
        assert len(set(drawn)) == len(drawn) == len(SETTINGS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_narrow_screen(site: str, browser: Browser, scheme: Any) -> None:
    with opened(browser, viewport={"width": 360, "height": 700}, color_scheme=scheme) as page:
        show(page, f"{site}/")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor")
            == {
                "light": "rgb(251, 251, 250)",
                "dark": "rgb(20, 23, 26)",
            }[str(scheme)]
        )


def test_it_works_the_same_under_a_sub_path(project: Project, tmp_path: Path, browser: Browser) -> None:
    shutil.copytree(project.html, tmp_path / "host" / "some" / "project")
    with served(tmp_path / "host") as address, opened(browser) as page:
        show(page, f"{address}/some/project/")
        assert "16.3 of 500" in page.inner_text("#headline")
        for name in ("Every benchmark", re.compile("^asv.s page$")):
            page.get_by_role("link", name=name).click()
            page.wait_for_load_state("networkidle")
            page.get_by_role("link", name="Limits").click()
            page.wait_for_selector("body[data-shown]")


def test_opened_again_after_a_new_publish_it_shows_the_new_data(tmp_path: Path, browser: Browser) -> None:
    project = Project(tmp_path / "project")
    project.commit("Before")
    project.measure({**burst(track_failed_rows=rows(16.0)), **quiet()})
    project.publish()
    for path in project.html.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # so old that a browser may keep it without asking
    with served(project.html) as address, opened(browser) as page:
        show(page, f"{address}/")
        assert "16 of 500" in page.inner_text("#headline")
        # The same commit measured again, so that every address but the versions stays the same.
        project.measure({**burst(track_failed_rows=rows(99.0)), **quiet()})
        project.publish()
        page.goto("about:blank")
        show(page, f"{address}/")
        assert "99 of 500" in page.inner_text("#headline")
        assert page.get_by_text("99 failed at 500").first.is_visible()


def test_without_javascript_the_first_page_still_answers(site: str, browser: Browser) -> None:
    with opened(browser, java_script_enabled=False) as page:
        page.goto(f"{site}/")
        text = page.inner_text("main")
        assert "16.3 failed at 500" in text
        assert "Benchmark failed" in text
        assert NASTY_MACHINE in text
