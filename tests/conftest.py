"""Tests marked `network` are skipped, with the reason, where the package index is out of reach."""

from __future__ import annotations

import os
import subprocess
import tempfile
from functools import cache

import pytest
import uv

_PATIENCE_SECONDS = 10


@cache
def why_no_index() -> str | None:
    """Ask the index as vstore does, with uv and its settings; None when it answers, else the reason."""
    environment = {**os.environ, "UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}
    with tempfile.TemporaryDirectory() as folder:
        command = [uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--cache-dir", f"{folder}/cache", "-"]
        try:
            done = subprocess.run(
                command,
                input="iniconfig\n",
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_PATIENCE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"it did not answer within {_PATIENCE_SECONDS} s"
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"uv ended with {done.returncode}"])[-1].strip()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("network") is not None and (reason := why_no_index()) is not None:
        pytest.skip(f"the package index cannot be reached: {reason}")
