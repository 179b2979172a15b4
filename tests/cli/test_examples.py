"""The examples of each command: they are in its help, and the command line accepts them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from scripts.cli_reference import commands
from scripts.testing.forked import CommandLine
from vstore.cli.app import cli
from vstore.cli.examples import EXAMPLES

LINES = [(name, line) for name, lines in EXAMPLES.items() for line in lines]
COLUMNS = 76  # of a line in a help text, without its indentation


@pytest.mark.parametrize(("name", "line"), LINES, ids=[line for _, line in LINES])
def test_an_example_is_accepted(name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wheels").mkdir()
    for file in ("node.json", "sklearn.bundle"):
        (tmp_path / file).touch()
    text = line.partition("  #")[0]
    if substituted := re.search(r"\$\((vstore .*)\)", text):
        text = substituted[1]
    words = shlex.split(re.split(r" [>|] ", text)[0])
    assert words[0] == "vstore" and len(line) <= COLUMNS
    context = click.Context(cli, info_name="vstore")
    command: click.Command = cli
    rest = words[1:]
    for part in name.split():
        assert isinstance(command, click.Group) and rest and rest[0] == part, "the example is of this command"
        found = command.get_command(context, part)
        assert found is not None
        command, rest = found, rest[1:]
    context = command.make_context(name, rest, parent=context)
    if isinstance(command, click.Group) and rest:
        inner = command.get_command(context, rest[0])
        assert inner is not None
        inner.make_context(rest[0], rest[1:], parent=context)


def test_no_example_is_of_a_command_that_is_gone() -> None:
    assert set(EXAMPLES) <= {name for name, _, _ in commands()}


def test_the_help_shows_them() -> None:
    with CommandLine({"COLUMNS": "60"}) as line:
        for name in ("realise", "cache", "cache ls", "roots"):
            said = line.run(*name.split(), "--help").out
            assert said.endswith("\nExamples:\n" + "".join(f"  {one}\n" for one in EXAMPLES[name])), said
