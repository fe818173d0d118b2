"""The report and its comment: what comes from outside stays text, and the comment is one, for the right commit."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import pytest

from pr_check.asv_table import asv_table
from pr_check.comment import MARK, comment
from pr_check.findings import Finding, Judgement, Timing
from pr_check.report import CheckReport, escape

if TYPE_CHECKING:
    from pathlib import Path
    from urllib.request import Request

HOSTILE = "<img src=x> @everyone [click](http://bad) www.bad.example `x` #1 | ```\n</details>"


def report(text: str = "+4,120 bytes written per row") -> CheckReport:
    finding = Finding(
        kind="cost",
        benchmark="cost.InsertCost('wal', 'disk') bytes_written",
        base="8,256",
        head="12,376",
        change="+4,120",
        evidence="exact",
        cause=text,
        details=f"Traceback\n{text}",
    )
    return CheckReport(
        base="a" * 40,
        head="b" * 40,
        judgement=Judgement(
            verdict="REGRESSION",
            findings=[finding],
            notes=[text],
            timings=[Timing("burst.Burst(8, 'wal')", 12, 0.04, 0.041, 1.02, 0.98, 1.07, 1.11), Timing("never", 0)],
            failures=[("burst.Burst(8, 'wal')", "0 of 12", "0 of 12")],
            left_out=[("never", "there was no time to time it")],
            needed=400,
        ),
        environment={"Python": text},
        command="python -m pr_check a b --seed 7",
        benchmarks={"removed": ["burst.Old"], "new": [], "changed": []},
    )


def test_the_verdict_comes_first_then_what_changed_and_the_rest_is_folded() -> None:
    text = report().to_markdown()
    shown, _, folded = text.partition("<details>")
    assert text.startswith("**REGRESSION: aaaaaaaa → bbbbbbbb: 1 higher exact cost; 1 NOT JUDGED (never; --time-limit")
    assert "8,256 → 12,376 | +4,120 | +4,120 bytes written per row | exact | yes |" in shown
    assert "removed benchmarks: burst.Old" in shown
    assert "| +11.0% or more |" in folded
    assert "Repeat it: `python -m pr_check a b --seed 7`" in folded


def test_the_table_of_asv_compare_has_a_mark_for_what_is_worse() -> None:
    worse = report()
    worse.judgement.costs = [(worse.judgement.findings[0].benchmark, "8,256", "12,376"), ("other", "1", "1")]
    lines = [[field.strip() for field in line.split("|")[1:-1]] for line in asv_table(worse).splitlines()[2:]]
    assert lines[0] == ["Change", "Before [aaaaaaaa]", "After [bbbbbbbb]", "Ratio", "Benchmark (Parameter)"]
    assert lines[2:] == [
        ["", "40.00 ms", "41.00 ms", "1.02", "burst.Burst(8, 'wal')"],
        ["+", "8,256", "12,376", "n/a", "cost.InsertCost('wal', 'disk') bytes_written"],
        ["", "1", "1", "n/a", "other"],
    ]


def test_json_and_markdown_come_from_the_same_data() -> None:
    assert CheckReport.from_json(report().to_json()).to_markdown() == report().to_markdown()


def test_nothing_from_outside_is_markdown_or_html() -> None:
    hostile = report(HOSTILE)
    hostile.benchmarks = {f"{HOSTILE}\n\n# Approved": [HOSTILE]}
    text = hostile.to_markdown()
    assert "\n# Approved" not in text
    assert "<img" not in text
    assert text.count("</details>") == text.count("<details>")
    assert text.count("</pre>") == text.count("<pre>") == 1
    outside = re.sub(r"<pre>.*</pre>", "", text, flags=re.DOTALL)  # inside nobody is called, and nothing is a link
    assert "@everyone" not in outside
    assert "[click](" not in outside
    assert "www.bad" not in outside
    assert escape("a | b\n#1") == "a \\| b #\u200b1"
    assert len(escape("x" * 10_000)) < 1000


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"judgement": {}}', '{"judgement": null}', "[" * 100_000, '{"judgement": 1, "x": 2}']
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        CheckReport.from_json(text)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("verdict", "<b>PASS</b>"),
        ("findings", [{"kind": "cost", "benchmark": "x", "evidence": "y", "cause": {"a": 1}}]),
        ("timings", [{"benchmark": "x", "pairs": 12, "base": 1, "head": 1, "factor": 10**400, "low": 1}]),
    ],
)
def test_another_verdict_and_wrong_types_are_refused(part: str, wrong: object) -> None:
    known = json.loads(report().to_json())
    known["judgement"][part] = wrong
    with pytest.raises(ValueError, match=r"no such verdict|not a report"):
        CheckReport.from_json(json.dumps(known))


class GitHub:
    """As much of GitHub as the comment needs: one pull request and its comments."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = [{"id": 1, "body": f"{MARK} I am no bot", "user": {"type": "User"}}]

    def answer(self, request: Request, timeout: float) -> BytesIO:
        """Do what is asked for, as ``urlopen`` does."""
        assert request.get_header("Authorization") == "Bearer secret"
        assert 0 < timeout < 60
        body = json.loads(cast("bytes", request.data)) if request.data else {}
        value: object = {}
        asked = f"{request.get_method()} {request.full_url.removeprefix('https://api/repos/o/r/')}"
        if asked == "GET pulls/12":
            value = {"head": {"sha": "b" * 40}}
        elif asked == "GET issues/12/comments?per_page=100":
            value = self.comments
        elif asked == "POST issues/12/comments":
            self.comments.append({"id": 1000, **body, "user": {"type": "Bot"}})
        else:
            assert asked == "PATCH issues/comments/1000"
            self.comments[-1].update(body)
        return BytesIO(json.dumps(value).encode())


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> GitHub:
    github = GitHub()
    monkeypatch.setattr("urllib.request.urlopen", github.answer)
    return github


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    (tmp_path / "number").write_text("12\n")
    (tmp_path / "report.json").write_text(report().to_json())
    return tmp_path


def commented(artifact: Path, head_commit: str = "b" * 40) -> str:
    return comment(artifact, "https://api", "o/r", "secret", head_commit)


def test_there_is_one_comment_and_it_is_updated(github: GitHub, artifact: Path) -> None:
    said = [commented(artifact) for _ in range(3)]
    assert said == ["posted a comment on pull request 12", *["updated the comment on pull request 12"] * 2]
    assert len(github.comments) == 2
    assert github.comments[-1]["body"] == f"{MARK}\n{report().to_markdown()}"


def test_a_check_that_could_not_be_made_says_so(github: GitHub, artifact: Path) -> None:
    (artifact / "report.json").unlink()
    commented(artifact)
    assert "The check could not be made" in github.comments[-1]["body"]


@pytest.mark.parametrize("number", ["13; rm", "../1", "", "0", "-1", "9" * 30])
def test_a_number_that_is_none_is_refused(github: GitHub, artifact: Path, number: str) -> None:
    (artifact / "number").write_text(number)
    with pytest.raises(ValueError, match=r"not the number of a pull request|larger than"):
        commented(artifact)


def test_another_pull_request_and_one_that_has_moved_on_get_no_comment(github: GitHub, artifact: Path) -> None:
    assert "not at the commit cccccccc" in commented(artifact, "c" * 40)
    assert len(github.comments) == 1


@pytest.mark.parametrize("text", [" " * 1_000_001, "{}", report().to_json().replace('"kind"', '"sort"')])
def test_an_unreadable_report_leaves_no_older_comment_standing(github: GitHub, artifact: Path, text: str) -> None:
    commented(artifact)
    (artifact / "report.json").write_text(text)
    commented(artifact)
    assert len(github.comments) == 2
    assert "cannot be shown here" in github.comments[-1]["body"]


def test_a_long_comment_is_cut(github: GitHub, artifact: Path) -> None:
    long = report()
    long.judgement.notes = ["x" * 500] * 500
    (artifact / "report.json").write_text(long.to_json())
    commented(artifact)
    assert len(github.comments[-1]["body"]) < 65_536
