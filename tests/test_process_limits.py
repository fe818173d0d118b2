"""Too many processes are refused before any is started, with the limit and the number that would fit."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sqlite_writes import process_limits

from .conftest import run_script

# Root is not held to its own limit, so the script gives root up.
LIMITED = """
import os, resource
from sqlite_writes import pool_map
resource.setrlimit(resource.RLIMIT_NPROC, (300, 300))
if os.getuid() == 0:
    os.setuid(54321)
try:
    pool_map(len, [""] * 1000)
except OSError as error:
    print(error)
"""


def test_the_users_limit_is_named_with_the_room_it_leaves() -> None:
    done = run_script(LIMITED)
    assert done.stderr == ""
    limit = r"the limit of 300 processes for this user \(ulimit -u\)"
    said = re.fullmatch(rf"1001 more processes do not fit: {limit} leaves room for (\d+)\n", done.stdout)
    assert said is not None, done.stdout
    assert 0 <= int(said[1]) <= 300


def test_a_number_beyond_any_machine_is_refused() -> None:
    with pytest.raises(OSError, match=r"1000000000 more processes do not fit: .* leaves room for \d+"):
        process_limits.check_room_for_processes(1_000_000_000)


def test_tasks_of_this_user_are_counted() -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("no /proc")
    assert process_limits._tasks_of_this_user() >= len(os.listdir("/proc/self/task"))
