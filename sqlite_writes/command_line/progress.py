"""What is being tried and how long the rest may take: a line that changes in a terminal, lines in a pipe.

Goes to standard error, so that standard output has the answer alone. Knows nothing of what is measured.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output import printable, time_left_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Say what is tried now, and how many seconds are left.
    Show = Callable[[str, "float | None"], None]


@contextmanager
def progress() -> Iterator[Show]:
    """Give a function that shows the next step."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _print_line
        return
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Left(ProgressColumn):
        """The time left, which goes down while a burst runs."""

        def render(self, task: Task) -> Text:
            until = task.fields["until"]
            return Text("" if until is None else f"about {time_left_text(until - time.monotonic())} left")

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), Left())
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as shown:
        task = shown.add_task("", total=None, until=None)

        def change(text: str, left: float | None) -> None:
            now = time.monotonic()
            shown.update(
                task,
                description=printable(text, sys.stderr),
                total=None if left is None else now - started + left,
                completed=now - started,
                until=None if left is None else now + left,
            )

        yield change


def _print_line(text: str, left: float | None) -> None:
    rest = "" if left is None else f", about {time_left_text(left)} left"
    sys.stderr.write(printable(f"{text}{rest}\n", sys.stderr))
    sys.stderr.flush()
