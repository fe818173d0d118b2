"""asv's own page and asv-tachyon's, copied so that they ask nothing of the web; knows nothing of the Limits page.

Other people's scripts are copied out of installed packages; none is in this repository. A policy has the browser itself
enforce that no page asks another site for anything, and that no text from a commit or a result can run.
"""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from asv.util import UserError

from .limits_data import write_json

if TYPE_CHECKING:
    from asv.graph import GraphSet

    from .first_views import Parameters
    from .history import Commit

OURS = Path(__file__).parent / "page"

# What asv 0.6.6 takes from the web, and the (package, file) that replaces it. No package has three small plugins of
# jQuery: stock.js does what asv's page calls them for.
STOCK_SCRIPTS = {
    "jquery-3.3.1.min.js": ("js.jquery", "resources/jquery-3.6.1.min.js"),
    "jquery.flot.min.js": ("js.jquery_flot", "resources/jquery.flot.min.js"),
    "jquery.flot.time.min.js": ("js.jquery_flot", "resources/jquery.flot.time.min.js"),
    "jquery.flot.selection.min.js": ("js.jquery_flot", "resources/jquery.flot.selection.min.js"),
    "jquery.flot.categories.min.js": ("js.jquery_flot", "resources/jquery.flot.categories.min.js"),
    "jquery.flot.orderBars.js": None,
    "stupidtable.min.js": None,
    "md5.min.js": None,
    "bootstrap.min.js": ("js.bootstrap", "resources/js/bootstrap.min.js"),
    "bootstrap.min.css": ("js.bootstrap", "resources/css/bootstrap.min.css"),
}

# The pages that these two link to.
OUR_PAGES = {"index.html": "Limits", "compare.html": "Compare", "tachyon.html": "Every benchmark"}
OTHER_PAGES = {
    "index.html": "Limits",
    "compare.html": "Compare",
    "asv.html": "asv\N{RIGHT SINGLE QUOTATION MARK}s page",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
POLICY_TAG = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n    '


def packaged(package: str, file: str) -> Path:
    """Return the path of a file of an installed package, which is not imported."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    path = Path(next(iter(spec.submodule_search_locations or ())), file) if spec else None
    if path is None or not path.exists():
        raise UserError(f"the dashboard needs {package} with {file}: pip install -e '.[bench,dashboard]'")
    return path


def _not_measured(dropped: int) -> str:
    """Return the line on benchmarks that have no number, and so no place in these pages."""
    if not dropped:
        return ""
    benchmarks = "benchmark has" if dropped == 1 else "benchmarks have"
    return f"{dropped} more {benchmarks} no number yet: <code>make bench-full</code> measures them."


def write_stock_page(html_dir: Path, dropped: int) -> None:
    """Write asv's own page as ``asv.html``: with local scripts, a policy, and links to the others.

    dropped: how many benchmarks have no number, and are not in it.
    """
    folder = html_dir / "scripts"
    folder.mkdir()
    for own in ("stock.js", "asv_view.js", "asv_view.css"):
        shutil.copyfile(OURS / own, folder / own)
    page = packaged("asv", "www/index.html").read_text(encoding="utf-8")

    def local(match: re.Match[str]) -> str:
        address = match["address"].rpartition("/")[2]
        if address not in STOCK_SCRIPTS:
            raise UserError(f"asv's page takes {address} from the web: dashboard/copied_pages.py fits asv 0.6.6")
        replacement = STOCK_SCRIPTS[address]
        if replacement is None:
            return ""
        path = packaged(*replacement)
        shutil.copyfile(path, folder / path.name)
        style = f'<link rel="stylesheet" href="scripts/{path.name}">'
        return style if path.suffix == ".css" else f'<script src="scripts/{path.name}"></script>'

    page = re.sub(r"<script type=\"text/javascript\">.*?</script>\s*", "", page, count=1, flags=re.DOTALL)
    page = re.sub(r'<script src="(?P<address>https?://[^"]*)"[^>]*></script>', local, page)
    page = re.sub(r'<link rel="stylesheet" href="(?P<address>https?://[^"]*)"[^>]*>', local, page)
    page = page.replace("<title>", f"{POLICY_TAG}<title>", 1)
    links = "".join(f'<li><a href="{address}">{name}</a></li>\n        ' for address, name in OUR_PAGES.items())
    script = '<script language="javascript" type="text/javascript"\n            src="'
    for before, added in (
        ('<li id="nav-li-"', links),
        (f'{script}asv.js"', '<script src="scripts/stock.js"></script>\n    '),
        (f'{script}graphdisplay.js"', '<script src="scripts/asv_view.js"></script>\n    '),
        ("</head>", '<link rel="stylesheet" href="scripts/asv_view.css">\n  '),
        ('<div style="position: absolute; height: 100px;', '<div id="legend"></div>\n          '),
        ('</div>\n    <div id="summarylist-display"', f'  <p class="not-measured">{_not_measured(dropped)}</p>\n    '),
    ):
        if page.count(before) != 1:
            raise UserError(f"asv's page has not one {before}: dashboard/copied_pages.py fits asv 0.6.6")
        page = page.replace(before, f"{added}{before}")
    (html_dir / "asv.html").write_text(page, encoding="utf-8")
    (html_dir / "error.html").unlink()


def write_tachyon(html_dir: Path, commits: list[Commit], graphs: GraphSet, first: Parameters, dropped: int) -> None:
    """Write asv-tachyon's page as ``tachyon.html``, and the files that it asks for and asv does not write.

    first: the environment that it opens with. dropped: how many benchmarks have no number, and are not in it.
    """
    source = packaged("asv_tachyon", "static")
    # Every browser that runs it takes woff2.
    shutil.copytree(source / "assets", html_dir / "assets", ignore=shutil.ignore_patterns("*.woff"))
    shutil.copyfile(source / "favicon.svg", html_dir / "favicon.svg")
    page = (source / "index.html").read_text(encoding="utf-8")
    shutil.copyfile(OURS / "tachyon_view.js", html_dir / "scripts" / "tachyon_view.js")
    environment = f'<meta name="first-environment" content="{html.escape(json.dumps(first))}">\n    '
    script = '<script src="scripts/tachyon_view.js"></script>\n    '
    page = page.replace("<title>", f"{POLICY_TAG}{environment}{script}<title>", 1)
    links = " · ".join(f'<a href="{address}">{name}</a>' for address, name in OTHER_PAGES.items())
    line = f'<p style="margin: 0; padding: 0.5rem 1rem; font: 14px system-ui">{links}. {_not_measured(dropped)}</p>'
    page = page.replace("<body>", f"<body>\n    {line}", 1)
    (html_dir / "tachyon.html").write_text(page, encoding="utf-8")
    subjects = {str(commit.revision): commit.subject for commit in commits}
    write_json(html_dir / "commits.json", {"by_revision": subjects})
    write_json(html_dir / "profiles.json", {})
    write_json(html_dir / "regressions-ignore.json", [])
    for path, _graph in graphs:
        samples = html_dir / f"samples{path.removeprefix('graphs')}.json"
        samples.parent.mkdir(parents=True, exist_ok=True)
        write_json(samples, {})
