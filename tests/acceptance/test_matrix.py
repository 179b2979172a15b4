"""A stack of real packages is what one venv of the same versions is; the comparison itself can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.matrix.compare import inventories, outputs, set_apart
from scripts.matrix.versions import behind

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("whole_pythons")]

MATRIX = Path(__file__).parents[2] / "scripts" / "matrix" / "main.py"


@pytest.mark.network
def test_the_small_stack_has_no_difference() -> None:
    done = subprocess.run([sys.executable, MATRIX], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke" in done.stdout


def seen(**changes: object) -> dict[str, object]:
    files = {"pkg/__init__.py": [1, False, "a"], "pkg-1.dist-info/RECORD": [5, False, "of uv"]}
    data: dict[str, dict[str, object]] = {folder: {} for folder in ("bin", "share", "etc", "include")}
    inventory = {"distributions": {"pkg": {"version": "1"}}, "modules": {"pkg": True}, "site files": files}
    return {**inventory, "data files": data, "paths": {"scripts": "bin"}, **changes}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"distributions": {"pkg": {"version": "2"}}}, "distributions"),
        ({"modules": {}}, "modules"),
        ({"site files": {"pkg/__init__.py": [1, True, "a"]}}, "files"),
        ({"site files": {}}, "files"),
        ({"paths": {"scripts": "Scripts"}}, "paths of sysconfig"),
    ],
)
def test_any_difference_is_found(changes: dict[str, object], what: str) -> None:
    rows = inventories(seen(**changes), seen(), ())
    assert [row.what for row in rows if row.differences] == [what]


def test_places_times_and_records_are_no_difference() -> None:
    other = {"pkg/__init__.py": [1, False, "a"], "pkg-1.dist-info/RECORD": [6, False, "of vstore"], "main.py": [1]}
    assert not any(row.differences for row in inventories(seen(**{"site files": other}), seen(), ["main.py"]))
    texts = [f'at {place}/lib in {place[1]}.2 s\nFile "{place}/x", line {place[1]}' for place in ("/1/b", "/2")]
    answers = {"tool": {"output": texts[0]}}, {"tool": {"output": texts[1].replace("at ", "at\n  ")}}
    assert not outputs("scripts", *answers, {"/1/b": "<env>", "/2": "<env>"}).differences
    assert outputs("scripts", {"tool": {"output": "yes"}}, {"tool": {"output": "no"}}, {}).differences


def test_a_package_that_is_behind_without_a_reason_is_found() -> None:
    locked, plain = {"new": "2.0", "old": "1.9", "held": "1.0"}, {"new": "2.0", "old": "1.10", "held": "2.0"}
    locks: list[dict[str, list[dict[str, str]]]] = [{"held_back": [{"name": "held"}]}, {"held_back": []}]
    assert [one.subject for one in behind(locks, locked, plain).differences] == ["old"]


def test_a_failure_in_both_is_counted_and_is_no_difference() -> None:
    answers = {"a": {"failed": "no network"}, "b": {"output": ""}}
    row = outputs("smoke", answers, answers, {})
    assert (row.compared, row.failing, row.differences) == (2, 1, ())
    assert outputs("smoke", {"a": {"output": ""}}, {"a": {"failed": 1}}, {}).differences


def test_only_what_is_meant_is_set_apart() -> None:
    seen = {"smoke.py copies": {"failed": "read-only"}, "smoke.py other": {"failed": "read-only"}}
    row = set_apart(outputs("smoke", seen, {name: {"output": ""} for name in seen}, {}), {"copies"})
    assert [one.subject for one in row.meant] == ["smoke.py copies"]
    assert [one.subject for one in row.differences] == ["smoke.py other"]
