"""The progress display: lines on a terminal that fit it, plain lines elsewhere."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from scripts.testing.trees import SOURCE
from vstore.cli.log_file import LogFile
from vstore.cli.progress import Progress, Stage, line
from vstore.cli.speed import Meter
from vstore.reporter import Detail, Unit

MIB = 1 << 20
SCRIPT = """
import time
from vstore.cli.progress import Progress
from vstore.reporter import Unit
progress = Progress(live=True, verbosity=0, color=True)
progress.begin("copy")
time.sleep(1.6)
progress.progress("layer", "fetching wheels", 1 << 20, 4 << 20, Unit.BYTES)
progress.progress("other", "fetching wheels", 1 << 20, 4 << 20, Unit.BYTES)
time.sleep(0.5)
progress.completed("layer", "built", 1.0)
progress.note("a note")
progress.close()
"""


def meter(per_second: int) -> Meter:
    made = Meter()
    for second in range(5):
        made.add(float(second), per_second * second)
    return made


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_lines_fit_the_terminal(width: int) -> None:
    stage = Stage("fetching wheels", 8 * MIB, 32 * MIB, Unit.BYTES)
    text = line("framework-sklearn", stage, meter(2 * MIB), 4.0, 4.0, width)
    assert len(text) <= width
    assert text.startswith("framework-sklearn")
    if width >= 60:
        assert "8.0 of 32.0 MiB" in text
        assert "2.0 MiB/s  12 s left" in text
    assert ("━━━━╌" in text) == (width > 80)


def test_stages_say_what_they_know() -> None:
    assert Stage("x", 0, 0, Unit.BYTES).amount == ""
    assert Stage("x", 900, 0, Unit.BYTES).amount == "900 B"
    assert Stage("x", 900, 2048, Unit.BYTES).amount == "900 B of 2.0 KiB"
    assert Stage("x", 0, 2048, Unit.BYTES).amount == "0 of 2.0 KiB"
    assert Stage("x", 7, 0, Unit.PACKAGES).amount == "7 packages"
    assert Stage("x", 1000, 2000).amount == "1,000 of 2,000"


def test_a_log_has_a_line_for_each_activity_that_lasts(capsys: pytest.CaptureFixture[str]) -> None:
    said = list[str]()
    progress = Progress(live=True, verbosity=0)
    progress.progress("short", "checking")
    progress.completed("short", "built", 0.25)
    progress.progress("layer", "linking")
    for done in range(3):
        progress.progress("layer", "compiling", done, 3)
    while not any("compiling" in one for one in said):
        time.sleep(0.05)
        said += capsys.readouterr().err.splitlines()
    progress.progress("layer", "hashing")
    progress.completed("layer", "built", 1.25)
    progress.detail("not shown")
    progress.close()
    said += capsys.readouterr().err.splitlines()
    assert said[0] == "short: built in 0.2 s" and said[1].startswith("layer: compiling 2 of 3")
    assert said[2:] == ["layer: built in 1.2 s"]


@pytest.mark.parametrize(("verbosity", "shown"), [(-1, []), (0, []), (1, ["why"]), (2, ["why", "a call"])])
def test_details_are_shown_by_their_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verbosity: int, shown: list[str]
) -> None:
    progress = Progress(live=False, verbosity=verbosity, log=LogFile(tmp_path / "log"))
    progress.detail("why")
    progress.detail("a call", Detail.CALL)
    assert capsys.readouterr().err.splitlines() == shown
    assert [row.split()[2] for row in (tmp_path / "log").read_text().splitlines()] == ["decision", "call"]


def test_a_terminal_sees_silent_work_then_each_subject_then_its_summary() -> None:
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    unset = ("CI", "COLUMNS", "NO_COLOR", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment["TERM"] = "xterm-256color"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=SOURCE, stderr=writer, env=environment)
    os.close(writer)
    data = b""
    while True:
        try:
            data += os.read(reader, 65536)
        except OSError:
            break
    os.close(reader)
    assert process.wait() == 0
    text = data.decode()
    assert text.index("copy  working  1 s") < text.index("layer  fetching wheels  1.0 of 4.0 MiB")
    assert "total  2.0 of 8.0 MiB" in text
    assert text.index("fetching wheels") < text.index("layer: \x1b[32mbuilt\x1b[0m in 1.0 s") < text.index("a note")
    assert text.rindex("\x1b[?25h") > text.index("\x1b[?25l")  # the cursor is shown again
