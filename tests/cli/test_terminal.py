"""Colours and widths, by option, environment and kind of stream."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testing.trees import SOURCE
from vstore.cli.terminal import Color, Style, columns_of, is_live, paint, paint_hints, shows_color


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("not a real one")


@pytest.mark.parametrize(
    ("stream", "choice", "environment", "expected"),
    [
        (Terminal(), "auto", {}, True),
        (io.StringIO(), "auto", {}, False),
        (Terminal(), "never", {"FORCE_COLOR": "1"}, False),
        (io.StringIO(), "always", {"NO_COLOR": "1"}, True),
        (Terminal(), "auto", {"NO_COLOR": "1"}, False),
        (Terminal(), "auto", {"NO_COLOR": ""}, True),
        (io.StringIO(), "auto", {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), "auto", {"CLICOLOR_FORCE": "1"}, True),
        (io.StringIO(), "auto", {"FORCE_COLOR": "0", "CLICOLOR_FORCE": ""}, False),
        (io.StringIO(), "auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (Terminal(), "auto", {"TERM": "dumb"}, False),
        (Terminal(), "auto", {"TERM": "xterm", "CI": "true"}, True),
    ],
)
def test_colors_follow_option_then_environment_then_stream(
    stream: io.StringIO, choice: str, environment: dict[str, str], expected: bool
) -> None:
    assert shows_color(stream, Color(choice), environment) is expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, True), ({"TERM": "dumb"}, False), ({"CI": "true"}, False), ({"CI": "false"}, True), ({"CI": ""}, True)],
)
def test_lines_are_redrawn_on_terminals_that_no_ci_system_records(environment: dict[str, str], expected: bool) -> None:
    assert is_live(Terminal(), environment) is expected
    assert not is_live(io.StringIO(), environment)


def test_width_is_that_of_a_terminal_only() -> None:
    assert columns_of(io.StringIO(), {"COLUMNS": "60"}) is None
    assert columns_of(Terminal(), {"COLUMNS": "60"}) == 60
    assert columns_of(Terminal(), {"COLUMNS": "1"}) == 20
    assert columns_of(Terminal(), {"COLUMNS": "wide"}) == 80
    assert columns_of(Terminal(), {}) == 80


def test_only_hints_at_the_start_of_a_line_are_painted() -> None:
    hint = paint("hint:", Style.HINT)
    assert paint_hints("no hint: here\n  hint: run it") == f"no hint: here\n  {hint} run it"
    assert paint("", Style.ERROR) == ""


@pytest.mark.parametrize(
    ("arguments", "environment", "painted"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_errors_of_a_command_are_painted_when_asked(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], painted: bool
) -> None:
    command = [sys.executable, "-m", "vstore", "--root", str(tmp_path / "root"), *arguments, "list"]
    unset = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE")
    clean = {key: value for key, value in os.environ.items() if key not in unset}
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE, env={**clean, **environment})
    assert done.returncode == 6
    error = paint("error:", Style.ERROR) if painted else "error:"
    hint = paint("hint:", Style.HINT) if painted else "hint:"
    assert done.stderr.startswith(f"{error} there is no store at")
    assert f"\n  {hint} " in done.stderr


@pytest.mark.parametrize("arguments", [[], ["list"], ["roots", "add"]])
def test_headings_of_help_texts_are_painted_when_asked(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "vstore", *arguments, "--help"]
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    plain = subprocess.check_output(command, text=True, cwd=SOURCE, env=clean)
    painted = subprocess.check_output(command, text=True, cwd=SOURCE, env={**clean, "FORCE_COLOR": "1"})
    heading = paint("Usage:", Style.HEADING)
    assert painted.startswith(f"{heading} vstore")
    assert paint("Options", Style.HEADING) in painted
    assert plain == painted.replace("\x1b[1m", "").replace("\x1b[0m", "")
