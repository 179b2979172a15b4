"""Assemble a tree from local files and from ranges of an archive, and verify every file."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from vstore.archive.check import check_limits
from vstore.archive.model import ByteRange, FetchPlan, FileSource, Frame, RangeReader
from vstore.archive.pipeline import in_order
from vstore.archive.plan import plan_files
from vstore.archive.write import OpenFile, TreeWriter, new_folder, wrong_content
from vstore.errors import ArchiveError
from vstore.fs import zstd
from vstore.fs.disk import free_bytes
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.validate import Limits

_BATCH_BYTES = 4 << 20  # of one read
_MAX_READS = 4  # at the same time; one more is buffered
_WORKERS = max(2, min(4, os.cpu_count() or 1))  # decompress and write; with one more frame they hold at most
_CONTENT_BYTES = 24 << 20
_PART_BYTES = 1 << 20  # of a file larger than a frame: still in the processor's cache when it is hashed and written

_Parts = Sequence[memoryview]
_NO_PARTS: _Parts = ()


def assemble(
    plan: FetchPlan,
    reader: RangeReader,
    destination: Path,
    source: FileSource | None = None,
    *,
    limits: Limits | None = None,
    keep_after: tuple[type[BaseException], ...] = (),
) -> Manifest:
    """Write the plan's tree into `destination`, a folder that is missing or empty, frozen as `scan` freezes.

    Files that `source` has are linked or copied; the caller keeps them alive. One that has gone or is damaged is
    fetched instead. After an error nothing stays, except after the kinds in `keep_after`, which only the reader may
    raise: then everything written so far stays. Raises ArchiveError, OSError, and the reader's errors.
    """
    index = plan.index
    check_limits(index, limits or Limits())
    _check_free_space(destination, plan)
    with new_folder(destination, keep_after=keep_after) as writer:
        for entry in index.manifest.entries:
            if entry.kind == EntryKind.DIRECTORY:
                writer.add_directory(entry)
        lost = [number for number in plan.local if not _take_local(writer, index.files[number], source)]
        if lost:
            plan = plan_files(index, (), (*plan.fetched, *lost))
        _fetch(plan, reader, writer)
        for entry in index.manifest.entries:
            if entry.kind == EntryKind.SYMLINK:
                writer.add_symlink(entry)
        writer.freeze()
    return index.manifest


def _check_free_space(destination: Path, plan: FetchPlan) -> None:
    """Raise OSError (ENOSPC) if less is free than the fetched files need."""
    needed = sum(plan.index.files[number].size for number in plan.fetched)
    if needed > free_bytes(destination.parent):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(destination))


def _take_local(writer: TreeWriter, entry: Entry, source: FileSource | None) -> bool:
    path = source.find(entry.digest) if source is not None else None
    if source is None or path is None:
        return False
    return (source.may_link(path) and writer.link_file(entry, path)) or writer.copy_file(entry, path)


def _fetch(plan: FetchPlan, reader: RangeReader, writer: TreeWriter) -> None:
    """Read, decompress and write at the same time. Only the frames of files larger than a frame are kept in order."""
    index = plan.index
    extractor = _FrameExtractor(plan, writer)
    large = _LargeFileWriter(writer)
    largest = max((index.frames[number].content_bytes for number in plan.frames), default=1)
    jobs = max(1, min(_WORKERS, _CONTENT_BYTES // largest))
    with (
        closing(large),
        closing(_read_frames(plan, reader)) as frames,
        closing(in_order(extractor.extract, frames, jobs=jobs)) as extracted,
    ):
        for rest in extracted:
            large.append(rest.continued)
            if rest.entry is not None:
                large.start(rest.entry, rest.first)


class _Rest(NamedTuple):
    """The content of a frame besides whole files: more of the file before, and the first part of another."""

    continued: _Parts
    entry: Entry | None
    first: _Parts


class _FrameExtractor:
    """Writes the wanted files that lie in one frame. Safe for several threads."""

    def __init__(self, plan: FetchPlan, writer: TreeWriter) -> None:
        self._writer = writer
        self._files = plan.index.files
        self._offsets = plan.index.offsets
        self._starting: dict[int, list[int]] = defaultdict(list)  # by frame
        self._large: set[int] = set()  # files over several frames
        self._continued: set[int] = set()  # frames that continue such a file
        for number in plan.fetched:
            frames = plan.index.frames_of(number)
            if not frames:
                writer.add_file(self._files[number], memoryview(b""))
                continue
            self._starting[frames[0]].append(number)
            if len(frames) > 1:
                self._large.add(number)
                self._continued.update(frames[1:])

    def extract(self, item: tuple[int, Frame, memoryview]) -> _Rest:
        """Decompress a frame, write its whole files, and return the rest."""
        frame = item[0]
        starting = self._starting.get(frame, ())
        content = _decompress(item, in_parts=self._large.issuperset(starting))
        entry, first = None, _NO_PARTS
        for number in starting:
            file, offset = self._files[number], self._offsets[number].offset
            if number in self._large:
                entry, first = file, _skip(content, offset)
            else:
                self._writer.add_file(file, content[0][offset : offset + file.size])
        return _Rest(content if frame in self._continued else _NO_PARTS, entry, first)


def _skip(parts: _Parts, count: int) -> _Parts:
    found = []
    for part in parts:
        found.append(part[count:])
        count = max(count - len(part), 0)
    return found


class _LargeFileWriter:
    """Writes one file after another, each over several frames."""

    def __init__(self, writer: TreeWriter) -> None:
        self._writer = writer
        self._file: OpenFile | None = None
        self._entry: Entry | None = None
        self._hasher = blake3()
        self._missing = 0

    def start(self, entry: Entry, content: _Parts) -> None:
        """Start a file with the content of its first frame."""
        self._file, self._entry = self._writer.open_file(entry), entry
        self._hasher, self._missing = blake3(), entry.size
        self.append(content)

    def append(self, content: _Parts) -> None:
        """Write more of the current file, if there is one. Raises ArchiveError if it is not the entry's content."""
        for part in content:
            if self._file is None or self._entry is None:
                return
            part = part[: self._missing]
            self._hasher.update(part)
            self._file.write(part)
            self._missing -= len(part)
            if not self._missing:
                if self._hasher.digest() != self._entry.digest:
                    raise wrong_content(self._entry)
                self.close()

    def close(self) -> None:
        """Close the current file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _decompress(item: tuple[int, Frame, memoryview], *, in_parts: bool) -> _Parts:
    number, frame, data = item
    size = frame.content_bytes
    try:
        parts = zstd.decompress_parts(data, at_most=size, part_bytes=_PART_BYTES if in_parts else max(size, 1))
        if sum(map(len, parts)) != size:
            raise ValueError("the length does not match")
    except ValueError as error:
        raise ArchiveError(f"damaged: frame {number} at byte {frame.offset}: {error}") from error
    return [memoryview(part) for part in parts]


def _read_frames(plan: FetchPlan, reader: RangeReader) -> Generator[tuple[int, Frame, memoryview]]:
    """Yield the wanted frames, compressed, with their numbers."""
    wanted = iter(plan.frames)
    number = next(wanted, None)
    with closing(in_order(lambda batch: (batch, reader.read(batch)), _batches(plan.ranges), jobs=_MAX_READS)) as read:
        for ranges, found in read:
            if [len(data) for data in found] != [end - start for start, end in ranges]:
                raise ArchiveError("cut off: the reader returned fewer bytes than requested")
            for data, (start, end) in zip(found, ranges, strict=True):
                view = memoryview(data)
                while number is not None and plan.index.frames[number].offset < end:
                    frame = plan.index.frames[number]
                    at = frame.offset - start
                    yield number, frame, view[at : at + frame.size_bytes]
                    number = next(wanted, None)


def _batches(ranges: Iterable[ByteRange]) -> Iterator[list[ByteRange]]:
    batch: list[ByteRange] = []
    size = 0
    for one in ranges:
        if batch and size + one.end - one.start > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.end - one.start
    if batch:
        yield batch
