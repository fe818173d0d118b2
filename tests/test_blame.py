"""The search for a commit on histories that are drawn: exact values, failures, rates, noisy times, commits without any.

What a real repository, real builds and the command do is in test_blame_command.py.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pr_check.blame.answer import BETWEEN, FOUND, Answer
from pr_check.blame.bench import Observation, Place, UnusableError
from pr_check.blame.blame import Blame
from pr_check.blame.difference import NothingToFindError
from pr_check.blame.history import Commit, History
from pr_check.blame.metric import Listed, Metric, find_metric
from pr_check.blame.search import Search
from pr_check.errors import SetUpError

if TYPE_CHECKING:
    from collections.abc import Callable

LAST = 16
METRIC = Metric("burst.Burst.time_burst(100, 'grouped')", "burst.Burst.time_burst", 12, "seconds")
LISTED: list[Listed] = [
    {
        "name": "burst.Burst.track_failed_rows",
        "param_names": ["workers", "settings"],
        "params": [["5", "500"], ["'default'", "'wal'"]],
        "unit": "rows",
        "timeout": 600.0,
    },
    {"name": "cost.Library.track_sqlite_version", "param_names": [], "params": [], "unit": "number"},
]


class DrawnBench:
    """Commits are indexes, whose samples are drawn; those that are broken do not build."""

    def __init__(self, draw: Callable[[int, random.Random], Observation], broken: tuple[int, ...], seed: int) -> None:
        self.draw, self.broken, self.order = draw, broken, random.Random(seed)
        self.there: dict[Place, int] = {}
        self.taken: list[int] = []

    def put(self, commits: dict[Place, str]) -> None:
        """Install, if it builds."""
        for place, commit in commits.items():
            if int(commit) in self.broken:
                raise UnusableError("does not build: SystemError: on purpose")
            self.there[place] = int(commit)

    def sample(self, place: Place) -> Observation:
        """Draw one."""
        self.taken.append(self.there[place])
        return self.draw(self.there[place], self.order)


def blame(
    draw: Callable[[int, random.Random], Observation], broken: tuple[int, ...] = (), seed: int = 1, last: int = LAST
) -> tuple[Answer, DrawnBench, list[str]]:
    """The answer for a drawn history, what was sampled for it, and what was said."""
    said: list[str] = []
    history = History(Path("/"), tuple(Commit(f"{index:08d}", subject="A change") for index in range(last + 1)))
    bench = DrawnBench(draw, broken, seed)
    return Blame(history, METRIC, bench, random.Random(seed), 60.0, said.append).run(), bench, said


def after(bad: int, good: float, value: float) -> Callable[[int, random.Random], Observation]:
    """An exact value that another follows."""
    return lambda index, _order: Observation(value if index >= bad else good)


def found(answer: Answer) -> int:
    """The index of the commit that is named."""
    assert answer.status == FOUND, answer.lines()
    return int(answer.bad.hash)


@pytest.mark.parametrize("bad", range(1, LAST + 1))
def test_an_exact_value_takes_one_sample_a_step(bad: int) -> None:
    """Three of each end, one of each of four steps, three of the commit and three of the one before it."""
    answer, bench, said = blame(after(bad, 16_920, 21_016))
    assert found(answer) == bad
    assert len(bench.taken) == 6 + 4 + 6
    assert said[2].startswith('1 of about 4: 00000008 "A change": ')


@pytest.mark.parametrize("bad", [1, 7, 16])
def test_a_failure_is_an_exact_value_and_another_failure_is_stepped_around(bad: int) -> None:
    def draw(index: int, _order: random.Random) -> Observation:
        if index in (4, 8):
            return Observation(error="ImportError: another cause")
        return Observation(error=f"RuntimeError: row {index} of 7 failed") if index >= bad else Observation(3.0 + index)

    answer, _, said = blame(lambda index, order: draw(index, order) if index else Observation(4.0))
    assert found(answer) == bad
    assert any("stepped around: fails in another way: ImportError: another cause" in line for line in said)


@pytest.mark.parametrize("broken", [(8,), (7, 8, 9), (2, 3, 4, 5, 6, 7, 8), (6,), tuple(range(1, 16))])
def test_builds_that_fail_are_stepped_around(broken: tuple[int, ...]) -> None:
    """One commit is named where its neighbour builds; else the two that build, and those between them."""
    answer, bench, _ = blame(after(7, 1.0, 2.0), broken)
    good = max(index for index in range(7) if index not in broken)
    bad = min(index for index in range(7, 17) if index not in broken)
    assert (int(answer.good.hash), int(answer.bad.hash)) == (good, bad)
    assert answer.status == (FOUND if bad - good == 1 else BETWEEN)
    assert [int(commit.hash) for commit, _ in answer.between] == list(range(good + 1, bad))
    assert all("does not build" in reason for _, reason in answer.between)
    assert not set(broken) & set(bench.taken)


def test_many_broken_builds_are_left_soon() -> None:
    """Among sixty of a hundred commits it does not try one after another."""
    _, _, said = blame(after(90, 1.0, 2.0), tuple(range(20, 80)), last=100)
    assert sum("does not build" in line for line in said) <= 10


def noisy(bad: int, factor: float, noise: float) -> Callable[[int, random.Random], Observation]:
    """Times with a heavy tail, and a pace that changes as it does on a shared machine."""

    def draw(index: int, order: random.Random) -> Observation:
        seconds = 0.3 * (factor if index >= bad else 1.0) * math.exp(order.gauss(0.0, noise))
        return Observation(seconds * (3.0 if order.random() < 0.05 else 1.0))

    return draw


def test_noisy_times_are_told_apart_by_pairs() -> None:
    """+20% in samples that vary by 15%: twenty histories, at most one answer is not the commit, and none is wrong."""
    answers = []
    for seed in range(20):
        bad = random.Random(seed).randint(1, LAST)
        answer, _, _ = blame(noisy(bad, 1.2, 0.15), seed=seed)
        answers.append(answer.status)
        assert int(answer.good.hash) < bad <= int(answer.bad.hash), answer.lines()
    assert answers.count(FOUND) >= 19


def test_rows_that_fail_now_and_then_are_told_apart_by_their_rate() -> None:
    """None in nine of ten bursts of good commits; in bad ones some, in nine of ten."""
    for seed in range(10):
        bad = random.Random(seed).randint(1, LAST)

        def draw(index: int, order: random.Random, bad: int = bad) -> Observation:
            often = order.random() < (0.9 if index >= bad else 0.1)
            return Observation(float(order.randint(1, 190)) if often else 0.0)

        answer, _, _ = blame(draw, seed=seed)
        assert int(answer.good.hash) < bad <= int(answer.bad.hash), answer.lines()
        assert answer.status == FOUND


def test_a_wrong_verdict_is_noticed_and_the_search_goes_back() -> None:
    """What looked exact at the ends is not: the first sample of one bad commit is good."""
    first: list[int] = []

    def draw(index: int, _order: random.Random) -> Observation:
        if index == 8 and not first:
            first.append(index)
            return Observation(0.0)
        return Observation(1.0 if index >= 5 else 0.0)

    answer, _, said = blame(draw)
    assert any("not confirmed" in line for line in said)
    assert found(answer) == 5


def test_a_commit_that_cannot_be_confirmed_is_answered_by_the_two_around_it() -> None:
    """One commit is good or bad as it likes: no answer names a neighbour of it as if it were sure."""
    answer, _, _ = blame(
        lambda index, order: Observation(float(order.random() < 0.5) if index == 8 else float(index > 8)), seed=3
    )
    assert int(answer.good.hash) <= 8 <= int(answer.bad.hash)


def test_a_change_that_came_in_two_steps_is_told_so() -> None:
    def draw(index: int, order: random.Random) -> Observation:
        return Observation(0.3 * 1.2 ** ((index >= 4) + (index >= 12)) * order.uniform(0.97, 1.03))

    answer, _, _ = blame(draw)
    assert found(answer) in {4, 12}
    assert "came with other commits" in answer.evidence


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (after(5, 2.0, 2.0), r"no difference between GOOD and BAD: 2\.00 s in 40 samples of each"),
        (after(5, 2.0, 1.0), r"BAD is better: 1\.00 s, where GOOD has 2\.00 s"),
        (noisy(5, 0.8, 0.05), "BAD is better: "),
        (noisy(5, 1.0, 0.02), r"no difference between GOOD and BAD: .* a ratio of (0\.99|1\.00)"),
    ],
)
def test_ends_that_do_not_differ_or_differ_the_other_way_are_told_so(
    draw: Callable[[int, random.Random], Observation], said: str
) -> None:
    with pytest.raises(NothingToFindError, match=said):
        blame(draw)


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        (Observation(error="KeyError: 'x'"), Observation(error="KeyError: 'x'"), "fails on GOOD too: KeyError: 'x'"),
        (Observation(error="KeyError: 'x'"), Observation(1.0), "fails on GOOD: KeyError: 'x'"),
        (Observation(not_possible="no such settings"), Observation(1.0), "n/a on GOOD: no such settings"),
        (Observation(1.0), Observation(not_possible="no such settings"), "n/a on BAD: no such settings"),
    ],
)
def test_ends_without_a_value_are_refused(good: Observation, bad: Observation, said: str) -> None:
    with pytest.raises(SetUpError, match=said):
        blame(lambda index, _order: bad if index else good)


def test_when_the_time_is_over_the_two_that_are_known_are_named() -> None:
    history = History(Path("/"), tuple(Commit(f"{index:08d}") for index in range(LAST + 1)))
    said: list[str] = []
    one = Blame(history, METRIC, DrawnBench(after(5, 1.0, 2.0), (), 1), random.Random(1), 60.0, said.append)
    say = said.append

    def stop(line: str) -> None:
        say(line)
        if line.startswith("2 of about"):
            one.until = 0.0

    one.say = stop
    answer = one.run()
    assert (answer.status, int(answer.good.hash), int(answer.bad.hash)) == (BETWEEN, 4, 8)
    assert [reason for _, reason in answer.between] == ["no time"] * 3
    assert answer.doubt == "the time limit of 60 s was over"


def test_the_next_one_is_the_middle_of_the_largest_gap() -> None:
    search = Search(16)
    asked: list[int] = []
    while len(asked) < 4:
        index = search.next()
        assert index is not None
        asked.append(index)
        search.verdicts[index] = "unknown"
    assert asked == [8, 4, 12, 2]


@pytest.mark.parametrize(
    "name",
    [
        "burst.Burst.track_failed_rows(500, 'wal')",
        "burst.Burst.track_failed_rows(500, wal)",
        'burst.Burst.track_failed_rows( 500,"wal" )',
    ],
)
def test_a_metric_is_found_whatever_a_shell_left_of_its_quotes(name: str) -> None:
    metric = find_metric(name, LISTED)
    assert metric.name == "burst.Burst.track_failed_rows(500, 'wal')"
    assert (metric.benchmark, metric.index) == ("burst.Burst.track_failed_rows", 3)
    assert (metric.show(1200.0), metric.show(math.inf), METRIC.show(0.25)) == ("1,200 rows", "fails", "250.00 ms")
    assert find_metric("cost.Library.track_sqlite_version", LISTED).index is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "burst.Burst.track_failed_rows",
            r"names no parameters: write .*\(500, 'wal'\), of workers: 5, 500; settings: ",
        ),
        ("burst.Burst.track_failed_rows(7, wal)", r"has other parameters: .*workers: 5, 500"),
        ("burst.Burst(500, 'wal')", r"not in the suite; near it are burst\.Burst\.track_failed_rows"),
        ("burst.Burst.track_faild_rows(5, wal)", r"near it are burst\.Burst\.track_failed_rows"),
        ("track_failed_rows", r"near it are burst\.Burst\.track_failed_rows"),
        ("cost.Library.track_sqlite_version(1)", "has no parameters"),
        ("nothing like it", r"not in the suite; it has burst\.Burst\.track_failed_rows"),
    ],
)
def test_a_metric_that_is_not_there_is_one_line_that_says_what_is(name: str, said: str) -> None:
    with pytest.raises(SetUpError, match=said):
        find_metric(name, LISTED)
