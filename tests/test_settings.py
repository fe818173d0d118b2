"""Settings: named, checked, and refused in one clear line."""

from __future__ import annotations

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
        ("queue", "lines"),
        ("busy_timeout", -1),
        ("busy_timeout", float("nan")),
        ("busy_timeout", "5"),
        ("busy_timeout", 1e10),
    ],
)
def test_a_value_that_is_not_allowed_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} {value!r} is not "):
        Settings(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"queue": "lock"}, "queue 'lock' needs transaction 'immediate', not 'implicit'"),
        (
            {"queue": "group", "transaction": "immediate", "synchronous": "normal"},
            "queue 'group' needs synchronous 'full', not 'normal': it commits for others",
        ),
    ],
)
def test_a_queue_with_settings_that_it_cannot_keep_is_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Settings(**values)  # type: ignore[arg-type]
