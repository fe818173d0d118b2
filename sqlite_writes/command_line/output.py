"""How an answer is shown: tables, a histogram, numbers in words; for a terminal, as Markdown, as JSON.

Knows what a table is, and neither what is measured nor what it means.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from typing import TYPE_CHECKING, Any, TextIO

from sqlite_writes.library import known_bugs, library_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

# Of the JSON document; schema.json says what is in it. It changes when a reader of the earlier one would err.
VERSION = 1

# Where the terminal or the pipe takes only ASCII.
_PLAIN = str.maketrans({"…": "...", "—": "-", "→": "->", "█": "#"})

_SHORTEST_NAME, _LONGEST_NAME = 10, 30

# The ends of a histogram's classes, in each power of ten.
_ENDS = (1, 2, 5)


@dataclass(frozen=True)
class Table:
    """Words and numbers in columns.

    left: the names of the columns whose words begin at the left; the others end at the right.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: frozenset[str] = frozenset()


def console() -> Console:
    """Return where the answer goes: standard output, 80 columns wide where nobody says otherwise."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def say(text: str = "", style: str = "", indent: int = 0) -> None:
    """Print a sentence, broken into lines at words; ``indent``: how far the second line and those after it stand in."""
    shown = console()
    lines = wrap(text, shown.width, indent) or [""]
    with shown.capture() as caught:
        for line in lines:
            shown.print(printable(line), style=style, soft_wrap=True)
    _write(caught.get())


def wrap(text: str, width: int, indent: int = 0) -> list[str]:
    """Break the text into lines at its blanks; a word that is longer than a line, such as a link, stays whole."""
    return textwrap.wrap(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def show(table: Table) -> None:
    """Print a table, without lines between its rows."""
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    widths = [max(map(len, column)) for column in zip(table.columns, *table.rows)]
    room = console().width - sum(widths[1:]) - 3 * len(widths)  # with what is between them
    for place, column in enumerate(table.columns):
        drawn.add_column(
            printable(column),
            justify="left" if column in table.left else "right",
            overflow="fold",
            # A long name goes on in the next line, and not a number.
            no_wrap=bool(place) and room >= _SHORTEST_NAME,
            min_width=0 if place else min(widths[0], room if room >= _SHORTEST_NAME else _LONGEST_NAME),
        )
    for row in table.rows:
        drawn.add_row(*map(printable, row))
    shown = console()
    with shown.capture() as caught:
        shown.print(drawn)
    _write("".join(f"{line.rstrip()}\n" for line in caught.get().splitlines()))


def _write(text: str) -> None:
    """Write to standard output; when nobody reads on, to nowhere: the files that were asked for are still written."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str, stream: TextIO | None = None) -> str:
    """Return the text as the stream, standard output unless given, can take it."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def markdown(table: Table) -> str:
    """Return the table as GitHub and others render it."""
    rules = [":---" if column in table.left else "---:" for column in table.columns]
    lines = [table.columns, rules, *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def seconds_text(seconds: float | None) -> str:
    """Return the time in a unit in which it is easily read."""
    if seconds is None:
        return "-"
    if seconds < 0.0095:
        return f"{1000 * seconds:.1f} ms"
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def count_of(number: int, what: str) -> str:
    """Return ``1 process``, ``2 processes``, ``3 bursts``."""
    if number == 1:
        return f"1 {what}"
    return f"{number} {what}{'es' if what.endswith('s') else 's'}"


def time_left_text(seconds: float) -> str:
    """Return the time roughly: it is an estimate."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min"


def histogram(times: Sequence[float], width: int) -> list[str]:
    """Return lines that show how many of the times fall in each class; the classes end at 1, 2 and 5, and so on.

    times: in seconds. width: of a line, in characters.
    """
    if not times:
        return []
    ends = [_end_above(min(times))]
    while ends[-1] < max(times):
        ends.append(_end_above(ends[-1] * 1.001))
    counts = [0] * len(ends)
    for time in times:
        counts[next(place for place, end in enumerate(ends) if time <= end)] += 1
    labels = [_class_text(end) for end in ends]
    room = width - max(map(len, labels)) - len(str(max(counts))) - 2
    return [
        f"{label:>{max(map(len, labels))}} {count:>{len(str(max(counts)))}} {_bar(count, max(counts), room)}".rstrip()
        for label, count in zip(labels, counts)
    ]


def _end_above(seconds: float) -> float:
    """Return the end of the class in which this time is."""
    power = 10.0 ** math.floor(math.log10(max(seconds, 1e-6)))
    return next(end for end in (*(power * step for step in _ENDS), 10 * power) if seconds <= end * 1.0000001)


def _class_text(end: float) -> str:
    milliseconds = 1000 * end
    return f"up to {milliseconds:g} ms" if milliseconds < 1000 else f"up to {round(end, 6):g} s"


def _bar(count: int, largest: int, room: int) -> str:
    length = round(count / largest * max(room, 1))
    return "█" * (max(length, 1) if count else 0)


def document(command: str, **content: Any) -> dict[str, Any]:
    """Return what every JSON document begins with, and the rest."""
    version, source_id = library_version()
    return {
        "version": VERSION,
        "command": command,
        "measured_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "package_version": package_version(),
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "processors": os.cpu_count() or 0,
            "python": platform.python_version(),
            "sqlite": version,
            "sqlite_source_id": source_id,
            "sqlite_known_bugs": known_bugs(version),
        },
        **content,
    }


def package_version() -> str:
    """Return the version that is installed; ``"unknown"`` where only the files are there."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version("sqlite-writes")
    return "unknown"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write the document."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_markdown(path: Path, parts: Sequence[str]) -> None:
    """Write the parts, an empty line between two."""
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def machine_text() -> str:
    """Return in one line what was measured with."""
    version, _ = library_version()
    return (
        f"{platform.system()} {platform.release()}, {count_of(os.cpu_count() or 0, 'processor')}, "
        f"Python {platform.python_version()}, SQLite {version}"
    )
