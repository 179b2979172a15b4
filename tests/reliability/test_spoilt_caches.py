"""A few spoilt caches, bundles and registries in every run; `scripts/reliability/run` tries as many as one likes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MEBIBYTES = 300


@pytest.mark.parametrize(("module", "count"), [("spoilt", 90), ("spoilt_registry", 60)])
def test_what_is_spoilt_is_a_miss_or_an_error_never_a_wrong_byte(tmp_path: Path, module: str, count: int) -> None:
    command = [sys.executable, "-m", f"scripts.reliability.hostile.{module}", str(count), "1", str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    found = json.loads(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True, timeout=300).stdout)
    assert found["tried"] == count and found["refused"] > 10, found
    assert found["peak"] < MEBIBYTES
