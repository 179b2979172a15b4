"""Reading a whole archive where it lies: every byte of it counts, and nothing is written.

A fetch reads only the frames that hold files. This reads the others too, as plain ``zstd | tar`` would.
"""

from __future__ import annotations

import hashlib
import os

from blake3 import blake3

from vstore.archive.model import Index, RangeReader
from vstore.archive.stream import check_expected
from vstore.archive.tar import padding, read_member
from vstore.errors import ArchiveError
from vstore.fs import zstd
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.validate import Limits

_READ_BYTES = 1 << 20


def check_whole(reader: RangeReader, index: Index, *, limits: Limits | None = None) -> str:
    """Compare each member of a ``.tar.zst`` with the archive's index; return the SHA-256 of the archive.

    Raises ArchiveError if they differ or a frame is larger than the limits, and what the reader raises.
    """
    most = (limits or Limits()).frame_bytes
    if any(frame.content_bytes > most for frame in index.frames):
        raise ArchiveError(f"refused: a frame of more than {most} bytes")
    stream = _Stream(reader, index)
    try:
        _compare(stream, index)
    except ValueError as error:
        raise ArchiveError(f"the archive is damaged: {error}") from error
    return stream.finish()


class _Stream:
    """The tar stream of all frames, one frame in memory at a time."""

    def __init__(self, reader: RangeReader, index: Index) -> None:
        self._reader = reader
        self._index = index
        self._next = 0
        self._left = memoryview(b"")
        self._sha256 = hashlib.sha256()
        self.position = 0

    def read(self, size: int) -> bytes:
        """Exactly so many bytes; ValueError if there are not."""
        parts = []
        self.position += size
        while size:
            if not self._left:
                self._left = memoryview(self._frame())
            part, self._left = self._left[:size], self._left[size:]
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _frame(self) -> bytes:
        if self._next == len(self._index.frames):
            raise ValueError("it ends too early")
        frame = self._index.frames[self._next]
        self._next += 1
        data = self._bytes(frame.offset, frame.offset + frame.size_bytes)
        content = zstd.decompress(data, at_most=frame.content_bytes)
        if len(content) != frame.content_bytes:
            raise ValueError("a frame has another length than its index says")
        return content

    def at_end(self) -> bool:
        return not self._left and self._next == len(self._index.frames)

    def finish(self) -> str:
        """The SHA-256 of the archive, when all frames were read."""
        end = sum(frame.size_bytes for frame in self._index.frames)
        self._bytes(end, self._index.archive_bytes)
        return self._sha256.hexdigest()

    def _bytes(self, start: int, end: int) -> bytes:
        data = b"".join(self._reader.read([(start, end)]))
        if len(data) != end - start:
            raise ArchiveError("cut off: fewer bytes came than asked for")
        self._sha256.update(data)
        return data


def _compare(stream: _Stream, index: Index) -> None:
    """ValueError or ArchiveError unless the stream holds the tree of the index, each file at its place."""
    places = dict(zip((entry.path for entry in index.files), index.places, strict=True))
    entries: list[Entry] = []
    first = read_member(stream.read, None)
    if first is None:
        raise ValueError("it is empty")
    top = first[0]
    if os.fsdecode(top) != index.name:
        raise ValueError("its top folder has another name than its index says")
    while (found := read_member(stream.read, top)) is not None:
        _, entry, time = found
        if entry.kind == EntryKind.FILE:
            place = places.get(entry.path)
            if place is None or index.starts[place.frame] + place.offset != stream.position:
                raise ValueError(f"{os.fsdecode(entry.path)} is not where the index says")
            entry = _hashed(stream, entry)
            if time != entry.mtime:
                raise ValueError(f"the time of {os.fsdecode(entry.path)} is not of its content")
        entries.append(entry)
        if len(entries) > len(index.manifest.entries):
            raise ValueError("it holds more than its index says")
    if not stream.at_end():
        raise ValueError("something follows its end")
    check_expected(Manifest(tuple(sorted(entries))), index.manifest)


def _hashed(stream: _Stream, entry: Entry) -> Entry:
    """Read the content of a file; the entry with its digest."""
    hasher, left = blake3(), entry.size
    while left:
        data = stream.read(min(left, _READ_BYTES))
        hasher.update(data)
        left -= len(data)
    if any(stream.read(padding(entry.size))):
        raise ValueError("padding that is not empty")
    return entry._replace(digest=hasher.digest())
