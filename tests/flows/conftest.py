"""A world that is realised already, to copy from."""

from __future__ import annotations

import pytest

from scripts.testing.world import World, make_world


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = make_world(tmp_path_factory.mktemp("warm"))
    world.realise()
    return world
