"""How old the numbers are, what is known of the SQLite that gave them, and what ``make history`` says of them."""

from __future__ import annotations

import random
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from dashboard import what_changed
from dashboard.age import age_of
from dashboard.history import History, Measurement

from .dashboard_project import Project, all_well, rows
from .test_dashboard_pages import CHROMIUM, launched, opened, served, show

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

DAY = 86_400
NOON = 20_000 * DAY + DAY // 2
NIGHTS = [NOON + night * DAY for night in range(6)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with nothing in it."""
    return Project(tmp_path / "project")


def measured(*moments: float) -> list[History]:
    """A history with a measurement at each of these seconds; 0 is an unknown one."""
    history = History("vm", "virtualenv-py3.12", "3.12", "")
    for revision, moment in enumerate(moments):
        history.measurements[revision] = Measurement("", "", 0, {}, measured=int(1000 * moment))
    return [history]


@pytest.mark.parametrize(
    ("moments", "daily"),
    [
        (NIGHTS, True),
        ([*NIGHTS[:2], *NIGHTS[3:]], True),
        ([*NIGHTS[:3], NOON + 20 * DAY], False),
        ([NOON + hour * 3600 for hour in range(6)], False),
        ([0, 0, *NIGHTS[:2]], False),
    ],
)
def test_what_was_measured_daily(moments: list[float], daily: bool) -> None:
    """Five of the newest six days; not by hand, and not now and then."""
    age = age_of(measured(*moments))
    assert age is not None
    assert (age.measured, age.daily) == (1000 * max(moments), daily)


def test_unknown_age() -> None:
    """Results that do not say when they were measured have no age."""
    assert age_of(measured(0, 0)) is None


def at(page: Page, address: str, seconds: float) -> tuple[str, str]:
    """Open the first page at that moment: what it says of its age, and its warning."""
    page.clock.set_fixed_time(seconds)
    page.goto("about:blank")
    show(page, address)
    banner = page.locator("#stopped")
    return page.inner_text("#age"), banner.inner_text() if banner.count() and banner.is_visible() else ""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_age_on_the_page(tmp_path: Path) -> None:
    """It is told by the reader's clock, with a warning after three days of silence where there was none before."""
    with launched() as browser:
        for daily in (True, False):
            project = Project(tmp_path / str(daily))
            for night in NIGHTS if daily else NIGHTS[-1:]:
                project.commit()
                project.measure(started=datetime.fromtimestamp(night, timezone.utc))
            project.publish()
            assert_age_is_told(project, browser, is_warned=daily)


def assert_age_is_told(project: Project, browser: Browser, *, is_warned: bool) -> None:
    last = NIGHTS[-1]
    with served(project.html) as address, opened(browser) as page:
        for after, said in ((60, "1 minute ago"), (3 * 3600 + 60, "3 hours ago"), (3 * DAY - 60, "2 days ago")):
            assert at(page, address, last + after) == (f"The newest number was measured {said}.", "")
        age, warning = at(page, address, last + 5 * DAY + 60)
        assert age == "The newest number was measured 5 days ago."
        assert warning.startswith("Nothing was measured for 5 days") == is_warned
        assert bool(warning) == is_warned
        # Without a click: the version, and what is wrong with it.
        for place in ("#status", "tbody [href*=walresetbug]"):
            assert "WAL-reset bug" in page.inner_text(place)


def test_bugs_of_the_sqlite_that_was_measured(project: Project) -> None:
    """They are named by the version that a result has: an environment's own, not this machine's."""
    project.commit()
    project.measure()
    project.measure({**all_well(), "cost.Library.track_sqlite_version": {(): 3053000}}, python="3.13")
    project.publish()
    page = project.first_page()
    cells = re.findall(r"<td>(3\.[0-9]+\.[0-9]+)(.*?)</td>", page)
    assert [(version, "WAL-reset bug" in more) for version, more in cells] == [("3.40.1", True), ("3.53.0", False)]
    assert page.count("can lose rows. A version has it by its number") == 1


def said(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that ``make history`` ends with."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("COLUMNS", "200")
    assert what_changed.main("vm") == 0
    return capsys.readouterr().out.splitlines()


def test_history_of_commits_that_do_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing got worse, and what varies is named."""
    for count in (5.0, 0.0, 38.5):
        project.commit()
        project.measure(all_well(track_failed_rows=rows(count)))
    assert said(project, monkeypatch, capsys) == [
        "Nothing got worse, as far as one can be sure, over 3 commits.",
        "Up and down by themselves, with no step that is sure: 1. The most:",
        "  burst.Burst.track_failed_rows(500, 'default'): 0 to 38.5 at 3 commits, Python 3.12",
    ]


def test_history_of_what_got_worse(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line stands under its commit, with how sure it is; the page says the same of the same commit."""
    dice = random.Random(1)
    for number in range(12):
        project.commit(f"Commit {number}")
        lost = rows(wal=float(number == 9))
        seconds = (1.0 if number < 6 else 1.5) * dice.lognormvariate(0, 0.02)
        project.measure(all_well(time_burst={("500", "'wal'"): [seconds]}, track_lost_rows=lost))
    lines = said(project, monkeypatch, capsys)
    assert lines[0] == "What got worse over 12 commits:"
    assert lines[1] == f"{project.commits[9][:8]} Commit 9"
    assert lines[2].startswith(
        "  lost rows where there were none: burst.Burst.track_lost_rows(500, 'wal') 0 → 1 (certain)"
    )
    assert lines[3] == f"{project.commits[6][:8]} Commit 6"
    assert re.match(r"  slower: burst\.Burst\.time_burst\(500, 'wal'\) .*s → 1\..*s \(p < 0\.00001\)", lines[4])
    assert len(lines) == 5
    project.publish()
    assert [str(title).partition(":")[0] for title in project.feed_titles()] == [
        "lost rows where there were none",
        "slower",
    ]


def test_history_of_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and a status."""
    project.commit()
    monkeypatch.chdir(project.folder)
    assert what_changed.main("vm") == 1
    assert capsys.readouterr().err.startswith("no results on this machine (")
