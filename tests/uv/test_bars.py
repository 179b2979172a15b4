"""Bytes that uv says it has downloaded, read off its progress bars."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from tests.flows.private_index import serving
from vstore.uv import Uv, UvError
from vstore.uv.bars import DownloadBars

FRAME = "\x1b[2K\x1b[2mscipy   \x1b[0m \x1b[32m--\x1b[30m\x1b[2m---\x1b[0m\x1b[0m {}/33.71 MiB   "


def test_bars_are_added_up() -> None:
    seen: list[tuple[int, int]] = []
    bars = DownloadBars(lambda done, whole: seen.append((done, whole)))
    bars.draw(FRAME.format("512.00 KiB"))
    bars.draw(FRAME.format("1.50 MiB") + "numpy ---- 1.00 MiB/2.00 MiB")
    bars.draw("numpy -")
    bars.draw("--- 2.00 MiB/2.00 MiB")
    bars.draw("no bar at all 3/4")
    whole = round(33.71 * 1024**2)
    assert seen == [(524288, whole), (1572864 + 1048576, whole + 2097152), (1572864 + 2097152, whole + 2097152)]


def test_uv_draws_what_is_read(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "large", "1.0", {"large/data": os.urandom(8 << 20)})
    seen: list[tuple[int, int]] = []
    uv = Uv(cache_dir=tmp_path / "cache", on_bytes=lambda done, whole: seen.append((done, whole)))
    arguments = ["pip", "install", "--target", str(tmp_path / "out"), "--python", sys.executable]
    with serving(wheels) as index:
        arguments += ["--default-index", f"{index.url}/simple/"]
        uv.run([*arguments, "large"])
        assert seen and seen == sorted(seen)
        assert 8 << 20 <= seen[-1][1] < 9 << 20
        with pytest.raises(UvError) as caught:
            uv.run([*arguments, "large==2.0"])
    assert "no version of large==2.0" in "".join(caught.value.details)
    assert not any(sign in line for line in caught.value.details for sign in "\x1b\r⠋⠙⠹")
