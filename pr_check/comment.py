"""Post a check's report as the pull request's one comment, or update it: ``python -m pr_check.comment FOLDER``.

Runs with a token that may write, on the main branch's code, and takes the folder for what a stranger sent: only data is
read, never executed; it is of a limited size; the pull request has to be the one whose commit was checked; and the text
is rendered here, with everything in it escaped. It needs only the standard library.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .report import CheckReport

MARK = "<!-- pr_check: this comment is updated by the check -->"
LARGEST_REPORT = 1_000_000
LARGEST_COMMENT = 65_000  # characters; GitHub refuses more than 65,536


def comment(folder: Path, api: str, repository: str, token: str, head_commit: str) -> str:
    """Post or update the comment; return what was done, in words. ``ValueError`` if ``number`` names no pull request.

    Nothing is done if the pull request has moved on: the check of its newer commit has the word. The comment is looked
    for among the first hundred: GitHub lists the oldest first, and the first check ends minutes after the opening.
    """

    def ask(method: str, path: str, body: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 the address is GitHub's, from the runner
            f"{api}/repos/{repository}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    number = _read(folder / "number", 20)
    if not re.fullmatch(r"[1-9][0-9]{0,9}", number):
        raise ValueError(f"{number!r} is not the number of a pull request")
    if ask("GET", f"pulls/{number}")["head"]["sha"] != head_commit:
        return f"no comment: pull request {number} is not at the commit {head_commit[:8]}, which was checked"
    text = f"{MARK}\n{_render(folder / 'report.json')}"
    for one in ask("GET", f"issues/{number}/comments?per_page=100"):
        if one["body"].startswith(MARK) and one["user"]["type"] == "Bot":
            ask("PATCH", f"issues/comments/{int(one['id'])}", {"body": text})
            return f"updated the comment on pull request {number}"
    ask("POST", f"issues/{number}/comments", {"body": text})
    return f"posted a comment on pull request {number}"


def _render(file: Path) -> str:
    if not file.exists():
        return "**The check could not be made.** Its log says why, in one line.\n"
    try:
        text = CheckReport.from_json(_read(file, LARGEST_REPORT)).to_markdown()
    except ValueError:  # too large, or of another version of this code: what an older comment says is out of date
        return "**The report of this check cannot be shown here.** The check's log has it, and says the verdict.\n"
    return text if len(text) <= LARGEST_COMMENT else f"{text.split('<details>')[0][:LARGEST_COMMENT]}\n\n(cut short)\n"


def _read(file: Path, largest: int) -> str:
    with file.open("rb") as opened:
        data = opened.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"{file.name} is larger than {largest} bytes")
    return data.decode(errors="replace").strip()


def main(folder: str) -> int:
    """Comment by what the runner says of itself; return 1 if there is no comment where there should be one."""
    names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN", "HEAD_COMMIT")
    try:
        api, repository, token, head_commit = (os.environ[name] for name in names)
        done = comment(Path(folder), api, repository, token, head_commit)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"no comment: {error}\n")
        return 1
    except KeyError as error:
        sys.stderr.write(f"no comment: the variable {error} is not set\n")
        return 1
    sys.stdout.write(f"{done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
