"""The report and its comment: what comes from outside stays text, and the comment is one, for the right commit."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from pr_check.comment import MARK, comment
from pr_check.findings import Finding, Judgement, Timing
from pr_check.report import Report, escape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "<img src=x> @everyone [click](http://bad) www.bad.example `x` #1 | ```\n</details>"


def report(text: str = "+4,120 bytes written per row") -> Report:
    finding = Finding(
        "cost", "cost.InsertCost('wal', 'disk') bytes_written", "8,256", "12,376", "+4,120", "exact", True, text,
        details=f"Traceback\n{text}",
    )  # fmt: skip
    return Report(
        base="a" * 40,
        head="b" * 40,
        judgement=Judgement(
            verdict="REGRESSION",
            findings=[finding],
            notes=[text],
            timings=[Timing("burst.Burst(8, 'wal')", 12, 0.04, 0.041, 1.02, 0.98, 1.07, 1.11), Timing("never", 0)],
            failures=[("burst.Burst(8, 'wal')", "0 of 12", "0 of 12")],
        ),
        environment={"Python": text},
        command="python -m pr_check a b --seed 7",
        benchmarks={"removed": ["burst.Old"], "new": [], "changed": []},
    )


def test_the_verdict_comes_first_then_what_changed_and_the_rest_is_folded() -> None:
    text = report().to_markdown()
    shown, _, folded = text.partition("<details>")
    assert text.startswith("**REGRESSION: aaaaaaaa → bbbbbbbb: 1 higher exact cost**\n")
    assert "8,256 → 12,376 | +4,120 | +4,120 bytes written per row | exact | yes |" in shown
    assert "removed benchmarks: burst.Old" in shown
    assert "| +11.0% or more |" in folded
    assert "Repeat it: `python -m pr_check a b --seed 7`" in folded


def test_json_and_markdown_come_from_the_same_data() -> None:
    assert Report.from_json(report().to_json()).to_markdown() == report().to_markdown()


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
        Report.from_json(text)


def test_a_report_of_another_verdict_or_of_wrong_types_is_refused() -> None:
    known = json.loads(report().to_json())
    known["judgement"]["verdict"] = "<b>PASS</b>"
    with pytest.raises(ValueError, match="no such verdict"):
        Report.from_json(json.dumps(known))
    known = json.loads(report().to_json())
    known["judgement"]["findings"][0]["cause"] = {"a": 1}
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json(json.dumps(known))
    known = json.loads(report().to_json())
    known["judgement"]["timings"] = [{"benchmark": "x", "pairs": 12, "base": 1, "head": 1, "factor": 10**400, "low": 1}]
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json(json.dumps(known))


class GitHub(HTTPServer):
    """As much of GitHub as the comment needs: one pull request and its comments."""

    head = "b" * 40

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[dict[str, Any]] = [
            {"id": n, "body": f"{MARK} I am no bot", "user": {"type": "User"}} for n in range(130)
        ]
        self.tokens: set[str] = set()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: GitHub

    def _answer(self, value: object) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def _body(self) -> str:
        return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

    def do_GET(self) -> None:
        if self.path == "/repos/o/r/pulls/12":
            return self._answer({"head": {"sha": self.server.head}})
        page = int(self.path.rpartition("page=")[2])
        return self._answer(self.server.comments[100 * (page - 1) : 100 * page])

    def do_POST(self) -> None:
        assert self.path == "/repos/o/r/issues/12/comments"
        self.server.comments.append({"id": 1000, "body": self._body(), "user": {"type": "Bot"}})
        self._answer({})

    def do_PATCH(self) -> None:
        assert self.path == "/repos/o/r/issues/comments/1000"
        self.server.comments[-1]["body"] = self._body()
        self._answer({})

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    (tmp_path / "number").write_text("12\n")
    (tmp_path / "report.json").write_text(report().to_json())
    return tmp_path


def test_there_is_one_comment_and_it_is_updated(github: GitHub, artifact: Path) -> None:
    said = [comment(artifact, github.address, "o/r", "secret", "b" * 40) for _ in range(3)]
    assert said == ["posted a comment on pull request 12", *["updated the comment on pull request 12"] * 2]
    assert len(github.comments) == 131
    assert github.comments[-1]["body"] == f"{MARK}\n{report().to_markdown()}"
    assert github.tokens == {"Bearer secret"}


def test_a_check_that_could_not_be_made_says_so(github: GitHub, artifact: Path) -> None:
    (artifact / "report.json").unlink()
    comment(artifact, github.address, "o/r", "secret", "b" * 40)
    assert "The check could not be made" in github.comments[-1]["body"]


@pytest.mark.parametrize("number", ["13; rm", "../1", "", "0", "-1", "9" * 30])
def test_a_number_that_is_none_is_refused(github: GitHub, artifact: Path, number: str) -> None:
    (artifact / "number").write_text(number)
    with pytest.raises(ValueError, match=r"not the number of a pull request|larger than"):
        comment(artifact, github.address, "o/r", "secret", "b" * 40)


def test_another_pull_request_and_one_that_has_moved_on_get_no_comment(github: GitHub, artifact: Path) -> None:
    assert "not at the commit cccccccc" in comment(artifact, github.address, "o/r", "secret", "c" * 40)
    assert len(github.comments) == 130


@pytest.mark.parametrize("text", [" " * 1_000_001, "{}", report().to_json().replace('"kind"', '"sort"')])
def test_a_report_that_cannot_be_read_leaves_no_older_comment_standing(
    github: GitHub, artifact: Path, text: str
) -> None:
    comment(artifact, github.address, "o/r", "secret", "b" * 40)
    (artifact / "report.json").write_text(text)
    comment(artifact, github.address, "o/r", "secret", "b" * 40)
    assert len(github.comments) == 131
    assert "cannot be shown here" in github.comments[-1]["body"]


def test_a_long_comment_is_cut(github: GitHub, artifact: Path) -> None:
    long = report()
    long.judgement.notes = ["x" * 500] * 500
    (artifact / "report.json").write_text(long.to_json())
    comment(artifact, github.address, "o/r", "secret", "b" * 40)
    assert len(github.comments[-1]["body"]) < 65_536
