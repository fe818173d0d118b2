"""Power lost at every moment of recorded writes: no acknowledged row is gone where that is promised, and it is noticed.

At least 150 states each; ``python -m experiments.power_loss states 10000`` opens more (docs/durability.md).
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import durability
from experiments import real_power_cut
from experiments.power_loss import is_declared_durable, main
from sqlite_writes import SETTINGS, Settings
from sqlite_writes.scenarios.power_loss.disk import Change, Disk, StoredFile
from sqlite_writes.scenarios.power_loss.playing import moments
from sqlite_writes.scenarios.power_loss.recording import record
from sqlite_writes.scenarios.power_loss.replay import Losses, lose_power
from sqlite_writes.writers.libraries import AS_IT_COMES, LIBRARIES

from .conftest import PROJECT, STRACE

PROMISED = ("default", "wal", "fair", "patient", "synced", "queued", "grouped")
STATES = 150

# Libraries that set something themselves, and one in turn.
OWN_WAY = ("diskcache", "sqlitedict", "litequeue", "persist-queue", "huey", "peewee-in-turn")


def faults(found: Losses) -> tuple[int, int, int, int]:
    return found.lost, found.doubled, found.altered, found.damaged


@STRACE
@pytest.mark.parametrize("settings", PROMISED)
def test_a_power_loss_at_any_moment_takes_no_acknowledged_row_and_doubles_none(settings: str) -> None:
    found = lose_power(settings, STATES)
    assert found.acknowledged == found.recordings * 32
    assert found.states >= STATES
    assert faults(found) == (0, 0, 0, 0), found.example


@STRACE
@pytest.mark.parametrize("settings", ["wal", "grouped"])
def test_with_a_log_the_names_of_files_need_no_luck_either(settings: str) -> None:
    assert faults(lose_power(settings, STATES, names_are_sure=False)) == (0, 0, 0, 0)


@STRACE
def test_with_a_rollback_journal_the_last_commit_is_undone_where_the_journals_name_comes_back() -> None:
    """SQLite syncs the folder after the journal is gone with synchronous=EXTRA only."""
    found = lose_power("default", STATES, names_are_sure=False)
    assert found.lost > 10
    assert found.most_lost == 1
    assert (found.doubled, found.altered, found.damaged) == (0, 0, 0)


@STRACE
@pytest.mark.parametrize(
    "weaker",
    [
        SETTINGS["wal-normal"],
        replace(SETTINGS["grouped"], sync_after=False),
        Settings(synchronous="off"),
        Settings(journal_mode="wal", synchronous="off"),
    ],
    ids=str,
)
def test_settings_that_sync_less_are_seen_to_lose_rows(weaker: Settings) -> None:
    """So the tests above would notice."""
    found = lose_power(weaker, 100)
    assert found.share > 10
    assert found.damaged == 0 or weaker.synchronous == "off"


@STRACE
@pytest.mark.parametrize("name", OWN_WAY)
def test_a_librarys_rows_are_lost_if_and_only_if_the_registry_says_so(name: str) -> None:
    pytest.importorskip(LIBRARIES[name].writer.partition(":")[0])
    found = lose_power(name, 60, attempts=200)
    assert (found.lost == 0) == LIBRARIES[name].durable, found
    assert (found.doubled, found.altered) == (0, 0)


def test_the_measured_table_agrees_with_what_settings_and_libraries_declare() -> None:
    page = (PROJECT / "docs" / "durability.md").read_text()
    lines = re.findall(r"^\| `([\w-]+)` \| (yes|no) \| ([\d,]+) \| ([\d.]+)", page, re.MULTILINE)
    as_they_come = {name for name, library in LIBRARIES.items() if library.style == AS_IT_COMES}
    not_measured = {"concurrent", "lmdb", "json-lines", "postgresql"}
    assert {name for name, *_ in lines} >= {*SETTINGS, *as_they_come} - not_measured
    for name, declared, states, share in lines:
        assert declared == ("yes" if is_declared_durable(name) else "no")
        assert (float(share) == 0) == is_declared_durable(name), name
        assert int(states.replace(",", "")) >= 20_000 or name in LIBRARIES


@STRACE
@pytest.mark.parametrize("name", ["default", "grouped", "apsw", "diskcache"])
def test_a_recording_played_to_its_end_is_what_is_on_the_disk(name: str, database: str) -> None:
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name].writer.partition(":")[0])
    recording = record(name, database, workers=3, attempts=100)
    (*_, player) = moments(recording)
    assert player.acknowledged == set(recording.acknowledged) != set()
    for path, file in player.disk.files.items():
        content = bytearray(file.sure)
        for change in file.changes:
            change.apply(content)
        assert Path(path).read_bytes() == content
    assert set(player.disk.files) >= {recording.main}


def test_an_unsynced_write_is_kept_or_dropped_or_damaged_by_sectors_and_nothing_else_is_touched() -> None:
    before, data, start = bytes(12_000), b"\xff" * 8192, 1000
    file = StoredFile(bytearray(before), [Change(start, data, done=True)])
    found = [file.after_power_loss(random.Random(seed), 3 / 8) for seed in range(400)]
    assert all(state[:start] + state[start + len(data) :] == before[len(data) :] for state in found)
    kinds = [set(state[start : start + len(data)]) for state in found]
    assert 100 < kinds.count({0xFF}) < 250
    assert 70 < kinds.count({0}) < 250
    assert any(kind == {0, 0xFF} for kind in kinds)
    assert any(len(kind) > 100 for kind in kinds)
    file.sync(file.changes)
    assert {file.after_power_loss(random.Random(seed), 0) for seed in range(9)} == {bytes(file.sure)} != {before}


def test_a_name_that_is_gone_may_come_back_until_its_folder_is_synced() -> None:
    disk = Disk({"/d/journal": b"old"})
    disk.rename({"/d/journal": None})

    def found() -> set[bool]:
        states = [disk.after_power_loss(random.Random(seed), names_are_sure=False) for seed in range(20)]
        return {"/d/journal" in state for state in states}

    assert found() == {True, False}
    disk.sync_names(disk.unsure_names("/elsewhere"))
    assert found() == {True, False}
    disk.sync_names(disk.unsure_names("/d"))
    assert found() == {False}


@STRACE
def test_the_command_prints_a_table_and_fails_for_a_writer_that_breaks_its_promise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["states", "20", "wal-normal"]) == 0
    assert re.search(r"^\| `wal-normal` \| no \| \d+ \| \d+\.\d% \|", capsys.readouterr().out, re.MULTILINE)
    monkeypatch.setitem(SETTINGS, "grouped", replace(SETTINGS["grouped"], sync_after=False))
    monkeypatch.setattr(Settings, "durable", True)
    assert main(["states", "20", "grouped"]) == 1


@pytest.mark.parametrize(("arguments", "said"), [(["states", "0"], "0 is not a number"), (["states", "9", "x"], "'x'")])
def test_what_the_command_cannot_do_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@STRACE
def test_the_suite_has_the_share_of_each_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # asv runs all benchmarks of a class in one folder, where they leave their reports
    monkeypatch.setattr(durability, "STATES", 30)
    benchmark = durability.Durability()
    benchmark.setup("wal-normal")
    assert benchmark.track_acknowledged_rows_lost_to_power("wal-normal") > 10
    benchmark.setup("default")
    assert benchmark.track_acknowledged_rows_lost_to_power("default") == 0
    assert benchmark.track_acknowledged_rows_lost_with_unsynced_names("default") > 0
    assert benchmark.track_databases_damaged_by_power_loss("default") == 0


def test_without_strace_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotImplementedError, match="strace is not installed"):
        durability.Durability().setup("wal")


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_real_file_system_cut_off_from_its_disk_has_all_rows_of_the_line_and_not_all_of_wal_normal(
    kind: str, tmp_path: Path
) -> None:
    if why := real_power_cut.why_not(kind):
        pytest.skip(why)
    rounds = real_power_cut.main(kind, 1, ["wal-normal", "grouped"], str(tmp_path))
    (without_sync,), (grouped,) = rounds["wal-normal"], rounds["grouped"]
    assert without_sync.lost > 0
    assert (grouped.lost, grouped.doubled, grouped.integrity) == (0, 0, "ok")
    assert grouped.acknowledged > 100
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert list(tmp_path.iterdir()) == []
