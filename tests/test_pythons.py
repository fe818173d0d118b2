"""The Pythons stand in asv.conf.json; whatever else names one agrees with it, and copes with a free-threaded build."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

import pytest
from asv.config import Config

from asv_plugins.pythons import environments, python_order

from .conftest import PROJECT
from .dashboard_project import Project, all_well, rows
from .test_dashboard_pages import CHROMIUM, launched, opened, served, show

if TYPE_CHECKING:
    from pathlib import Path

PYTHONS: list[str] = json.loads((PROJECT / "asv.conf.json").read_text())["pythons"]
OLDEST = PYTHONS[0]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))


def found(path: Path, pattern: str) -> set[str]:
    """What the pattern's group is wherever it is in the file; it must be there."""
    matches = set(re.findall(pattern, path.read_text(encoding="utf-8")))
    assert matches, f"{path.name} has nothing like {pattern}"
    return matches


def test_they_are_named_in_order_each_free_threaded_build_after_its_sister() -> None:
    assert sorted(random.Random(1).sample(PYTHONS, len(PYTHONS)), key=python_order) == PYTHONS
    assert PYTHONS.index("3.13t") == PYTHONS.index("3.13") + 1
    assert sorted(["3.13t", "3.9", "3.13", "3.10", "2.7"], key=python_order) == ["2.7", "3.9", "3.10", "3.13", "3.13t"]


def test_the_oldest_is_what_the_package_requires_and_what_the_tools_check_for() -> None:
    assert found(PROJECT / "setup.py", r'python_requires=">=(.*?)"') == {OLDEST}
    assert found(PROJECT / "pyproject.toml", r'python_version = "(.*?)"') == {OLDEST}
    assert found(PROJECT / "pyproject.toml", r'target-version = "py(.*?)"') == {OLDEST.replace(".", "")}


def test_what_people_read_names_the_oldest_python_of_the_package_or_of_the_tools() -> None:
    (tools,) = found(PROJECT / "Makefile", r"OLDEST := (\S+)")
    assert tools in PYTHONS
    assert found(PROJECT / "README.md", r"You need .*Python (\S+) or newer") == {tools}
    for page in ("own-code.md", "command_line.md"):
        assert found(PROJECT / "docs" / page, r"Python (\S+) or\s+newer") == {OLDEST}


def test_workflows_name_no_python_but_the_one_of_the_tools() -> None:
    """The others come from asv.conf.json when they run."""
    named = {version for path in WORKFLOWS for version in re.findall(r"\b3\.\d+t?\b", _without_pins(path))}
    assert len(named) == 1
    assert named <= set(PYTHONS)
    assert "fromJSON(needs.environments.outputs.all)" in (PROJECT / ".github/workflows/nightly.yml").read_text()


def _without_pins(path: Path) -> str:
    return re.sub(r"# v[\d.]+|asv_runner[\d.]+", "", path.read_text(encoding="utf-8"))


def test_every_night_each_environment_is_measured_by_a_name_of_its_own() -> None:
    config = Config.load(str(PROJECT / "asv.conf.json"))
    every = environments(config)
    names = [one["environment"] for one in every]
    assert names[: len(PYTHONS)] == PYTHONS
    assert len(set(names)) == len(names) == len(PYTHONS) + len(config.include)
    assert [one["python"] for one in every] == [*PYTHONS, *(one["python"] for one in config.include)]


def test_libraries_are_measured_on_one_of_them() -> None:
    assert set(json.loads((PROJECT / "asv.libraries.json").read_text())["pythons"]) <= set(PYTHONS)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pages of one commit, measured with three Pythons, of which the free-threaded one is better."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.commit()
    for python in ("3.13t", "3.9", "3.13"):
        project.measure(all_well(track_failed_rows=rows(0.0 if python == "3.13t" else 3.0)), python=python)
    project.publish()
    return project


def test_results_of_a_free_threaded_build_stand_after_those_of_its_sister(published: Project) -> None:
    """And the page does not open with it: who does not ask for it wants the usual one."""
    index = published.json("index.json")
    assert [of["python"] for of in index["histories"]] == ["3.9", "3.13", "3.13t"]
    first = next(of for of in index["histories"] if of["folder"] == index["first"])
    assert first["python"] == "3.13"
    assert "3.13t</a>" in published.first_page()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_every_page_shows_a_free_threaded_build(published: Project) -> None:
    """Ours by its address, asv's among its buttons, and asv-tachyon's among its choices."""
    with launched() as browser, served(published.html) as site, opened(browser) as page:
        show(page, f"{site}/#machine=vm&environment=virtualenv-py3.13t")
        assert page.locator("select[name=python]").input_value() == "3.13t"
        assert page.locator("select[name=python] option").all_inner_texts() == ["3.9", "3.13", "3.13t"]
        page.goto(f"{site}/asv.html#burst.Burst.time_burst")
        page.wait_for_selector("text=3.13t")
        page.goto(f"{site}/tachyon.html#view=explore&bench=burst.Burst.time_burst")
        choice = page.locator("select:has(option[value='3.13t'])")
        choice.select_option("3.13t")
        assert choice.input_value() == "3.13t"
