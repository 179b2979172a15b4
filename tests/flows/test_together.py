"""Several specs realised by one plan, with builds in processes: equal layers once, and profiles as a whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import World

pytestmark = pytest.mark.slow
LOCAL = ("--locked", "--on", "local[2]")


@pytest.fixture(scope="module")
def two(realised: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two specs with a new version of `mid`; the application of the second has one more wheel. Both are locked."""
    world = realised.copy(tmp_path_factory.mktemp("together") / "w")
    make_wheel(world.wheels, "extra", "1.0", {"extra.py": "NAME = 'extra'\n"})
    world.write_spec("==2.0")
    wheels = ("--local-wheels", str(world.wheels), "--no-index")
    world.run("lock", str(world.spec), *wheels)
    shutil.copytree(world.spec.parent, world.folder / "second")
    text = world.spec.read_text().replace('["ns-app"]', '["ns-app", "extra"]')
    second(world).write_text(text)
    world.run("lock", str(second(world)), *wheels)
    return world


@pytest.fixture
def world(two: World, tmp_path: Path) -> World:
    copy = two.copy(tmp_path / "w")
    for file in copy.folder.rglob("pylock.*.toml"):  # they name the wheels by their paths
        file.write_text(file.read_text().replace(str(two.wheels), str(copy.wheels)))
    return copy


def second(world: World) -> Path:
    return world.folder / "second" / "spec.toml"


def test_equal_layers_of_two_specs_are_built_once(world: World) -> None:
    out, said = world.run("--json", "realise", str(world.spec), str(second(world)), *LOCAL)
    one, other = json.loads(out)
    assert said.count("framework-mid: built") == 1 and said.count("app-hello: built") == 2
    assert (one["profile"], other["profile"]) == ("project", "second") and one["stack"] != other["stack"]
    assert (one["generation"], other["generation"]) == (2, 1) and one["changed"] and other["changed"]
    below = [
        {row["name"]: row["path"] for row in found["layers"] if row["name"] != "app-hello"} for found in (one, other)
    ]
    assert below[0] == below[1]
    again, said = world.run("--json", "realise", str(second(world)), str(world.spec), *LOCAL)
    assert [one["changed"] for one in json.loads(again)] == [False, False] and "built" not in said


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_failure_leaves_the_profiles_alone_unless_it_keeps_going(world: World, keep_going: bool) -> None:
    next(world.wheels.glob("extra-*")).unlink()
    options = ("--keep-going",) if keep_going else ()
    said = world.run("realise", str(world.spec), str(second(world)), *LOCAL, *options, code=5)[1]
    assert "app-hello: the lock names wheels on this machine that are gone" in said
    rows = {row["profile"]: row for row in world.json("profiles")}
    assert "second" not in rows and rows["project"]["generation"] == (2 if keep_going else 1)
    assert world.json("verify", "--contents")["problems"] == []


def test_options_for_one_stack_are_refused_for_several(world: World) -> None:
    said = world.run("realise", str(world.spec), str(second(world)), "--profile", "p", code=2)[1]
    assert "one spec and one platform at a time" in said
    assert "`--on 'local[4]'`" in world.run("realise", str(world.spec), "--on", "local[0]", code=2)[1]


def test_dry_runs_checks_and_parts_are_as_without_processes(world: World) -> None:
    spec = str(world.spec)
    origins = {row["name"]: row["origin"] for row in world.json("realise", spec, *LOCAL, "--dry-run")["layers"]}
    assert origins["framework-mid"] == "to build" and origins["python"] == "present"
    part = world.json("realise", spec, *LOCAL, "--include", "framework-mid")
    assert {row["name"]: row["origin"] for row in part["layers"]}["framework-mid"] == "built"
    assert part["stack"] is None
    checked = world.json("realise", spec, *LOCAL, "--include", "framework-mid", "--check")
    assert {row["name"]: row["origin"] for row in checked["layers"]}["framework-mid"] == "checked"
