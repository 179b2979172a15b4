"""The command line in a process that has its modules loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.testing.forked import CommandLine
from scripts.testing.world import World


@pytest.fixture(scope="module")
def cli() -> Iterator[CommandLine]:
    """The command line with this machine's variables, except those of vstore, uv and pip."""
    with CommandLine({}) as found:
        yield found


@pytest.fixture
def world_cli(world: World) -> Iterator[CommandLine]:
    """The command line with the variables of `world`."""
    with CommandLine(world.environment()) as found:
        yield found
