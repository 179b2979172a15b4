"""Images for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.images import machine_layer, make_image
from scripts.testing.world import World
from vstore.target import Target

collect_ignore_glob = [] if Target.host().is_linux else ["test_*.py"]  # images run Linux


@pytest.fixture(scope="session")
def bases(realised: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout with the images `base`, which has a shell, and `bare`, in Docker's format, which has none."""
    folder = tmp_path_factory.mktemp("bases")
    [python] = realised.root.glob("store/*-cpython-*")
    make_image(folder, [machine_layer(python)], tag="base")
    make_image(folder, [machine_layer(python, ())], tag="bare", docker=True)
    return folder
