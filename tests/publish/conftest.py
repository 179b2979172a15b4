"""One realised world for all tests of a run, and private copies of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.flows.world import World, make_world


@pytest.fixture(scope="session")
def realised(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with one generation that tests only read."""
    world = make_world(tmp_path_factory.mktemp("published"))
    world.realise()
    return world


@pytest.fixture
def world(realised: World, tmp_path: Path) -> World:
    """A private copy of it."""
    shutil.copytree(realised.folder, tmp_path / "w", symlinks=True)
    return World(tmp_path / "w", tmp_path / "w" / "root")


def appears(folder: Path, pattern: str) -> bool:
    """Whether something that is not empty is there; folders of unfinished work may go while one looks."""
    try:
        return any(path.stat().st_size for path in folder.glob(pattern))
    except FileNotFoundError:
        return False
