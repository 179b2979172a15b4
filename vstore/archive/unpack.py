"""Unpack a whole archive."""

from __future__ import annotations

from pathlib import Path

from vstore.archive.assemble import assemble
from vstore.archive.check import check_equal
from vstore.archive.index import FileReader, read_index
from vstore.archive.model import Compression, RangeReader
from vstore.archive.plan import plan_fetch
from vstore.archive.stream import unpack_stream
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
) -> Manifest:
    """Write an archive's tree, without its top folder, into `destination`, a folder that is missing or empty.

    Every file is verified, and the tree is compared with `expected`. Without `expected`, only the archive's own
    checksums are checked. The tree is frozen as `scan` freezes it: files 0444 or 0555, directories 0555. Modification
    times are computed from the content (see `Entry.mtime`), not taken from the archive. The destination itself stays
    writable. After an error, everything that was written is deleted. Raises ArchiveError, OSError, and the reader's
    errors.
    """
    if isinstance(source, Path):
        with FileReader(source) as reader:
            return unpack(reader, destination, expected=expected, limits=limits)
    limits = limits or Limits()
    compression = _compression(source)
    if compression is not Compression.ZST:
        return unpack_stream(source, compression, destination, expected=expected, limits=limits)
    index = read_index(source, limits=limits)
    check_equal(index.manifest, expected)
    limits = limits if expected is None else limits.without_ratio()
    return assemble(plan_fetch(index), source, destination, limits=limits)


def _compression(reader: RangeReader) -> Compression:
    start = bytes(reader.read([(0, min(6, reader.size_bytes))])[0])
    for magic, compression in _MAGIC.items():
        if start.startswith(magic):
            return compression
    raise ArchiveError("not an archive: neither zstd, xz nor gzip")
