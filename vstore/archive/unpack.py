"""Unpack a whole archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vstore.archive.assemble import assemble
from vstore.archive.index import FileReader, read_index
from vstore.archive.model import Compression, RangeReader
from vstore.archive.plan import plan_fetch
from vstore.archive.stream import check_expected, unpack_stream
from vstore.errors import ArchiveError
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.validate import Limits

_MAGIC = {
    b"\x28\xb5\x2f\xfd": Compression.ZST,
    b"\xfd7zXZ\0": Compression.XZ,
    b"\x1f\x8b\x08": Compression.GZ,
}


def unpack(
    source: Path | RangeReader,
    destination: Path,
    *,
    expected: Manifest | None = None,
    limits: Limits | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Manifest:
    """Write an archive's tree into `destination`, a folder that does not exist or is empty; the top folder is dropped.

    Every file is verified, and the whole against `expected`: without it the archive is only proved to be whole. The
    tree is frozen as `scan` freezes: files 0444 or 0555, directories 0555, times by content. The destination itself
    stays writable. `on_bytes` is told of content as it is written. After an error nothing is left.
    Raises ArchiveError, OSError, and what the reader raises.
    """
    if isinstance(source, Path):
        with FileReader(source) as reader:
            return unpack(reader, destination, expected=expected, limits=limits, on_bytes=on_bytes)
    limits = limits or Limits()
    compression = _compression(source)
    if compression is not Compression.ZST:
        return unpack_stream(source, compression, destination, expected, limits, on_bytes or (lambda _: None))
    index = read_index(source, limits=limits)
    check_expected(index.manifest, expected)
    limits = limits if expected is None else limits.trusting()
    return assemble(plan_fetch(index), source, destination, limits=limits, on_bytes=on_bytes)


def _compression(reader: RangeReader) -> Compression:
    start = bytes(reader.read([(0, min(6, reader.size_bytes))])[0])
    for magic, compression in _MAGIC.items():
        if start.startswith(magic):
            return compression
    raise ArchiveError("not an archive: neither zstd, xz nor gzip")
