"""A few spoilt caches and bundles in every run; `scripts/reliability/hostile/spoilt.py` tries as many as one likes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MEBIBYTES = 300


def test_what_is_spoilt_is_a_miss_or_an_error_never_a_wrong_byte(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.reliability.hostile.spoilt", "90", "1", str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    found = json.loads(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True, timeout=300).stdout)
    assert found["tried"] == 90 and found["refused"] > 10, found
    assert found["peak"] < MEBIBYTES
