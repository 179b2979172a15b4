"""Real commands, killed with all that they started whenever it happens to be."""

from __future__ import annotations

import sys

import pytest

from scripts.reliability.crashes.kills import random_kills
from scripts.testing.world import World

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_commands_killed_at_random_instants(world: World) -> None:
    counts = random_kills(world, kills=24, seed=4)
    assert counts["killed"] >= 24 and counts["killed realise"] > 0, counts
