"""Nothing of a user's is replaced, removed or followed (`scripts/reliability/run places` does it a thousand times)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.reliability.hostile.places import COMMANDS, KINDS, STRANGE, random_places, try_place, try_strange
from scripts.testing.forked import CommandLine
from scripts.testing.world import World, make_world

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
]

SLOW = {"publish", "export", "export --links copy, a layer", "push"}  # where the place is free they copy much


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("places"))
    made.realise()
    return made


@pytest.fixture(scope="module")
def cli(world: World) -> Iterator[CommandLine]:
    with CommandLine(world.environment()) as found:
        yield found


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_there_stays(world: World, cli: CommandLine, tmp_path: Path, command: str) -> None:
    kinds = [kind for kind in KINDS if command.partition(",")[0] not in SLOW or "folder" not in kind]
    for kind in kinds[1:] if command.partition(",")[0] in SLOW else kinds:
        try_place(world, cli, tmp_path, command, kind)


@pytest.mark.parametrize("command", [name for name, found in COMMANDS.items() if not found.inside])
def test_places_that_are_none(world: World, cli: CommandLine, tmp_path: Path, command: str) -> None:
    texts = [text for text in STRANGE if command not in SLOW or text.startswith((b"/", b"ROOT/", b"file/", b"~"))]
    for text in texts:
        try_strange(world, cli, tmp_path, command, text)


def test_some_at_random(world: World, tmp_path: Path) -> None:
    tried = list(random_places(world, tmp_path, count=12, seed=7))
    assert len(tried) == 12 and any(one.refused for one in tried)
