"""A disk that is full at any moment of an add, a commit or a collection: said clearly, and nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.reliability.crashes.promises import check_intact, check_nothing_left
from scripts.reliability.crashes.sweep import journey, vstore
from tests.mounts import tmpfs
from vstore.objects import Kind
from vstore.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(as_root: None, tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "small", 12 << 20) as place:
        yield place


@pytest.fixture
def roomy(as_root: None, tmp_path: Path) -> Iterator[Path]:
    """So much room that space is kept back for collections."""
    with tmpfs(tmp_path / "roomy", 200 << 20) as place:
        yield place


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


def test_a_collection_on_a_disk_without_one_free_byte(roomy: Path) -> None:
    """Deleting needs space of its own, for the log of the index: it was kept back while there was room."""
    root = roomy / "root"
    assert journey(root, "low").code == 0
    with Store.open(root) as store:
        for number in range(20):
            with store.staging("big") as staged:
                (staged / "data").write_bytes(os.urandom(100_000 + number))
                store.add(staged, name="big", kind=Kind.FRAMEWORK)
    assert vstore(root, "gc", "--max-freed", "1").code == 0  # keeps the reserve from now on
    with filled(roomy, but=0):
        with pytest.raises(OSError, match="No space left"):
            (roomy / "more").write_bytes(b"x" * 4096)
        (roomy / "more").unlink()
        ended = vstore(root, "gc", "--json")
        assert ended.code == 0, ended.error
        assert '"deleted": []' not in ended.out
    check_nothing_left(root)
