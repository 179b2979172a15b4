"""The power fails at any instant: every registered object is whole, and what was acknowledged is still there."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.reliability.crashes.disk import why_no_disk
from scripts.reliability.crashes.power import cut_power

pytestmark = pytest.mark.slow


@pytest.mark.root
@pytest.mark.skipif(why_no_disk() is not None, reason=str(why_no_disk()))
def test_the_power_fails_at_any_instant(tmp_path: Path) -> None:
    done = cut_power(tmp_path, lives=3, cuts=8, seed=3)
    assert done["cuts"] == 8 and done["lossy"] > 0 and done["acknowledged"] >= 6, done
