"""What is shown never decides what is done: closed, full and broken outputs on every kind of command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testing.trees import SOURCE, add
from vstore.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shells and devices of POSIX systems")

LOST_ANSWERS = (">&-", ">/dev/full", "0<&- >&-", ">&- 2>&-", ">/dev/full 2>/dev/full")
LOST_MESSAGES = ("2>&-", "2>/dev/full", "0<&-", "0<&- 2>&-")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "root") as store:
        add(store, "one")
    return tmp_path / "root"


def run(root: Path, arguments: str, redirected: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = f"exec '{sys.executable}' -m vstore --root '{root}' {arguments} {redirected}"
    return subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=SOURCE,
        env={**os.environ, **environment},
    )


def objects(root: Path) -> int:
    return len(list((root / "store").iterdir()))


@pytest.mark.parametrize("redirected", LOST_ANSWERS)
@pytest.mark.parametrize("command", ["--json list", "gc", "--help", "--version"])
def test_an_answer_that_is_lost_is_an_error_and_the_work_is_done(root: Path, command: str, redirected: str) -> None:
    done = run(root, command, redirected)
    assert done.returncode == 15 and "Traceback" not in done.stderr, done.stderr
    assert objects(root) == (0 if command == "gc" else 1)
    if "2>" not in redirected:
        assert "\nerror: the result cannot be written to standard output: " in f"\n{done.stderr}"


@pytest.mark.parametrize("redirected", LOST_MESSAGES)
@pytest.mark.parametrize("command", ["-v gc", "verify --contents", "reindex"])
def test_messages_that_are_lost_stop_nothing(root: Path, command: str, redirected: str) -> None:
    done = run(root, command, redirected)
    assert done.returncode == 0 and done.stdout, done.stderr
    assert objects(root) == (0 if command.endswith("gc") else 1)


@pytest.mark.parametrize("redirected", [*LOST_ANSWERS, *LOST_MESSAGES])
def test_an_error_keeps_its_code(root: Path, redirected: str) -> None:
    assert run(root, "--json info nothing", redirected).returncode == 13
    assert run(root, "--json nonsense", redirected).returncode == 2


def test_a_reader_that_went_away(root: Path) -> None:
    done = run(root, "list", "| true; sleep 0")
    assert "Traceback" not in done.stderr and done.stderr == ""
    reader, writer = os.pipe()
    os.close(reader)
    for command in (["list"], ["gc"]):
        arguments = [sys.executable, "-m", "vstore", "--root", str(root), *command]
        gone = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=SOURCE)
        assert gone.returncode == 141 and "error" not in gone.stderr
        gone = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=writer, text=True, cwd=SOURCE)
        assert gone.returncode == 0 and gone.stdout
    os.close(writer)
    assert objects(root) == 0


def test_no_file_of_the_store_becomes_standard_output_or_error(root: Path) -> None:
    """Descriptors 0 to 2 are closed: what is opened first would get them, and messages would be written into it."""
    done = run(root, "-v gc", "0<&- >&- 2>&-")
    assert done.returncode == 15
    assert json.loads(run(root, "--json verify --contents", "").stdout)["problems"] == []


def test_a_pipe_that_does_not_block_gets_the_whole_answer(root: Path) -> None:
    with Store.open(root) as store:
        for number in range(400):
            add(store, f"n{number}")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    arguments = [sys.executable, "-m", "vstore", "--json", "--root", str(root), "list"]
    with subprocess.Popen(arguments, stdout=writer, cwd=SOURCE) as process:
        os.close(writer)
        with open(reader, "rb") as file:
            assert len(json.loads(file.read())) == 401
    assert process.returncode == 0


def test_names_break_no_line_and_steer_no_terminal(root: Path) -> None:
    for environment in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {}):
        done = run(root, "info 'übel\x1b[1m\nzwei'", "", **environment)
        assert done.returncode == 13
        assert done.stderr.startswith("error: ") and "\x1b" not in done.stderr
        assert all(line.startswith("  ") for line in done.stderr.splitlines()[1:])


@pytest.mark.parametrize(
    "command", ["--json nonsense", "list --json --nonsense", "gc --keep 0 --json", "info --json", "--json gc --keep x"]
)
def test_mistakes_of_usage_are_a_json_document_too(root: Path, command: str) -> None:
    done = run(root, command, "")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == error["exit_code"] == 2
    assert error["message"] and "--help" in error["hint"]
    assert done.stderr.startswith("error: ")
    assert run(root, command.replace("--json", ""), "").stdout == ""
