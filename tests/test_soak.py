"""The soak in short: one episode of each fault, its checker, and how it ends. ``make soak`` has the long form."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from experiments import soak
from experiments.checker import Counts, Notes, value_of
from experiments.soak_faults import FAULTS, full_disk, small_disk
from sqlite_writes import create_table, insert_row

from .conftest import PROJECT, READS_PROC, wait_until

if TYPE_CHECKING:
    from sqlite_writes.table import Row

    from .conftest import Living

pytestmark = READS_PROC


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have episodes last a fraction of a second."""
    monkeypatch.setattr(soak, "SECONDS", (0.4, 0.5))
    monkeypatch.setattr(soak, "BURST", (8, 12))
    monkeypatch.setattr(soak, "SUSTAINED", (3, 5))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_row_is_lost_and_nothing_left_under_any_fault(fault: str, tmp_path: Path, marked: Living) -> None:
    """The seed is of an episode of sustained writing."""
    (tmp_path / "databases").mkdir()
    writer = {"kills": "default", "checkpoints by others": "wal"}.get(fault, "grouped")
    chance = random.Random(1)
    counts, _ = soak.episode(writer, FAULTS[fault], tmp_path / "databases", tmp_path, chance)
    assert counts.broken == 0, counts
    assert counts.acknowledged > 0
    assert counts.attempted == counts.acknowledged + counts.failed + counts.unknown
    assert os.listdir(tmp_path / "databases") == []


def test_on_a_full_disk_rows_fail_and_none_is_lost(
    tmp_path: Path, marked: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path) as small:
        if small is None:
            pytest.skip("mounting is not allowed here")
        monkeypatch.setattr(soak, "SECONDS", (2.0, 2.0))
        counts, reasons = soak.episode("grouped", full_disk, small, tmp_path, random.Random(1))
        assert counts.broken == 0, counts
        assert counts.failed > 0
        assert any("full" in reason for reason in reasons), reasons


def test_the_checker_counts_what_must_never_be(database: str, tmp_path: Path) -> None:
    """One row of each kind, made by hand."""
    create_table(database)
    notes = Notes(str(tmp_path / "notes"))
    table: list[Row] = []

    def insert(row: Row) -> None:
        name = str(row[0]).partition(" ")[0]
        if name == "failed":
            raise OSError("on purpose\nin two lines")
        if name == "altered":
            row = (f"{row[0]!s}!",)
        if name != "lost":
            insert_row(database, row)
            table.append(row)
        if name == "doubled":
            table.append(row)
        if name == "recovered":
            raise OSError("too late")
        if name == "killed":
            raise KeyboardInterrupt

    names = ["kept", "failed", "altered", "lost", "doubled", "recovered", "killed"]
    with suppress(KeyboardInterrupt):
        notes.write_rows(insert, names)
    counts, reasons = notes.check(table, database)
    assert counts == Counts(
        attempted=7, acknowledged=4, failed=2, unknown=1, recovered=2, lost=2, duplicated=1, altered=1
    )
    assert set(reasons) == {"OSError: on purpose in two lines", "OSError: too late"}
    assert len({value_of(str(number)) for number in range(100)}) == 100
    with open(database, "r+b") as file:
        file.truncate(5000)
    assert notes.check(table, database)[0].corrupt == 1


def test_what_is_left_beside_a_database_is_counted(tmp_path: Path, marked: Living) -> None:
    (tmp_path / "databases").mkdir()

    def litter(database: str, folder: Path, chance: random.Random) -> object:
        Path(database).with_name("litter").touch()
        return FAULTS["none"](database, folder, chance)

    counts, _ = soak.episode("wal", litter, tmp_path / "databases", tmp_path, random.Random(3))  # type: ignore[arg-type]
    assert (counts.left, counts.broken) == (1, 1)


def test_ctrl_c_prints_the_table_so_far(marked: Living) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "experiments.soak", "10", "1"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "1 episodes" in process.stderr.readline()
        wait_until(lambda: len(marked()) > 2, "the second one is under way")
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=30)
    assert process.returncode == 130, said + complaint
    assert "Traceback" not in complaint
    assert "1 episodes, seed 1; left at the end: 0" in said
    assert "\nall " in said
    assert marked() == []
