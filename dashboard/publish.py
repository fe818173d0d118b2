"""asv plugin: plain ``asv publish`` writes the whole dashboard, and nothing in it asks for anything from the web.

The first page is ours (``index.html``: the Limits page), beside it asv's own (``asv.html``), with the scripts that it
takes from the web replaced by copies from packages, and asv-tachyon's (``tachyon.html``); each links to the others. The
browser itself enforces that no page asks another site for anything (Content-Security-Policy), and that no text from a
commit or a result can run. Other people's scripts are copied out of installed packages; none is in this repository.

The pictures are drawn by uPlot 1.6.31, which the package youplot carries as its makers built it: 52 kB of script and
style. Of what else there is for lines, Chart.js 4.6 has 210 kB, ECharts 5.6 1.03 MB, Bokeh 3.10 1.27 MB and Plotly 7.1
4.8 MB; uPlot draws lines with gaps and bands on logarithmic axes, which is all that is needed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import re
import shutil
import string
import xml.etree.ElementTree as ET
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asv.publishing import OutputPublisher
from asv.util import UserError

from .answer import NAIVE, describe_cell, limit_of
from .changes import find_changes, view_address, write_feed
from .limits import Commit, Series, Steps, read_commits, read_series, standing, write_data, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asv.config import Config
    from asv.graph import GraphSet
    from asv.repo import Repo

    from .changes import Change

OURS = Path(__file__).parent / "page"

# asv 0.6.6 names these addresses in its page; what replaces each is (package, file), or a file of ours.
STOCK_SCRIPTS = {
    "jquery-": ("js.jquery", "resources/jquery-3.6.1.min.js"),
    "jquery.flot.min.js": ("js.jquery_flot", "resources/jquery.flot.min.js"),
    "jquery.flot.time.min.js": ("js.jquery_flot", "resources/jquery.flot.time.min.js"),
    "jquery.flot.selection.min.js": ("js.jquery_flot", "resources/jquery.flot.selection.min.js"),
    "jquery.flot.categories.min.js": ("js.jquery_flot", "resources/jquery.flot.categories.min.js"),
    "bootstrap.min.js": ("js.bootstrap", "resources/js/bootstrap.min.js"),
    "bootstrap.min.css": ("js.bootstrap", "resources/css/bootstrap.min.css"),
}
# No package has these three small plugins of jQuery; stock.js does what asv's page calls them for.
REPLACED_BY_OURS = ("jquery.flot.orderBars.js", "stupidtable.min.js", "md5.min.js")
PLOTTING = [("youplot", "vendor/uplot.iife.min.js"), ("youplot", "vendor/uplot.min.css")]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
SHOWN_CHANGES, FOLDED_CHANGES = 12, 40


class Limits(OutputPublisher):  # type: ignore[misc] # asv has no types
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
        benchmarks: Mapping[str, Any],
        graphs: GraphSet,
        revisions: Mapping[str, int],
    ) -> None:
        """Called by asv with what it has read; the html folder holds asv's page and its data by then."""
        html_dir = Path(conf.html_dir)
        # As asv's own graphs: what was measured on other branches is no part of this history.
        shown = {commit for branch in conf.branches for commit in repo.get_branch_commits(branch)}
        ours = {commit: revision for commit, revision in revisions.items() if commit in shown}
        all_series, unreadable = read_series(conf, benchmarks, ours)
        commits = read_commits(conf, Path(repo._path), all_series)
        _write_limits(html_dir, conf.project, all_series, unreadable, commits, benchmarks, graphs)
        _write_stock_page(html_dir)
        _write_tachyon(html_dir, commits, graphs)


def _write_limits(
    html_dir: Path,
    project: str,
    all_series: list[Series],
    unreadable: list[str],
    commits: list[Commit],
    benchmarks: Mapping[str, Any],
    graphs: GraphSet,
) -> None:
    folder = html_dir / "limits"
    folder.mkdir()
    for package, file in PLOTTING:
        shutil.copyfile(_packaged(package, file), folder / Path(file).name)
    for file in ("page.js", "page.css"):
        shutil.copyfile(OURS / file, folder / file)
    index = write_data(folder, all_series, commits, benchmarks, Steps(graphs))
    published = datetime.now(timezone.utc)
    # A new publish has a new version, and so new addresses for what a browser may have kept.
    version = hashlib.sha256(published.isoformat().encode()).hexdigest()[:12]
    first = first_view(all_series)
    index |= {"version": version, "first": first.folder if first else None}
    write_json(folder / "index.json", index)
    changes = find_changes(all_series, commits, benchmarks, graphs, html_dir)
    write_feed(html_dir / "regressions.xml", changes, project)
    subjects = {commit.hash: commit for commit in commits}
    page = string.Template((OURS / "index.html").read_text(encoding="utf-8"))
    text = page.substitute(
        policy=POLICY,
        version=version,
        project=_html(_element("span", project)),
        published=f"{published:%Y-%m-%d %H:%M} UTC",
        headline=_html(_element("span", first.newest.answer.headline() if first else "No results yet.")),
        warnings=_html(*warnings(all_series, unreadable)),
        overview=_html(overview(all_series, subjects)),
        changes=_html(*changes_list(changes)),
    )
    (html_dir / "index.html").unlink()
    (html_dir / "index.html").write_text(text, encoding="utf-8")


def first_view(all_series: list[Series]) -> Series | None:
    """What the page shows first: of those that measured the newest commit the one with most cells, then newest."""

    def rank(item: tuple[int, Series]) -> tuple[bool, int, int, bool, int]:
        place, series = item
        cells = sum(len(cells) for cells in series.newest.answer.cells.values())
        return series.newest.has_bursts, series.newest_revision, cells, not series.driver, place

    return max(enumerate(all_series), key=rank)[1] if all_series else None


# ------------------------------------------------------------------------------------- what the first page says


def warnings(all_series: list[Series], unreadable: list[str]) -> list[ET.Element]:
    """The banners: lost or duplicated rows first, then benchmarks that failed, each number the newest there is."""
    banners = []
    lost, broken = list[str](), list[str]()
    for series, revision, *said in standing(all_series):
        where = f"{series.name(revision)}, commit {series.measurements[revision].commit[:8]}"
        for texts, found in zip((lost, broken), said):
            texts += [f"{text} — {where}" for text in found]
    for title, kind, texts in (
        ("Rows were lost or are there twice", "lost", lost),
        ("Benchmark failed", "broken", broken),
        ("Results that cannot be read, and are not in these pages", "broken", unreadable),
    ):
        if texts:
            banner = ET.Element("section", {"class": f"banner {kind}", "role": "alert"})
            ET.SubElement(banner, "h2").text = title
            lines = ET.SubElement(banner, "ul")
            for text in texts:
                _element("li", text, lines)
            banners.append(banner)
    return banners


def overview(all_series: list[Series], commits: Mapping[str, Commit]) -> ET.Element:
    """The limit of every machine, Python and SQLite under every settings, at the newest commit of each."""
    settings = list(dict.fromkeys(name for series in all_series for name in series.newest.answer.cells))
    settings.sort(key=lambda name: name == NAIVE)
    table = ET.Element("table")
    _element(
        "caption",
        "Failed and lost rows of each machine, Python and SQLite, at the newest commit whose bursts it measured",
        table,
    )
    head = ET.SubElement(ET.SubElement(table, "thead"), "tr")
    for title in ("Machine", "Python", "SQLite", "Commit"):
        _element("th", title, head, scope="col")
    for name in settings:
        _element("th", f"{name} (baseline)" if name == NAIVE else name, head, scope="col")
    body = ET.SubElement(table, "tbody")
    for series in all_series:
        line = ET.SubElement(body, "tr", {"data-series": series.folder})
        _element("th", series.machine, line, scope="row")
        _element("a", series.python, ET.SubElement(line, "td"), href=view_address(series, series.newest.commit))
        _element("td", series.sqlite(series.newest_revision).removeprefix("SQLite "), line)
        commit = commits[series.newest.commit]
        cell = ET.SubElement(line, "td", {"title": commit.subject})
        _link(commit, cell)
        for name in settings:
            cells = series.newest.answer.cells.get(name)
            if cells is None:
                _element("td", "not measured", line, **{"class": "none"})
                continue
            passed, beyond = limit_of(cells)
            kind, text = "clean", f"none up to {passed}"
            if beyond is not None:
                kind, text = describe_cell(beyond, cells[beyond])
            _element("td", text, line, **{"class": "baseline" if name == NAIVE else kind})
    return table


def changes_list(changes: list[Change]) -> list[ET.Element]:
    """What got worse: the newest first, more of it folded away, and what is older only in the feed."""
    if not changes:
        return [_element("p", "Nothing got worse between the commits that were measured.")]
    elements = [_changes(changes[:SHOWN_CHANGES])]
    more = changes[SHOWN_CHANGES : SHOWN_CHANGES + FOLDED_CHANGES]
    if more:
        folded = ET.Element("details")
        _element("summary", f"{len(more)} more", folded)
        folded.append(_changes(more))
        elements.append(folded)
    if len(changes) > SHOWN_CHANGES + FOLDED_CHANGES:
        elements.append(_element("p", f"All {len(changes)} are in the feed."))
    return elements


def _changes(changes: list[Change]) -> ET.Element:
    """A list of commits, and what got worse at each."""
    listed = ET.Element("ul", {"class": "changes"})
    for commit, of_commit in itertools.groupby(changes, key=lambda change: change.commit):
        item = ET.SubElement(listed, "li")
        _link(commit, ET.SubElement(item, "p")).tail = f" {commit.subject}"
        lines = ET.SubElement(item, "ul")
        for change in of_commit:
            line = ET.SubElement(lines, "li")
            _element("strong", change.what, line).tail = " "
            shown = _element("a", change.benchmark, line, href=change.address)
            after = f", after {change.since.hash[:8]}" if change.since else ""
            shown.tail = f" {change.before} \u2192 {change.after}{after} "
            _element("small", change.where, line)
    return listed


def _link(commit: Commit, parent: ET.Element) -> ET.Element:
    """The commit's name, with a link if asv.conf.json says where commits are shown."""
    if commit.url and commit.url.startswith(("https://", "http://")):
        return _element("a", commit.hash[:8], parent, href=commit.url)
    return _element("code", commit.hash[:8], parent)


def _element(name: str, text: str, parent: ET.Element | None = None, **attributes: str) -> ET.Element:
    """An element with text in it, which is escaped when it is written."""
    element = ET.Element(name, attributes) if parent is None else ET.SubElement(parent, name, attributes)
    element.text = text
    return element


def _html(*elements: ET.Element) -> str:
    return "".join(ET.tostring(element, encoding="unicode", method="html") for element in elements)


# ------------------------------------------------------------------------------------- asv's page and asv-tachyon's


def _write_stock_page(html_dir: Path) -> None:
    """The stock page, asv's own, as ``asv.html``: the same, with local scripts, a policy, and a link to ours."""
    folder = html_dir / "scripts"
    folder.mkdir()
    shutil.copyfile(OURS / "stock.js", folder / "stock.js")
    page = _packaged("asv", "www/index.html").read_text(encoding="utf-8")

    def local(match: re.Match[str]) -> str:
        address = match["address"].rpartition("/")[2]
        if address in REPLACED_BY_OURS:
            return ""
        for begin, (package, file) in STOCK_SCRIPTS.items():
            if address.startswith(begin):
                name = Path(file).name
                shutil.copyfile(_packaged(package, file), folder / name)
                style = f'<link rel="stylesheet" href="scripts/{name}">'
                return style if name.endswith(".css") else f'<script src="scripts/{name}"></script>'
        raise UserError(f"asv's page takes {address} from the web, and dashboard/publish.py fits asv 0.6.6: extend it")

    page = re.sub(r"<script type=\"text/javascript\">.*?</script>\s*", "", page, count=1, flags=re.DOTALL)
    page = re.sub(r'<script src="(?P<address>https?://[^"]*)"[^>]*></script>', local, page)
    page = re.sub(r'<link rel="stylesheet" href="(?P<address>https?://[^"]*)"[^>]*>', local, page)
    page = page.replace("<title>", f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n    <title>', 1)
    ours = '<li><a href="index.html">Limits</a></li>\n        <li><a href="tachyon.html">Tachyon</a></li>\n\t'
    page = page.replace('<li id="nav-li-"', f'{ours}<li id="nav-li-"', 1)
    own = '<script src="scripts/stock.js"></script>\n    <script language="javascript" type="text/javascript"\n'
    page = page.replace(own.partition("\n    ")[2], own, 1)
    (html_dir / "asv.html").write_text(page, encoding="utf-8")
    (html_dir / "error.html").unlink()


def _write_tachyon(html_dir: Path, commits: list[Commit], graphs: GraphSet) -> None:
    """asv-tachyon's page as ``tachyon.html``, and the files that it asks for and asv does not write."""
    source = _packaged("asv_tachyon", "static")
    # Every browser that runs it takes woff2.
    shutil.copytree(source / "assets", html_dir / "assets", ignore=shutil.ignore_patterns("*.woff"))
    shutil.copyfile(source / "favicon.svg", html_dir / "favicon.svg")
    page = (source / "index.html").read_text(encoding="utf-8")
    page = page.replace("<title>", f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />\n    <title>', 1)
    links = '<p style="margin: 0; padding: 0.5rem 1rem; font: 14px system-ui"><a href="index.html">Limits</a>'
    page = page.replace("<body>", f'<body>\n    {links} · <a href="asv.html">asv</a></p>', 1)
    (html_dir / "tachyon.html").write_text(page, encoding="utf-8")
    subjects = {str(commit.revision): commit.subject for commit in commits}
    write_json(html_dir / "commits.json", {"by_revision": subjects})
    write_json(html_dir / "profiles.json", {})
    write_json(html_dir / "regressions-ignore.json", [])
    for path, _graph in graphs:
        samples = html_dir / f"samples{path.removeprefix('graphs')}.json"
        samples.parent.mkdir(parents=True, exist_ok=True)
        write_json(samples, {})


def _packaged(package: str, file: str) -> Path:
    """A file of an installed package; the package is not imported."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    path = Path(next(iter(spec.submodule_search_locations or ())), file) if spec else None
    if path is None or not path.exists():
        raise UserError(f"the dashboard needs {package} with {file}: pip install -e '.[bench,dashboard]'")
    return path
