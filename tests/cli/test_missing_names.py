"""Commands without the name of a profile, or with that of an application in its place."""

from __future__ import annotations

import pytest

from scripts.testing.forked import CommandLine
from scripts.testing.world import World


@pytest.mark.parametrize("command", ["run", "exec", "rollback", "info"])
def test_a_missing_name_is_answered_with_the_profiles(world_cli: CommandLine, world: World, command: str) -> None:
    ended = world_cli.run("--root", str(world.root), command)
    assert ended.code == 2 and "hint: profiles: project; `vstore " in ended.error
    nowhere = world.folder / "nowhere"
    ended = world_cli.run("--root", str(nowhere), command)
    assert ended.code == 2 and "profiles:" not in ended.error and not nowhere.exists()


def test_an_application_in_place_of_a_profile(world_cli: CommandLine, world: World) -> None:
    ended = world_cli.run("--root", str(world.root), "run", "hello")
    assert ended.code == 13 and "hint: did you mean `vstore run project hello`?" in ended.error


def test_publish_without_a_folder(world_cli: CommandLine, world: World) -> None:
    ended = world_cli.run("--root", str(world.root), "publish", str(world.spec))
    assert ended.code == 2 and "`--output-dir _artifacts`" in ended.error


def test_a_question_ends_with_its_mark_alone(world_cli: CommandLine) -> None:
    assert "hint: did you mean `list`? `vstore --help` shows the usage" in world_cli.run("lis").error
