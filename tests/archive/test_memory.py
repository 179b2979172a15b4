"""Archives that announce much and hold little are refused before they cost memory, disk or time."""

from __future__ import annotations

import errno
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.archive.trees import NAME, forged, index_of, no_large_file_written, packed, small, write
from vstore.archive import FileOffset, Limits, unpack
from vstore.digest import hash_bytes
from vstore.errors import ArchiveError
from vstore.fs import zstd
from vstore.fs.disk import free_bytes
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest

MEBIBYTES = 300
_UNPACK = """
import sys
from pathlib import Path
from scripts.testing.memory import peak_mebibytes
from vstore.archive import unpack
from vstore.errors import ArchiveError
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
except ArchiveError as error:
    print("refused:", error.message)
print(peak_mebibytes())
"""


def with_index(archive: Path, content: bytes, length: int | None = None) -> Path:
    """The frames of an archive with this index, compressed by other means where it is the whole frame already."""
    stored = content if length is not None else zstd.compress(content, 1)
    digest = hash_bytes("archive index 1", stored).raw
    footer = digest + struct.pack(">QQ16s", len(stored), length or len(content), b"vstore-archive-1")
    frames = archive.read_bytes()[: sum(frame.size_bytes for frame in index_of(archive).frames)]
    lie = archive.with_name("lie.tar.zst")
    lie.write_bytes(frames + struct.pack("<II", 0x184D2A56, len(stored) + 64) + stored + footer)
    return lie


def announcing(*, tree: bytes = b"", frames: bytes = bytes(4), places: bytes = bytes(4)) -> bytes:
    name = os.fsencode(NAME)
    tree = tree or Manifest(()).encoded
    head = b"vstore-index-1\n" + len(name).to_bytes(4, "big") + name + len(tree).to_bytes(8, "big")
    return head + tree + frames + places


def many(count: int) -> bytes:
    """A list that a fiftieth of its bytes can be compressed to, so that its ratio is not what is refused."""
    varied = random.Random(1).randbytes(count * 16 // 50)
    return count.to_bytes(4, "big") + varied + b"\x7f" * (count * 16 - len(varied))


def folders(count: int) -> bytes:
    entries = b"".join(b"D\0\0\0\x07%07d" % number for number in range(count))
    return b"vstore-tree-1\n" + count.to_bytes(8, "big") + entries


def long_frame(archive: Path) -> Path:
    """One frame of a gigabyte with a byte of content: nothing but its length is wrong before it is read."""
    lie = forged(archive, frames=[(1 << 30, 1)], offsets=[], manifest=Manifest(()))
    tail = lie.read_bytes()[sum(frame.size_bytes for frame in index_of(archive).frames) :]
    with lie.open("wb") as file:
        file.seek(1 << 30)
        file.write(tail)
    return lie


LIES: dict[str, Callable[[Path], Path]] = {
    "frames": lambda at: with_index(at, announcing(frames=many(33_000_000 // 16))),
    "frames, up to the limit": lambda at: with_index(at, announcing(frames=many(1_900_000))),
    "places": lambda at: with_index(at, announcing(places=many(33_000_000 // 16))),
    "folders": lambda at: with_index(at, announcing(tree=folders(2_700_000))),
    "an index of zeros": lambda at: with_index(at, zstd.compress(bytes(32 << 20), 1), 32 << 20),
    "a long frame": long_frame,
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_what_announces_much_is_refused_in_little_memory(tmp_path: Path, lie: Callable[[Path], Path]) -> None:
    archive = lie(packed(tmp_path, small(tmp_path / "tree")))
    said, peak = unpacked(archive, tmp_path / "out")
    assert said.startswith("refused: ")
    assert peak < MEBIBYTES // 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_as_many_entries_as_the_limits_allow_fit_in_the_memory(tmp_path: Path) -> None:
    chance = random.Random(1)
    entries = tuple(
        Entry(b"%06d-%s" % (number, chance.randbytes(45).hex().encode()), EntryKind.FILE, digest=chance.randbytes(32))
        for number in range(Limits().entries)
    )
    archive = packed(tmp_path, small(tmp_path / "tree"))
    said, peak = unpacked(
        forged(archive, manifest=Manifest(entries), offsets=[FileOffset(0, 0)] * len(entries)), tmp_path / "out"
    )
    assert "the content of" in said, "it was read and planned before the first file was found to be another"
    assert peak < MEBIBYTES


def unpacked(archive: Path, target: Path) -> tuple[str, int]:
    """The error of unpacking, and the peak of memory in MiB."""
    command = [sys.executable, "-c", _UNPACK, str(archive), str(target)]
    said, peak = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.splitlines()
    assert not target.exists()
    return said, int(peak)


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_more_than_the_disk_has_free_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    size, part = free_bytes(tmp_path) + (1 << 30), 16 << 20
    frame = zstd.compress(bytes(part), 1)
    archive = packed(tmp_path, write(tmp_path / "tree", {"x": b"x"}))
    frames = [(len(frame), part)] * (size // part + 1)
    huge = Manifest((Entry(b"huge", EntryKind.FILE, size=size, digest=bytes(32)),))
    lie = forged(archive, manifest=huge, frames=frames, offsets=[FileOffset(0, 0)])
    tail = lie.read_bytes()[sum(one.size_bytes for one in index_of(archive).frames) :]
    lie.write_bytes(frame * len(frames) + tail)
    limits = Limits(entries=10_000_000, total_bytes=1 << 50, file_bytes=1 << 50)
    with pytest.raises(ArchiveError, match="times its size"):
        unpack(lie, tmp_path / "out", limits=limits)
    with no_large_file_written(), pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        unpack(lie, tmp_path / "out", limits=limits, expected=huge)
    assert not (tmp_path / "out").exists()
