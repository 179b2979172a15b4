"""`lock --upgrade` and `--upgrade-package`: the changes, and the packages that cannot change."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scripts.testing.forked import CommandLine, Ended
from scripts.testing.world import World


@pytest.fixture
def cli(world: World) -> Iterator[CommandLine]:
    with CommandLine(world.environment()) as found:
        yield found


def lock(cli: CommandLine, world: World, *arguments: str, code: int = 0) -> Ended:
    ended = cli.run("--root", str(world.root), "lock", str(world.spec), *arguments)
    assert ended.code == code, ended
    return ended


def test_the_changes_are_printed(cli: CommandLine, world: World) -> None:
    world.write_spec()
    assert "->" not in lock(cli, world).out
    said = lock(cli, world, "--upgrade-package", "MidLib").out
    assert "midlib 1.0 -> 2.0 (framework-mid)" in said.splitlines() and "held" not in said
    world.write_spec("==1.0")
    change = {"layer": "framework-mid", "package": "midlib", "old": "2.0", "new": "1.0"}
    assert json.loads(lock(cli, world, "--json").out)["changes"] == [change]
    assert json.loads(lock(cli, world, "--json").out)["changes"] == []


def test_a_package_that_is_held(cli: CommandLine, world: World) -> None:
    line = "midlib is held at 1.0 by the requirements of layer framework-mid"
    assert line in lock(cli, world, "--upgrade-package", "midlib").out.splitlines()
    world.write_spec()
    world.spec.write_text('tool.uv.constraint-dependencies = ["midlib==1.0", "low==1.0"]\n' + world.spec.read_text())
    assert "midlib is held at 1.0 by constraint-dependencies" in lock(cli, world, "--upgrade-package", "midlib").out
    both = "2 packages are held by constraint-dependencies: low 1.0, midlib 1.0"
    assert both in lock(cli, world, "--upgrade").out.splitlines()
    found = json.loads(lock(cli, world, "--upgrade-package", "low", "--json").out)["not_upgraded"]
    assert found == [{"layer": "python", "package": "low", "version": "1.0", "by": "constraint-dependencies"}]


def test_a_package_that_no_layer_has(cli: CommandLine, world: World) -> None:
    said = lock(cli, world, "--upgrade-package", "midlip", code=2).error
    assert "--upgrade-package midlip: no layer has that package" in said and "did you mean 'midlib'?" in said
