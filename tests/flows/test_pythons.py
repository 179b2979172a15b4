"""Specs that allow a range of Pythons: the lock pins the newest at hand, and keeps it."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.world import VERSION, World, make_world
from vstore.build.interpreter.local import LocalPython, find_local

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("whole_pythons"),
    pytest.mark.skipif(sys.platform != "linux", reason="adopting is only possible on Linux"),
]


@pytest.fixture(scope="module")
def pythons() -> list[LocalPython]:
    """The two newest series of CPython from 3.11 on that are here, the older first."""
    found = {one.version.feature: one for one in reversed(find_local(os.environ)) if (3, 11) <= one.version < (3, 14)}
    if len(found) < 2:
        pytest.skip("there are no two series of CPython here")
    return sorted(found.values(), key=lambda one: one.version)[-2:]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    text = world.spec.read_text().replace(f"cpython@{VERSION}", "cpython@>=3.11,<3.14")
    world.spec.write_text(text)
    return world


def only(folder: Path, *pythons: LocalPython) -> dict[str, Any]:
    """The variables of a machine with only these Pythons."""
    place = folder / "-".join(str(one.version) for one in pythons)
    place.mkdir(exist_ok=True)
    for one in pythons:
        if not (place / one.program_name).is_symlink():
            (place / one.program_name).symlink_to(one.executable)
    return {"PATH": str(place), "PYENV_ROOT": str(place), "HOME": str(place)}


def pinned(world: World) -> str:
    lock = world.spec.parent / "requirements/python/pylock.python.toml"
    return str(tomllib.loads(lock.read_text())["tool"]["vstore"]["interpreter"]["version"])


def test_the_newest_python_at_hand_is_pinned_and_kept(world: World, pythons: list[LocalPython]) -> None:
    older, newer = pythons
    args = ("--local-wheels", str(world.wheels), "--no-index")
    world.realise(**only(world.folder, older))
    assert pinned(world) == str(older.version)
    world.realise(**only(world.folder, older, newer))
    world.write_spec(midlib="<2")  # which makes one lock stale
    world.spec.write_text(world.spec.read_text().replace(f"cpython@{VERSION}", "cpython"))
    world.realise(**only(world.folder, older, newer))
    assert pinned(world) == str(older.version)
    world.run("lock", str(world.spec), "--upgrade", *args, **only(world.folder, older, newer))
    assert pinned(world) == str(newer.version)
    changed = world.spec.read_text().replace('"cpython"', f'"cpython@<={older.version}"')
    world.spec.write_text(changed)
    out = world.realise(**only(world.folder, older, newer))
    assert pinned(world) == str(older.version)
    assert {layer["name"] for layer in out["layers"] if layer["kind"] == "interpreter"} == {f"cpython-{older.version}"}


def test_a_machine_without_the_pinned_python_says_how_to_get_it(world: World, pythons: list[LocalPython]) -> None:
    older, newer = pythons
    args = ("--local-wheels", str(world.wheels), "--no-index")
    world.run("lock", str(world.spec), *args, **only(world.folder, older))
    other = World(world.folder, world.folder / "other-root")
    _, err = other.run("realise", str(other.spec), *args, code=5, **only(world.folder, newer))
    assert f"CPython {older.version} is not on this machine" in err and f"on this machine: {newer.version}" in err
    assert f"uv python install {older.version}" in err and "vstore lock --upgrade" in err
    other.run("lock", str(other.spec), "--upgrade", *args, **only(world.folder, newer))
    other.realise(**only(world.folder, newer))


def test_an_archive_states_the_locked_python(world: World) -> None:
    """venvstacks reads the metadata, and knows no ranges."""
    world.realise()
    folder = world.folder / "exported"
    world.run("export", str(world.spec), "--output-dir", str(folder))
    texts = [json.loads(file.read_text()) for file in folder.rglob("*.json")]
    found = {one["python_implementation"] for one in texts if "python_implementation" in one}
    assert found == {f"cpython@{pinned(world)}"}
