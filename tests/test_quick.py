"""What ``make bench`` shows of asv: a line for each environment, and where to read the rest. asv is a script here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from asv_plugins import quick
from dashboard.answer import BurstAnswer, MeanRows, differences

from .conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

FAKE_ASV = """
import sys
print("· Creating environments")
for percent in (0, 50, 100):
    print(f"[{percent:.2f}%] ··· burst.Burst.track_failed_rows  ok")
print("the reason", *sys.argv[1:3])
status = int(sys.argv[-1])
if status == 130:
    raise KeyboardInterrupt
sys.exit(status)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An asv that ends with the status that it is given; the log."""
    script = tmp_path / "asv.py"
    script.write_text(FAKE_ASV)
    monkeypatch.setattr(quick, "ASV", [sys.executable, str(script)])
    monkeypatch.setattr(quick, "LOG", tmp_path / "bench.log")
    monkeypatch.chdir(PROJECT)
    return tmp_path / "bench.log"


def test_the_newest_plain_python_comes_first_and_those_with_other_libraries_last(
    fake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = [quick.name_of(environment) for environment in quick.in_order("")]
    plain = [name for name in names if " with " not in name]
    assert names[: len(plain)] == plain
    assert plain == sorted(plain, key=lambda name: (-int(name.rpartition(".")[2].rstrip("t")), name.endswith("t")))
    assert quick.main(["first", "0"]) == 0
    first = capfd.readouterr().out
    assert first.startswith(f"{names[0]}: measured in ")
    assert first.count("\n") == 1
    quick.main(["others", "0"])
    assert [line.partition(":")[0] for line in capfd.readouterr().out.splitlines()] == names[1:]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "measured in"),
        (2, "some benchmarks failed, see"),
        (1, "bench.log): the reason run --environment"),
    ],
)
def test_how_asv_ended_is_said_in_a_line_and_all_it_said_is_in_the_log(
    status: int, said: str, fake: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert quick.main(["first", str(status)]) == status
    shown, errors = capfd.readouterr()
    assert said in shown
    assert shown.count("\n") == 1
    assert errors == ""
    assert "[50.00%] ··· burst.Burst.track_failed_rows  ok\n" in fake.read_text()


def test_a_python_that_is_not_there_is_named(fake: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert quick.main(["first", "--only", "2.1", "0"]) == 1
    assert capfd.readouterr().err == (
        "no environment 2.1: none of the Pythons in asv.conf.json, or no interpreter here\n"
    )


def test_what_differs_between_pythons_is_a_sentence() -> None:
    well, lost = MeanRows(0, 0), MeanRows(0, 488)
    old = BurstAnswer({"default": {500: MeanRows(20, 0)}, "the naive way": {500: well}})
    new = BurstAnswer({"default": {500: MeanRows(31, 0)}, "the naive way": {500: lost}})
    assert differences({"Python 3.10": old, "Python 3.12": new}) == [
        "They differ at 500 with the naive way: Python 3.12 (488 were lost); none with Python 3.10."
    ]
    assert differences({"Python 3.11": new, "Python 3.12": new}) == [
        "Rows fail, or are lost, in the same bursts in all of them."
    ]
    assert differences({"Python 3.12": new}) == []
