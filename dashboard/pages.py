"""asv plugin: plain ``asv publish`` writes the whole dashboard; the words of our pages are in page/.

The first page is ours (``index.html``: the Limits page), and so are the table of libraries (``libraries.html``) and the
pages that compare (``compare.html``). Beside them are asv's own (``asv.html``) and asv-tachyon's (``tachyon.html``).
Each links to the first, and none asks the web for anything. It knows asv, and no terminal.
"""

from __future__ import annotations

import hashlib
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asv.publishing import OutputPublisher

from asv_plugins.pythons import is_free_threaded

from .age import age_of
from .alarms import latest_alarms
from .answer import answer_of, describe_limit
from .changes import find_varying, find_worsenings, judge
from .compare_pages import find_pairs, write_compare_pages
from .copied_pages import OURS, POLICY, packaged, write_stock_page, write_tachyon
from .feed import LIBRARIES, view_address, write_feed, write_regressions
from .first_views import keep_measured
from .history import read_commits, read_histories, shown_revisions
from .library_table import LEGEND, OUR_SETTINGS, STYLE_MEANINGS, latest_tables
from .limits_data import write_data, write_json
from .results import NAIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asv.config import Config
    from asv.graph import GraphSet
    from asv.repo import Repo
    from jinja2 import Environment

    from .changes import Judged, Name
    from .history import Commit, History

# uPlot, as its makers built it: docs/the_pages.md says why.
PLOTTING = [("youplot", "vendor/uplot.iife.min.js"), ("youplot", "vendor/uplot.min.css")]


class LimitsPage(OutputPublisher):  # type: ignore[misc] # asv has no types
    """The whole site, after asv's own publishers have written what it shows."""

    name = "limits"
    button_label = "Limits"
    description = "How many processes can insert at the same moment"
    order = 1000

    @classmethod
    def publish(
        cls,
        conf: Config,
        repo: Repo,
        benchmarks: dict[str, Any],
        graphs: GraphSet,
        revisions: Mapping[str, int],
    ) -> None:
        """Write the site into the html folder, where asv has written its page and its data."""
        html_dir = Path(conf.html_dir)
        shown = shown_revisions(conf, repo, revisions)
        histories, unreadable = read_histories(conf, benchmarks, shown)
        commits = read_commits(conf, Path(repo._path), histories)
        by_revision = {commit.revision: commit for commit in commits}
        # What measured libraries only has a page of its own, and nothing to show on the first one but warnings.
        limits = [history for history in histories if not history.only_libraries]
        tables = latest_tables(histories)
        packaged("scipy", "__init__.py")
        judged = judge(histories, benchmarks, conf.regressions_first_commits)
        worsenings = find_worsenings(judged, histories)
        templates = _templates()
        published = datetime.now(timezone.utc)
        # A new publish has a new version, and so new addresses for what a browser may have kept.
        version = hashlib.sha256(published.isoformat().encode()).hexdigest()[:12]
        first = first_view(limits)
        _write_limits(html_dir / "limits", limits, commits, benchmarks, judged, version, first)
        common = {
            "policy": POLICY,
            "version": version,
            "published": published,
            "project": conf.project,
            "commits": by_revision,
            "tables": tables,
        }
        page = templates.get_template("index.html").render(
            first=first,
            unreadable=unreadable,
            age=age_of(histories),
            worsenings=[it for it in worsenings if it.sure],
            doubtful=[it for it in worsenings if not it.sure],
            varying=find_varying(judged),
            **_answers(limits),
            **_alarms(histories),
            **common,
        )
        (html_dir / "index.html").unlink()
        (html_dir / "index.html").write_text(page, encoding="utf-8")
        page = templates.get_template(LIBRARIES).render(
            our_settings=OUR_SETTINGS, legend=LEGEND, styles=STYLE_MEANINGS, **common
        )
        (html_dir / LIBRARIES).write_text(page, encoding="utf-8")
        write_compare_pages(html_dir, find_pairs(conf, histories, benchmarks, shown), templates, common)
        write_feed(html_dir / "regressions.xml", conf.project, worsenings, commits, templates)
        write_regressions(html_dir / "regressions.json", worsenings, graphs)
        environment, dropped = keep_measured(benchmarks, graphs, first)
        write_stock_page(html_dir, dropped)
        write_tachyon(html_dir, commits, graphs, environment, dropped)


def _write_limits(
    data: Path,
    limits: list[History],
    commits: list[Commit],
    benchmarks: dict[str, Any],
    judged: Mapping[Name, Judged],
    version: str,
    first: History | None,
) -> None:
    """Write what the first page runs and reads in a browser."""
    data.mkdir()
    for source in (*(packaged(*file) for file in PLOTTING), *OURS.glob("limits/*")):
        shutil.copyfile(source, data / source.name)
    measured = [commit for commit in commits if any(commit.revision in of.measurements for of in limits)]
    index = write_data(data, limits, measured, benchmarks, judged)
    write_json(data / "index.json", index | {"version": version, "first": first.folder if first else None})


def _answers(histories: list[History]) -> dict[str, Any]:
    """Return what the first page says of the newest commits, by the names that its template knows."""
    answers = {history.folder: answer_of(history.newest.values) for history in histories}
    settings = sorted(dict.fromkeys(name for of in answers.values() for name in of.rows), key=NAIVE.__eq__)
    return {
        "histories": histories,
        "answers": answers,
        "settings": settings,
        "complete": [folder for folder, of in answers.items() if of.rows.keys() == set(settings)],
        "naive": NAIVE,
    }


def _alarms(histories: list[History]) -> dict[str, Any]:
    """Return the warnings of the first page, which are about everything that was measured."""
    alarms = list(latest_alarms(histories))
    return {
        "lost": [(text, history, revision) for history, revision, of in alarms for text in of.rows],
        "failed": [(text, history, revision) for history, revision, of in alarms for text in of.failed],
    }


def first_view(histories: list[History]) -> History | None:
    """Return what the page shows first: of what measured the newest commit's bursts, what has the most of them."""

    def rank(history: History) -> tuple[bool, int, int, bool]:
        sizes = sum(map(len, answer_of(history.newest.values).rows.values()))
        usual = not history.driver and not is_free_threaded(history.python)
        return history.newest.has_bursts, history.newest_revision, sizes, usual

    return max(reversed(histories), key=rank, default=None)


def _templates() -> Environment:
    """Return the templates, in which every text from a result or a commit is escaped."""
    packaged("jinja2", "__init__.py")
    # asv loads this plugin for whatever it does, and only publishing needs it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(loader=FileSystemLoader(OURS), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.globals |= {"describe_limit": describe_limit, "view_address": view_address}
    return made
