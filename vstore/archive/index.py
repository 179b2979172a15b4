"""Find and read an archive's index: one ranged read if it is small, otherwise two."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from vstore.archive.format import FOOTER_BYTES, decode_index, index_start
from vstore.archive.model import ArchiveIndex, RangeReader
from vstore.digest import Digest
from vstore.errors import ArchiveError
from vstore.fs.reading import open_regular
from vstore.fs.trees.validate import Limits

_TAIL_BYTES = 128 << 10  # of the first read: it contains the index of about 2,000 files


def read_index(reader: RangeReader, *, limits: Limits | None = None, tree: Digest | None = None) -> ArchiveIndex:
    """Read the index of a ``.tar.zst``. With `tree`, it must be the index of the tree with this digest.

    Raises ArchiveError, and the reader's errors.
    """
    limits = limits or Limits()
    size = reader.size_bytes
    at = max(0, size - _TAIL_BYTES)
    (tail,) = reader.read([(at, size)])
    if len(tail) != size - at:
        raise ArchiveError("cut off: the reader returned fewer bytes than requested")
    start = index_start(bytes(tail[-FOOTER_BYTES:]), size, limits)
    if start < at:
        (before,) = reader.read([(start, at)])
        if len(before) != at - start:
            raise ArchiveError("cut off: the reader returned fewer bytes than requested")
        return decode_index(b"".join((before, tail)), start, limits, tree)
    return decode_index(bytes(tail[start - at :]), start, limits, tree)


class FileReader:
    """An archive on disk. Close it with `close` or as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = open_regular(path)
        self._size_bytes = os.fstat(self._file.fileno()).st_size
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """The length of the file."""
        return self._size_bytes

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of each range, fewer at the end of the file."""
        found = []
        for start, end in ranges:
            with self._lock:
                self._file.seek(start)
                data = self._file.read(end - start)
                while len(data) < end - start and (more := self._file.read(end - start - len(data))):
                    data += more
            found.append(data)
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
