"""Which bugs of SQLite that concern concurrent writers a version has, by its number alone; knows nothing else.

A distribution may have mended its SQLite without a new number.
"""

from __future__ import annotations

# Name, what it does, the first version with it, the first without it, the backports without it, and where it is told.
_BUGS = (
    (
        "WAL-reset bug",
        "in WAL mode a checkpoint that meets a commit of another connection can lose rows",
        (3, 7, 0),
        (3, 51, 3),
        ((3, 44, 6), (3, 50, 7)),
        "https://sqlite.org/wal.html#walresetbug",
    ),
)


def known_bugs(version: str) -> list[str]:
    """Return one line for each bug that SQLite of this version (such as ``"3.40.1"``) has by its number."""
    number = tuple(map(int, version.split(".")[:3]))
    found = []
    for name, effect, since, until, backports, link in _BUGS:
        is_mended = any(number[:2] == mended[:2] and number >= mended for mended in backports)
        if since <= number < until and not is_mended:
            found.append(f"{name} (affected by its version number): {effect}; {link}")
    return found
