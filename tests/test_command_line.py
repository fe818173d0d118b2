"""The command ``sqlite-writes`` as a user meets it: what it says, what it writes, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from sqlite_writes.command_line import main as command_line
from sqlite_writes.folders import MEMORY, PREFIX

from .conftest import PROJECT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Living

SCHEMA = json.loads((PROJECT / "sqlite_writes" / "command_line" / "schema.json").read_text(encoding="utf-8"))

# What a user has: a module with functions that know their database, each but the first with one mistake.
NOTES = """
import os, sqlite3, time
from contextlib import closing, suppress

PATH = os.path.abspath("notes.db")
number = 3

def create():
    with closing(sqlite3.connect(PATH)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text)")

def texts():
    with closing(sqlite3.connect(PATH, timeout=0.2)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes")]

def write(row, timeout=5.0):
    with closing(sqlite3.connect(PATH, timeout=timeout)) as connection, connection:
        connection.execute("INSERT INTO notes VALUES (?)", row)

def impatient(row):
    write(row, timeout=0)

def forgets(row):
    with closing(sqlite3.connect(PATH)) as connection:
        connection.execute("INSERT INTO notes VALUES (?)", row)

def swallows(row):
    with suppress(sqlite3.OperationalError):
        with closing(sqlite3.connect(PATH, timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(0.2)
            connection.execute("INSERT INTO notes VALUES (?)", row)
            connection.execute("COMMIT")

def cuts(row):
    write((row[0][:20],))

class Writer:
    def create(self, database):
        create()
"""

INTERRUPT = re.compile("interrupted: what was measured so far is above, and nothing is left running")


@pytest.fixture
def folder(tmp_path: Path, marked: Living) -> Iterator[Path]:
    """The current folder of the command, with the user's module. Nothing that is not asked for may be left in it."""
    (tmp_path / "notes.py").write_text(NOTES)
    yield tmp_path
    assert not list(tmp_path.glob(".*")), "a folder was left behind"


# What the environment may say of how to print.
HOW_TO_PRINT = ("COLUMNS", "NO_COLOR", "FORCE_COLOR")


def run(folder: Path, *arguments: str, is_one_stream: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command in the folder, 80 columns wide, within this process: another takes as long to start as a burst.

    is_one_stream: all that it says is one text, in the order in which it is said.
    """
    said, complaint = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        for name in HOW_TO_PRINT:
            patch.delenv(name, raising=False)
        patch.setenv("COLUMNS", "80")
        with redirect_stdout(said), redirect_stderr(said if is_one_stream else complaint):
            status = command_line.run(list(arguments))
    texts = (stream.buffer.getvalue().decode() for stream in (said, complaint))
    return subprocess.CompletedProcess(arguments, status, *texts)


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a program of its own, with an environment that says nothing of how to print."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "sqlite_writes", *arguments],
        cwd=folder,
        env=settings_of(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def settings_of(environment: dict[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in HOW_TO_PRINT}
    return {**plain, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1", **environment}


def refused(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The one line of a command that ended with the status and measured nothing; the line is returned."""
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not re.search(r": (growing, )?\d+ process", line)]
    assert "p99" not in done.stdout
    return line


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_burst_is_shown_with_its_times_and_advice(folder: Path) -> None:
    done = start(folder, "burst", "8", "--writer", "wal,grouped")
    assert done.returncode == 0
    said = in_one_line(done.stdout)
    assert "8 processes at one moment, one row each" in said
    assert re.search(r"wal 0 of 8 ", said)
    assert "wal: how long an insert took up to" in said
    assert "Advice, from what was just measured" in said
    assert re.search(r"- grouped holds for 8 processes: no failure in 1 burst; p99 [\d.]+ m?s, a burst takes", said)
    assert "default" not in said
    assert re.fullmatch(
        r"(wal|grouped): 8 processes, burst 1 of 2\n(wal|grouped): 8 processes, burst 2 of 2, about \d+ s left\n",
        done.stderr,
    )


def test_a_limit_is_an_interval_with_its_evidence(folder: Path) -> None:
    done = run(folder, "limit", "--writer", "apsw,grouped", "--max-workers", "7", "--bursts", "2", "--workers", "7")
    assert done.returncode == 0
    said = in_one_line(done.stdout)
    assert re.search(
        r"apsw: no failure in 2 bursts of \d+; (1 of 2 bursts of \d+ failed; )?2 of 2 bursts of \d+ failed", said
    )
    assert "grouped: none up to 7, the most that was tried; no failure in 2 bursts of 7" in said
    assert "- grouped holds for 7 processes: no failure in 2 bursts" in said
    assert re.search(r"- apsw does not hold for 7 processes: \d of \d bursts? ", said)
    assert re.search(r"apsw, in bursts of \d+: \d+ of \d+ rows failed; \d+ x SQLITE_BUSY: database is locked", said)
    assert "growing, 1 process, burst 1" in done.stderr
    assert re.search(
        r"grouped \(2 of 2\): repeating near the edge, 7 processes, burst 2 of 2, about \d+ s left", done.stderr
    )


def test_processes_that_keep_their_connection(folder: Path) -> None:
    done = run(
        folder, "burst", "4", "--keep-open", "--rows-each", "6", "--writer", "wal", "--export-json", "answer.json"
    )
    said = in_one_line(done.stdout)
    assert "4 processes at one moment, 6 rows each over one connection" in said
    assert re.search(r"wal 0 of 24 .* \d+ [\d.]+ m?s, [\d.]+ m?s yes", said)
    (writer,) = json.loads((folder / "answer.json").read_text())["writers"]
    (trial,) = writer["sizes"][0]["trials"]
    assert (len(trial["insert_times"]), len(trial["process_times"])) == (24, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ("burst", "3", "--writer", "wal,concurrent,apsw", "--bursts", "2"),
        ("burst", "3", "--keep-open", "--writer", "wal"),
        ("limit", "--max-workers", "3", "--bursts", "2", "--writer", "wal,grouped", "--workers", "2"),
    ],
)
def test_the_json_keeps_to_its_schema(folder: Path, arguments: tuple[str, ...]) -> None:
    run(folder, *arguments, "--export-json", "answer.json", "--max-failed", "0", "--p99", "1m", "--seed", "4")
    answer: dict[str, Any] = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    jsonschema.validate(answer, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert answer["version"] == 1
    assert answer["seed"] == 4
    for writer in answer["writers"]:
        for size in writer["sizes"]:
            assert size["rows"] == sum(trial["rows"] for trial in size["trials"])
            assert size["bursts"] == len(size["trials"])


def test_a_forecast_stands_beside_what_was_measured(folder: Path) -> None:
    """For ours alone; also of so many processes that none of them is started."""
    arguments = ("--writer", "grouped,apsw", "--max-workers", "2", "--bursts", "1", "--forecast", "2000")
    done = run(folder, "limit", *arguments, "--export-json", "answer.json")
    assert re.search(r"grouped +2 +0% +0% ", done.stdout)
    assert re.search(r"grouped +2000 +- +[\d to]+% +- ", done.stdout)
    grouped, apsw = json.loads((folder / "answer.json").read_text())["writers"]
    assert [each["workers"] for each in grouped["forecasts"]] == [2, 2000]
    assert grouped["forecasts"][0]["measured_failed_share"] == [0]
    assert apsw["forecasts"] == []


def test_the_schema_refuses_what_it_does_not_know() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 2}, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_the_markdown_has_the_same_table(folder: Path) -> None:
    run(folder, "burst", "3", "--writer", "wal", "--export-markdown", "answer.md")
    said = (folder / "answer.md").read_text(encoding="utf-8")
    assert said.startswith("# 3 processes at one moment, one row each\n\n")
    assert re.search(r"^\| wal \| 0 of 3 \| .* \| yes \|$", said, re.MULTILINE)
    assert "## Advice, from what was just measured\n\n- wal holds for 3 processes" in said


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("limit", "--max-workers", "3", "--bursts", "1", "--writer", "wal,grouped"), "answer.svg"),
        (("burst", "3", "--writer", "apsw,wal"), "answer.svg"),
        (("burst", "3", "--writer", "wal"), "answer.png"),
        (("burst", "3", "--writer", "wal,default"), "answer.html"),
    ],
)
def test_a_picture_is_what_its_name_says(folder: Path, command: tuple[str, ...], name: str) -> None:
    """What is read as text follows a dark scheme, and loads nothing from elsewhere."""
    assert run(folder, *command, "--plot", name).returncode == 0
    drawn = (folder / name).read_bytes()
    if name.endswith(".png"):
        assert drawn.startswith(b"\x89PNG")
        return
    text = drawn.decode()
    assert "prefers-color-scheme: dark" in text
    assert "http" not in re.sub(r"http://(www\.w3\.org|purl\.org|creativecommons\.org)", "", text)
    if name.endswith(".svg"):
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    else:
        assert text.startswith("<!DOCTYPE html>")


OWN_CODE = {
    "notes:write": ["notes:write holds for 12 processes", "unknown"],
    "notes:forgets": [
        "12 of 12 rows lost without an error",
        "noticed: alone, too, its row is not there afterwards: it does not commit, or it writes where rows() does not",
        "to do: commit before insert returns",
    ],
    "notes:swallows": [
        "of 12 rows lost without an error",
        "noticed: alone it keeps its row, and of 12 at one moment",
        "insert hides an error such as database is locked",
        "to do: commit before insert returns, let errors out",
    ],
    "notes:cuts": [
        "12 of 12 rows altered",
        "to do: look at the column's type and length, and at what encodes or cuts the value on its way",
    ],
}


@pytest.mark.parametrize("name", OWN_CODE)
def test_own_code_is_told_what_is_wrong_with_it(folder: Path, name: str) -> None:
    prepare = f"{sys.executable} -c 'import notes; notes.create()'"
    done = run(
        folder, "burst", "12", "--writer", name, "--rows", "notes:texts", "--prepare", prepare, "--max-failed", "0"
    )
    said = in_one_line(done.stdout)
    for words in OWN_CODE[name]:
        assert words in said, done.stdout
    assert done.returncode == (0 if name == "notes:write" else 3)
    if name == "notes:cuts":
        assert "does not commit" not in said


def test_the_limit_of_own_code_that_never_keeps_a_row_is_none(folder: Path) -> None:
    prepare = f"{sys.executable} -c 'import notes; notes.create()'"
    done = run(folder, "limit", "--writer", "notes:forgets", "--rows", "notes:texts", "--prepare", prepare)
    said = in_one_line(done.stdout)
    assert done.returncode == 0
    assert "notes:forgets: 2 of 2 bursts of 1 failed" in said
    assert "notes:forgets does not hold at all: 2 of 2 rows lost without an error in bursts of 1 process" in said


def test_a_threshold_that_is_passed_has_a_status_of_its_own(folder: Path) -> None:
    done = start(folder, "burst", "3", "--writer", "wal", "--p99", "0.001ms", "--max-failed", "0")
    assert done.returncode == 3
    assert re.search(r"threshold passed: wal: p99 [\d.]+ m?s; --p99 allows 0.0 ms", done.stdout)
    done = start(folder, "burst", "3", "--writer", "wal", "--p99", "1m", "--max-failed", "0")
    assert done.returncode == 0


def test_the_commands_around_a_burst_know_its_database(folder: Path) -> None:
    note = "echo {} ${{SQLITE_WRITES_DATABASE##*/}} $(ls -A ${{SQLITE_WRITES_DATABASE%/*}} | wc -l) >> said.txt"
    run(
        folder,
        *("burst", "2", "--writer", "default", "--bursts", "2"),
        *("--prepare", note.format("before"), "--cleanup", note.format("after")),
    )
    assert (folder / "said.txt").read_text().split("\n") == ["before writes.db 0", "after writes.db 1"] * 2 + [""]


def test_a_command_around_a_burst_may_leave_a_server_running(folder: Path, marked: Living) -> None:
    """It is not waited for, though it has what the command prints to."""
    done = start(folder, "burst", "2", "--writer", "wal", "--prepare", "sleep 600 & echo started")
    assert done.returncode == 0, done.stderr
    (server,) = marked()
    os.kill(server, signal.SIGKILL)


def test_whatever_a_command_around_a_burst_has_started_ends_when_it_is_interrupted(folder: Path) -> None:
    arguments = ["burst", "2", "--writer", "wal", "--prepare", "sleep 600 & touch started; sleep 601"]
    with subprocess.Popen(
        [sys.executable, "-m", "sqlite_writes", *arguments],
        cwd=folder,
        env=settings_of({}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until((folder / "started").exists, "the command has begun")
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "nothing is left running" in complaint


WRONG = {
    ("brust", "5"): "No such command 'brust'. Did you mean 'burst'?",
    ("burst",): "Missing argument 'N'.",
    ("burst", "many"): "'many' is not a valid integer.",
    ("burst", "0"): "0 is not in the range",
    ("burst", "3", "4"): "unexpected extra argument (4)",
    ("burst", "3", "--writr", "wal"): "No such option '--writr'. Did you mean '--writer'?",
    ("burst", "3", "--writer", "groupd"): "there is no writer 'groupd': did you mean 'grouped'?",
    ("burst", "3", "--writer", "oracle"): "give one of default, wal, ",
    ("burst", "3", "--writer", "wal,,fair"): "'wal,,fair' has an empty name",
    ("burst", "3", "--writer", "notse:write"): "No module named 'notse'",
    ("burst", "3", "--writer", "notes:wrte"): "notes has no wrte",
    ("burst", "3", "--writer", "notes:write"): "is a function: name the one that reads all rows back, too, with --rows",
    ("burst", "3", "--writer", "notes:Writer"): "notes:Writer lacks open, rows",
    ("burst", "3", "--writer", "notes:number", "--rows", "notes:texts"): "notes:number is no function",
    ("burst", "3", "--writer", "notes:write", "--rows", "notes:text"): "notes has no text",
    ("burst", "3", "--writer", "wal", "--rows", "notes:texts"): "name that with --writer package.module:name",
    ("burst", "3", "--rows", "nope"): "name that with --writer package.module:name",
    ("burst", "3", "--writer", "notes:write", "--rows", "nope"): "--rows 'nope' is no package.module:name",
    ("burst", "3", "--directory", "nowhere"): "'nowhere' does not exist",
    ("burst", "3", "--directory", "notes.py"): "'notes.py' is no folder",
    ("burst", "3", "--bursts", "0"): "0 is not in the range",
    ("burst", "3", "--seed", "x"): "'x' is not a valid integer",
    ("burst", "3", "--p99", "100"): "'100' is no time such as 100ms",
    ("burst", "3", "--deadline", "soon"): "'soon' is no time such as 100ms",
    ("burst", "3", "--deadline", "2000m"): "'2000m' is no time such as 100ms",
    ("burst", "3", "--max-failed", "-1"): "-1 is not in the range",
    ("burst", "3", "--export-json", "no/where.json"): "'no/where.json' cannot be written",
    ("burst", "3", "--export-markdown", "."): "'.' cannot be written",
    ("burst", "3", "--plot", "answer.gif"): "does not end with one of .svg, .png, .html",
    ("burst", "3", "--rows-each", "3"): "--rows-each needs --keep-open",
    ("limit", "5"): "unexpected extra argument (5)",
    ("limit", "--max-workers", "few"): "'few' is not a valid integer",
    ("limit", "--workers", "2000"): "--workers 2000 is more than --max-workers 1000",
    ("limit", "--p99", "10ms"): "say which with --workers",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_is_mistyped_is_one_line_that_says_what_to_do(folder: Path, arguments: tuple[str, ...]) -> None:
    assert WRONG[arguments] in refused(run(folder, *arguments), 2)


UNMEASURED = {
    ("--writer", "concurrent"): "does not know BEGIN CONCURRENT",
    (
        "--writer",
        "wal",
        "--prepare",
        "echo no disk; exit 9",
    ): "--prepare 'echo no disk; exit 9' ended with status 9: no disk",
    ("--writer", "wal", "--cleanup", "false"): "--cleanup 'false' ended with status 1",
    (
        "--writer",
        "notes:write",
        "--rows",
        "notes:texts",
    ): "no such table: notes: make it first, or before each burst with",
}


@pytest.mark.parametrize("arguments", UNMEASURED)
def test_what_cannot_be_measured_is_one_line(folder: Path, arguments: tuple[str, ...]) -> None:
    assert UNMEASURED[arguments] in refused(run(folder, "burst", "3", *arguments), 1)


def test_one_writer_that_cannot_be_measured_hides_no_other(folder: Path) -> None:
    done = run(folder, "burst", "3", "--writer", "concurrent,wal")
    assert done.returncode == 1
    assert "wal holds for 3 processes" in in_one_line(done.stdout)
    assert "sqlite-writes: concurrent could not be measured" in done.stderr


@pytest.mark.parametrize("command", [("burst", "5"), ("limit", "--max-workers", "5")])
def test_a_file_that_is_no_database(folder: Path, command: tuple[str, ...]) -> None:
    (folder / "notes.db").write_bytes(b"no database" * 100)
    line = refused(run(folder, *command, "--writer", "notes:write", "--rows", "notes:texts"), 1)
    assert "SQLITE_NOTADB" in line or "file is not a database" in line
    assert "give the path of a SQLite file" in line


@pytest.mark.parametrize("command", [("burst", "5"), ("limit", "--max-workers", "5")])
def test_a_locked_database(folder: Path, command: tuple[str, ...]) -> None:
    hold = (
        "import notes, sqlite3; notes.create(); c = sqlite3.connect(notes.PATH, isolation_level=None); "
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        done = run(folder, *command, "--writer", "notes:impatient", "--rows", "notes:texts")
        holder.communicate("\n")
    line = refused(done, 1)
    assert "SQLITE_BUSY: database is locked: somebody else holds it locked; end them, and try again" in line
    assert "alone" in line


@pytest.mark.skipif(os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="mounts a file system")
@pytest.mark.parametrize(
    ("options", "writers", "words"),
    [
        ("ro", ("wal", "grouped"), "Read-only file system): choose another one with --directory"),
        ("size=48k", ("wal", "grouped"), "free some space"),
        ("size=96k", ("grouped",), "free some space"),  # for some rows there is room
    ],
)
def test_a_folder_that_cannot_be_written_or_is_full(
    folder: Path, options: str, writers: tuple[str, ...], words: str
) -> None:
    mounted = folder / "mounted"
    mounted.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", mounted], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for writer in writers:
            assert words in refused(run(folder, "burst", "40", "--writer", writer, "--directory", "mounted"), 1)
        assert os.listdir(mounted) == []
    finally:
        subprocess.run(["umount", mounted], check=True)


def limited(folder: Path, limits: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command under limits of the shell."""
    return subprocess.run(
        ["bash", "-c", f'{limits}; exec "$@"', "bash", *arguments],
        cwd=folder,
        env=settings_of({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="root becomes somebody else")
def test_a_limit_of_processes_is_named(marked: Living) -> None:
    """Root itself has none. Somebody who may read all files, such as this Python's, has one."""
    rights = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    other = ("setpriv", "--reuid=54321", "--clear-groups", *rights, "bash", "-c", 'ulimit -u 20; exec "$@"', "bash")
    command = (*other, sys.executable, "-m", "sqlite_writes")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        line = refused(limited(folder, "true", *command, "burst", "60", "--writer", "grouped"), 1)
        assert re.search(r"only \d+ of 60 workers could be started", line)
        assert "raise ulimit -u" in line
        done = limited(folder, "true", *command, "limit", "--max-workers=60", "--bursts=1", "--writer=grouped")
        assert done.returncode == 1
        assert "grouped: no failure in 1 burst of 15; not finished" in done.stdout
        assert "could not be measured to the end: only" in done.stderr
        assert os.listdir(folder) == []
    in_memory = [path for path in Path(MEMORY).glob(f"{PREFIX}*") if path.stat().st_uid == 54321]
    assert in_memory == []


def test_few_descriptors_are_enough(folder: Path) -> None:
    command = (sys.executable, "-m", "sqlite_writes", "burst", "100", "--writer", "grouped")
    done = limited(folder, "ulimit -n 256", *command)
    assert (done.returncode, "0 of 100" in done.stdout) == (0, True), done.stderr
    line = refused(limited(folder, "ulimit -n 12", *command), 1)
    assert "raise ulimit -n" in line


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_shows_what_was_measured(folder: Path, ending: signal.Signals) -> None:
    """The fifth burst never begins: what is prepared before it does not end."""
    prepare = "mkdir 1 || mkdir 2 || mkdir 4 || mkdir 8 || exec sleep 600"
    arguments = ["limit", "--writer", "wal", "--prepare", prepare, "--export-json", "answer.json"]
    with subprocess.Popen(
        [sys.executable, "-m", "sqlite_writes", *arguments],
        cwd=folder,
        env=settings_of({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        seen = ""
        while ": growing, 15 processes" not in seen:
            seen = process.stderr.readline()
            assert seen, "it has ended"
        process.send_signal(ending)
        said, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "wal: no failure in 1 burst of 8; not finished" in said
    assert "Advice, from what was just measured" in said
    assert INTERRUPT.search(complaint)
    answer = json.loads((folder / "answer.json").read_text())
    jsonschema.validate(answer, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert answer["is_interrupted"] is True


def test_ctrl_c_in_a_burst_shows_those_before(folder: Path) -> None:
    """The second one never ends by itself."""
    arguments = ["burst", "3", "--writer", "wal", "--bursts", "2", "--prepare", "mkdir first || exec sleep 600"]
    with subprocess.Popen(
        [sys.executable, "-m", "sqlite_writes", *arguments],
        cwd=folder,
        env=settings_of({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        while "burst 2 of 2" not in process.stderr.readline():
            pass
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if children.exists():
            wait_until(children.read_text, "the second command has begun")
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        said, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "wal holds for 3 processes: no failure in 1 burst" in in_one_line(said)
    assert INTERRUPT.search(complaint)


def test_nothing_is_wider_than_80_columns_and_no_pipe_sees_escape_codes(folder: Path) -> None:
    done = start(
        folder, "burst", "6", "--writer", "apsw-no-optimize-timeout,wal-normal,apsw", "--keep-open", "--rows-each", "5"
    )
    for line in done.stdout.splitlines():
        assert len(line) <= 80 or line.startswith("  https://"), line
        assert line == line.rstrip()
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
)
def test_ascii_is_enough(folder: Path, environment: dict[str, str]) -> None:
    done = start(folder, "burst", "4", "--writer", "grouped", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert re.search(r"up to \d+ ms +\d ##", done.stdout)
    assert "?" not in done.stdout


def in_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """What the command writes to a terminal of 80 columns."""
    import pty

    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "sqlite_writes", *arguments],
        cwd=folder,
        env=settings_of({"COLUMNS": "80", "TERM": "xterm-256color", **environment}),
        stdin=subprocess.DEVNULL,
        stdout=child,
        stderr=child,
    ):
        os.close(child)
        said = b""
        while True:
            try:
                said += os.read(parent, 4096)
            except OSError:  # Linux says so when the other end is closed
                break
    os.close(parent)
    return said.decode()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems end a terminal in other ways")
def test_a_terminal_has_progress_and_colours_unless_told_otherwise(folder: Path) -> None:
    said = in_a_terminal(folder, "burst", "3", "--writer", "wal")
    assert "wal: 3 processes, burst 1 of 1" in said
    assert "\x1b[1m3 processes at one moment, one row each\x1b[0m" in said
    assert "\x1b[91m" in said or "\x1b[38;" in said  # the bar
    said = in_a_terminal(folder, "burst", "3", "--writer", "wal", NO_COLOR="1")
    assert not re.search(r"\x1b\[(3|9|4)\d", said)


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_one_line_says_what_to_install(folder: Path, missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; from sqlite_writes.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "burst", "3"],
        cwd=folder,
        env=settings_of({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"sqlite-writes: the command needs {missing}: pip install 'sqlite-writes[cli]'\n"
    assert done.stdout == ""


def test_a_picture_without_matplotlib_is_refused_before_anything_is_measured(folder: Path) -> None:
    script = "import sys; sys.modules['matplotlib'] = None; from sqlite_writes.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "burst", "3", "--plot", "answer.svg"],
        cwd=folder,
        env=settings_of({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--plot needs matplotlib: pip install 'sqlite-writes[cli]'" in refused(done, 2)


def test_the_commands_libraries_are_imported_by_it_alone(folder: Path) -> None:
    """Neither by the package, nor by the search, nor for a picture that nobody asked for."""
    script = (
        "import sys, sqlite_writes, sqlite_writes.limit, sqlite_writes.kept_open, sqlite_writes.command_line.writers\n"
        "print([name for name in ('click', 'rich', 'matplotlib') if name in sys.modules])\n"
        "import sqlite_writes.command_line.main\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=settings_of({}), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\nFalse\n"


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    """The files are written all the same."""
    command = (sys.executable, "-m", "sqlite_writes", "burst", "3", "--export-json", "answer.json")
    script = '"$@" | head -n 1; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *command],
        cwd=folder,
        env=settings_of({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert json.loads((folder / "answer.json").read_text())["advice"]


@pytest.mark.parametrize("arguments", [("--help",), ("burst", "--help"), ("limit", "-h"), ("--version",)])
def test_help_is_80_columns_wide(folder: Path, arguments: tuple[str, ...]) -> None:
    done = start(folder, *arguments)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", ["writer", "rows", "directory", "prepare", "cleanup", "export_json"])
def test_what_all_commands_take_is_said_in_the_same_words(name: str) -> None:
    from sqlite_writes.command_line.main import command

    said = [option.help for each in command.commands.values() for option in each.params if option.name == name]
    assert len(said) == len(command.commands)
    assert len(set(said)) == 1
