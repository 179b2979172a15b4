"""uv shares one inode between equal files of different wheels (``content-addressed-cache``), and of one: no harm."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.reliability.crashes.promises import check_nothing_left
from scripts.testing.wheels import make_wheel
from scripts.testing.world import World, make_world
from tests.flows.test_repair import module, spoil

pytestmark = pytest.mark.slow

POOL: Any = {"UV_PREVIEW_FEATURES": "content-addressed-cache"}
SAME = "SAME = 1\n" * 400
SHELL = "#!/bin/sh\necho same\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Equal files in one wheel, in wheels of one layer and of several; executable here and not there."""
    world = make_world(tmp_path)
    for name, module_name in (("low", "low/__init__.py"), ("ns-side", "ns/side.py"), ("ns-app", "ns/app.py")):
        text = "VERSION = '1.0'\n" if name == "low" else f"NAME = '{name[3:]}'\n"
        inside = "low" if name == "low" else f"ns/{name[3:]}_more"
        files = {module_name: text, f"{inside}/same.py": SAME, f"{inside}/again.py": SAME, f"{inside}/empty.py": ""}
        files |= {f"{inside}/run.sh": SHELL, f"{inside}/read.sh": SHELL}
        wheel = make_wheel(world.wheels, name, "1.0", files, data={f"scripts/{name}-sh": SHELL})
        executable(wheel, "run.sh")
    return world


def executable(wheel: Path, ending: str) -> None:
    """Let the members with this ending have the executable bit."""
    with zipfile.ZipFile(wheel) as old:
        members = [(entry, old.read(entry)) for entry in old.infolist()]
    with zipfile.ZipFile(wheel, "w") as new:
        for entry, data in members:
            if entry.filename.endswith(ending):
                entry.external_attr = 0o755 << 16
            new.writestr(entry, data)


def shared(world: World) -> set[Path]:
    """Files of objects that have several names in one object."""
    found: dict[tuple[str, int], list[Path]] = {}
    for place in (world.root / "store").iterdir():
        for file in place.rglob("*.*"):
            if file.is_file() and not file.is_symlink() and "cpython" not in place.name:
                found.setdefault((place.name, file.stat().st_ino), []).append(file)
    return {file for files in found.values() if len(files) > 1 for file in files}


def test_the_bytes_are_the_same(world: World, tmp_path: Path) -> None:
    plain = World(world.folder, tmp_path / "plain")
    expected = plain.realise()
    made = world.realise(**POOL)
    assert world.paths(made) == plain.paths(expected)
    assert {file.name for file in shared(world)} >= {"same.py", "again.py"} and not shared(plain)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (world.root / "store").rglob("*.sh")}
    assert modes == {"run.sh": 0o555, "read.sh": 0o444}
    assert world.realise("--check", **POOL)["changed"] is False
    for command in (("verify", "--contents"), ("optimise",), ("verify", "--contents"), ("verify",)):
        assert world.json(*command).get("problems", []) == []
    world.run("pack", "project", "--closure", "-o", str(tmp_path / "all.vstore"))
    world.run("push", str(tmp_path / "cache"), "project")
    other = World(world.folder, tmp_path / "other")
    other.run("unpack", str(tmp_path / "all.vstore"))
    third = World(world.folder, tmp_path / "third")
    third.run("pull", str(tmp_path / "cache"), made["stack"])
    objects = {row["path"] for row in world.json("list") if row["kind"] != "source"}
    for copy in (other, third):
        assert {row["path"] for row in copy.json("list")} == objects
        assert copy.json("verify", "--contents")["problems"] == []
    world.run(
        "export", str(world.spec), "--output-dir", str(tmp_path / "exported"), "--local-wheels", str(world.wheels)
    )
    assert not [file for file in (tmp_path / "exported").rglob("same.py") if file.stat().st_mode & 0o111]
    check_nothing_left(world.root)


def test_what_is_freed(world: World) -> None:
    world.realise(**POOL)
    world.run("forget", "project", "--all")
    planned = world.json("gc", "--dry-run", "--cache-unshared-for", "0s")
    done = world.json("gc", "--cache-unshared-for", "0s")
    assert (planned["deletable"], planned["cached_wheels"]) == (done["deleted"], done["cached_wheels"])
    assert planned["freed_bytes"] == done["freed_bytes"]
    assert len(done["cached_wheels"]) == 4
    assert not list((world.root / "cache" / "uv").glob("files-*/*/*"))
    world.realise(**POOL)
    assert world.json("verify", "--contents")["problems"] == []


@pytest.mark.fast
def test_a_damaged_file_that_wheels_share(world: World) -> None:
    """It is in several objects, in wheels that no layer holds now, and in the pool: none is taken for good again."""
    make_wheel(world.wheels, "midlib", "3.0", {"midlib/__init__.py": "VERSION = '3.0'\n", "midlib/same.py": SAME})
    world.write_spec("==3.0")
    world.realise(**POOL)
    world.write_spec("==1.0")
    result = world.realise(**POOL)
    world.run("gc", "--keep", "1")
    spoil(module(world, result, "framework-side", "ns/side_more/same.py"))
    assert len({one["path"] for one in world.json("verify", "--contents", code=6)["problems"]}) == 3
    assert len(world.json("verify", "--repair", **POOL)["repaired"]) == 3
    assert world.json("verify", "--contents")["problems"] == []
    world.write_spec("==3.0")
    result = world.realise(**POOL)
    assert module(world, result, "framework-mid", "midlib/same.py").read_text() == SAME


def fill(folder: Path, file: Path) -> None:
    """Give a file as many names as the file system allows."""
    folder.mkdir(exist_ok=True)
    for number in range(70_000):
        try:
            os.link(file, folder / str(number))
        except OSError:  # EMLINK
            return
    pytest.skip("this file system has no limit of names worth the name")


@pytest.mark.parametrize("how", ["plain", "pool"])
def test_a_file_that_can_have_no_more_names(world: World, tmp_path: Path, how: str) -> None:
    settings: Any = POOL if how == "pool" else {}
    expected = world.paths(world.realise(**settings))
    world.run("forget", "project", "--all")
    (cached, *_) = (world.root / "cache" / "uv").glob("archive-*/*/low/again.py")
    world.run("gc")
    fill(tmp_path / "names", cached)
    made = world.realise(**settings)
    assert world.paths(made) == expected
    assert module(world, made, "python", "low/again.py").stat().st_ino != (tmp_path / "names" / "9").stat().st_ino
    assert world.json("verify", "--contents")["problems"] == []
    world.run("optimise")
    assert world.json("verify", "--contents")["problems"] == []
