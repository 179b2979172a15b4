"""In which order a tree lies in an archive, and where its frames are cut (pure).

Order: the top folder, the directories, the files in groups, the links. Files of one package and one extension lie
side by side, because they compress together and change together. A file larger than a frame has frames of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vstore.archive.tar import END, member, padding
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.values import frozen

_PACKAGES = b"site-packages"  # below it each folder is a package; elsewhere each folder counts as one
_EARLIEST_CUT = 2  # between packages a frame is cut when it is half full


@frozen
class Sizes:
    """How much content a frame may hold."""

    frame_bytes: int  # of small files together; a larger file has its own frames
    part_bytes: int  # of one part of such a file


class TarSegment(NamedTuple):
    """A stretch of the tar stream: a header (of the first piece of an entry), a part of its content, zeros."""

    entry: Entry | None
    head: bytes
    start: int = 0
    end: int = 0
    zeros: int = 0

    @property
    def size_bytes(self) -> int:
        return len(self.head) + self.end - self.start + self.zeros

    @property
    def whole(self) -> bool:
        return self.entry is not None and self.end - self.start == self.entry.size


def frames(manifest: Manifest, name: str, sizes: Sizes) -> Iterator[list[TarSegment]]:
    """The pieces of each frame, in order; together they are the tar stream."""
    top = os.fsencode(name)
    small: list[Entry] = []
    large: list[Entry] = []
    directories = [Entry(b"", EntryKind.DIRECTORY)]
    links: list[Entry] = []
    for entry in manifest.entries:
        if entry.kind == EntryKind.DIRECTORY:
            directories.append(entry)
        elif entry.kind == EntryKind.SYMLINK:
            links.append(entry)
        else:
            (large if entry.size > sizes.frame_bytes else small).append(entry)
    yield from _together((_whole(top, entry) for entry in directories), sizes.frame_bytes)
    yield from _packages(top, sorted(small, key=_key), sizes.frame_bytes)
    for entry in sorted(large, key=_key):
        yield from _parts(top, entry, sizes.part_bytes)
    last = [*(_whole(top, entry) for entry in links), TarSegment(None, END)]
    yield from _together(last, sizes.frame_bytes)


def package(path: bytes) -> bytes:
    """What a file belongs to: the folder below ``site-packages``, else the folder that it is in."""
    folder, _, _ = path.rpartition(b"/")
    parts = folder.split(b"/")
    if _PACKAGES in parts:
        return b"/".join(path.split(b"/")[: parts.index(_PACKAGES) + 2])
    return folder


def _key(entry: Entry) -> tuple[bytes, bytes, bytes]:
    return package(entry.path), os.path.splitext(entry.path)[1], entry.path


def _whole(top: bytes, entry: Entry) -> TarSegment:
    return TarSegment(entry, member(top, entry), 0, entry.size, padding(entry.size))


def _together(pieces: Iterable[TarSegment], frame_bytes: int) -> Iterator[list[TarSegment]]:
    """Cut only where a frame is full."""
    frame: list[TarSegment] = []
    filled = 0
    for piece in pieces:
        if frame and filled + piece.size_bytes > frame_bytes:
            yield frame
            frame, filled = [], 0
        frame.append(piece)
        filled += piece.size_bytes
    if frame:
        yield frame


def _packages(top: bytes, entries: list[Entry], frame_bytes: int) -> Iterator[list[TarSegment]]:
    """Cut where a frame is full, and between packages where it is not nearly empty."""
    run: list[TarSegment] = []
    filled, last = 0, b""
    for entry in entries:
        here = package(entry.path)
        if here != last and filled >= frame_bytes // _EARLIEST_CUT:
            yield from _together(run, frame_bytes)
            run, filled = [], 0
        piece = _whole(top, entry)
        run.append(piece)
        filled, last = filled + piece.size_bytes, here
        if filled > frame_bytes:
            *full, run = _together(run, frame_bytes)
            yield from full
            filled = sum(piece.size_bytes for piece in run)
    if run:
        yield run


def _parts(top: bytes, entry: Entry, part_bytes: int) -> Iterator[list[TarSegment]]:
    """Parts of equal length, as few as may be."""
    count = -(-entry.size // part_bytes)
    length = -(-entry.size // count)
    for start in range(0, entry.size, length):
        end = min(start + length, entry.size)
        head = b"" if start else member(top, entry)
        yield [TarSegment(entry, head, start, end, padding(entry.size) if end == entry.size else 0)]
