"""Some hostile requests in every run; `scripts/reliability/run strangers` makes thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.reliability.hostile.strangers import strangers

pytestmark = pytest.mark.slow


def test_hostile_requests_leave_the_server_as_it_was(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    found = strangers(tmp_path, requests=300, seed=1)
    assert found["requests"] == 300
