"""Rounds: one run of each of two environments, in random order, each round in a folder of its own. asv is a script."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import pytest
from asv.config import Config

from asv_plugins import quick, rounds

from .conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

FAKE_ASV = """
import pathlib, sys
folder, environment, status = pathlib.Path(sys.argv[1]), sys.argv[3], sys.argv[-1]
folder.mkdir(exist_ok=True)
with open(folder / "runs", "a") as runs:
    runs.write(environment + "\\n")
print("the reason")
sys.exit(int(status) if folder.name == "3" else 0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where rounds go; asv is a script that notes its environment, and ends the third round with a given status."""
    script = tmp_path / "asv.py"
    script.write_text(FAKE_ASV)
    kept = tmp_path / "rounds"
    monkeypatch.setattr(rounds, "ONCE", [sys.executable, str(script)])
    monkeypatch.setattr(rounds, "LOG", tmp_path / "rounds.log")
    monkeypatch.setattr(rounds, "_beside_results", lambda _config: kept)
    monkeypatch.setattr(rounds, "random", random.Random(1))
    monkeypatch.chdir(PROJECT)
    return kept


@pytest.fixture
def pair() -> list[str]:
    """The arguments for two environments that can be made here."""
    found = quick.in_order("")
    if len(found) < 2:
        pytest.skip("one Python only")
    return [environment.name for environment in found[:2]]


def test_each_round_has_one_run_of_each_in_its_own_folder(folder: Path, pair: list[str]) -> None:
    """A second call goes on where the first has ended; the order is not the same in all rounds."""
    assert rounds.main([*pair, "--rounds", "2", "0"]) == 0
    assert rounds.main([*pair, "--rounds", "4", "0"]) == 0
    runs = [path.joinpath("runs").read_text().split() for path in rounds.round_folders(Config.load())]
    assert len(runs) == 6
    assert all(sorted(run) == sorted(pair) for run in runs)
    assert len({tuple(run) for run in runs}) == 2


def test_a_round_that_is_not_whole_is_not_kept(
    folder: Path, pair: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rounds.main([*pair, "--rounds", "5", "1"]) == 1
    assert [path.name for path in rounds.round_folders(Config.load())] == ["1", "2"]
    said = capsys.readouterr().out
    assert said.endswith("rounds.log): the reason; 2 rounds are kept\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["", "3.12"], "A= is missing: a Python of asv.conf.json, or the name of an environment\n"),
        (["2.1", "3.12"], "no environment 2.1: none of the Pythons in asv.conf.json, or no interpreter here\n"),
    ],
)
def test_an_environment_that_cannot_be_made_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    assert rounds.main([*arguments, "--rounds", "2"]) == 1
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("number", ["0", "-1", "2.5", "many", "1001"])
def test_a_wrong_number_of_rounds_is_named(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rounds.main(["3.11", "3.12", "--rounds", number]) == 1
    assert capsys.readouterr().err == f"ROUNDS={number} is not a whole number from 1 to 1000\n"
