"""One blame, from the two ends to the commit: installs, samples, asks for verdicts, confirms. Knows no options.

The ends are compared until it is sure what tells them apart. Each step is sampled until it is like one of them. Then
the commit that was found is compared with the one before it, by fresh samples. If they do not differ, a verdict was
wrong: the last two are forgotten, and the search goes on, once.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from pr_check import inference
from pr_check.errors import SetUpError

from .answer import Answer
from .bench import Observation, UnusableError
from .difference import EXACT, LOOKS, Difference, Slower, compare_ends, log_ratios
from .history import into_the_merge
from .search import Search, Verdict

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .bench import Bench, Place
    from .history import Commit, History
    from .metric import Metric

# The ends' share of the time limit: without a difference there is nothing to search for.
ENDS = 1 / 3


class OutOfTimeError(Exception):
    """The time limit is over."""


class Blame:
    """The search for one metric's bad commit in one history, and how far it got."""

    def __init__(
        self,
        history: History,
        metric: Metric,
        bench: Bench,
        order: random.Random,
        limit: float,
        say: Callable[[str], None],
        progress: Callable[[str], None] = lambda _what: None,
    ) -> None:
        self.history, self.metric, self.bench, self.order = history, metric, bench, order
        self.say, self.progress = say, progress
        self.search = Search(history.last)
        self.limit, self.until = limit, time.monotonic() + limit
        self.reasons: dict[int, str] = {}
        self.steps = 0
        self._difference: Difference | None = None
        self._known_errors: set[str] = set()

    def run(self) -> Answer:
        """Return the answer; ``NothingToFindError`` or ``SetUpError`` if there is none."""
        self._compare_ends()
        answer = self._search_and_confirm()
        if answer.doubt.startswith("not confirmed") and self.search.reopen():
            self.say(f"{answer.doubt}: back to {self._range()}")
            answer = self._search_and_confirm()
            if answer.doubt.startswith("not confirmed") and self.search.reopen():
                doubt, answer = answer.doubt, self._answer()
                answer.doubt = doubt
        return answer

    def where(self) -> str:
        """Return between which two commits the search has got, so far."""
        return f"between {self._good} and {self._bad}" if self._difference else "nothing was found yet"

    @property
    def _good(self) -> Commit:
        return self.history.commits[self.search.good]

    @property
    def _bad(self) -> Commit:
        return self.history.commits[self.search.bad]

    def _range(self) -> str:
        return f"{self._good.hash[:8]}..{self._bad.hash[:8]}"

    def _compare_ends(self) -> None:
        """Sample GOOD and BAD in random order until it is sure what tells them apart."""
        good, bad = self.history.commits[0], self.history.commits[-1]
        self.say(f"comparing GOOD {good} and BAD {bad}")
        try:
            self.bench.put({"base": good.hash, "head": bad.hash})
        except UnusableError as error:
            raise SetUpError(f"GOOD {good.hash[:8]} or BAD {bad.hash[:8]} {error}") from None
        seen: dict[Place, list[Observation]] = {"base": [], "head": []}
        until = time.monotonic() + ENDS * self.limit
        while self._difference is None:
            for place in self._both():
                seen[place].append(self._possible(place))
            self._known_errors = {one.kind_of_error for one in seen["head"] if one.error}
            count = len(seen["head"])
            self.progress(f"GOOD and BAD: {count} samples of each")
            before, after = self._numbers_of_ends(seen)
            is_last = count >= LOOKS[-1] or (count >= EXACT and time.monotonic() > until)
            self._difference = compare_ends(before, after, self.metric.show, is_last)
        self._say_ends(self._difference, before, after, seen["head"][-1])

    def _possible(self, place: Place) -> Observation:
        """Take a sample of an end, and refuse what is not possible there."""
        observation = self.bench.sample(place)
        if observation.not_possible:
            end = {"base": "GOOD", "head": "BAD"}[place]
            raise SetUpError(f"{self.metric.name} is n/a on {end}: {observation.not_possible}")
        return observation

    def _numbers_of_ends(self, seen: dict[Place, list[Observation]]) -> tuple[list[float], list[float]]:
        failed = [one for one in seen["base"] if one.error]
        always = len(failed) == len(seen["base"]) >= EXACT
        if always or any(one.kind_of_error not in self._known_errors for one in failed):
            too = " too" if any(one.error for one in seen["head"]) else ""
            raise SetUpError(f"{self.metric.name} fails on GOOD{too}: {failed[-1].last_line}")
        before, after = ([math.inf if one.error else one.value for one in seen[place]] for place in ("base", "head"))
        return before, after

    def _say_ends(self, difference: Difference, before: list[float], after: list[float], last: Observation) -> None:
        show = self.metric.show
        if isinstance(difference, Slower):
            what = f"{100 * (math.exp(difference.effect) - 1):+.1f}% in {len(after)} pairs: each step takes pairs"
        elif difference.is_exact:
            why = f" ({last.last_line})" if last.error else ""
            what = f"{show(before[0])} → {show(after[0])}{why}, always: a step takes one sample"
        else:
            said = (difference.describe((), values, show) for values in (before, after))
            what = f"{' → '.join(said)}: a step takes as many as it needs"
        self.say(f"GOOD and BAD differ: {what}")

    def _search_and_confirm(self) -> Answer:
        answer = None
        try:
            self.search.run(self._judge)
            answer = self._answer()
            self._confirm(answer)
        except OutOfTimeError:
            answer = answer or self._answer()
            answer.doubt = f"the time limit of {self.limit:.0f} s was over"
            for index in range(self.search.good + 1, self.search.bad):
                self.reasons.setdefault(index, "no time")
            answer.between = self._between()
        except UnusableError as error:
            answer = answer or self._answer()
            answer.doubt = f"not confirmed: {error}"
        return answer

    def _answer(self) -> Answer:
        return Answer(self.metric.name, self._good, self._bad, self.history.last, self._between())

    def _between(self) -> list[tuple[Commit, str]]:
        middle = range(self.search.good + 1, self.search.bad)
        return [
            (self.history.commits[index], self.reasons.get(index, "its verdict was not confirmed")) for index in middle
        ]

    def _judge(self, index: int) -> Verdict:
        """Install one commit, sample it until it is like GOOD or like BAD, and say so in a line."""
        self._stop_if_the_time_is_over()
        self.steps += 1
        commit, all_steps = self.history.commits[index], self.steps - 1 + self.search.steps_left
        verdict: Verdict = "unknown"
        try:
            found, said = self._sample_step(commit)
            verdict = found or "unknown"
            if not found:
                self.reasons[index] = said = f"not decided ({said})"
        except UnusableError as error:
            self.reasons[index] = said = str(error)
        word = f"{verdict} ({said})" if verdict != "unknown" else f"stepped around: {said}"
        self.say(f"{self.steps} of about {all_steps}: {commit}: {word}")
        return verdict

    def _stop_if_the_time_is_over(self) -> None:
        if time.monotonic() > self.until:
            raise OutOfTimeError

    def _sample_step(self, commit: Commit) -> tuple[Verdict | None, str]:
        """Sample one commit until it is decided: to leave it for another one would only take more time."""
        difference = self._difference
        assert difference is not None  # noqa: S101
        good = self.history.commits[0].hash
        self.bench.put({"base": good, "head": commit.hash} if difference.is_paired else {"head": commit.hash})
        reference: list[float] = []
        step: list[float] = []
        verdict = None
        while verdict is None and len(step) < difference.most:
            self._stop_if_the_time_is_over()
            self._sample_pair(reference, step, difference.is_paired)
            self.progress(f"{commit}: {len(step)} samples")
            verdict = difference.decide(reference, step)
        return verdict, difference.describe(reference, step, self.metric.show)

    def _confirm(self, answer: Answer) -> None:
        """Compare the found commit with the one before it by fresh samples, and complete the answer."""
        difference = self._difference
        assert difference is not None  # noqa: S101
        self.bench.put({"base": answer.good.hash, "head": answer.bad.hash})
        before: list[float] = []
        after: list[float] = []
        confirmed = None
        while confirmed is None and len(after) < difference.most:
            self._stop_if_the_time_is_over()
            self._sample_pair(before, after, True)
            self.progress(f"confirming {answer.bad}: {len(after)} samples")
            confirmed = difference.confirm(before, after)
        show = self.metric.show
        if difference.is_exact:
            answer.before, answer.after = show(before[-1]), show(after[-1])
            answer.evidence = f"{len(after)} fresh samples of it and of the commit before it, each the same"
        elif isinstance(difference, Slower):
            self._describe_times(answer, difference, before, after)
        else:
            answer.before, answer.after = (difference.describe((), one, show) for one in (before, after))
            answer.evidence = "fresh samples of it and of the commit before it"
        if not confirmed:
            names = f"{answer.bad.hash[:8]} is not surely worse than {answer.good.hash[:8]}"
            answer.doubt = f"not confirmed: {names} in {len(after)} fresh samples of each"
        elif len(answer.bad.parents) > 1:
            answer.into = into_the_merge(self.history.root, answer.bad)

    def _describe_times(self, answer: Answer, difference: Slower, before: list[float], after: list[float]) -> None:
        answer.before, answer.after = (self.metric.show(sorted(side)[len(side) // 2]) for side in (before, after))
        ratios = log_ratios(before, after)
        effect, low, high = inference.hodges_lehmann(ratios, inference.CONFIDENCE)
        percent, least, most, whole = (100 * (math.exp(one) - 1) for one in (effect, low, high, difference.effect))
        change = f"{percent:+.1f}% (95%: {least:+.1f}% to {most:+.1f}%)"
        answer.evidence = f"{change} in {len(after)} fresh pairs with the commit before it"
        if effect < 0.6 * difference.effect:
            answer.evidence += f"; the rest of {whole:+.1f}% came with other commits"

    def _sample_pair(self, reference: list[float], step: list[float], is_paired: bool) -> None:
        taken: dict[Place, list[float]] = {"base": reference, "head": step}
        head_alone: list[Place] = ["head"]
        for place in self._both() if is_paired else head_alone:
            taken[place].append(self._number(place))

    def _number(self, place: Place) -> float:
        """Take a sample; one that fails as BAD does is infinite, and another that fails twice is of no use."""
        observation = Observation()
        for _ in range(2):
            observation = self.bench.sample(place)
            if observation.error and observation.kind_of_error in self._known_errors:
                return math.inf
            if not (observation.error or observation.not_possible):
                return observation.value
        raise UnusableError(observation.not_possible or f"fails in another way: {observation.last_line}")

    def _both(self) -> list[Place]:
        places: list[Place] = ["base", "head"]
        self.order.shuffle(places)
        return places
