"""What stored numbers say, as text, as sentences, as a table and as changes; no repository and no page here."""

from __future__ import annotations

import math
import re

import pytest
from asv.util import UserError
from rich.console import Console

from dashboard.answer import BurstAnswer, MeanRows, answer_table
from dashboard.copied_pages import packaged
from dashboard.results import Value

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (Value(None), "seconds", "benchmark failed"),
        (Value(NAN), "seconds", "n/a"),
        (Value(0.0005), "seconds", "500\N{GREEK SMALL LETTER MU}s"),
        (Value(1.2345), "seconds", "1.23s"),
        (Value(3.14159), "ratio", "3.14"),
        (Value(16.0), "rows per burst", "16"),
        (Value(16.25), "rows per burst", "16.3"),
        (Value(0.01), "rows per burst", "0.01"),
    ],
)
def test_number_text(value: Value, unit: str, text: str) -> None:
    """A number is short, has its unit, and is never 0 for what is more than 0."""
    assert value.text(unit) == text


def test_interval_text() -> None:
    """An interval ends at 0, below which no number of the suite can be."""
    assert Value(0.5, -0.1, 0.75).to_json("ratio")["between"] == "0 \N{EN DASH} 0.75"


def test_headline() -> None:
    """It says where failures begin, first with default settings, and what has none; never the naive way."""
    clean, failed = MeanRows(0.0, 0.0), MeanRows(16.0, 0.0)
    answer = BurstAnswer(
        {
            "default": {500: failed, 50: clean, 250: clean},
            "wal": {500: clean, 1000: clean},
            "queued": {1000: clean},
            "patchy": {50: failed, 500: clean},
            "the naive way": {500: MeanRows(0.5, 478.5)},
        }
    )
    assert answer.headline() == (
        "With default settings 250 concurrent inserts succeeded; failures began at 500: 16 of 500. "
        "With patchy no size that was measured is safe; failures began at 50: 16 of 50. "
        "With wal and queued none failed up to 1000."
    )
    assert answer.baseline() == "the naive way, wrong on purpose: already at 500, 0.5 failed and 478.5 were lost"


@pytest.mark.parametrize(
    ("beyond", "said"),
    [
        (MeanRows(0.0, 3.0), "at 500, 3 of 500 were lost without an error."),
        (MeanRows(2.0, 3.0), "failures began at 500: 2 of 500, and at 500, 3 of 500 were lost without an error."),
        (MeanRows(None, None), "at 500 the benchmark itself failed."),
        (MeanRows(0.01, 0.0), "failures began at 500: 0.01 of 500."),
    ],
)
def test_headline_hides_nothing(beyond: MeanRows, said: str) -> None:
    """A lost row, a crash and a small mean are told."""
    answer = BurstAnswer({"default": {250: MeanRows(0.0, 0.0), 500: beyond}})
    assert answer.headline() == f"With default settings 250 concurrent inserts succeeded; {said}"


def test_terminal_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The table in the terminal cuts no number."""
    names = ["default", "wal", "wal-normal", "patient", "fair", "synced", "queued", "grouped"]
    answer = BurstAnswer({name: {1000: MeanRows(139.5, 0.0)} for name in names})
    answer.rows["the naive way"] = {1000: MeanRows(0.0, 485.5)}
    Console(width=80).print(answer_table(answer))
    table = capsys.readouterr().out
    assert re.search(r"^ +1000 ", table, re.MULTILINE)
    assert (table.count("139.5"), table.count("485.5"), table.count("…")) == (len(names), 1, 0)


def test_missing_package() -> None:
    """A package that is missing is one clear line."""
    with pytest.raises(UserError, match=r"needs no_such_package with a\.js: pip install -e '\.\[bench,dashboard\]'"):
        packaged("no_such_package", "a.js")
