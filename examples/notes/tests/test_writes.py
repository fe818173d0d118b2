"""Whether every note gets in when many processes add one each at the same moment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from notes import store

from sqlite_writes import generate_rows_of_every_kind
from sqlite_writes.testing import assert_writes_hold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def insert(add: Callable[[str, str], None], path: str, row: tuple[str]) -> None:
    """Insert a row as sqlite-writes has it."""
    add(path, *row)


def test_add(tmp_path: Path) -> None:
    """No note is refused, lost or there twice."""
    path = str(tmp_path / "notes.db")
    store.create(path)
    assert_writes_hold(partial(insert, store.add, path), partial(store.texts, path), workers=50)


def test_add_in_turn(tmp_path: Path) -> None:
    """The same, with the advice taken."""
    path = str(tmp_path / "notes.db")
    store.create(path)
    assert_writes_hold(partial(insert, store.add_in_turn, path), partial(store.texts, path), workers=50)


def test_every_kind_of_text(tmp_path: Path) -> None:
    """Long ones, empty ones, every plane of Unicode, quotes and NUL come back as they were."""
    path = str(tmp_path / "notes.db")
    store.create(path)
    insert_row, texts = partial(insert, store.add_in_turn, path), partial(store.texts, path)
    assert_writes_hold(insert_row, texts, values=generate_rows_of_every_kind("text"))
