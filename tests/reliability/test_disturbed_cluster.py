"""A cluster whose workers and client are killed builds what one machine builds, and builds hardly anything twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.reliability.crashes.clusters import Chaos, disturbed_cluster
from scripts.testing.platforms import HOST


@pytest.mark.slow
def test_kills_of_workers_and_of_a_client_change_no_object(tmp_path: Path) -> None:
    chaos = Chaos(specs=2, layers=3, targets=(HOST,), workers=2, worker_kills=2, client_kills=1, lies=False)
    assert disturbed_cluster(tmp_path, chaos)["workers killed"] == 2
