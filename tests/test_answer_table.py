"""make answer: ranges over stored bursts of several days, between two marks; or one line that says what is missing."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from dashboard.answer_table import BEGIN, END, README_ROWS, README_SIZES, main
from dashboard.results import NAIVE

from .dashboard_project import Numbers, Project, describe

if TYPE_CHECKING:
    from pathlib import Path

SIZES = [str(size) for size in README_SIZES]
WAYS = [repr(way) for way in README_ROWS if way != NAIVE]
OURS = ("track_failed_rows_by_burst", "track_lost_rows_by_burst", "track_slowest_insert")
BENCHMARKS = describe(
    {
        **{f"burst.Burst.{name}": [SIZES, WAYS] for name in OURS},
        **{f"caller.NaiveBurst.{name}": [["250", "500"]] for name in OURS[:2]},
        "cost.Library.track_sqlite_version": [],
    }
)
README = f"# A project\n\n{BEGIN}\nyesterday's table\n{END}\n\nMore.\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one commit and no results, in which the command runs."""
    made = Project(tmp_path / "project", benchmarks=BENCHMARKS)
    (made.folder / "docs").mkdir()
    for name in ("README.md", "docs/results.md"):
        (made.folder / name).write_text(README)
    made.commit()
    monkeypatch.chdir(made.folder)
    return made


def measure(project: Project, day: int, failed: list[float], count: int = 0, **more: bool) -> None:
    """Store bursts of that day of November: so many rows failed at 500 with default, and none anywhere else."""
    count = count or len(failed)
    cells: Numbers = {(size, way): [0.0] * count for size in SIZES for way in WAYS}
    seconds: Numbers = {cell: [0.31 + day + place / 10 for place in range(count)] for cell in cells}
    lost: Numbers = {("250",): [210.0] * count, ("500",): [463.0 + day + place for place in range(count)]}
    none: Numbers = {("250",): [0.0] * count, ("500",): [0.0] * count}
    numbers: dict[str, Numbers] = {
        "burst.Burst.track_failed_rows_by_burst": {**cells, ("500", "'default'"): failed},
        "burst.Burst.track_lost_rows_by_burst": cells,
        "burst.Burst.track_slowest_insert": seconds,
        "caller.NaiveBurst.track_failed_rows_by_burst": none,
        "caller.NaiveBurst.track_lost_rows_by_burst": lost,
        "cost.Library.track_sqlite_version": {(): 3040001},
    }
    project.measure(
        numbers, record_samples=more.get("recorded", True), started=datetime(2026, 11, day, 9, tzinfo=timezone.utc)
    )


def test_the_tables_have_the_ranges_of_all_bursts_and_replace_what_was_between_the_marks(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(project, 3, [20.0, 53, 87, 41, 22, 30])
    project.commit()
    measure(project, 5, [190.0, 21, 33, 64, 25])
    assert main(["--machine", "vm"]) == 0
    printed = capsys.readouterr().out
    readme = (project.folder / "README.md").read_text()
    assert readme == README.replace("yesterday's table\n", printed)
    assert "Python 3.12, SQLite 3.40.1: 11 bursts a cell, on 2 days from 2026-11-03 to 2026-11-05." in " ".join(
        printed.split()
    )
    row = "| `default`: `sqlite3.connect(path)` | 0 | 0 | **20\u2013190** | 3.3\u20135.7 s | all but the last commit |"
    assert row in printed
    assert "| the trap | | 0, and **210 lost** | 0, and **466\u2013472 lost** | | no |" in printed
    whole = (project.folder / "docs" / "results.md").read_text()
    assert whole.startswith(README.partition("yesterday")[0])
    assert "| 500 | **20\u2013190** | 0 | 0 | 0 | 0 | 0, and **466\u2013472 lost** |" in whole


@pytest.mark.parametrize(
    ("days", "recorded", "missing"),
    [
        ({3: 5, 5: 4}, True, "100 with default (9 on 2)"),
        ({3: 12}, True, "100 with default (12 on 1)"),
        ({3: 6, 5: 6}, False, "100 with default (0 on 0)"),
    ],
)
def test_too_few_bursts_or_days_are_one_line_and_nothing_is_written(
    days: dict[int, int], recorded: bool, missing: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for day, count in days.items():
        measure(project, day, [20.0] * count, recorded=recorded)
        project.commit()
    assert main(["--machine", "vm"]) == 1
    printed, said = capsys.readouterr()
    assert printed == ""
    assert said.count("\n") == 1
    assert f"missing: {missing}" in said
    assert (project.folder / "README.md").read_text() == README


def test_a_copy_of_an_earlier_day_adds_its_bursts_once(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Asv keeps one result: who measures it again keeps a copy of the first."""
    measure(project, 3, [20.0, 53, 87, 41, 22])
    shutil.copytree(project.results, project.folder / "third")
    measure(project, 5, [190.0, 21, 33, 64, 25])
    assert main(["--machine", "vm"]) == 1
    assert main(["--machine", "vm", "third", "third", str(project.results)]) == 0
    assert ": 10 bursts a cell, on 2 days" in " ".join(capsys.readouterr().out.split())


def test_what_was_measured_before_a_day_can_be_left_out(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for day in (1, 3, 5):
        measure(project, day, [day * 10.0] * 6)
        project.commit()
    assert main(["--machine", "vm", "--since", "2026-11-02"]) == 0
    assert "**30\u201350**" in capsys.readouterr().out


def test_nothing_stored_is_one_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (project.results / "benchmarks.json").unlink()
    assert main(["--machine", "vm"]) == 1
    assert capsys.readouterr().err == "no answer: nothing is stored here yet: run make bench-full\n"


def test_a_document_without_marks_is_left_alone(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (project.folder / "README.md").write_text("# A project\n")
    for day in (3, 5):
        measure(project, day, [20.0] * 6)
        project.commit()
    assert main(["--machine", "vm"]) == 0
    assert "README.md is left as it is" in capsys.readouterr().err
    assert (project.folder / "README.md").read_text() == "# A project\n"
