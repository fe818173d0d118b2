"""Python libraries under a burst, as one table for each machine; knows asv's numbers, and neither page nor terminal.

What a library is called, and why its rows fail, is in the package's registry (``sqlite_writes.writers.libraries``).
Writers that belong together stand together: one library doing one thing, in each style. Other stores are last.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from sqlite_writes.settings import SETTINGS
from sqlite_writes.writers.endings import ENDINGS, Ending
from sqlite_writes.writers.libraries import LIBRARIES, STYLES, Library

from .alarms import WHAT_HAPPENED
from .history import plain_name
from .results import LIBRARY_BURST, Value, number_text, rows_text, way_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .history import History, Measurement

OUR_SETTINGS = "Settings of this package"
OVER_SQLITE = "Libraries that write to SQLite"
BESIDE_SQLITE = "Not SQLite, at the same durability"

# How the table is to be read, as sentences.
LEGEND = (
    "A burst is N processes, released at one moment, with one row each.",
    "Failed rows are means over the bursts, with their range where it was recorded; times are medians.",
    "A failed row is an error that the library reported; how soon it reports one is often the choice of a default.",
    "The stores that are not SQLite sync each row before they acknowledge it, too.",
    "* a power loss may take the last rows, by what the library sets.",
)
_MEANINGS = (
    "what the first page of the library's documentation gives",
    "what its documentation advises for many writers",
    "as it comes, but for the option that ends its failures",
    "as advised, but for the option that ends its failures",
    "the same, and one option more",
    "as it comes, within write_turn",
)
STYLE_MEANINGS = dict(zip(STYLES, _MEANINGS))

# Names of writers that leave SQLite begin with these; and of those that need a server, which somebody has to name.
OTHER_STORES = ("lmdb", "json-lines", "postgresql")
SERVERS = ("postgresql",)

# Whether asv was told to take the time itself, or was given it.
BURST_TIME = ("time_burst", "track_burst_time")
NOT_MEASURED = "not measured"
NOT_KNOWN = "not known"
UNKNOWN = "not in the registry"


@dataclass(frozen=True)
class Entry:
    """A writer: one library in one style, and what it gave by number of workers.

    label: its style, or the name of its settings, told apart from others. version: of the library, or what brings it.
    why_absent: why there is no number at all; empty if there is one. note and link: the registry's words, and the
    library's own.
    """

    name: str
    title: str
    style: str
    label: str
    version: str
    note: str
    link: str
    why_absent: str
    values: Mapping[tuple[str, int], Value]

    @property
    def full_name(self) -> str:
        """The library and its style, to begin a sentence with."""
        return f"{self.label} settings" if self.title == OUR_SETTINGS else f"{self.title}, {self.label}"

    def failed(self, workers: int) -> Value | None:
        """Return the mean of the failed rows: asv's own number is a median where it was given samples."""
        value = self.values.get(("track_failed_rows", workers))
        if value is None or not value.measured or not value.samples:
            return value
        return replace(value, number=sum(value.samples) / len(value.samples))

    def range_text(self, workers: int) -> str:
        """Return the fewest and the most failed rows of a burst; empty if they are the same, or were not recorded."""
        value = self.failed(workers)
        samples = value.samples if value else ()
        least, most = min(samples, default=0), max(samples, default=0)
        return "" if least == most else f"{rows_text(least)}\N{EN DASH}{rows_text(most)}"

    def failed_text(self, workers: int) -> str:
        """Return the mean of the failed rows, with their range if it is known."""
        between = self.range_text(workers)
        text = _text(self.failed(workers), "rows")
        return f"{text} ({between})" if between else text

    def burst_time_text(self, workers: int) -> str:
        """Return the burst time, asv's median over the bursts."""
        found = (self.values.get((name, workers)) for name in BURST_TIME)
        return _text(next((value for value in found if value is not None), None), "seconds")

    def slowest_text(self, workers: int) -> str:
        """Return the slowest insert of a burst, asv's median over the bursts."""
        return _text(self.values.get(("track_slowest_insert", workers)), "seconds")

    def share(self, workers: int) -> float:
        """Return the share of the rows that failed, from 0 to 1."""
        value = self.failed(workers)
        return min(1.0, value.number / workers) if value and value.number and value.measured else 0.0

    def warnings(self, workers: int) -> list[str]:
        """Return what must never be, as "3 lost": rows lost, altered or there twice."""
        said = []
        for what, words in WHAT_HAPPENED.items():
            value = self.values.get((f"track_{what}_rows", workers))
            if value is not None and value.measured and value.number:
                said.append(f"{number_text(value.number, 'rows')} {words}")
        return said

    def broke(self, workers: int) -> bool:
        """Whether the benchmark itself failed, so that nothing is known of its rows."""
        value = self.failed(workers)
        return value is not None and value.failed

    def what_happened(self, sizes: list[int]) -> str:
        """Return what failed, or must never be, in each size of burst; empty if all was well."""
        said = []
        for workers in sizes:
            parts = [f"{self.failed_text(workers)} failed"] if self.share(workers) else []
            parts += ["the benchmark itself failed"] if self.broke(workers) else []
            parts += self.warnings(workers)
            said += [f"of {workers} rows, {' and '.join(parts)}"] if parts else []
        return "; ".join(said)


def _text(value: Value | None, unit: str) -> str:
    return NOT_MEASURED if value is None else value.text(unit)


# One library doing one thing, in each style.
Family = list[Entry]


class Ended(NamedTuple):
    """A writer of whom rows failed, and what the change of one option made of it; in words for a table."""

    entry: Entry
    error: str
    option: str
    failed: str
    then: str

    @property
    def sentence(self) -> str:
        """The same to stand behind why they failed; empty where it is not known."""
        return "" if self.error == NOT_KNOWN else f"{self.error}; with {self.option}: {self.then}."


@dataclass(frozen=True)
class LibraryTable:
    """The table of one machine at one commit; ``sizes`` are numbers of workers, the largest first."""

    history: History
    revision: int
    sizes: list[int]
    groups: dict[str, list[Family]]
    endings: Mapping[str, Ending]

    @property
    def measurement(self) -> Measurement:
        """What it is made of."""
        return self.history.measurements[self.revision]

    @property
    def where(self) -> str:
        """The commit, Python, SQLite and machine."""
        return f"commit {self.measurement.commit[:8]}, {self.history.name(self.revision)}"

    @property
    def entries(self) -> list[Entry]:
        """Every writer, in the order of the table."""
        return [entry for families in self.groups.values() for family in families for entry in family]

    @property
    def failing(self) -> list[tuple[Entry, str]]:
        """The writers of whom a row failed, or worse, and what happened."""
        told = [(entry, entry.what_happened(self.sizes)) for entry in self.entries]
        return [(entry, what) for entry, what in told if what]

    @property
    def ended(self) -> list[Ended]:
        """For each writer of whom a row failed, which error it was, and how many of the largest burst fail without."""
        named, size = {entry.name: entry for entry in self.entries}, self.sizes[0]
        found = []
        for entry in self.entries:
            if any(map(entry.share, self.sizes)):
                error, option, ends = self.endings.get(entry.name, (NOT_KNOWN, NOT_KNOWN, ""))
                then = named.get(ends)
                left = NOT_MEASURED if then is None or then.why_absent else then.failed_text(size)
                found.append(Ended(entry, error, option, entry.failed_text(size), left))
        return found

    def ending(self, entry: Entry) -> str:
        """Return the error of a writer's rows and what ends it, as a sentence; empty where that is not known."""
        return next((ended.sentence for ended in self.ended if ended.entry is entry), "")

    @property
    def warned(self) -> list[str]:
        """What must never be, as lines: whose rows were lost, altered or are there twice."""
        told = [(entry, size, entry.warnings(size)) for entry in self.entries for size in self.sizes]
        return [f"{entry.full_name}: of {size} rows, {' and '.join(what)}" for entry, size, what in told if what]

    @property
    def counted(self) -> str:
        """How many failed, as a sentence."""
        measured = [entry for entry in self.entries if not entry.why_absent]
        size = self.sizes[0]
        failed = sum(1 for entry in measured if entry.share(size))
        return f"Rows failed in {failed} of {len(measured)} ways to write, in a burst of {size}."


def latest_tables(
    histories: list[History],
    registry: Mapping[str, Library] = LIBRARIES,
    endings: Mapping[str, Ending] = ENDINGS,
) -> list[LibraryTable]:
    """Return a table for each machine that has measured libraries, at the newest commit at which it did."""
    tables = []
    for _, of_machine in itertools.groupby(histories, key=lambda history: history.machine):
        found = [
            (revision, _libraries_measured(measurement, registry), place, history)
            for place, history in enumerate(of_machine)
            for revision, measurement in history.measurements.items()
        ]
        # Of two environments at one commit, what measured more of them; of Pythons, the newest.
        best = max((one for one in found if one[1]), default=None, key=lambda one: one[:3])
        if best is not None:
            tables.append(_table(best[3], best[0], registry, endings))
    return tables


def _libraries_measured(measurement: Measurement, registry: Mapping[str, Library]) -> int:
    """Count what was measured of installed libraries: what Python itself brings is measured in any environment."""
    cells = measurement.values.get(f"{LIBRARY_BURST}.track_failed_rows", {})
    names = [way_of(parameters)[1] for parameters, value in cells.items() if value.measured]
    return sum(1 for name in names if name not in SETTINGS and (name not in registry or registry[name].distribution))


def _table(
    history: History, revision: int, registry: Mapping[str, Library], endings: Mapping[str, Ending]
) -> LibraryTable:
    measurement = history.measurements[revision]
    values: dict[str, dict[tuple[str, int], Value]] = {}
    for benchmark, cells in measurement.values.items():
        of, _, metric = benchmark.rpartition(".")
        for parameters, value in cells.items() if of == LIBRARY_BURST else ():
            workers, name = way_of(parameters)
            values.setdefault(name, {})[metric, workers] = value
    sizes = sorted({workers for of_name in values.values() for _, workers in of_name}, reverse=True)
    groups: dict[str, dict[tuple[str, str], Family]] = {OUR_SETTINGS: {}, OVER_SQLITE: {}, BESIDE_SQLITE: {}}
    for name, of_name in values.items():
        entry = _entry(name, registry, of_name, history, measurement)
        if name in SETTINGS:
            group = maker = OUR_SETTINGS
        else:
            group = BESIDE_SQLITE if name.startswith(OTHER_STORES) else OVER_SQLITE
            distribution = registry[name].distribution if name in registry else ""
            maker = plain_name(distribution) or name.partition("-")[0]
        groups[group].setdefault((maker, entry.title), []).append(entry)
    in_order = {title: _in_order(of) for title, of in groups.items() if of}
    return LibraryTable(history, revision, sizes, in_order, endings)


def _entry(
    name: str,
    registry: Mapping[str, Library],
    values: Mapping[tuple[str, int], Value],
    history: History,
    measurement: Measurement,
) -> Entry:
    if name in SETTINGS:
        settings = SETTINGS[name]
        note = f"Journal mode {settings.journal_mode}, synchronous {settings.synchronous}, a busy timeout of "
        note += f"{settings.busy_timeout:g} s, {settings.transaction} transactions."
        library = Library("", OUR_SETTINGS, "", style=name, note=note)
    else:
        library = registry.get(name, Library("", name, "", style=UNKNOWN))
    installed = measurement.required.get(plain_name(library.distribution), "")
    if not library.distribution:
        version = f"Python {history.python}" if name in registry else ""
    elif library.title.lower().startswith(library.distribution.lower()):
        version = installed
    else:  # a driver, or a layer over what the title names
        version = f"{library.distribution} {installed}".strip()
    known = any(value.known for value in values.values())
    return Entry(
        name=name,
        title=library.title,
        style=library.style,
        label=library.style + ("" if library.durable else " *"),
        version=version,
        note=library.note,
        link=library.link,
        why_absent="" if known else _why_absent(name, library, history, measurement),
        values=values,
    )


def _why_absent(name: str, library: Library, history: History, measurement: Measurement) -> str:
    """Return why nothing was measured of a writer: asv stores no reason, but what the environment installed."""
    if library.distribution and plain_name(library.distribution) not in measurement.required:
        return f"{library.distribution} is not installed for Python {history.python}"
    if name.startswith(SERVERS):
        return "no server was named, or one that may lose rows"
    return "not chosen, or not possible with this commit"


def _in_order(families: dict[tuple[str, str], Family]) -> list[Family]:
    """Return the families, those of one library side by side; in each the styles in the registry's order."""
    makers = list(dict.fromkeys(maker for maker, _ in families))
    ordered = sorted(families.items(), key=lambda item: makers.index(item[0][0]))
    return [_told_apart(sorted(family, key=_place_of_style)) for _, family in ordered]


def _place_of_style(entry: Entry) -> int:
    return STYLES.index(entry.style) if entry.style in STYLES else len(STYLES)


def _told_apart(family: Family) -> Family:
    """Return the family, in which entries of one style carry their names as well."""
    labels = [entry.label for entry in family]
    return [
        replace(entry, label=f"{entry.label}: {entry.name}") if labels.count(entry.label) > 1 else entry
        for entry in family
    ]
