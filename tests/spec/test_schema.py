"""The schema of a spec takes what the reader takes, and refuses the mistakes of single values that it refuses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from vstore.cli.commands.init import TEMPLATE
from vstore.errors import SpecError
from vstore.objects import Kind
from vstore.spec import load
from vstore.spec.keys import KEYS, keys_of
from vstore.spec.schema import spec_schema

VALIDATOR = Draft7Validator(spec_schema())
ROOT = Path(__file__).parents[2]
GOOD = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@3.11"
requirements = []

[[frameworks]]
name = "low"
runtime = "python"
requirements = []
[[applications]]
name = "app"
launch_module = "app.py"
frameworks = ["low"]
requirements = []
"""


def is_read(folder: Path, text: str) -> bool:
    for name in ("app.py", "hello.py"):
        (folder / name).write_text("")
    (folder / "spec.toml").write_text(text)
    try:
        load(folder / "spec.toml")
    except SpecError:
        return False
    return True


def check(folder: Path, text: str, good: bool) -> None:
    assert is_read(folder, text) is good
    errors = [error.message for error in VALIDATOR.iter_errors(tomllib.loads(text))]
    assert (not errors) is good, errors


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(spec_schema())


def test_examples_are_valid(tmp_path: Path) -> None:
    check(tmp_path, TEMPLATE, True)
    assert VALIDATOR.is_valid(tomllib.loads((ROOT / "examples/sklearn/spec.toml").read_text()))


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("name", [], ["3", '"-x"', '"a b"', '""', f'"{"x" * 101}"']),
        ("requirements", [], ['"numpy"', "[1]"]),
        ("versioned", ["true"], ['"yes"', "1"]),
        ("platforms", ['["linux_x86_64"]', "[]"], ['["linux"]', '"linux_x86_64"']),
        ("linux_target", ['"glibc"', '"glibc@2.28"'], ['"2.28"', '"musl@1.2"', '"glibc@2"', "2.28"]),
        ("macosx_target", ['"14"', '"13.0.1"'], ['"x"', "14", '"1.2.3.4"']),
        ("dynlib_exclude", ['["lib*.so"]'], ['"lib"', "[1]"]),
        ("package_indexes", ["{}"], ["[]", "{ a = 1 }"]),
        ("index_overrides", ['{ a = "b" }'], ["{ a = 1 }"]),
        ("priority_indexes", ["[]"], ['"x"', "[1]"]),
        (
            "python_implementation",
            ['"cpython"', '"cpython@3.11.7"', '"cpython@>=3.11,<3.14"', '"cpython@3.11-x86_64"'],
            ['"python@3.11"', "3.11", '"cpython@new"', '"cpython@>=3.11,"'],
        ),
    ],
)
def test_each_value_of_a_runtime(tmp_path: Path, key: str, good: list[str], bad: list[str]) -> None:
    for value, expected in [*((one, True) for one in good), *((one, False) for one in bad)]:
        check(tmp_path, runtime_with(key, value), expected)


def runtime_with(key: str, value: str) -> str:
    """The text of a spec whose runtime has this value, in place of the one that it has already if it has one."""
    line = f"{key} = {value}\n"
    changed, found = re.subn(rf"^{key} = .*\n", lambda _: line, GOOD, count=1, flags=re.MULTILINE)
    return changed if found else GOOD.replace("[[runtimes]]\n", f"[[runtimes]]\n{line}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('frameworks = ["low"]\n', ""),
        ('frameworks = ["low"]', "frameworks = []"),
        ('frameworks = ["low"]', 'frameworks = "low"'),
        ('frameworks = ["low"]', 'frameworks = ["low"]\nruntime = "python"'),
        ('frameworks = ["low"]', 'frameworks = ["low", "low"]'),
        ('launch_module = "app.py"\n', ""),
        ('launch_module = "app.py"', "launch_module = 3"),
        ('launch_module = "app.py"', 'launch_module = "app.py"\nsupport_modules = "x"'),
        ('runtime = "python"', 'runtime = "python"\nlaunch_module = "app.py"'),
        ('name = "low"\n', ""),
        ('name = "low"', 'name = "low"\nunknown = 1'),
        ("[[frameworks]]", "[frameworks]"),
        ('python_implementation = "cpython@3.11"\n', ""),
    ],
)
def test_mistakes_of_form_are_refused_by_both(tmp_path: Path, old: str, new: str) -> None:
    check(tmp_path, GOOD, True)
    assert old in GOOD
    check(tmp_path, GOOD.replace(old, new, 1), False)


@pytest.mark.parametrize(
    ("table", "good"),
    [
        ('[tool.vstore]\nprofile = "x"', True),
        ('[tool.vstore]\nprofile = "x-1-link"', False),
        ("[tool.vstore]\nprofile = 1", False),
        ('[tool.vstore]\nprofiles = "x"', False),
        ('[[tool.uv.index]]\nname = "a"\nurl = "https://a"', True),
        ('[[tool.uv.index]]\nname = "a"', False),
        ('[tool.uv.sources]\nx = { git = "https://a" }', False),
        ("[tool.other]\nx = 1", True),
        ('[rubbish]\n"$schema" = "x"', True),
    ],
)
def test_the_tables_of_tools(tmp_path: Path, table: str, good: bool) -> None:
    check(tmp_path, GOOD + table, good)


def test_obsolete_keys_are_as_in_the_reader(tmp_path: Path) -> None:
    good = f"{GOOD}build_requirements = []\n"
    check(tmp_path, good, True)
    check(tmp_path, good.replace("python_implementation", "fully_versioned_name"), True)
    both = 'python_implementation = "cpython@3.11"\nfully_versioned_name = "cpython@3.11"'
    check(tmp_path, good.replace('python_implementation = "cpython@3.11"', both), False)


def test_every_key_has_a_description() -> None:
    assert {key.name for key in KEYS} == {name for kind in Kind for name in keys_of(kind)}
    assert all(key.meaning.endswith(".") for key in KEYS)
