"""`verify --repair`: whatever is wrong with an object is put right, and nothing damaged is ever linked in again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.reliability.crashes.promises import check_intact, check_nothing_left
from scripts.testing.world import World, make_world
from vstore.fs.faults import Point
from vstore.fs.trees.removal import remove_tree

pytestmark = pytest.mark.slow

STEPS = [point for point in Point if point.startswith(("staged", "temp-root", "add-", "file-written"))]


@pytest.fixture
def world(only_interpreter: Path, tmp_path: Path) -> World:
    shutil.copytree(only_interpreter, tmp_path / "root", symlinks=True)
    return make_world(tmp_path)


def spoil(file: Path) -> None:
    """Flip a bit in place: every hard link to the file has the damage."""
    status = file.stat()
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    with file.open("r+b") as handle:
        handle.write(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    file.chmod(status.st_mode & 0o777)


def place(world: World, result: Any, layer: str) -> Path:
    return world.root / "store" / world.paths(result)[layer]


def module(world: World, result: Any, layer: str, name: str) -> Path:
    (found,) = place(world, result, layer).glob(f"lib/python*/site-packages/{name}")
    return found


def repaired(world: World, *arguments: str) -> list[str]:
    done = world.json("verify", "--repair", *arguments)
    assert done["problems"] == []
    assert world.json("verify", "--contents")["problems"] == []
    assert "midlib 1.0" in world.run("run", "project", "hello")[0]
    names: list[str] = done["repaired"]
    return names


def remove(file: Path) -> None:
    file.parent.chmod(0o755)
    file.unlink()


def relink(layer: Path) -> None:
    link = next(place for place in layer.glob("lib/python*/site-packages/*") if place.is_symlink())
    link.parent.chmod(0o755)
    target = os.readlink(link)
    link.unlink()
    link.symlink_to(target + "x")


def manifest_of(layer: Path) -> Path:
    return layer.parents[1] / "manifests" / layer.name


def steal_manifest(layer: Path) -> None:
    other = next(place for place in manifest_of(layer).parent.iterdir() if "-cpython-" in place.name)
    manifest_of(layer).unlink()
    manifest_of(layer).write_bytes(other.read_bytes())


def spoil_all(layer: Path, file: Path) -> None:
    spoil(file)
    manifest_of(layer).unlink()


def replace_folder(layer: Path) -> None:
    remove_tree(layer)
    layer.write_text("rubbish")


def add_file(file: Path) -> None:
    file.parent.chmod(0o755)
    (file.parent / "more.py").write_text("")


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "a bit": lambda layer, file: spoil(file),
    "a file is gone": lambda layer, file: remove(file),
    "a file too many": lambda layer, file: add_file(file),
    "a link goes elsewhere": lambda layer, file: relink(layer),
    "the folder is gone": lambda layer, file: remove_tree(layer),
    "the folder is a file": lambda layer, file: replace_folder(layer),
    "the manifest is gone": lambda layer, file: manifest_of(layer).unlink(),
    "the manifest is another's": lambda layer, file: steal_manifest(layer),
    "it can be written to": lambda layer, file: file.chmod(0o644),
    "it can be executed": lambda layer, file: file.chmod(0o555),
    "its time is another": lambda layer, file: os.utime(file, (5, 5)),
    "bits, and the manifest is gone": spoil_all,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_is_wrong_with_a_layer(world: World, damage: str) -> None:
    result = world.realise()
    layer = place(world, result, "framework-mid")
    DAMAGES[damage](layer, module(world, result, "framework-mid", "midlib/late.py"))
    assert {one["path"] for one in world.json("verify", "--contents", code=6)["problems"]} == {layer.name}
    assert repaired(world) == [layer.name]
    assert world.paths(world.realise()) == world.paths(result)
    check_nothing_left(world.root)


@pytest.mark.parametrize("kind", ["the interpreter", "the stack", "everything"])
def test_what_is_no_layer_too(world: World, kind: str) -> None:
    result = world.realise()
    places = [world.root / "store" / one["path"] for one in world.json("list")]
    wanted = {"the interpreter": "-cpython-", "the stack": "-stack", "everything": "-"}[kind]
    damaged = [place for place in places if wanted in place.name]
    for one in damaged:
        files = (file for file in sorted(one.rglob("*")) if file.is_file() and not file.is_symlink())
        spoil(next(file for file in files if file.stat().st_size))
    assert repaired(world) == sorted(one.name for one in damaged)
    assert world.paths(world.realise()) == world.paths(result)


def test_a_damaged_file_of_uvs_cache_is_not_linked_again(world: World) -> None:
    result = world.realise()
    file = module(world, result, "framework-mid", "midlib/late.py")
    assert file.stat().st_nlink > 1, "no hard link to uv's cache: the test shows nothing"
    spoil(file)
    shared = file.stat().st_ino
    assert len(repaired(world)) == 1
    assert file.stat().st_ino != shared
    world.write_spec("==2.0")  # and what is built later takes nothing damaged from the cache
    world.realise()
    world.write_spec("==1.0")
    world.realise("--check")


def test_only_a_mode_is_put_right_in_place(world: World) -> None:
    result = world.realise()
    file = module(world, result, "framework-mid", "midlib/late.py")
    file.chmod(0o644)
    before = file.stat().st_ino
    world.spec.unlink()
    assert len(repaired(world, "--offline")) == 1
    assert file.stat().st_ino == before


def test_from_a_cache_without_the_spec_only_the_damaged_bytes(world: World, tmp_path: Path) -> None:
    result = world.realise()
    world.run("push", str(tmp_path / "cache"), "project")
    (world.root / "config.toml").write_text(f'[caches.near]\nurl = "{(tmp_path / "cache").as_uri()}"\n')
    world.spec.unlink()
    for layer, name in (("framework-mid", "midlib/late.py"), ("layer python", "low/__init__.py")):
        spoil(module(world, result, layer.removeprefix("layer "), name))
    assert len(repaired(world)) == 2


def test_what_nothing_gives_is_said_and_left_alone(world: World) -> None:
    result = world.realise()
    file = module(world, result, "framework-mid", "midlib/late.py")
    spoil(file)
    before = file.stat().st_ino, file.read_bytes()
    world.spec.write_text(world.spec.read_text().replace("ns-app", "ns-side"))
    out, err = world.run("verify", "--repair", code=6)
    assert "changed: lib" in out and "late.py" in out and "1 object could not be repaired" in err and "hint:" in err
    assert (file.stat().st_ino, file.read_bytes()) == before
    world.write_spec("==1.0")
    assert len(repaired(world)) == 1


def test_other_bytes_are_not_taken(world: World) -> None:
    """The wheel was replaced by another under its name since: its hash says so, and nothing is exchanged."""
    result = world.realise()
    file = module(world, result, "framework-mid", "midlib/late.py")
    spoil(file)
    for wheel in world.wheels.glob("midlib-1.0*"):
        wheel.write_bytes((world.wheels / wheel.name.replace("1.0", "2.0")).read_bytes())
    done = world.json("verify", "--repair", code=6)
    assert done["repaired"] == [] and {one["path"] for one in done["problems"]} == {file.parents[4].name}
    assert world.paths(world.realise()) == world.paths(result)


def test_links_of_generations_are_put_back_and_a_profile_is_not_guessed(world: World) -> None:
    world.realise()
    world.write_spec("==2.0")
    world.realise()
    world.write_spec("==1.0")
    profiles = world.root / "profiles"
    (profiles / "project-1-link").unlink()
    (profiles / "project-2-link").unlink()
    (profiles / "project-2-link").symlink_to("../store")
    assert len(world.json("verify", code=6)["problems"]) == 2
    assert world.json("verify", "--repair")["problems"] == []
    assert (profiles / "project").resolve() == (profiles / "project-2-link").resolve()
    (profiles / "project").unlink()
    (profiles / "project").symlink_to("../store")
    (problem,) = world.json("verify", "--repair", code=6)["problems"]
    assert "leads to ../store" in problem["problem"] and "vstore switch project N" in problem["problem"]
    world.run("switch", "project", "1")
    assert world.json("verify")["problems"] == []


@pytest.mark.parametrize("point", STEPS)
def test_killed_at_any_step_it_is_damaged_or_whole(world: World, point: Point) -> None:
    result = world.realise()
    spoil(module(world, result, "framework-mid", "midlib/late.py"))
    cleared = point == Point.ADD_CLEARED  # where names cannot be exchanged, and for what is new
    world.run("verify", "--repair", code=0 if cleared else -9, VSTORE_FAULT=str(point))
    found = world.start("verify", "--contents").communicate()[0]
    if point == Point.ADD_MOVED:  # all but the top folder's own mode and time
        assert ": changed:" not in found and "checked 7 objects, 2 problems" in found
    else:
        assert ": changed: lib" in found or found == "checked 7 objects, 0 problems\n"
    repaired(world)
    check_intact(world.root)
    check_nothing_left(world.root)
