"""The rows that were to be written against those that are there: copies, altered ones, unexpected ones.

Knows neither how a row is written or read, nor what its insert said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .table import Row

# What two values have in common at their beginning, at least, if the one is to pass for the other, altered.
_ALIKE = 8


@dataclass(frozen=True)
class Check:
    """What the table says of each row of a burst.

    copies: how many more times it was there after the burst than before.
    instead: the row that is there in its place, altered; None if there is none.
    unexpected: how many rows more are there that nobody in the burst wrote, altered ones not counted.
    """

    copies: tuple[int, ...]
    instead: tuple[Row | None, ...]
    unexpected: int = 0


def check_rows(rows: Sequence[Row], before: Iterable[Row], after: Iterable[Row]) -> Check:
    """Compare what was to be written with what was there before the burst and is there after it.

    A row that nobody wrote passes for an altered one if the two begin alike. What has nothing in common with any row is
    unexpected; somebody else may have written it.
    """
    new = Counter(map(_key, after))
    new.subtract(map(_key, before))
    keys = [_key(row) for row in rows]
    written = set(keys)
    unexpected = [value for (kind, value), count in new.items() if count > 0 and (kind, value) not in written]
    instead: list[Row | None] = [None] * len(rows)
    texts = [_text_of(row[0]) for row in rows] if unexpected else []
    beginnings: dict[str, list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        beginnings[text[:_ALIKE]].append(index)
    left = 0
    for found in unexpected:
        text = _text_of(found)
        # Others may have written many rows meanwhile: compare one only with what begins as it does.
        lengths = range(1, _ALIKE + 1) if len(text) >= _ALIKE else ()
        near = [index for length in lengths for index in beginnings.get(text[:length], ())]
        free = [index for index in (near if lengths else range(len(rows))) if instead[index] is None]
        alike = {index: likeness for index in free if (likeness := _alike(texts[index], text))}
        if alike:
            # A row that is not there comes first; another one is there as written, and once more altered.
            instead[max(sorted(alike), key=lambda index: (new[keys[index]] < 1, alike[index]))] = (found,)
        else:
            left += 1
    return Check(tuple(new[key] for key in keys), tuple(instead), left)


def _key(row: Row) -> tuple[type, Any]:
    """Tell 1 from 1.0 and from "1", which are equal or sorted alike somewhere on the way; SQLite has no booleans."""
    (value,) = row
    return (int, int(value)) if isinstance(value, bool) else (type(value), value)


def _text_of(value: object) -> str:
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip().casefold()


def _alike(one: str, other: str) -> int:
    """How many characters the two have in common at their beginning; 0 if too few for the one to be the other."""
    length = min(_ALIKE, len(one), len(other))
    if one[:length] != other[:length]:
        return 0
    return next((place for place, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
