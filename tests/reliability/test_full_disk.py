"""A disk that is full at any moment of an add, a commit or a collection: said clearly, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.reliability.promises import check_intact, check_nothing_left
from tests.reliability.sweep import journey

SIZE = 12 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", mount], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs here: {made.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


@contextmanager
def filled(disk: Path, *, but: int) -> Iterator[None]:
    """All space taken by somebody else, but so many bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    hog = disk / "hog"
    with hog.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - but, 1))
    yield
    hog.unlink()


def test_full_at_each_moment_of_an_add(disk: Path) -> None:
    """A few pages more each time: the staged files, the manifest, the row, the links, the trash run out of space."""
    root = disk / "root"
    assert journey(root, "before").code == 0
    refused = 0
    for pages in (0, 2, 5, 9, 14, 20, 30, 60):
        with filled(disk, but=pages * 4096):
            ended = journey(root, f"t{pages}")
            assert "Traceback" not in ended.error, ended.error
            if ended.code:
                refused += 1
                assert "space" in ended.error.lower() or "full" in ended.error.lower(), ended.error
        check_intact(root)
        assert journey(root, f"after-{pages}").code == 0
    assert 3 <= refused <= 7, "the sweep begins in want and ends in plenty"
    check_nothing_left(root)
