"""`--log-file` gets everything with times, and never a login; the terminal is as without it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testing.trees import SOURCE, add
from vstore.cli.log_file import LogFile
from vstore.errors import UsageError
from vstore.store import Store

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \d+ \w+ +\S.*")


def test_lines_have_times_and_no_logins_and_are_appended(tmp_path: Path) -> None:
    file = tmp_path / "log"
    for _ in range(2):
        LogFile(file).write("call", "GET https://user:secret@host/x\nbad \x1b[31m sign")
    lines = file.read_text().splitlines()
    assert len(lines) == 4
    assert all(LINE.fullmatch(line) for line in lines)
    assert "secret" not in file.read_text()
    assert "\x1b" not in file.read_text()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "none" / "log"):
        with pytest.raises(UsageError, match="--log-file"):
            LogFile(path)


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text("[[runtimes]]\n")
    with pytest.raises(UsageError, match="no log of vstore"):
        LogFile(spec)
    assert spec.read_text() == "[[runtimes]]\n"


def test_a_command_logs_its_beginning_its_error_and_its_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with Store.open(tmp_path / "root") as store:
        add(store, "one", {"a": b"1"})

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vstore", "--root", str(tmp_path / "root"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)

    plain, logged = run("verify"), run("verify", "--log-file", str(file))
    assert (plain.stdout, plain.stderr) == (logged.stdout, logged.stderr)
    text = file.read_text()
    assert " begin " in text.splitlines()[0]
    assert text.splitlines()[-1].endswith("exit code 0")
    failed = run("--log-file", str(file), "info", "none")
    assert failed.returncode != 0
    assert " error " in file.read_text()
    assert file.read_text().splitlines()[-1].endswith(f"exit code {failed.returncode}")
    assert file.read_text().startswith(text)
    assert run("verify", "--log-file", str(tmp_path)).returncode == 2
