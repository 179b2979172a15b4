"""SPEC on the command line: left out, a folder, and beside WHAT."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.cli_reference import commands
from scripts.testing.forked import CommandLine, Ended
from tests.spec.specs import PYTHON


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "src").mkdir(parents=True)
    (tmp_path / "project" / "vstore.toml").write_text(PYTHON)
    return tmp_path / "project"


def run(cli: CommandLine, cwd: Path, *arguments: str, code: int = 0) -> Ended:
    ended = cli.run("--root", str(cwd.parent / "root"), *arguments, cwd=cwd)
    assert ended.code == code, ended
    return ended


def test_every_command_that_takes_a_spec_finds_it() -> None:
    """A required argument called SPEC would be a command that was forgotten."""
    named = {name: one for name, command, _ in commands() for one in command.params if one.name in ("spec", "specs")}
    assert {"show", "lock", "realise", "publish", "plan"} <= set(named)
    assert [name for name, one in named.items() if one.required] == []


@pytest.mark.parametrize("arguments", [(), (".",), ("../project",), ("vstore.toml",)])
def test_the_spec_that_was_found_is_told(cli: CommandLine, project: Path, arguments: tuple[str, ...]) -> None:
    ended = run(cli, project, "show", *arguments)
    assert "python" in ended.out
    assert (f"spec: {project / 'vstore.toml'}" in ended.error) == (arguments != ("vstore.toml",))


def test_a_spec_above_is_found_by_all(cli: CommandLine, project: Path) -> None:
    for command in (("show",), ("lock", "--dry-run"), ("lock", "--check"), ("plan",)):
        ended = run(cli, project / "src", *command, code=0 if command[-1] in ("show", "--dry-run") else 4)
        assert str(project / "vstore.toml") in ended.error, ended
    assert run(cli, project / "src", "-q", "show").error == ""


def test_without_a_spec_the_names_are_told(cli: CommandLine, project: Path) -> None:
    (project / ".git").mkdir()
    (project / "vstore.toml").unlink()
    ended = run(cli, project / "src", "realise", code=3)
    assert "no spec in" in ended.error and "looked for vstore.toml" in ended.error and "vstore init" in ended.error


def test_export_tells_a_spec_from_an_object(cli: CommandLine, project: Path) -> None:
    for what in ((), (".",), ("../project",), ("vstore.toml",), ("missing.toml",)):
        ended = run(
            cli, project, "export", *what, "--locked", "--output-dir", "out", code=3 if "missing.toml" in what else 4
        )
        assert "missing.toml" in ended.error if "missing.toml" in what else "lock" in ended.error, ended
    for text in ("project", "./src", "src/"):
        assert "no profile, object" in run(cli, project, "export", text, "--output-dir", "out", code=13).error
    said = run(cli, project.parent, "export", "project", "--output-dir", "out", code=13).error
    assert "hint: write ./project for the spec in that folder" in said
