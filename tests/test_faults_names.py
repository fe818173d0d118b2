"""A database is the file of the path that was given, whatever is in its name; a URI is none."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sqlite_writes import (
    create_table,
    create_table_of,
    generate_example_rows,
    insert_rows_in_parallel,
    pool_map,
    write_turn,
)
from sqlite_writes.kept_open import insert_rows_kept_open
from sqlite_writes.writers.libraries import AS_IT_COMES, IN_TURN, LIBRARIES

from . import fault_writers

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_writes.table import Row

    from .conftest import Living


ODD_NAMES = [
    "a b.db",
    'it\'s "quoted".db',
    "what?.db",
    "#1.db",
    "100%25 %s.db",
    "{0}$HOME;`ls`.db",
    "Zürich 数据 🗄.db",
    "-dash.db",
    "a\nline.db",
    "back\\slash.db",
    "x?mode=ro&y.db",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_is_that_file_whatever_is_in_its_name(name: str, tmp_path: Path, marked: Living) -> None:
    for settings in ("wal", "grouped"):
        folder = tmp_path / settings / name
        folder.mkdir(parents=True)
        database = folder / name
        create_table(database, settings)
        insert_rows_in_parallel(database, generate_example_rows(3), settings).raise_for_failures()
        assert {path.name for path in folder.iterdir()} <= {name, f"{name}-write-line"}


def test_a_librarys_writer_takes_such_a_path_too(tmp_path: Path, marked: Living) -> None:
    """Some make a URL or a URI of it. As it comes and in turn: the options of the others are no part of a path."""
    names = [name for name, library in LIBRARIES.items() if library.style in {AS_IT_COMES, IN_TURN}]
    names = [name for name in names if name != "postgresql"]  # where the path is no file's
    outcomes = pool_map(partial(fault_writers.write_one, str(tmp_path)), names)
    for name, outcome in zip(names, outcomes):
        if isinstance(outcome.exception, NotImplementedError):
            continue  # not installed
        assert outcome.status == "returned", (name, outcome.traceback)
        rows, there = outcome.result or ([], [])
        assert rows == [(f"row of {name}",)]
        assert fault_writers.ODD in there
        assert all(path.startswith(fault_writers.ODD) for path in there), there


URIS = ["file:app.db", "file:app.db?mode=ro", "file:///app.db", "file::memory:?cache=shared"]


@pytest.mark.parametrize(
    ("name", "said"), [*((name, "is a URI: give the path of the file") for name in URIS), (":memory:", "is in memory")]
)
def test_what_is_no_path_is_refused_in_one_line_and_no_file_of_that_name_is_made(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows: list[Row] = [("x",)]
    for use in (
        lambda: create_table(name, "wal"),
        lambda: create_table_of("apsw", name),
        lambda: insert_rows_in_parallel(name, rows, "wal"),
        lambda: insert_rows_in_parallel(name, rows, "apsw"),
        lambda: insert_rows_kept_open(name, rows, "apsw", workers=1),
        lambda: write_turn(name).__enter__(),
    ):
        with pytest.raises(ValueError, match=rf"^database '{re.escape(name)}' {said}"):
            use()
    assert os.listdir(tmp_path) == []


def test_a_folder_has_no_turns(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="a database is a file"), write_turn(tmp_path):
        pass
    assert not list(tmp_path.parent.glob("*-write-line"))


def test_a_file_whose_name_begins_so_can_be_given_by_its_folder(tmp_path: Path, marked: Living) -> None:
    create_table(tmp_path / "file:app.db", "wal")
    insert_rows_in_parallel(tmp_path / "file:app.db", generate_example_rows(2), "wal").raise_for_failures()
    assert os.listdir(tmp_path) == ["file:app.db"]
