"""The table of Python libraries as text: for the terminal, and as Markdown; measures nothing and knows no page.

``python -m dashboard.libraries`` prints what asv has stored, for each machine or for the one that is named.
``--markdown`` prints it for docs/libraries.md, and with ``--short`` for the README.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.repo import get_repo
from asv.util import UserError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sqlite_writes.writers.libraries import AS_ADVISED, AS_IT_COMES, IN_TURN

from .history import read_histories
from .library_table import LEGEND, OUR_SETTINGS, OVER_SQLITE, STYLE_MEANINGS, latest_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .library_table import Entry, Family, LibraryTable

# Of the columns in a terminal of 80: the style, two counts, two times.
WIDTHS = (20, 17, 14, 10, 10)

# Lines of the short table, and its columns.
SHORT = 14
SHORT_STYLES = (AS_IT_COMES, AS_ADVISED, IN_TURN)


class ShortLine(NamedTuple):
    """A line of the short table: one library doing one thing, or several of which no row failed."""

    group: str
    title: str
    cells: tuple[str, ...]
    share: float

    @property
    def clean(self) -> bool:
        """No row failed, in any style that was measured."""
        return set(self.cells) <= {"0", ""}


def print_table(table: LibraryTable, console: Console) -> None:
    """Print the table of one machine, and why rows failed."""
    largest, *_ = table.sizes
    console.print(Text("Python libraries under N processes at one moment", style="bold"))
    console.print(Text(f"{table.where}."))
    heads = [*(f"failed of {size}" for size in table.sizes), f"burst of {largest}", f"slowest of {largest}"]
    console.print(_printed([("", *heads)]))
    for group, families in table.groups.items():
        console.print(Text(f"\n{group}", style="underline"))
        for family in families:
            if group != OUR_SETTINGS:
                console.print(Text(f"{family[0].title} {family[0].version}".strip(), style="bold"))
            for entry in family:
                label = f"  {entry.label}"
                if entry.why_absent:
                    console.print(Text(f"{label:<{WIDTHS[0] + 2}}n/a: {entry.why_absent}", style="dim"))
                else:
                    failed = (_terminal_cell(entry, size) for size in table.sizes)
                    console.print(_printed([(label, *failed, *_times(entry, largest))]))
    console.print()
    for entry, what in table.failing:
        words = [f": {what}.", *_words(entry), table.ending(entry)]
        console.print(Text.assemble((entry.full_name, "bold"), " ".join(words).rstrip()))
    console.print(Text(f"\n{table.counted} {' '.join(LEGEND)}", style="dim"))
    for style, meaning in STYLE_MEANINGS.items():
        console.print(Text(f"  {style}: {meaning}", style="dim"))
    console.print()


def _printed(lines: Iterable[Sequence[str | Text]]) -> Table:
    """Return lines whose columns are as wide as those of every other; what has no room is wrapped, never cut."""
    printed = Table.grid(padding=(0, 2, 0, 0))
    for line in lines:
        for place in range(len(printed.columns), len(line)):
            width = WIDTHS[min(place, len(WIDTHS) - 1)]
            printed.add_column(width=width, justify="right" if place else "left", overflow="fold")
        printed.add_row(*line)
    return printed


def _terminal_cell(entry: Entry, size: int) -> Text:
    warnings = entry.warnings(size)
    style = "bold red" if warnings or entry.broke(size) else "yellow" if entry.share(size) else ""
    return Text(", ".join([entry.failed_text(size), *warnings]), style=style)


def _times(entry: Entry, size: int) -> tuple[str, str]:
    if entry.why_absent:
        return "n/a", "n/a"
    return entry.burst_time_text(size), entry.slowest_text(size)


def to_markdown(table: LibraryTable) -> str:
    """Return the whole table of one machine: each group, and a sentence for each writer of whom rows failed."""
    largest, *_ = table.sizes
    heads = ["library", "style", *(f"failed of {size}" for size in table.sizes)]
    heads += [f"burst of {largest}", f"slowest of {largest}", "version"]
    parts = [_wrapped(f"Measured at {table.where}. {table.counted} {' '.join(LEGEND)}")]
    parts.append(_markdown_table(["style", "what it is"], 2, STYLE_MEANINGS.items()))
    for group, families in table.groups.items():
        lines = [_markdown_line(entry, table.sizes) for family in families for entry in family]
        parts.append(f"### {group}\n\n{_markdown_table(heads, 2, lines)}")
    sentences = [
        _wrapped(
            " ".join([f"- **{_escaped(entry.full_name)}**: {what}.", *_words(entry, "[Its documentation]({})")]), "  "
        )
        for entry, what in table.failing
    ]
    if sentences:
        parts += ["### Why rows failed", "\n".join(sentences)]
    ended = [[it.entry.full_name, it.error, it.option, it.failed, it.then] for it in table.ended]
    if ended:
        heads = ["writer", "how rows fail", "what is changed", f"failed of {largest}", "then"]
        parts += ["### The one option that ends it", _markdown_table(heads, 3, ended)]
    return "\n\n".join(parts) + "\n"


def _markdown_line(entry: Entry, sizes: list[int]) -> list[str]:
    failed = [f"n/a: {entry.why_absent}" if entry.why_absent else _markdown_cell(entry, size) for size in sizes]
    if entry.why_absent:
        failed[1:] = ["n/a"] * (len(sizes) - 1)
    names = [f"`{entry.name}`", ""] if entry.title == OUR_SETTINGS else [entry.title, entry.label]
    return [*names, *failed, *_times(entry, sizes[0]), entry.version]


def _markdown_cell(entry: Entry, size: int) -> str:
    if entry.why_absent:
        return "n/a"
    text = ", and ".join([entry.failed_text(size), *entry.warnings(size)])
    return f"**{text}**" if entry.share(size) or entry.warnings(size) or entry.broke(size) else text


def _words(entry: Entry, link: str = "{}") -> list[str]:
    """Return the registry's note and the link to the library's own words, each if there is one."""
    return [words for words in (entry.note, entry.link and link.format(entry.link)) if words]


def _markdown_table(heads: Sequence[str], words: int, lines: Iterable[Sequence[str]]) -> str:
    """Return a table whose first columns are words, and whose other ones are numbers."""
    rule = ["---" if place < words else "---:" for place in range(len(heads))]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in (heads, rule, *lines))


def _wrapped(text: str, indent: str = "") -> str:
    """Return the text in lines as long as those of this project's documents."""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def to_short_markdown(table: LibraryTable) -> str:
    """Return at most 14 lines, one a library, with the failed rows of the largest burst by style.

    Where there are more, libraries of which no row failed share lines. If that is not enough, those that failed least
    are left out, and their number is said.
    """
    lines = list(_short_lines(table))
    if len(lines) > SHORT:
        lines = _merged(lines)
    left_out = 0
    while len(lines) > SHORT:
        failing = [line for line in lines if line.group == OVER_SQLITE and not line.clean]
        lines.remove(min(failing or lines, key=lambda line: line.share))
        left_out += 1
    heads = [f"failed rows of {table.sizes[0]}", *SHORT_STYLES]
    text = _markdown_table(heads, 1, [(line.title, *line.cells) for line in lines])
    more = f" {left_out} more are in the whole table." if left_out else ""
    return f"{text}\n\n{_wrapped(f'Measured at {table.where}. {table.counted}{more}')}\n"


def _short_lines(table: LibraryTable) -> Iterator[ShortLine]:
    size = table.sizes[0]
    for group, families in table.groups.items():
        for family in families:
            if group == OUR_SETTINGS:
                for entry in family:
                    yield ShortLine(group, f"`{entry.name}`", (_markdown_cell(entry, size), "", ""), entry.share(size))
            else:
                yield ShortLine(group, family[0].title, _by_style(family, size), max(of.share(size) for of in family))


def _by_style(family: Family, size: int) -> tuple[str, ...]:
    return tuple(
        "; ".join(_markdown_cell(entry, size) for entry in family if entry.style == style) for style in SHORT_STYLES
    )


def _merged(lines: list[ShortLine]) -> list[ShortLine]:
    """Return the lines, of which those that are alike and clean have become one, at the place of the first."""
    found: dict[tuple[str, ...], ShortLine] = {}
    for line in lines:
        key = line.cells if line.clean and line.group == OVER_SQLITE else (line.group, line.title)
        known = found.get(key)
        found[key] = known._replace(title=f"{known.title}; {line.title}") if known else line
    return list(found.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 if there are none."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.libraries", description=__doc__.partition("\n")[0])
    parser.add_argument("machine", nargs="?", help="only this machine")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--short", action="store_true", help=f"print Markdown of at most {SHORT} lines")
    asked = parser.parse_args(arguments)
    tables, unreadable, reason = list["LibraryTable"](), list[str](), "nothing was measured"
    try:
        config = Config.load()
        repo = get_repo(config)
        shown = {commit for branch in config.branches for commit in repo.get_branch_commits(branch)}
        histories, unreadable = read_histories(config, Benchmarks.load(config), repo.get_revisions(shown))
        tables = [table for table in latest_tables(histories) if asked.machine in (None, table.history.machine)]
    except UserError as error:
        reason = " ".join(str(error).split())
    if not tables:
        where = f" on {asked.machine}" if asked.machine else ""
        sys.stderr.write(f"no results of libraries{where} ({reason}): run make libraries first\n")
        return 1
    if asked.markdown or asked.short:
        sys.stdout.write("\n".join(map(to_short_markdown if asked.short else to_markdown, tables)))
    else:
        console = Console()
        for table in tables:
            print_table(table, console)
    for file in unreadable:
        sys.stderr.write(f"result that cannot be read: {file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
