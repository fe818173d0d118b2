"""A picture of what was measured, as SVG, PNG or a page: failures and p99 by size, or the insert times of a burst.

Knows matplotlib, and nothing of how anything was measured. An SVG and a page follow the reader's light or dark scheme.
"""

from __future__ import annotations

import html
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from .measured import Measured

# Each colour of the light scheme, and what it is in the dark one. No other part of the picture has these colours.
_INK, _PAPER, _GRID = "#1b1f24", "#fefefe", "#d5dae0"
_DARK = {_INK: "#e3e8ee", _PAPER: "#14181d", _GRID: "#39414a"}

# Readable on both; told apart by the marks, too (https://personal.sron.nl/~pault/ has the idea).
_COLOURS = ("#d9730d", "#2f7fc1", "#2a9d5c", "#a05fc4", "#d1495b", "#1a9ba8", "#9c6b3f", "#7f8790")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")

_STYLE: dict[Any, Any] = {
    "figure.facecolor": _PAPER,
    "axes.facecolor": _PAPER,
    "savefig.facecolor": _PAPER,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _GRID,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "font.size": 10,
    "svg.hashsalt": "sqlite-writes",  # the same picture for the same numbers
}


def draw(path: Path, title: str, found: Sequence[Measured]) -> None:
    """Write the picture; its kind is that of the path's ending."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    shown = [one for one in found if one.sizes]
    with pyplot.rc_context(_STYLE):
        if any(one.limit is not None for one in shown):
            figure, (upper, lower) = pyplot.subplots(2, 1, figsize=(8, 6.5), sharex=True, layout="constrained")
            _draw_failures(upper, shown)
            _draw_p99(lower, shown)
        else:
            figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
            _draw_insert_times(axes, shown)
        figure.suptitle(title, fontsize=12)
        figure.legend(loc="outside lower center", ncols=min(len(shown), 4))
        try:
            if path.suffix.lower() == ".png":
                figure.savefig(path, format="png", dpi=150, metadata={"Software": None})
                return
            drawn = io.StringIO()
            figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
        finally:
            pyplot.close(figure)
    svg = _with_dark_scheme(drawn.getvalue(), title)
    path.write_text(svg if path.suffix.lower() == ".svg" else _page(svg, title), encoding="utf-8")


def _draw_failures(axes: Axes, found: Sequence[Measured]) -> None:
    for place, one in enumerate(found):
        sizes = [size.workers for size in one.sizes]
        shares = [100 * size.faults / max(size.total("rows"), 1) for size in one.sizes]
        axes.plot(sizes, shares, label=one.name, **_line(place))
        for size in one.sizes:
            each = [100 * trial.faults / max(trial.rows, 1) for trial in size.trials]
            axes.plot([size.workers] * len(each), each, ".", color=_COLOURS[place % len(_COLOURS)], alpha=0.5)
        if one.limit is not None and one.limit.holds and one.limit.fails is not None:  # where the edge is
            axes.axvspan(one.limit.holds, one.limit.fails, color=_COLOURS[place % len(_COLOURS)], alpha=0.15, lw=0)
    axes.set_ylabel("rows failed, lost or altered, %")
    axes.set_ylim(-2, max(10, 1.05 * axes.get_ylim()[1]))


def _draw_p99(axes: Axes, found: Sequence[Measured]) -> None:
    for place, one in enumerate(found):
        known = [(size.workers, size.quantile(0.99)) for size in one.sizes]
        points = [(workers, seconds) for workers, seconds in known if seconds is not None]
        axes.plot([workers for workers, _ in points], [seconds for _, seconds in points], **_line(place))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("processes that write at one moment")
    axes.set_ylabel("p99 of an insert")
    _name_ticks(axes)


def _draw_insert_times(axes: Axes, found: Sequence[Measured]) -> None:
    for place, one in enumerate(found):
        times = one.sizes[0].insert_times
        rows = one.sizes[0].total("rows")
        shares = [100 * (number + 1) / max(rows, 1) for number in range(len(times))]
        axes.plot(times, shares, label=one.name, **{**_line(place), "markevery": max(len(times) // 12, 1)})
    axes.set_xscale("log")
    axes.set_ylim(0, 102)
    axes.set_xlabel("how long an insert took, at most")
    axes.set_ylabel("of all rows, %")
    axes.xaxis.set_major_formatter(_seconds)


def _line(place: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "marker": _MARKS[place % len(_MARKS)],
        "markersize": 5,
        "linewidth": 1.6,
    }


def _name_ticks(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(_seconds)


def _seconds(value: float, _place: float) -> str:
    return f"{value:g} s" if value >= 1 else f"{1000 * value:g} ms"


def _with_dark_scheme(svg: str, title: str) -> str:
    """Add the other colours for a reader with a dark scheme, and a name for one who cannot see it."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in _DARK.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    start = svg.index(">", svg.index("<svg")) + 1
    head = svg[:start].replace("<svg", '<svg role="img"', 1)
    return f"{head}\n<title>{html.escape(title)}</title>{style}{svg[start:]}"


def _page(svg: str, title: str) -> str:
    drawing = svg[svg.index("<svg") :]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n"
        "<style>body{margin:2em auto;max-width:60em;font-family:sans-serif}svg{width:100%;height:auto}"
        f"@media (prefers-color-scheme: dark){{body{{background:{_DARK[_PAPER]};color:{_DARK[_INK]}}}}}</style>\n"
        f"</head>\n<body>\n{drawing}\n</body>\n</html>\n"
    )
