"""The workflows of the check: who is judged by whom, what ends what, and the commands themselves, run here."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from pr_check.commits import git

from .conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def workflow(name: str) -> dict[str, Any]:
    """The workflow of that name, as GitHub reads it."""
    read: dict[str, Any] = YAML(typ="safe").load(PROJECT / ".github" / "workflows" / f"{name}.yml")
    return read


def test_a_merge_queue_is_answered_too() -> None:
    """It waits for ever for a check that its event does not start."""
    assert {"pull_request", "merge_group"} <= set(workflow("check")["on"])
    assert "merge_group.base_sha" in workflow("judge")["jobs"]["judge"]["env"]["BASE"]


def test_an_edit_of_the_title_ends_no_running_check() -> None:
    """One of the text does: it may accept a cost."""
    ends = workflow("check")["concurrency"]["cancel-in-progress"]
    assert ends == "${{ github.event.action != 'edited' || github.event.changes.body != null }}"


def test_a_change_of_the_check_is_judged_by_the_check_of_its_base(tmp_path: Path) -> None:
    """The commands of the workflow, as they stand: the head's own ``pr_check`` is not what runs."""
    steps = workflow("judge")["jobs"]["judge"]["steps"]
    project, check = (step["with"] for step in steps if str(step.get("uses", "")).startswith("actions/checkout"))
    assert (project["path"], check["path"]) == ("project", "check")
    assert "env.BASE" in check["ref"]
    for name in ("pr_check", "asv_plugins", ".venv"):
        (tmp_path / "check").mkdir(exist_ok=True)
        (tmp_path / "check" / name).symlink_to(PROJECT / name)
    head = tmp_path / "project"
    head.mkdir()
    (tmp_path / "report").mkdir()
    git(head, "init", "-q", "-b", "main")
    (head / "asv.conf.json").write_text('{"version": 1, "project": "p", "repo": "."}')
    for message in ("Base", "Head"):
        (head / "pr_check").mkdir(exist_ok=True)
        (head / "pr_check" / "__main__.py").write_text("raise SystemExit(0)  # whatever comes, it is fine")
        (head / "README.md").write_text(message)
        git(head, "add", "-A")
        git(head, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", message)
    (compare,) = (step for step in steps if step.get("name") == "Compare")
    told = {"BASE": git(head, "rev-parse", "HEAD^"), "CONFIG": "asv.conf.json", "PYTHON": "3.12", "TIME_LIMIT": "60"}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", compare["run"]],
        cwd=tmp_path,
        env={**os.environ, **told, "PULL_REQUEST_TEXT": "words"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "report" / "report.json").read_text())["nothing_to_measure"]
    assert (tmp_path / "report" / "table.txt").read_text().startswith("All benchmarks:")
