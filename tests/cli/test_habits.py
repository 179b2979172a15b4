"""Words of other tools are answered with the command that it is; near misses with the right word."""

from __future__ import annotations

import json
import re

import pytest

from scripts.cli_reference import commands
from scripts.testing.forked import CommandLine
from vstore.cli.habits import COMMANDS, OPTIONS

KNOWN: dict[str, set[str]] = {
    name: {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    for name, command, _ in commands()
}
EVERYWHERE = {"--help", "-h", "--version", "-vv"}
HINTS = {**COMMANDS, **OPTIONS}


def said(cli: CommandLine, *arguments: str) -> str:
    ended = cli.run(*arguments)
    assert ended.code == 2 and ended.out == "", ended
    return ended.error


@pytest.mark.parametrize("word", HINTS)
def test_a_hint_names_what_exists(word: str) -> None:
    for text in re.findall("`([^`]*)`", HINTS[word]):
        words = text.split()
        options = {one for one in words if one.startswith("-") and one != "-e"} - EVERYWHERE
        if words[0] == "vstore":
            name = next((" ".join(words[1:end]) for end in (3, 2) if " ".join(words[1:end]) in KNOWN), None)
            assert name is not None or words[1] in ("COMMAND", "--help", "--version"), text
            assert options <= KNOWN[name] if name else not options, text
        elif words[0].startswith("-"):
            assert any(options <= one for one in KNOWN.values()), text


def test_no_habit_is_a_command() -> None:
    assert set(COMMANDS) & set(KNOWN) == set()


def test_commands_of_other_tools_are_answered(cli: CommandLine) -> None:
    for word in ("realize", "local-export", "rm", "path-info", "install"):
        assert f"no such command '{word}'\n  hint: {COMMANDS[word]}; `vstore --help`" in said(cli, word)
    assert "`vstore realise` makes the layers of a spec" in said(cli, "build", "examples/sklearn/spec.toml")


def test_options_of_other_tools_are_answered(cli: CommandLine) -> None:
    for command, option in (("lock", "--reset-lock"), ("build", "--publish"), ("realise", "-U"), ("gc", "-d")):
        assert f"no such option '{option}'\n  hint: {OPTIONS[option]}; " in said(cli, command, option, "x")


def test_near_misses(cli: CommandLine) -> None:
    assert "did you mean `list`?" in said(cli, "lis")
    assert "did you mean `realise`?" in said(cli, "relise")
    assert "did you mean `ls`?" in said(cli, "cache", "list")
    assert "did you mean `remove`?" in said(cli, "roots", "rm")
    assert "did you mean `--locked`?" in said(cli, "realise", "--lokced")
    assert "did you mean `--no-closure`?" in said(cli, "pack", "--no-closur", "x", "-o", "y")
    assert "did you mean 'linux_x86_64'?" in said(cli, "realise", "--platform", "linux-x86_64", "examples/sklearn")
    assert "did you mean 'framework-sklearn'?" in said(cli, "show", "--include", "framework-skl", "examples/sklearn")
    assert "hint: `vstore --help`" in said(cli, "zzzzzz")


def test_generations_are_numbers_beside_their_profile(cli: CommandLine) -> None:
    for arguments in (("diff", "web", "web@2"), ("rollback", "web", "--to", "web@2"), ("forget", "web", "web@2")):
        assert "the profile and the number of a generation are two arguments" in said(cli, *arguments)
    assert "two arguments" not in said(cli, "forget", "web", "two")


def test_the_choices_of_a_missing_argument_are_in_one_line(cli: CommandLine) -> None:
    assert "missing argument 'spec|config'. Choose from: spec, config\n" in said(cli, "schema")


def test_the_document_of_an_error_has_the_hint(cli: CommandLine) -> None:
    for arguments in (("--json", "realize"), ("realise", "--json", "--show-only")):
        error = json.loads(cli.run(*arguments).out)["error"]
        assert "`vstore " in error["hint"] and error["exit_code"] == 2


def test_a_misspelt_file_is_suggested(cli: CommandLine) -> None:
    ended = cli.run("show", "examples/sklearn/sepc.toml")
    assert ended.code == 3 and "did you mean 'spec.toml'?" in ended.error
