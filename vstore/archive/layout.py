"""The order of a tree in an archive, and the boundaries of its frames (pure).

The order is: the top folder, the directories, the files in groups, the links. Files of one package and one extension
lie side by side, because they compress together and change together. A file larger than a frame has its own frames.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vstore.archive.tar import END, member, padding
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.values import frozen

_PACKAGES = b"site-packages"  # each folder in it is a package; elsewhere each folder counts as one
_EARLIEST_CUT = 2  # a frame ends between packages when it is half full


@frozen
class FrameSizes:
    """The largest content of a frame, in bytes."""

    frame_bytes: int  # of small files; a larger file has its own frames
    part_bytes: int  # of one part of such a file


class TarSegment(NamedTuple):
    """A part of the tar stream: the header of an entry, if it starts here, a part of its content, and padding."""

    entry: Entry | None
    header: bytes
    start: int = 0
    end: int = 0
    padding_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """The length in the tar stream."""
        return len(self.header) + self.end - self.start + self.padding_bytes

    @property
    def whole(self) -> bool:
        """Whether all of the entry's content is in this segment."""
        return self.entry is not None and self.end - self.start == self.entry.size


def cut_frames(manifest: Manifest, name: str, sizes: FrameSizes) -> Iterator[list[TarSegment]]:
    """Yield the segments of each frame, in order; together they are the tar stream."""
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
    yield from _fill((_whole(top, entry) for entry in directories), sizes.frame_bytes)
    yield from _packages(top, sorted(small, key=_key), sizes.frame_bytes)
    for entry in sorted(large, key=_key):
        yield from _parts(top, entry, sizes.part_bytes)
    last = [*(_whole(top, entry) for entry in links), TarSegment(None, END)]
    yield from _fill(last, sizes.frame_bytes)


def package(path: bytes) -> bytes:
    """Return the package of a file: the folder in ``site-packages``, elsewhere its own folder."""
    folder, _, _ = path.rpartition(b"/")
    parts = folder.split(b"/")
    if _PACKAGES in parts:
        return b"/".join(path.split(b"/")[: parts.index(_PACKAGES) + 2])
    return folder


def _key(entry: Entry) -> tuple[bytes, bytes, bytes]:
    return package(entry.path), os.path.splitext(entry.path)[1], entry.path


def _whole(top: bytes, entry: Entry) -> TarSegment:
    return TarSegment(entry, member(top, entry), 0, entry.size, padding(entry.size))


def _fill(segments: Iterable[TarSegment], frame_bytes: int) -> Iterator[list[TarSegment]]:
    """Cut where a frame is full."""
    frame: list[TarSegment] = []
    filled = 0
    for segment in segments:
        if frame and filled + segment.size_bytes > frame_bytes:
            yield frame
            frame, filled = [], 0
        frame.append(segment)
        filled += segment.size_bytes
    if frame:
        yield frame


def _packages(top: bytes, entries: list[Entry], frame_bytes: int) -> Iterator[list[TarSegment]]:
    """Cut where a frame is full, and between packages where it is at least half full."""
    run: list[TarSegment] = []
    filled, last = 0, b""
    for entry in entries:
        here = package(entry.path)
        if here != last and filled >= frame_bytes // _EARLIEST_CUT:
            yield from _fill(run, frame_bytes)
            run, filled = [], 0
        segment = _whole(top, entry)
        run.append(segment)
        filled, last = filled + segment.size_bytes, here
        if filled > frame_bytes:
            *full, run = _fill(run, frame_bytes)
            yield from full
            filled = sum(segment.size_bytes for segment in run)
    if run:
        yield run


def _parts(top: bytes, entry: Entry, part_bytes: int) -> Iterator[list[TarSegment]]:
    """Yield parts of equal length, as few as possible."""
    count = -(-entry.size // part_bytes)
    length = -(-entry.size // count)
    for start in range(0, entry.size, length):
        end = min(start + length, entry.size)
        header = b"" if start else member(top, entry)
        yield [TarSegment(entry, header, start, end, padding(entry.size) if end == entry.size else 0)]
