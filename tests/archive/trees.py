"""Trees to pack, and archives that lie."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vstore.archive import ArchiveIndex, Compression, FileOffset, FileReader, Packer, read_index
from vstore.archive.format import encode_index
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.scan import scan
from vstore.fs.trees.validate import Limits

NAME = "0123456789abcdfghijklmnpqrsvwxyz-thing"
SIBLING = "zyxwvsrqpnmlkjihgfdcba9876543210-other"
MIB = 1 << 20


def write(root: Path, files: Mapping[str, bytes | str], executable: Sequence[str] = ()) -> Manifest:
    """A tree of files (bytes) and links (text), and its manifest."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            place.symlink_to(content)
        else:
            place.write_bytes(content)
            place.chmod(0o755 if name in executable else 0o644)
    return scan(root)


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that compress to a sixteenth."""
    return (random.Random(seed).randbytes(size // 16 + 1) * 16)[:size]


SITE = "lib/python3.11/site-packages"
SMALL: dict[str, bytes | str] = {
    "bin/python": b"#!/bin/sh\n",
    "bin/python3": "python",
    "empty/nothing": b"",
    f"{SITE}/one/__init__.py": b"x = 1\n" * 300,
    f"{SITE}/one/deep/{'long' * 20}/{'name' * 20}.py": b"y = 2\n",
    f"{SITE}/one-1.dist-info/METADATA": b"Name: one\n",
    f"{SITE}/two": f"../../../../{SIBLING}/{SITE}/two",
    f"{SITE}/{'far' * 40}": f"../../../../{SIBLING}/{'far/' * 40}end",
    f"{SITE}/grüße.txt": b"ja\n",
}


def small(root: Path) -> Manifest:
    return write(root, SMALL, executable=["bin/python"])


def large(root: Path) -> Manifest:
    """Several frames: packages of small files, a file of more than a frame, one of several parts."""
    files: dict[str, bytes | str] = {
        f"{SITE}/p{package}/m{number}.py": noise(150_000, 100 * package + number)
        for package in range(4)
        for number in range(10)
    }
    files |= {f"{SITE}/p1/big.so": noise(5 * MIB), f"{SITE}/p2/huge.so": noise(9 * MIB, 2), f"{SITE}/z.pth": b"z"}
    return write(root, files)


def packed(
    folder: Path,
    manifest: Manifest,
    compression: Compression = Compression.ZST,
    *,
    level: int | None = None,
    jobs: int = 1,
) -> Path:
    """The archive of ``folder/tree``."""
    output = folder / f"archive{compression.suffix}"
    Packer(compression, level=level, jobs=jobs).pack(folder / "tree", manifest, output, name=NAME)
    return output


def index_of(archive: Path) -> ArchiveIndex:
    with FileReader(archive) as reader:
        return read_index(reader)


def forged(
    archive: Path,
    *,
    name: str = NAME,
    manifest: Manifest | None = None,
    frames: Sequence[tuple[int, int]] | None = None,
    offsets: Sequence[FileOffset] | None = None,
) -> Path:
    """The same frames with another index, whose digest is right."""
    index = index_of(archive)
    tail, _ = encode_index(
        name,
        manifest or index.manifest,
        frames if frames is not None else [(frame.size_bytes, frame.content_bytes) for frame in index.frames],
        offsets if offsets is not None else index.offsets,
        Limits(index_bytes=1 << 30, index_ratio=1 << 30),
    )
    content = archive.read_bytes()[: sum(frame.size_bytes for frame in index.frames)]
    lie = archive.with_name("forged.tar.zst")
    lie.write_bytes(content + tail)
    return lie


def modes(root: Path) -> dict[str, tuple[int, int]]:
    """Mode and time of everything but the root."""
    found = {}
    for folder, folders, files in os.walk(root):
        for one in (*folders, *files):
            status = os.lstat(os.path.join(folder, one))
            found[os.path.relpath(os.path.join(folder, one), root)] = (status.st_mode & 0o777, status.st_mtime_ns)
    return found


@contextmanager
def no_large_file_written() -> Iterator[None]:
    """Make it an error, and another one than that of a full disk, to write more than a MiB into a file."""
    import resource  # which Windows lacks

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
