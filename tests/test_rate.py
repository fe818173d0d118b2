"""Inserts that arrive at random: the arithmetic against counting, the crew, a stall, the search, and the command."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
from contextlib import closing, suppress
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from experiments.soak_faults import small_disk
from experiments.stalled_holder import StopsOnce
from sqlite_writes import Functions, pool_map
from sqlite_writes.driver import sqlite3
from sqlite_writes.rate import (
    Insert,
    RateReport,
    at_most,
    chance_of_finding,
    chance_of_meeting,
    measure_rate,
    meetings,
    quantile,
    seconds_between,
)
from sqlite_writes.rate.ledger import Ledger, new_ledger
from sqlite_writes.rate.measure import draw_moments
from sqlite_writes.rate.report import count_meetings
from sqlite_writes.rate.search import highest_held, lowest_passed, next_rate
from sqlite_writes.report import BurstReport
from sqlite_writes.row_check import Check
from sqlite_writes.writers.names import resolve_writer

from . import bad_writers, rate_workers
from .conftest import PROJECT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Living

# A search closes in until the two ends are no further apart.
CLOSE = 1.3

# Arithmetic


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Arrivals at random, drawn in another way than the code under test draws them: so many, each anywhere."""
    numbers = random.Random(seed)
    mean = rate * seconds
    count = round(numbers.gauss(mean, math.sqrt(mean)))
    return sorted(numbers.uniform(0, seconds) for _ in range(count))


def under_way(moments: list[float], times: list[float]) -> list[int]:
    """How many others each finds under way, counted one by one."""
    found = []
    for index, moment in enumerate(moments):
        before = range(max(index - 200, 0), index)
        found.append(sum(moments[other] + times[other] > moment for other in before))
    return found


@pytest.mark.parametrize("load", [0.01, 0.1, 0.5])
def test_as_many_meet_as_the_arithmetic_says(load: float) -> None:
    """20,000 simulated inserts a load; ``load`` is how many are under way on average."""
    rate, insert_time, seconds = load / 0.01, 0.01, 20_000 * 0.01 / load
    moments = arrivals(rate, seconds, seed=7)
    found = count_meetings([(moment, moment + insert_time) for moment in moments], rate)
    expected = len(moments) * chance_of_meeting(rate, insert_time)
    assert abs(found.inserts - expected) < 5 * math.sqrt(2 * expected)
    expected = meetings(rate, insert_time, seconds)
    assert abs(found.pairs - expected) < 5 * math.sqrt(expected * (1 + 4 * load))
    assert found.inserts_expected == pytest.approx(len(moments) * chance_of_meeting(rate, insert_time))
    assert found.pairs_expected == pytest.approx(expected, rel=0.05)


def test_as_many_are_found_under_way_as_the_arithmetic_says_whatever_their_times() -> None:
    numbers = random.Random(11)
    rate, mean, seconds = 50.0, 0.02, 600.0
    moments = arrivals(rate, seconds, seed=3)
    times = [numbers.expovariate(1 / mean) for _ in moments]
    found = under_way(moments, times)
    for others in range(5):
        share = chance_of_finding(rate, mean, others)
        assert abs(sum(count >= others for count in found) / len(found) - share) < 0.015
    three_at_once = sum(count >= 2 for count in found)
    assert seconds / three_at_once == pytest.approx(seconds_between(rate, mean, together=3), rel=0.1)


def test_the_arithmetic_of_a_thousand_a_day() -> None:
    """1.4 ms each: two meet once in two months, three in some ten thousand years, 250 never."""
    rate = 1000 / 86_400
    assert chance_of_meeting(rate, 0.0014) == pytest.approx(2 * rate * 0.0014, rel=1e-4)
    assert seconds_between(rate, 0.0014) / 86_400 == pytest.approx(61.7, rel=0.01)
    assert 1 / meetings(rate, 0.0014, 86_400) == pytest.approx(61.7, rel=0.01)
    assert 10_000 < seconds_between(rate, 0.0014, together=3) / (365.25 * 86_400) < 30_000
    assert seconds_between(rate, 0.0014, together=250) == math.inf


@pytest.mark.parametrize("mean", [0.3, 5.0, 40.0])
def test_the_chances_of_finding_others_are_a_whole_distribution(mean: float) -> None:
    chances = [chance_of_finding(mean, 1.0, others) for others in range(200)]
    assert chances[0] == 1
    assert chances == sorted(chances, reverse=True)
    assert sum(chances[1:]) == pytest.approx(mean)


def test_what_may_fail_at_most_when_none_has() -> None:
    assert at_most(0, 231) == pytest.approx(1 - 0.05 ** (1 / 231))
    assert at_most(3, 100) == pytest.approx(0.0757, abs=2e-4)  # scipy.stats.beta.ppf(0.95, 4, 97)
    assert at_most(5, 5) == 1


def test_meetings_are_counted_as_one_would_count_them_by_hand() -> None:
    numbers = random.Random(5)
    for _ in range(200):
        begins = [numbers.uniform(0, 10) for _ in range(12)]
        intervals = [(begin, begin + numbers.uniform(0, 2)) for begin in begins]
        overlaps = [
            (one, other)
            for one in range(12)
            for other in range(one)
            if intervals[one][0] < intervals[other][1] and intervals[other][0] < intervals[one][1]
        ]
        found = count_meetings(intervals, 1.2)
        assert found.pairs == len(overlaps)
        assert found.inserts == len({index for pair in overlaps for index in pair})
        assert found.peak == max(sum(b <= moment < e for b, e in intervals) for moment, _ in intervals)


# Moments and the ledger


def test_moments_are_drawn_as_of_independent_callers() -> None:
    """The same for the same seed; as many as the rate says; the gaps are exponential."""
    moments = draw_moments(50, 400, seed=1)
    assert list(moments) == list(draw_moments(50, 400, seed=1))
    assert list(moments) != list(draw_moments(50, 400, seed=2))
    assert list(moments) == sorted(moments)
    assert abs(len(moments) - 20_000) < 5 * math.sqrt(20_000)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert sum(gap > 1 / 50 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.02)
    pairs = draw_moments(50, 10, seed=1, together=2)
    assert pairs[::2] == pairs[1::2]


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (50, -1), (math.inf, 1), (50, math.nan), (1, 19)])
def test_moments_that_cannot_be_drawn_are_refused(rate: float, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"not a number above 0|fewer than 20"):
        draw_moments(rate, seconds, seed=1)


def test_each_insert_is_taken_by_one_of_the_crew() -> None:
    with new_ledger(rate_workers.TAKEN) as path:
        outcomes = pool_map(partial(rate_workers.take_all, path), range(1, 9))
        ledger = Ledger(path, rate_workers.TAKEN)
        entries = ledger.entries()
        ledger.close()
    assert sorted(index for outcome in outcomes for index in outcome.result or []) == list(range(rate_workers.TAKEN))
    assert not Path(path).parent.exists()
    for index, entry in enumerate(entries):
        assert index in (outcomes[entry.worker - 1].result or [])
        assert entry.taken <= entry.began <= entry.ended
        assert entry.reason == ("SQLITE_BUSY" if index == 42 else "")
    assert set(entries[42].words) == {"Ä"}  # cut, and not in the midst of a letter


# One rate


@pytest.mark.parametrize(("writer", "keep_open"), [("default", False), ("grouped", True)])
def test_every_insert_is_done_and_every_row_is_there(
    writer: str, keep_open: bool, tmp_path: Path, marked: Living
) -> None:
    report = measure_rate(writer, 60, 0.5, directory=tmp_path, seed=1, keep_open=keep_open)
    assert (report.failed, report.not_begun, report.wrong, report.errors) == (0, 0, {}, {})
    assert report.acknowledged == report.attempted == len(draw_moments(60, 0.5, seed=1))
    assert list(tmp_path.iterdir()) == []
    for insert in report.inserts:
        assert insert.taken is not None
        assert insert.began is not None
        assert insert.ended is not None
        assert insert.due <= insert.began <= insert.ended
        assert insert.taken <= insert.began
    assert all(latency >= time for latency, time in zip(report.latencies, report.insert_times, strict=True))


def test_a_connection_is_kept_by_each_of_the_crew_or_opened_for_each_insert(tmp_path: Path) -> None:
    count = len(draw_moments(100, 0.25, seed=1))
    for keep_open, most in ((True, 4), (False, count)):
        report = measure_rate(
            rate_workers.Sleeps(0), 100, 0.25, directory=tmp_path, seed=1, workers=4, keep_open=keep_open
        )
        assert report.acknowledged == count
        opened = (tmp_path / "opened").read_text().count("once")
        assert opened <= most
        assert keep_open or opened == count


def test_a_connection_that_is_kept_is_opened_anew_after_a_failure(tmp_path: Path) -> None:
    report = measure_rate(rate_workers.OpenOnce(0), 100, 0.25, directory=tmp_path, seed=1, workers=2, keep_open=True)
    assert set(report.errors) == {"LookupError"}
    assert report.words == {"LookupError": "a digit"}
    assert report.acknowledged + report.failed == report.attempted


def test_those_who_met_in_a_run_are_counted_by_when_they_began_and_ended(tmp_path: Path) -> None:
    """Half of 200 inserts of some milliseconds, or more. Whether it is as many as expected, a busy machine decides."""
    report = measure_rate(rate_workers.Sleeps(0.003), 400, 0.5, directory=tmp_path, seed=0, workers=40)
    inserts = sorted((one.began or 0.0, one.ended or 0.0) for one in report.inserts)
    pairs = [(one, other) for one, other in combinations(inserts, 2) if other[0] < one[1]]
    assert report.acknowledged == len(inserts)
    assert report.meetings.pairs == len(pairs)
    assert report.meetings.inserts == len({insert for pair in pairs for insert in pair}) > 50
    times = [ended - began for began, ended in inserts]
    assert report.meetings.pairs_expected == pytest.approx(400 * sum(times))
    assert report.meetings.inserts_expected == pytest.approx(report.meetings.inserts, rel=0.9)


def test_those_made_to_meet_do(tmp_path: Path) -> None:
    """Each with its own partner: half a second is long enough for whoever begins late on a busy machine."""
    sleeps = rate_workers.Sleeps(0.5)
    report = measure_rate(sleeps, 40, 0.6, workers=30, directory=tmp_path, seed=1, together=2)
    for one, other in zip(report.inserts[::2], report.inserts[1::2], strict=True):
        assert one.due == other.due
        assert max(one.began or 0.0, other.began or 0.0) < min(one.ended or 0.0, other.ended or 0.0)
    assert report.meetings.inserts == report.attempted
    assert report.meetings.inserts_expected is None


def test_who_finds_nobody_free_begins_late_and_in_the_end_not_at_all(tmp_path: Path) -> None:
    """One worker, 0.2 s an insert, and 20 a second that come due."""
    report = measure_rate(rate_workers.Sleeps(0.2), 20, 1.2, directory=tmp_path, seed=1, workers=1, patience=0.5)
    assert report.waited_for_worker > report.attempted / 2
    assert report.not_begun > 0
    assert report.acknowledged + report.not_begun == report.attempted
    assert (report.failed, report.wrong) == (0, {})
    assert quantile(report.latencies, 0.99) > 0.5
    assert report.why_not(p99=0.1) == "p99 passed"
    assert report.why_not(p99=60) == ""


@pytest.mark.parametrize(
    ("writer", "kind", "reason"),
    [
        (bad_writers.ForgetsToCommit(), "lost", None),
        (bad_writers.RaisesWhatCannotBePickled(), "failed", "HiddenError"),
        (bad_writers.Exits(), "failed", "exited with status 7"),
        (bad_writers.IsKilled(), "failed", "killed by SIGKILL"),
        (bad_writers.LetsTheChildReturn(), None, None),
        (Functions("tests.rate_workers:no_such", "tests.rate_workers:no_such"), None, None),
    ],
)
def test_what_goes_wrong_is_said(writer: Any, kind: str | None, reason: str | None, tmp_path: Path) -> None:
    """As a burst says it, and in the crew too nobody's mistake hides another's insert."""
    if isinstance(writer, Functions):
        with pytest.raises(RuntimeError, match="rate_workers has no no_such"):
            measure_rate(writer, 50, 0.4, directory=tmp_path)
    else:
        report = measure_rate(writer, 50, 0.4, directory=tmp_path, seed=1, workers=30)
        assert report.wrong == ({kind: report.attempted} if kind else {})
        assert report.errors == ({reason: report.attempted} if reason else {})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_nothing_about_the_writer(tmp_path: Path, marked: Living) -> None:
    with small_disk(tmp_path) as small:
        if small is None:
            pytest.skip("mounting is not allowed here")
        free = os.statvfs(small)
        (small / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - 48 * 1024))
        with pytest.raises(OSError, match="no space left on the disk of"):
            measure_rate("wal", 50, 0.5, directory=small, workers=4)


def test_an_insert_that_hangs_has_failed_and_counts_as_late(tmp_path: Path, marked: Living) -> None:
    report = measure_rate(bad_writers.Hangs(), 50, 0.4, directory=tmp_path, seed=1, workers=30, deadline=3)
    assert report.errors == {"timed out": report.attempted}
    assert report.why_not(p99=60) == f"{report.attempted} failed"


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": 1.5}, {"patience": 0}, {"together": 0}])
def test_what_cannot_be_tried_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        measure_rate("wal", 50, 1, directory=tmp_path, **wrong)


# A stall


def report_of(inserts: list[Insert], rate: float = 50) -> RateReport:
    """A report of inserts that all succeeded."""
    writer = resolve_writer("wal")
    nothing = BurstReport(writer, (), (), Check((), ()))
    return RateReport(writer, rate, 1.0, 100, False, 0, tuple(inserts), nothing)


def test_a_closed_loop_passes_over_what_comes_due_while_it_waits() -> None:
    """One a millisecond, for a second; in its midst a stall of 0.2 s that delays all that come due in it."""
    inserts = []
    for number in range(1000):
        due = number / 1000
        ended = 0.7 if 0.5 <= due < 0.7 else due + 0.0005
        inserts.append(Insert(due, due, due, ended))
    report = report_of(inserts)
    assert quantile(report.latencies, 0.99) == pytest.approx(0.19, abs=0.002)
    assert len(report.closed_loop) == 801
    assert quantile(report.closed_loop, 0.99) == pytest.approx(0.0005)
    assert report.closed_loop[-1] == pytest.approx(0.2)


def test_a_stall_is_seen_from_the_moment_due_and_hidden_from_who_waits_for_answers(tmp_path: Path) -> None:
    """The holder of the lock is stopped for a second, with workers enough and with two."""

    def slow_ones(times: list[float]) -> int:
        return sum(seconds > 0.5 for seconds in times)

    writer = StopsOnce("wal", after=0.8)
    wide = measure_rate(writer, 50, 2, directory=tmp_path, seed=1, workers=60)
    narrow = measure_rate(writer, 50, 2, directory=tmp_path, seed=1, workers=2)
    for report in (wide, narrow):
        assert report.wrong == {}
        assert report.latencies[-1] >= 0.9
        assert quantile(report.latencies, 0.99) >= 0.5
    assert slow_ones(wide.latencies) >= 10
    assert slow_ones(wide.latencies) >= 4 * slow_ones(wide.closed_loop)
    assert slow_ones(narrow.latencies) >= 10
    assert slow_ones(narrow.latencies) >= 4 * slow_ones(narrow.insert_times)
    assert narrow.waited_for_worker >= 10


# The search


@pytest.mark.parametrize("edge", [3, 33, 97, 500, 1234, 9000])
def test_the_search_closes_in_on_the_edge_and_repeats_both_ends(edge: float) -> None:
    found: dict[float, list[bool]] = {}
    while (rate := next_rate(found, 10_000)) is not None:
        found.setdefault(rate, []).append(rate < edge)
    held, passed = highest_held(found), lowest_passed(found)
    assert held is not None
    assert passed is not None
    assert held < edge <= passed <= held * CLOSE
    assert len(found[held]) == len(found[passed]) == 3
    assert sum(map(len, found.values())) < 20


def test_half_of_the_runs_decide() -> None:
    found = {40.0: [True, True, False], 50.0: [True, False], 60.0: [True]}
    assert highest_held(found) is None
    assert lowest_passed(found) == 50


@pytest.mark.parametrize("seed", range(20))
def test_the_search_ends_where_the_edge_is_blurred(seed: int) -> None:
    """Neither end is where most runs say the opposite, and nothing between them is said to be certain."""
    numbers = random.Random(seed)
    found: dict[float, list[bool]] = {}
    while (rate := next_rate(found, 10_000)) is not None:
        found.setdefault(rate, []).append(rate < 300 * numbers.uniform(0.7, 1.4))
    held, passed = highest_held(found), lowest_passed(found)
    assert held is not None
    assert passed is not None
    assert held < passed
    assert all(all(runs) for rate, runs in found.items() if rate <= held)
    assert sum(map(len, found.values())) < 40


def test_the_search_stops_at_the_largest_rate_and_at_the_lowest() -> None:
    found: dict[float, list[bool]] = {}
    while (rate := next_rate(found, 500)) is not None:
        found.setdefault(rate, []).append(True)
    assert highest_held(found) == 500
    assert lowest_passed(found) is None
    found = {}
    while (rate := next_rate(found, 500)) is not None:
        found.setdefault(rate, []).append(False)
    assert highest_held(found) is None
    assert min(found) >= 2.5


# The command


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run ``sqlite-writes rate`` in this process; a load may take less time than a user is allowed."""
    pytest.importorskip("click")
    from sqlite_writes.command_line import main, rate_options

    monkeypatch.setattr(rate_options, "LEAST", 1.0)
    return lambda *arguments: main.run(["rate", *map(str, arguments)])


def test_the_command_answers_the_question_of_the_article(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How often two of so many calls a day meet, what becomes of them, and failures at 1000 times that rate."""
    jsonschema = pytest.importorskip("jsonschema")
    export = tmp_path / "rate.json"
    status = command(
        "--rate", "1500/day", "--writer", "wal", "--seconds", 4, "--directory", tmp_path, "--export-json", export
    )
    shown = " ".join(capsys.readouterr().out.split())
    assert status == 0
    assert re.search(r"wal: at 1500 a day, [\d.]+ ms for each insert, two meet once in [\d.,]+ (day|year|hour)s", shown)
    assert re.search(r"Made to meet \d+ times, none took over [\d.]+ m?s\.", shown)
    assert re.search(r"Of \d+ inserts, \d+ of them at 1,000 times that rate, 0 failed; p99 [\d.]+ m?s", shown)
    found = json.loads(export.read_text())
    schema = json.loads((PROJECT / "sqlite_writes/command_line/rate.schema.json").read_text())
    jsonschema.validate(found, schema)
    (writer,) = found["writers"]
    assert writer["multiple"] == 1000
    assert writer["run"]["rate"] == pytest.approx(1500 / 86.4)
    assert writer["expected"]["insert_time"] == writer["run"]["meetings"]["insert_time_alone"]
    assert list(tmp_path.iterdir()) == [export]


def test_the_command_measures_a_load_and_ends_with_3_if_a_threshold_is_passed(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = ("--rate", "50/s", "--seconds", 1, "--directory", tmp_path)
    assert command(*load, "--writer", "grouped", "--p99", "0.01ms") == 3
    shown = capsys.readouterr().out
    assert "grouped: at 50 a second, " in shown
    assert "threshold passed: grouped: p99 " in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert command(*load, "--writer", "tests.bad_writers:Exits", "--max-failed", 0) == 1
    assert "one process alone fails, exited with status 7" in capsys.readouterr().err


def test_the_command_searches_and_says_what_it_knows_when_its_time_is_over(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One worker, 20 ms an insert: not even 50 a second."""
    jsonschema = pytest.importorskip("jsonschema")
    export = tmp_path / "rate.json"
    how = ("--workers", 1, "--p99", "50ms", "--seconds", 5, "--directory", tmp_path, "--export-json", export)
    assert command("--writer", "tests.rate_workers:slow", *how) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"slow: not even 40 inserts a second hold \(1 of 1 run: p99 [\d.]+ m?s or more\); not finished", shown
    )
    found = json.loads(export.read_text())
    jsonschema.validate(found, json.loads((PROJECT / "sqlite_writes/command_line/rate.schema.json").read_text()))
    limit = found["writers"][0]["limit"]
    assert limit["passed"] == 40
    assert not limit["is_complete"]


def test_a_run_has_the_commands_around_it(command: Callable[..., int], tmp_path: Path) -> None:
    note = f"echo {{}} $(ls -A ${{{{SQLITE_WRITES_DATABASE%/*}}}} | wc -l) >> {tmp_path}/said.txt"
    around = ("--prepare", note.format("before"), "--cleanup", note.format("after"))
    assert command("--writer", "wal", "--seconds", 1, "--workers", 4, "--directory", tmp_path, *around) == 0
    said = (tmp_path / "said.txt").read_text().splitlines()
    assert said == ["before 0", "after 1"] * (len(said) // 2)


@pytest.mark.parametrize("option", ["--prepare", "--cleanup"])
def test_a_command_around_a_run_that_fails_is_one_line(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert command("--writer", "wal", "--directory", tmp_path, option, "echo no disk; exit 9") == 1
    complaint = f"\nsqlite-writes: {option} 'echo no disk; exit 9' ended with status 9: no disk\n"
    assert capsys.readouterr().err.endswith(complaint)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--rate", "50"],
        ["--rate", "0/s"],
        ["--rate", "50/week"],
        ["--rate", "20000/s"],
        ["--rate", "1000 a day"],
        ["--p99", "3"],
        ["--seconds", "0"],
        ["--rate", "50/s", "--seconds", "0.5"],
        ["--workers", "0"],
        ["--seed", "x"],
        ["--writer", "nobody"],
        ["--writer", ","],
        ["--directory", "/nowhere"],
        ["--max-failed", "0"],
        ["--export-json", "/nowhere/rate.json"],
        ["--speed", "1"],
        ["more"],
    ],
)
def test_what_is_mistyped_is_named_in_one_line(
    wrong: list[str], command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*wrong) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert wrong[-1] in line or wrong[0] in line


def test_ctrl_c_shows_what_was_measured_so_far(tmp_path: Path, marked: Living) -> None:
    pytest.importorskip("click")
    process = subprocess.Popen(
        [sys.executable, "-m", "sqlite_writes", "rate", "--rate", "50/s", "--writer", "wal", "--directory", tmp_path],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def rows() -> int:
        for database in tmp_path.glob(".sqlite-writes-*/writes.db"):
            with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as connection:
                return int(connection.execute("SELECT count(*) FROM messages").fetchone()[0])
        return 0

    wait_until(lambda: rows() >= 20, "some rows are there")
    process.send_signal(signal.SIGINT)
    shown, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"Of \d\d+ inserts,\s+until\s+it\s+was\s+interrupted,\s+0\s+failed", shown)
    assert "interrupted: what was measured so far is above" in complaints
    assert list(tmp_path.iterdir()) == []
    assert shown.isascii()
