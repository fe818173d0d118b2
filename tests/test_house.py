"""Which room may import which, as CONTRIBUTING.md draws it; and whether the tests are there that a page names."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from .conftest import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each room, and the rooms that it may import. A room is a folder, or a module of the package.
HOUSE: dict[str, set[str]] = {
    "benchmarks": {"sqlite_writes"},
    "asv_plugins": {"benchmarks", "sqlite_writes"},
    "dashboard": {"asv_plugins", "benchmarks", "sqlite_writes"},
    # For any suite: it knows ours by what its classes declare, and the package not at all.
    "pr_check": {"asv_plugins"},
    "experiments": {"pr_check", "dashboard", "asv_plugins", "benchmarks", "sqlite_writes"},
}
PACKAGE: dict[str, set[str]] = {
    "driver": set(),
    "settings": set(),
    "pool": set(),
    "folders": set(),
    "errors": {"driver"},
    "library": {"driver", "settings"},
    "line": {"driver", "settings", "two_libraries"},
    "table": {"driver", "errors", "settings"},
    "writers": {"driver", "errors", "folders", "library", "line", "settings", "table"},
    "row_check": {"table"},
    "report": {"errors", "library", "pool", "row_check", "table", "writers"},
    "calls": {"driver", "pool", "table", "writers"},
    "examination": {"calls", "pool", "table", "two_libraries", "writers"},
    "snapshot": {"calls", "driver", "table", "writers"},
    "two_libraries": set(),
    "burst": {
        "calls",
        "driver",
        "examination",
        "pool",
        "report",
        "row_check",
        "settings",
        "snapshot",
        "table",
        "writers",
    },
    "advice": {"report"},
    "testing": {"advice", "burst", "calls", "driver", "folders", "report", "table", "writers"},
    "asv": {"burst", "calls", "driver", "folders", "report", "table", "writers"},
    "trials": {"advice", "report"},
    "kept_open": {"burst", "calls", "driver", "pool", "report", "snapshot", "table", "writers"},
    "fresh_burst": {"burst", "calls", "driver", "folders", "kept_open", "report", "table", "writers"},
    "sizes": set(),
    "limit": {"driver", "fresh_burst", "report", "sizes", "trials", "writers"},
    "rate": {
        "calls",
        "driver",
        "folders",
        "fresh_burst",
        "pool",
        "report",
        "row_check",
        "settings",
        "snapshot",
        "table",
        "writers",
    },
    "forecast": {"driver", "folders", "library", "line", "pool", "settings", "table", "writers"},
    "command_line": {
        "advice",
        "calls",
        "driver",
        "forecast",
        "fresh_burst",
        "library",
        "limit",
        "rate",
        "settings",
        "trials",
        "writers",
    },
    "__main__": {"command_line"},
    "scenarios": {"driver", "errors", "library", "pool", "settings", "table", "writers"},
    "__init__": {"burst", "calls", "errors", "line", "pool", "report", "settings", "table", "writers"},
}
DASHBOARD = (
    "results",
    "history",
    "age",
    "alarms",
    "judgement",
    "changes",
    "what_changed",
    "answer",
    "answer_table",
    "library_table",
    "libraries",
    "differences",
    "comparison",
    "compare",
    "limits_data",
    "first_views",
    "copied_pages",
    "compare_pages",
    "feed",
    "pages",
)
INSTALLED_ONLY_FOR_TOOLS = {
    "asv",
    "asv_runner",
    "click",
    "jinja2",
    "matplotlib",
    "numpy",
    "rich",
    "scipy",
    "virtualenv",
}


def imports(path: Path) -> Iterator[str]:
    """Give the full name of every module that the file imports, wherever in it."""
    package = path.relative_to(PROJECT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += [node.module] if node.module else []
            yield ".".join(base)
            yield from (".".join([*base, name.name]) for name in node.names)


def room_of(module: str, parent: str = "") -> str:
    """Return the room in which the module is, of the parent's rooms or of the whole tree's."""
    names = module.split(".")
    if not parent:
        return names[0]
    return names[1] if names[0] == parent and len(names) > 1 else ""


def files(folder: Path) -> list[Path]:
    """Return the folder's Python files."""
    found = sorted(folder.rglob("*.py"))
    assert found, f"nothing in {folder}"
    return found


@pytest.mark.parametrize("room", ["sqlite_writes", *HOUSE])
def test_folders_import_only_what_the_picture_draws(room: str) -> None:
    """Tests may import all; nothing imports tests."""
    known = {"sqlite_writes", "tests", *HOUSE}
    drawn = {room} | HOUSE.get(room, set())
    for path in files(PROJECT / room):
        strangers = {room_of(module) for module in imports(path)} & known - drawn
        assert not strangers, f"{path.relative_to(PROJECT)} imports {strangers}"


@pytest.mark.parametrize("room", PACKAGE)
def test_modules_of_the_package_import_only_what_the_picture_draws(room: str) -> None:
    """The package's rooms stand one above the other."""
    folder = PROJECT / "sqlite_writes"
    for path in files(folder / room) if (folder / room).is_dir() else [folder / f"{room}.py"]:
        strangers = {room_of(module, "sqlite_writes") for module in imports(path)} & set(PACKAGE) - PACKAGE[room]
        assert strangers <= {room}, f"{path.relative_to(PROJECT)} imports {strangers}"


def test_every_module_of_the_package_has_its_place_in_the_picture() -> None:
    """A new one is drawn, or refused here."""
    folder = PROJECT / "sqlite_writes"
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert found == set(PACKAGE)


@pytest.mark.parametrize("room", ["sqlite_writes", "benchmarks"])
def test_what_asv_measures_imports_no_tool(room: str) -> None:
    """So it runs in an environment that has nothing but the package. The command line is no part of it."""
    for path in files(PROJECT / room):
        if path.parent.name == "command_line":
            continue
        tools = {room_of(module) for module in imports(path)} & INSTALLED_ONLY_FOR_TOOLS
        assert not tools, f"{path.relative_to(PROJECT)} imports {tools}"


def test_the_dashboards_rooms_stand_in_one_order() -> None:
    """From results to pages: none imports one that comes after it."""
    assert {path.stem for path in files(PROJECT / "dashboard")} == {*DASHBOARD, "__init__", "serve"}  # which knows none
    for place, name in enumerate(DASHBOARD):
        path = PROJECT / "dashboard" / f"{name}.py"
        later = {room_of(module, "dashboard") for module in imports(path)} & set(DASHBOARD[place + 1 :])
        assert not later, f"{path.relative_to(PROJECT)} imports {later}"
        assert "serve" not in {room_of(module, "dashboard") for module in imports(path)}
    serve = PROJECT / "dashboard" / "serve.py"
    assert not {room_of(module, "dashboard") for module in imports(serve)} & set(DASHBOARD)


def test_the_tests_that_a_page_names_are_there() -> None:
    """By their files; docs/own-code.md names those of the example."""
    pages = [PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
    texts = [path.read_text() for path in pages if path.name != "own-code.md"]
    named = {name for text in texts for name in re.findall(r"`(?:tests/)?(test_\w+)(?:\.py)?`", text)}
    assert len(named) > 20
    assert named <= {path.stem for path in files(PROJECT / "tests")}
