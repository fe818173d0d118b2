"""Where the level of a series changed, and how sure that is; statistics only: knows no benchmark, no commit, no page.

A series is what one benchmark gave with one set of parameters, commit by commit: a list of samples each.
docs/the_pages.md says why each rule is as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

# The chance that a history in which nothing changed has any sure step at all, however many series it has.
LEVEL = 0.01
# A step is sure if it stands on so many commits on either side: what one commit's samples share is not its code alone.
COMMITS = 3
# A sure step also has to be there with one sample a commit, at these levels before any correction. Of counts so few
# commits cannot show more.
LEVEL_BY_COMMIT = 0.001
LEVEL_OF_COUNTS_BY_COMMIT = 0.1
# A smaller factor is not told, and no series is taken for quieter than this deviation of its logarithms.
SMALLEST_FACTOR = 1.1
QUIETEST = 0.01
# How much commits differ is estimated over so many series at least.
SERIES = 5

Samples = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Step:
    """A change of level at a place of the series; the chance is corrected for every question that was asked.

    A step that is not ``sure`` stands on fewer than ``COMMITS`` commits.
    """

    place: int
    before: float
    after: float
    chance: float
    sure: bool


@dataclass(frozen=True)
class Series:
    """The samples of each commit, oldest first, at least one; and how much its commits differ beyond its samples."""

    samples: Samples
    is_count: bool
    excess: float = 1.0

    @property
    def flat(self) -> Floats:
        """All samples, in order."""
        return np.array(list(itertools.chain.from_iterable(self.samples)), dtype=float)

    @property
    def varies(self) -> bool:
        """Whether there is a question: what never varies can alarm nobody, and counts for nothing in the correction."""
        return len(self.samples) > COMMITS and len(set(self.flat)) > 1

    @property
    def is_ranked(self) -> bool:
        """Whether only more and less are compared: counts, and what is 0 or the same again and again."""
        flat = self.flat
        return self.is_count or bool(flat.min() <= 0) or np.unique(flat, return_counts=True)[1].max() > len(flat) / 3


@cache
def _stats() -> Any:
    """Import what takes longer than all the rest of a page, once; a history of a few commits never needs it."""
    from scipy import stats

    return stats


def find_steps(every: Sequence[Series]) -> list[list[Step]]:
    """Return the steps of each series, oldest first. A chance is multiplied by the number of splits of all series."""
    questions = sum(len(_splits(len(series.samples))[0]) for series in every if series.varies)
    return [_steps_of(series, questions) if series.varies else [] for series in every]


def excess_of_commits(every: Sequence[Series]) -> float | None:
    """Return how much more the commits of these series differ than their samples say: 1 if no more; None if unknown.

    The machine is slower on one day than on another, and all samples of a commit share the day. As genomic control
    does, what most series show is taken for no finding. A step in every series leaves it as it is: each series is
    taken without its own largest step.
    """
    ratios = [ratio for series in every if (ratio := _excess_ratio(series)) is not None]
    return max(1.0, float(np.median(ratios))) if len(ratios) >= SERIES else None


def _excess_ratio(series: Series) -> float | None:
    """Return how much more the commits differ than the samples within them, as F over its median; None if unknown."""
    sampled = [of for of in series.samples if len(of) > 1]
    if not series.varies or series.is_ranked or len(sampled) <= COMMITS:
        return None
    counts = np.array([len(of) for of in sampled])
    logs = np.log(np.concatenate(sampled))
    totals = np.add.reduceat(logs, np.cumsum([0, *counts[:-1]]))
    within = float(np.sum(logs**2) - np.sum(totals**2 / counts))
    # The sum of squares of the commits' means, less what two levels explain, at the split where they explain most.
    number, total = np.cumsum(counts)[:-1], np.cumsum(totals)[:-1]
    explained = total**2 / number + (totals.sum() - total) ** 2 / (counts.sum() - number)
    between = float(np.sum(totals**2 / counts) - explained.max())
    freedom = len(counts) - 2, int(counts.sum()) - len(counts)
    if within <= 0:
        return None
    return between / freedom[0] / (within / freedom[1]) / _median_of_f(*freedom)


@cache
def _median_of_f(*freedom: int) -> float:
    return float(_stats().f.median(*freedom))


@cache
def _splits(commits: int) -> tuple[Whole, Whole, Whole]:
    """Return the places that are asked about: start, split and end.

    Not the whole series alone: a step that was undone is seen in a part of it. So the parts are half as long again and
    again, and overlap by half (seeded binary segmentation). Of the newest commits two may be fewer than is sure.
    """
    found = [(0, commits - newest, commits) for newest in (1, 2) if commits - newest >= COMMITS]
    length = commits
    while length >= 2 * COMMITS:
        starts = {*range(0, commits - length, max(1, length // 2)), commits - length}
        found += [(at, at + split, at + length) for at in starts for split in range(COMMITS, length - COMMITS + 1)]
        length //= 2
    start, split, end = np.array(found, dtype=int).reshape(-1, 3).T
    return start, split, end


def _steps_of(series: Series, questions: int) -> list[Step]:
    start, split, end = _splits(len(series.samples))
    chances = _chances(series, start, split, end)
    # What all series show of the machine is in every difference by chance.
    normal = _stats().norm
    chances = 2 * normal.sf(normal.isf(chances / 2) / np.sqrt(series.excess))
    chances = np.minimum(chances * questions, 1.0)
    is_sure = np.minimum(split - start, end - split) >= COMMITS
    chances[is_sure & ~_stands_by_commit(series, start, split, end)] = 1.0
    found: dict[int, float] = {}
    open_ = np.ones(len(split), dtype=bool)
    while open_.any():
        best = int(np.flatnonzero(open_)[np.argmin(chances[open_])])
        if chances[best] >= LEVEL:
            break
        found[int(split[best])] = float(chances[best])
        open_ &= ~((start < split[best]) & (split[best] < end))
    return _with_levels(series, found)


def _stands_by_commit(series: Series, start: Whole, split: Whole, end: Whole) -> NDArray[np.bool_]:
    """Say whether each step is there with one sample a commit too: one commit's samples share its day."""
    single = Series([(level_of(of, series.is_count),) for of in series.samples], series.is_count)
    level = LEVEL_OF_COUNTS_BY_COMMIT if single.is_ranked else LEVEL_BY_COMMIT
    return np.asarray(_chances(single, start, split, end) < level)


def _with_levels(series: Series, found: dict[int, float]) -> list[Step]:
    """Return the steps with the levels between them, without those that are too small to be told."""
    edges = [0, *sorted(found), len(series.samples)]
    parts = [list(itertools.chain(*series.samples[start:end])) for start, end in itertools.pairwise(edges)]
    levels = [level_of(part, series.is_count) for part in parts]
    steps = []
    for number, place in enumerate(edges[1:-1]):
        before, after = levels[number], levels[number + 1]
        sure = min(place - edges[number], edges[number + 2] - place) >= COMMITS
        if series.is_ranked or not 1 / SMALLEST_FACTOR < after / before < SMALLEST_FACTOR:
            steps.append(Step(place, before, after, found[place], sure))
    return steps


def level_of(samples: Sequence[float], is_count: bool) -> float:
    """Return the mean of counts, and the median of anything else."""
    return float(np.mean(samples) if is_count else np.median(samples))


def _chances(series: Series, start: Whole, split: Whole, end: Whole) -> Floats:
    """Return for each split the chance of so large a difference, up or down, if nothing changed there."""
    if not series.is_ranked:
        return _by_means(series, start, split, end)
    flat = series.flat
    cuts = {0.0, float(np.median(flat))}  # whether any row fails, and whether many do
    return np.asarray(
        np.minimum(len(cuts) * np.min([_by_share(series, cut, start, split, end) for cut in cuts], axis=0), 1.0)
    )


def _by_means(series: Series, start: Whole, split: Whole, end: Whole) -> Floats:
    """Student's t of the logarithms: a change is a factor."""
    logs = [np.log(of) for of in series.samples]
    count, total, squares = (
        np.concatenate([[0.0], np.cumsum([part(of) for of in logs])])
        for part in (len, np.sum, lambda of: np.sum(of**2))
    )

    def parts(from_: Whole, to: Whole) -> tuple[Any, Any, Any]:
        number, mean = count[to] - count[from_], (total[to] - total[from_]) / (count[to] - count[from_])
        return number, mean, squares[to] - squares[from_] - number * mean**2

    number_before, mean_before, rest_before = parts(start, split)
    number_after, mean_after, rest_after = parts(split, end)
    freedom = number_before + number_after - 2
    variance = np.maximum((rest_before + rest_after) / freedom, QUIETEST**2)
    t = (mean_after - mean_before) / np.sqrt(variance * (1 / number_before + 1 / number_after))
    return np.asarray(np.minimum(2 * _stats().t.sf(np.abs(t), freedom), 1.0))


def _by_share(series: Series, cut: float, start: Whole, split: Whole, end: Whole) -> Floats:
    """Fisher's exact test: how many samples on either side are above the cut."""
    count = np.concatenate([[0], np.cumsum([len(of) for of in series.samples])])
    above = np.concatenate([[0], np.cumsum([sum(sample > cut for sample in of) for of in series.samples])])
    all_of, after = count[end] - count[start], count[end] - count[split]
    above_all, above_after = above[end] - above[start], above[end] - above[split]
    rows_above = _stats().hypergeom
    more = rows_above.sf(above_after - 1, all_of, above_all, after)
    fewer = rows_above.cdf(above_after, all_of, above_all, after)
    return np.asarray(np.minimum(2 * np.minimum(more, fewer), 1.0))
