"""The messages of `realise` before and after it switches a profile that has other generations."""

from __future__ import annotations

import shutil

import pytest

from scripts.testing.world import World

UNDONE = "the stack of generation 2 is in use again: this undoes the rollback to generation 1"


@pytest.mark.slow
def test_a_rollback_that_is_undone_is_noted(world: World) -> None:
    world.write_spec("==2.0")
    realise = ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    _, said = world.run(*realise)
    assert "undoes" not in said
    world.run("rollback", "project")
    assert UNDONE in world.run(*realise)[1]
    assert "undoes" not in world.run(*realise)[1]


@pytest.mark.slow
def test_a_profile_of_another_spec_is_warned_of_before_the_build(world: World) -> None:
    other = world.folder / "other"
    shutil.copytree(world.spec.parent, other)
    (other / "hello.py").write_text("print('other')\n")
    realise = ("realise", str(other / "spec.toml"), "--profile", "project")
    _, said = world.run("-v", *realise)
    warning = said.index("profile project belongs to another spec: ")
    assert "choose another with `--profile NAME`" in said
    assert warning < said.index("app-hello: ", warning), "before anything is built"
    assert said.index("`vstore rollback project` returns profile project to the stack of") > warning
    assert "belongs to" not in world.run(*realise)[1]
    (other / "hello.py").write_text("print('more')\n")
    assert "belongs to" not in world.run(*realise)[1]
    shutil.copytree(other, world.folder / "third/other")
    assert "belongs to" not in world.run("realise", str(world.folder / "third/other/spec.toml"), *realise[2:])[1]
