"""Verify a whole archive in place: every byte is read, nothing is written.

A fetch reads only the frames that contain files. This reads the others too, as plain ``zstd | tar`` would.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from vstore.archive.check import check_equal, check_frames
from vstore.archive.model import ArchiveIndex, RangeReader
from vstore.archive.tar import ByteStream, read_content, read_member
from vstore.errors import ArchiveError
from vstore.fs import zstd
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.validate import Limits


class ArchiveDigests(NamedTuple):
    """The SHA-256 of an archive and of the tar stream in it, in hexadecimal."""

    sha256: str
    diff_id: str


def verify_archive(reader: RangeReader, index: ArchiveIndex, *, limits: Limits | None = None) -> ArchiveDigests:
    """Compare each member of a ``.tar.zst`` with the archive's index; return the digests of the archive.

    Raises ArchiveError if they differ or a frame is larger than the limits, and the reader's errors.
    """
    check_frames(index, limits or Limits())
    sha256, stream = hashlib.sha256(), hashlib.sha256()

    def read(start: int, end: int) -> bytes:
        data = b"".join(reader.read([(start, end)]))
        if len(data) != end - start:
            raise ArchiveError("cut off: the reader returned fewer bytes than requested")
        sha256.update(data)
        return data

    def contents() -> Iterator[bytes]:
        for frame in index.frames:
            content = zstd.decompress(read(frame.offset, frame.offset + frame.size_bytes), at_most=frame.content_bytes)
            if len(content) != frame.content_bytes:
                raise ValueError("a frame has another length than its index states")
            stream.update(content)
            yield content

    try:
        _compare(ByteStream(contents()), index)
    except ValueError as error:
        raise ArchiveError(f"the archive is damaged: {error}") from error
    read(sum(frame.size_bytes for frame in index.frames), index.archive_bytes)
    return ArchiveDigests(sha256.hexdigest(), stream.hexdigest())


def _compare(stream: ByteStream, index: ArchiveIndex) -> None:
    """Raise ValueError or ArchiveError unless the stream is the tree of the index, each file at its offset."""
    offsets = dict(zip((entry.path for entry in index.files), index.offsets, strict=True))
    entries: list[Entry] = []
    first = read_member(stream.read, None)
    if first is None:
        raise ValueError("it is empty")
    top = first[0]
    if os.fsdecode(top) != index.name:
        raise ValueError("its top folder has another name than its index states")
    while (found := read_member(stream.read, top)) is not None:
        _, entry, time = found
        if entry.kind == EntryKind.FILE:
            offset = offsets.get(entry.path)
            if offset is None or index.starts[offset.frame] + offset.offset != stream.position:
                raise ValueError(f"{os.fsdecode(entry.path)} is not where the index states")
            entry = read_content(stream.read, entry, time)
        entries.append(entry)
        if len(entries) > len(index.manifest.entries):
            raise ValueError("it has more members than its index states")
    if not stream.at_end():
        raise ValueError("there are bytes after its end")
    check_equal(Manifest(tuple(sorted(entries))), index.manifest)
