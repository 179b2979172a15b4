"""A realised world, made once for a session of tests, and copies of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.flows.world import World, make_world


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> World:
    """To be read only."""
    world = make_world(tmp_path_factory.mktemp("warm"))
    world.realise()
    return world


@pytest.fixture
def world(warm: World, tmp_path: Path) -> World:
    shutil.copytree(warm.folder, tmp_path / "w", symlinks=True)
    return World(tmp_path / "w", tmp_path / "w" / "root")
