"""Settings: named, checked, and refused in one clear line."""

from __future__ import annotations

from typing import Any

import pytest

from sqlite_writes import SETTINGS, Settings
from sqlite_writes.settings import resolve_settings


def test_a_name_or_settings_will_do() -> None:
    assert resolve_settings("wal") is SETTINGS["wal"]
    own = Settings(busy_timeout=1)
    assert resolve_settings(own) is own


@pytest.mark.parametrize("unknown", ["WAL", "", None, 5, ["wal"]])
def test_unknown_settings_list_the_known_ones(unknown: object) -> None:
    with pytest.raises(ValueError, match=f"is not a Settings nor one of {', '.join(SETTINGS)}$"):
        resolve_settings(unknown)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("journal_mode", "memory"),
        ("synchronous", "FULL"),
        ("transaction", None),
        ("line", "yes"),
        ("line", None),
        ("sync_after", 2),
        ("retry", -0.001),
        ("retry", float("nan")),
        ("retry", "1"),
        ("busy_timeout", -1),
        ("busy_timeout", float("nan")),
        ("busy_timeout", "5"),
        ("busy_timeout", 1e10),
    ],
)
def test_a_value_that_is_not_allowed_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} {value!r} is not "):
        Settings(**{"transaction": "immediate", field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"line": True}, "a line, or a retry, needs transaction 'immediate', not 'implicit'"),
        (
            {"retry": 0.5, "transaction": "implicit"},
            "a line, or a retry, needs transaction 'immediate', not 'implicit'",
        ),
        (
            {"retry": 0.5, "transaction": "concurrent", "journal_mode": "wal"},
            "a line, or a retry, needs transaction 'immediate', not 'concurrent'",
        ),
        (
            {"line": True, "retry": 0.5, "transaction": "immediate"},
            "retry 0.5 needs no line: in line nobody tries",
        ),
        (
            {"sync_after": True, "synchronous": "normal"},
            "sync_after needs journal_mode 'wal' and synchronous 'normal', not 'delete' and 'normal'",
        ),
        (
            {"sync_after": True, "journal_mode": "wal"},
            "sync_after needs journal_mode 'wal' and synchronous 'normal', not 'wal' and 'full'",
        ),
        ({"transaction": "concurrent"}, "transaction 'concurrent' needs journal_mode 'wal', not 'delete'"),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Settings(**values)


def test_a_line_goes_with_every_synchronous_and_journal_mode_that_is_immediate() -> None:
    for journal_mode in ("delete", "wal"):
        for synchronous in ("full", "normal", "off"):
            assert Settings(journal_mode, synchronous, transaction="immediate", line=True).line


def test_the_named_settings_that_promise_a_durable_row_sync_it() -> None:
    for name in ("default", "wal", "patient", "fair", "synced", "queued", "grouped", "concurrent"):
        assert SETTINGS[name].synchronous == "full" or SETTINGS[name].sync_after, name
