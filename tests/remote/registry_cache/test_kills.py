"""A push to a registry that is killed at any step leaves a whole cache, and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.reliability.crashes.sweep import kill_exchange_at
from vstore.fs.faults import Point

pytestmark = pytest.mark.slow
POINTS = (
    Point.PUSH_UPLOADED,
    Point.PUSH_DESCRIBED,
    Point.PUSH_DELTA_UPLOADED,
    Point.PUSH_SBOM_UPLOADED,
    Point.PUSH_NUMBERED,
    Point.PUSH_PUBLISHED,
)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_step_of_a_push(url: str, tmp_path: Path, point: Point) -> None:
    assert kill_exchange_at(tmp_path / "exchange", url, point, 1, f"kill-{point}"), "the step was never reached"
