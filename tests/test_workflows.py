"""What a stranger's pull request can do in this project's workflows: docs/pull_requests.md, held against the files.

Knows GitHub's rules as far as they are needed: what a trigger runs, with which token, and what a ``${{ }}`` is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from .conftest import PROJECT

FOLDER = PROJECT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))

# Triggers for which GitHub runs what the pull request brings, with a token that it limits to reading for a stranger's.
STRANGERS = {"pull_request", "merge_group"}

# What a workflow runs that calls this one: with the caller's trigger and rights.
CALLED = "workflow_call"

# Triggers that a stranger can cause and that run the main branch's workflow with the rights that it asks for.
TRUSTED = {"pull_request_target", "workflow_run", "issue_comment", "issues", "discussion", "fork", "watch"}

# What a stranger writes, and what therefore may be in an environment variable, and never in a command.
WRITTEN_BY_A_STRANGER = re.compile(
    r"github\.(head_ref|event\.(pull_request\.(title|body|head|user)|workflow_run\.head|comment|issue|head_commit))"
)


def workflow(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def triggers(name: str) -> set[str]:
    """YAML takes the key ``on`` for true."""
    found = workflow(name)[True]
    return set(found) if isinstance(found, (dict, list)) else {found}


def steps(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each step, with its job; one that calls another workflow has none."""
    return [(job, step) for job in jobs(name) for step in job["steps"]]


def jobs(name: str) -> list[dict[str, Any]]:
    """Those that run something themselves."""
    every = list(workflow(name)["jobs"].values())
    for job in every:
        assert ("uses" in job) != ("steps" in job)
        assert str(job.get("uses", "./")).startswith("./"), "another repository's workflow is another's to change"
    return [job for job in every if "steps" in job]


def rights(name: str) -> dict[str, str]:
    """Return the rights that a job of it has, all jobs together."""
    found: dict[str, str] = {}
    for job in workflow(name)["jobs"].values():
        for what, right in job["permissions"].items():
            found[what] = max(right, found.get(what, ""))  # "write" is the larger word, too
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_workflow_has_a_right_that_a_job_does_not_name(name: str) -> None:
    """``permissions: {}`` takes all from the token; without it GitHub gives what the repository's settings say."""
    assert workflow(name)["permissions"] == {}
    assert all("permissions" in job for job in workflow(name)["jobs"].values())


@pytest.mark.parametrize("name", NAMES)
def test_what_runs_a_strangers_code_may_only_read_and_has_no_secret(name: str) -> None:
    if not (triggers(name) & STRANGERS or triggers(name) == {CALLED}):
        pytest.skip("runs nothing of a pull request")
    assert set(rights(name).values()) <= {"read"}
    text = (FOLDER / name).read_text()
    assert "secrets." not in text
    assert "github.token" not in text
    assert "actions/cache" not in text  # what it would store, the main branch's runs would take
    assert all(job["runs-on"].startswith("ubuntu-") for job in jobs(name))  # no machine of ours
    assert all("environment" not in job for job in workflow(name)["jobs"].values())


@pytest.mark.parametrize("name", NAMES)
def test_what_a_stranger_can_cause_with_rights_runs_the_main_branch_alone(name: str) -> None:
    if not triggers(name) & TRUSTED:
        pytest.skip("a stranger cannot cause it, or it has no rights")
    assert triggers(name) <= {"workflow_run", CALLED}
    checkouts = [step for _, step in steps(name) if str(step.get("uses", "")).startswith("actions/checkout@")]
    assert checkouts
    for step in checkouts:
        ours = "(!inputs.check-repository && github.event.repository.default_branch)"
        assert step["with"]["ref"] == f"${{{{ inputs.check-ref || {ours} || '' }}}}"
    for _, step in steps(name):
        assert not re.search(r"\b(make|pip|git|bash|sh|source)\b", step.get("run", "")), "it executes the tree's tools"
        if str(step.get("uses", "")).startswith("actions/download-artifact@"):
            assert step["with"]["path"].startswith("${{ runner.temp }}/")  # never over the code that runs
    assert {what for what, right in rights(name).items() if right == "write"} <= {"pull-requests"}


@pytest.mark.parametrize("name", NAMES)
def test_what_writes_pages_or_the_history_is_started_by_nobody_outside(name: str) -> None:
    if not {what for what, right in rights(name).items() if right == "write"} - {"pull-requests"}:
        pytest.skip("it writes neither")
    assert triggers(name) <= {"schedule", "workflow_dispatch"}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_a_stranger_writes_is_part_of_a_command(name: str) -> None:
    """An expression in ``run`` is pasted into the script before the shell reads it; a variable is not."""
    for _, step in steps(name):
        for script in (step.get("run", ""), str(step.get("with", {}).get("script", ""))):
            assert "${{" not in script, script
        for value in (step.get("with") or {}).values():
            if WRITTEN_BY_A_STRANGER.search(str(value)):
                hashes = "github.event.pull_request.head.sha || github.event.merge_group.head_sha"  # by GitHub itself
                assert value == f"${{{{ {hashes} }}}}"


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_to_a_commit_and_leaves_no_token_behind(name: str) -> None:
    for _, step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z/-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            if step["uses"].startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", NAMES)
def test_no_job_can_run_for_ever(name: str) -> None:
    """GitHub's own limit is six hours; a pull request that is pushed again ends its older runs."""
    assert all(0 < job["timeout-minutes"] <= 120 for job in jobs(name))
    assert "concurrency" in workflow(name) or triggers(name) == {CALLED}
    if triggers(name) & STRANGERS:
        assert workflow(name)["concurrency"]["cancel-in-progress"] not in {False, None}


def test_the_page_names_every_workflow_and_its_rights() -> None:
    page = Path(PROJECT, "docs", "pull_requests.md").read_text()
    for name in NAMES:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        for what, right in rights(name).items():
            assert f"`{what}: {right}`" in row
        for trigger in triggers(name):
            assert f"`{trigger}`" in row
