"""Two environments side by side: which differences are called real, and what ``make compare`` says; no browser here."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dashboard.differences import Kind, Question, judge, rounds_needed

from .conftest import PROJECT
from .dashboard_project import BENCHMARKS, Numbers, Project, all_well, describe, rows

if TYPE_CHECKING:
    from pathlib import Path

COSTS = describe({"cost.InsertCost.track_bytes_written": [["'wal'"], ["'disk'"]]})
COSTS["cost.InsertCost.track_bytes_written"]["unit"] = "bytes"
COST: dict[str, Numbers] = {"cost.InsertCost.track_bytes_written": {("'wal'", "'disk'"): 16920.0}}


Asked = tuple[Kind, list[float], list[float]]


def words(*questions: Asked) -> list[str]:
    """What the judge says of each question."""
    return list(judge([Question(kind, tuple(first), tuple(second)) for kind, first, second in questions]))


def test_an_exact_cost_is_judged_by_one_number() -> None:
    assert words(("exact", [16920.0], [16920.0]), ("exact", [16920.0], [16921.0])) == ["same", "real"]


def test_an_exact_cost_that_varies_is_judged_as_what_varies() -> None:
    assert words(("exact", [1.0, 2.0], [2.0, 3.0])) == ["not enough samples"]


def test_one_row_that_must_not_be_lost_is_real() -> None:
    """Where both lose rows, how many is a matter of chance."""
    assert words(("zero", [0.0], [1.0]), ("zero", [488.0], [490.0])) == ["real", "not enough samples"]


def test_one_run_of_each_judges_no_time_and_no_failed_rows() -> None:
    few: list[Asked] = [("measured", [1.0], [30.0]), ("count", [0.0], [190.0]), ("count", [0.0], [0.0])]
    assert words(*few) == ["not enough samples", "not enough samples", "same"]


def test_enough_rounds_show_what_does_not_overlap() -> None:
    """So many rounds as the page asks for are enough, for each of the numbers of a table."""
    generator = random.Random(1)
    count = rounds_needed(40)
    asked = list[Asked]()
    for _ in range(20):
        fast, slow = ([generator.gauss(seconds, 0.05) for _ in range(count)] for seconds in (1, 2))
        asked += [("measured", fast, slow)]
        asked += [("count", [0.0] * count, [generator.uniform(5, 190) for _ in range(count)])]
    assert set(words(*asked)) == {"real"}


def test_the_same_thing_measured_twice_shows_nothing_real() -> None:
    """In 50 tables of 60 numbers whose noise has heavy tails, and drifts by a third from one round to the next."""
    generator = random.Random(2)
    for _ in range(50):
        table = list[Asked]()
        for _ in range(30):
            drift = [generator.uniform(1, 1.3) for _ in range(12)]
            one, other = ([pace * generator.lognormvariate(0, 0.3) for pace in drift] for _ in "AB")
            some, more = ([float(int(generator.expovariate(0.02))) for _ in range(12)] for _ in "AB")
            table += [("measured", one, other), ("count", some, more)]
        assert "real" not in words(*table)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One commit: Python 3.10 and 3.12 differ in the rows that the naive way loses, and 3.12 with another SQLite."""
    made = Project(tmp_path / "project", benchmarks={**BENCHMARKS, **COSTS})
    made.commit("Measured")
    slower = all_well(time_burst={("500", "'wal'"): [2.0, 2.1]})
    made.measure({**slower, **COST, "caller.NaiveBurst.track_lost_rows": {("500",): 0.0}}, python="3.10")
    made.measure({**all_well(), **COST})
    newer: dict[str, Numbers] = {
        "cost.InsertCost.track_bytes_written": {("'wal'", "'disk'"): 12824.0},
        "cost.Library.track_sqlite_version": {(): 3053004},
    }
    required = {"asv_runner": "0.3.2", "pysqlite3": "0.6.1"}
    numbers = {**all_well(), **newer}
    made.measure(numbers, environment="-pysqlite3", required=required, driver="pysqlite3")
    return made


def add_rounds(project: Project, count: int) -> None:
    """Rounds in which Python 3.12 fails rows that 3.10 does not; the results that were there stay."""
    plain = project.folder / ".asv" / "plain"
    project.results.rename(plain)
    for number in range(1, count + 1):
        shutil.copytree(plain, project.results, ignore=shutil.ignore_patterns("*-*.json"))
        project.measure(all_well(), python="3.10")
        project.measure(all_well(track_failed_rows=rows(16.0 + number)))
        (project.folder / ".asv" / "rounds").mkdir(exist_ok=True)
        project.results.rename(project.folder / ".asv" / "rounds" / str(number))
    plain.rename(project.results)


def compare(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m dashboard.compare`` in that project."""
    return subprocess.run(
        [sys.executable, "-m", "dashboard.compare", "--machine", "vm", *arguments],
        cwd=project.folder,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_differs_for_real_is_printed_with_its_cause(project: Project) -> None:
    said = compare(project, "3.12", "virtualenv-py3.12-pysqlite3").stdout
    assert "A: Python 3.12, SQLite 3.40.1, on vm" in said
    assert "B: Python 3.12, SQLite 3.53.4 (pysqlite3 0.6.1), on vm" in said
    assert "1 of 52 numbers differs for real." in said
    assert "real: B is better; SQLite 3.40.1 → SQLite 3.53.4 (pysqlite3 0.6.1)" in " ".join(said.split())


def test_the_naive_way_differs_between_pythons_after_one_run(project: Project) -> None:
    said = " ".join(compare(project, "3.10", "3.12").stdout.split())
    assert "caller.NaiveBurst.track_lost_rows 500 0 485.5 from 0 real: A is better" in said
    assert "1 number has not enough samples: make compare A=3.10 B=3.12 ROUNDS=" in said


def test_rounds_are_what_is_judged(project: Project) -> None:
    """What the rounds measured is judged by them; the rest is still there."""
    add_rounds(project, 12)
    said = " ".join(compare(project, "3.10", "3.12", "--all").stdout.split())
    assert "Judged by 12 rounds" in said
    assert "track_failed_rows 50, default 0 0 1 same" in said
    assert "500, default 0 22.5 from 0 real: A is better" in said
    assert "wal, disk 16.9k 16.9k 1 same" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["2.7", "3.12"], "A=2.7 was not measured; {measured}"),
        (["3.12", ""], "B= is missing; {measured}"),
        (["3.12", "3.12"], "A=3.12 and B=3.12 are the same environment, virtualenv-py3.12"),
        (["3.10", "3.12", "--commit", "nowhere"], "COMMIT=nowhere is no commit of this repository"),
    ],
)
def test_what_cannot_be_compared_is_one_line(project: Project, arguments: list[str], line: str) -> None:
    """It lists what is measured."""
    said = compare(project, *arguments)
    assert (said.returncode, said.stdout) == (1, "")
    measured = f"at {project.commits[0][:8]} on vm there is: 3.10, 3.12, virtualenv-py3.12-pysqlite3"
    assert said.stderr == line.format(measured=measured) + "\n"


def test_nothing_measured_is_one_line(tmp_path: Path) -> None:
    empty = Project(tmp_path / "project")
    empty.commit()
    said = compare(empty, "3.10", "3.12")
    assert said.returncode == 1
    assert said.stderr.endswith("on vm there is: nothing, run make bench first\n")
    assert said.stderr.count("\n") == 1


def test_the_pages_have_every_two_environments(project: Project) -> None:
    """A page for each, with the words of the terminal; the first one under the name that the navigation has."""
    project.publish()
    pages = sorted(path.name for path in project.html.glob("compare-*.html"))
    assert len(pages) == 3
    first = (project.html / "compare.html").read_text()
    assert all(page in first for page in pages)
    assert "Python 3.10, SQLite 3.40.1, on vm" in first
    assert "real: A is better" in first
