"""Errors that once left a user alone: each says what is wrong and where, and its hint what to do."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime

import pytest

from scripts.testing.forked import CommandLine, Ended
from scripts.testing.world import World
from vstore import __version__
from vstore.store import Store


def run(world_cli: CommandLine, world: World, *arguments: str, code: int) -> Ended:
    ended = world_cli.run("--root", str(world.root), *arguments)
    assert ended.code == code, ended
    return ended


def test_a_package_that_no_place_has(world_cli: CommandLine, world: World) -> None:
    world.spec.write_text(world.spec.read_text().replace('["low"]', '["low", "lowly"]'))
    said = run(world_cli, world, "lock", str(world.spec), "--no-index", code=4).error
    assert "hint: check the spelling of lowly; --local-wheels DIR uses wheels of your own, and [tool.uv]" in said
    assert "--find-links" not in said


@pytest.mark.slow
def test_a_local_wheel_that_is_gone(world_cli: CommandLine, world: World) -> None:
    shutil.rmtree(world.wheels)
    elsewhere = world.folder / "elsewhere"
    ended = world_cli.run("--root", str(elsewhere), "realise", str(world.spec), "--include", "python")
    assert ended.code == 5 and "python: the lock names wheels on this machine that are gone" in ended.error
    assert str(world.wheels) in ended.error and "`vstore lock --local-wheels DIR SPEC`" in ended.error


def test_objects_without_a_log(world_cli: CommandLine, world: World) -> None:
    (interpreter,) = json.loads(run(world_cli, world, "list", "--json", "--kind", "interpreter", code=0).out)
    reasons = {
        interpreter["path"]: "is copied, not built",
        "project": "only links its layers",
        "hello.py": "a module of a spec",
    }
    for what, reason in reasons.items():
        said = run(world_cli, world, "log", what, code=13).error
        assert "there is no build log of" in said and reason in said and "hint: `vstore " in said
    assert "installing" in run(world_cli, world, "log", "project/python", code=0).out


def test_a_key_that_is_not_trusted_names_the_file(world_cli: CommandLine, world: World) -> None:
    cache = (world.folder / "cache").as_uri()
    run(world_cli, world, "key", "generate", "builder", code=0)
    run(world_cli, world, "push", cache, "project", "--channel", "stable", code=0)
    other = world.folder / "other"
    ended = world_cli.run("--root", str(other), "pull", cache, "stable")
    assert ended.code == 10 and "signed by builder, which is not trusted" in ended.error
    assert f"add it to `trusted_keys` in {other / 'config.toml'}" in ended.error and "--trust" in ended.error
    said = world_cli.run("--root", str(other), "pull", cache, "stabel").error
    assert "has no channel stabel" in said and "did you mean 'stable'? `vstore cache ls " in said


def test_a_key_is_made_once(world_cli: CommandLine, world: World) -> None:
    run(world_cli, world, "key", "generate", "twice", code=0)
    said = run(world_cli, world, "key", "generate", "twice", code=2).error
    assert "there is a key twice already" in said and "a key is never replaced" in said


def test_a_platform_that_no_layer_is_for(world_cli: CommandLine, world: World) -> None:
    said = run(world_cli, world, "realise", str(world.spec), "--platform", "win_arm64", code=2).error
    assert "layer is for win_arm64" in said and "add it to the `platforms` of a layer" in said


def test_the_version_as_json(world_cli: CommandLine) -> None:
    for arguments in (("--version", "--json"), ("--json", "--version")):
        assert json.loads(world_cli.run(*arguments).out) == {"version": __version__}
    assert world_cli.run("--version").out == f"vstore {__version__}\n"


def test_the_time_of_a_generation_is_when_it_was_made(world: World) -> None:
    """A build may take minutes: the generation is no older than the last object that it has."""
    world.write_spec("<2")
    world.realise()
    with Store.open(world.root, read_only=True) as store:
        newest = max(info.registered_at for info in store.objects.all())
    made = datetime.fromisoformat(world.json("history", "project")[-1]["created_at"])
    assert newest <= made <= datetime.now(UTC)
