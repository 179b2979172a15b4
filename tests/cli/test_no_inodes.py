"""A file system that has bytes free and no inodes is told as such."""

from __future__ import annotations

import subprocess
from itertools import count
from pathlib import Path

import pytest

from vstore.cli.errors import explain


def fill(folder: Path) -> None:
    for number in count():
        (folder / str(number)).touch()


def test_no_inodes_left_is_told_with_what_helps(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=8", "tmpfs", str(tmp_path)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(OSError, match="No space left") as caught:
            fill(tmp_path)
        told = explain(caught.value)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert told is not None
    assert told.message.startswith("no inodes left on the file system: ")
    assert told.hint is not None and "df -i" in told.hint
