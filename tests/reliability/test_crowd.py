"""Everybody at once: each recipe is built once, nobody sees half an object, a lock or a missing program."""

from __future__ import annotations

import pytest

from scripts.reliability.crashes.crowd import crowd
from scripts.testing.world import World

pytestmark = pytest.mark.slow


def test_realising_collecting_switching_and_running_at_once(world: World) -> None:
    counts = crowd(world, rounds=2, realisers=2)
    assert counts["gc"] > 2 and counts["program"] > 5 and counts["switch"] > 2, counts
    assert counts["layers built"] >= 4, counts
