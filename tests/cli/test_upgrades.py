"""`lock --upgrade` and `--upgrade-package`: the changes, and the packages that cannot change."""

from __future__ import annotations

import json

from scripts.testing.forked import CommandLine, Ended
from scripts.testing.world import World


def lock(world_cli: CommandLine, world: World, *arguments: str, code: int = 0) -> Ended:
    ended = world_cli.run("--root", str(world.root), "lock", str(world.spec), *arguments)
    assert ended.code == code, ended
    return ended


def test_the_changes_are_printed(world_cli: CommandLine, world: World) -> None:
    world.write_spec()
    assert "->" not in lock(world_cli, world).out
    said = lock(world_cli, world, "--upgrade-package", "MidLib").out
    assert "midlib 1.0 -> 2.0 (framework-mid)" in said.splitlines() and "held" not in said
    world.write_spec("==1.0")
    change = {"layer": "framework-mid", "package": "midlib", "old": "2.0", "new": "1.0"}
    assert json.loads(lock(world_cli, world, "--json").out)["changes"] == [change]
    assert json.loads(lock(world_cli, world, "--json").out)["changes"] == []


def test_a_package_that_is_held(world_cli: CommandLine, world: World) -> None:
    line = "midlib is held at 1.0 by the requirements of layer framework-mid"
    assert line in lock(world_cli, world, "--upgrade-package", "midlib").out.splitlines()
    world.write_spec()
    world.spec.write_text('tool.uv.constraint-dependencies = ["midlib==1.0", "low==1.0"]\n' + world.spec.read_text())
    assert (
        "midlib is held at 1.0 by constraint-dependencies" in lock(world_cli, world, "--upgrade-package", "midlib").out
    )
    both = "2 packages are held by constraint-dependencies: low 1.0, midlib 1.0"
    assert both in lock(world_cli, world, "--upgrade").out.splitlines()
    found = json.loads(lock(world_cli, world, "--upgrade-package", "low", "--json").out)["not_upgraded"]
    assert found == [{"layer": "python", "package": "low", "version": "1.0", "by": "constraint-dependencies"}]


def test_a_package_that_no_layer_has(world_cli: CommandLine, world: World) -> None:
    said = lock(world_cli, world, "--upgrade-package", "midlip", code=2).error
    assert "--upgrade-package midlip: no layer has that package" in said and "did you mean 'midlib'?" in said
