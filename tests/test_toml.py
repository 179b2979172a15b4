"""TOML of strangers: keys of too many parts are refused, and only keys."""

from __future__ import annotations

import pytest

from vstore.toml import TomlError, parse_toml

LONG = ".".join("1" * 33)


@pytest.mark.parametrize(
    "text",
    [
        f"# v: {LONG}\n",
        f"a = 1 # '\nb = 2 # \"{LONG}",
        f'a = "{LONG}"',
        f"a = '{LONG}'",
        f'a = "\\"{LONG}"',
        f'a = "\\".{LONG}"',
        f'a = {{"b" = ["{LONG}", "{LONG}"]}}',
        f'a = """\n{LONG}\n"""',
        f'a = """x\\"""{LONG}"""',
        f'a = """"{LONG}"""""',
        f"a = '''\n''\n {LONG}''''' # \"{LONG}\n",
    ],
)
def test_dots_in_strings_and_comments_are_no_key(text: str) -> None:
    assert "a" in parse_toml(text.encode()) or text.startswith("#")


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG} = 1",
        f"[{LONG}]",
        f"[[{LONG}]]",
        f"a = {{{LONG} = 1}}",
        '"".' * 32 + "a = 1",
        '"\\"" . ' * 32 + "a = 1",
        f"# '''\n{LONG} = 1",
        f'a = "#"\n{LONG} = 1',
        f'a = ""\n{LONG} = 1',
        f"a = '\\'\n{LONG} = 1",
        f'a = "\\\\"\n{LONG} = 1',
        f'a = """\\\\"""\n{LONG} = 1',
        f"a = '''\\'''\r\n{LONG} = 1",
        f'a = {{b = """c"""", {LONG} = 1}}',
        f"a = {{b = '''c''''', {LONG} = 1}}",
    ],
)
def test_a_key_of_too_many_parts(text: str) -> None:
    with pytest.raises(TomlError, match="a key of more than 32 parts"):
        parse_toml(text.encode())
