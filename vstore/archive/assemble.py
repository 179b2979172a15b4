"""Make a tree from donors and from ranges of an archive, checking every file."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from vstore.archive.check import check_cost
from vstore.archive.model import ByteRange, FetchPlan, Frame, RangeReader
from vstore.archive.pipeline import in_order
from vstore.archive.plan import plan_files
from vstore.archive.write import OpenFile, TreeWriter, new_folder, wrong
from vstore.errors import ArchiveError
from vstore.fs import zstd
from vstore.fs.disk import free_bytes
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.validate import Limits

_BATCH_BYTES = 4 << 20  # asked of the reader at once
_READS = 4  # side by side; one more is held
_WORKERS = max(2, min(4, os.cpu_count() or 1))  # decompress and write; with one frame more they hold at most
_CONTENT_BYTES = 24 << 20
_PART_BYTES = 1 << 20  # of a file larger than a frame: still in the processor's cache when it is hashed and written

_Parts = Sequence[memoryview]
_NOTHING: _Parts = ()


def assemble(
    plan: FetchPlan,
    reader: RangeReader,
    destination: Path,
    donor: Callable[[bytes], Path | None] | None = None,
    *,
    may_link: Callable[[Path], bool] | None = None,
    limits: Limits | None = None,
    on_bytes: Callable[[int], None] | None = None,
    stays_after: tuple[type[BaseException], ...] = (),
) -> Manifest:
    """Write the plan's tree into `destination`, a folder that does not exist or is empty, frozen as `scan` freezes.

    `donor` gives the place of a file with this BLAKE3 digest; the caller keeps it alive. It is copied, or hard-linked
    if `may_link` says so of its place (only within one store) and its mode and time are right. A donor that has gone
    or is damaged is fetched instead. `on_bytes` is told of content as it is written. After an error nothing is left;
    but after one of the kinds `stays_after`, which only the reader may raise, all donors and what was read.
    Raises ArchiveError, OSError, and what the reader raises.
    """
    index = plan.index
    check_cost(index, limits or Limits())
    _check_room(destination, plan)
    told = on_bytes or _nobody
    with new_folder(destination, stays_after=stays_after) as writer:
        for entry in index.manifest.entries:
            if entry.kind == EntryKind.DIRECTORY:
                writer.directory(entry)
        lost = [n for n in plan.donated if not _donate(writer, index.files[n], donor, may_link, told)]
        if lost:
            plan = plan_files(index, (), (*plan.fetched, *lost))
        _fetch(plan, reader, writer, told)
        for entry in index.manifest.entries:
            if entry.kind == EntryKind.SYMLINK:
                writer.symlink(entry)
        writer.freeze()
    return index.manifest


def _nobody(_: int) -> None:
    """Told when nobody wants to know."""


def _check_room(destination: Path, plan: FetchPlan) -> None:
    """OSError (ENOSPC) if less is free than the files to be fetched will take."""
    needed = sum(plan.index.files[number].size for number in plan.fetched)
    if needed > free_bytes(destination.parent):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(destination))


def _donate(
    writer: TreeWriter,
    entry: Entry,
    donor: Callable[[bytes], Path | None] | None,
    may_link: Callable[[Path], bool] | None,
    told: Callable[[int], None],
) -> bool:
    place = donor(entry.digest) if donor is not None else None
    if place is None:
        return False
    linked = may_link is not None and may_link(place) and writer.link(entry, place)
    if not linked and not writer.copy(entry, place):
        return False
    told(entry.size)
    return True


def _fetch(plan: FetchPlan, reader: RangeReader, writer: TreeWriter, told: Callable[[int], None]) -> None:
    """Reading, decompressing and writing go on side by side; only of files larger than a frame is the order kept."""
    index = plan.index
    frames = _Frames(plan, writer)
    growing = _LargeFileWriter(writer, told)
    largest = max((index.frames[number].content_bytes for number in plan.frames), default=1)
    jobs = max(1, min(_WORKERS, _CONTENT_BYTES // largest))
    with (
        closing(growing),
        closing(_stored(plan, reader)) as stored,
        closing(in_order(frames.take, stored, jobs=jobs)) as taken,
    ):
        for found in taken:
            told(found.written_bytes)
            growing.go_on(found.more)
            if found.entry is not None:
                growing.start(found.entry, found.first)


class _Taken(NamedTuple):
    """What a frame held besides whole files: more of a file of the frame before, the first part of another."""

    written_bytes: int
    more: _Parts
    entry: Entry | None
    first: _Parts


class _Frames:
    """Takes the wanted files out of frames, those that lie in one frame at once. Safe for several threads."""

    def __init__(self, plan: FetchPlan, writer: TreeWriter) -> None:
        self._writer = writer
        self._files = plan.index.files
        self._places = plan.index.places
        self._starting: dict[int, list[int]] = defaultdict(list)
        self._reaching: set[int] = set()  # files over several frames
        self._continued: set[int] = set()  # frames that such a file goes on in
        for number in plan.fetched:
            frames = plan.index.frames_of(number)
            if not frames:
                writer.file(self._files[number], memoryview(b""))
                continue
            self._starting[frames[0]].append(number)
            if len(frames) > 1:
                self._reaching.add(number)
                self._continued.update(frames[1:])

    def take(self, item: tuple[int, Frame, memoryview]) -> _Taken:
        frame = item[0]
        starting = self._starting.get(frame, ())
        content = _unzip(item, in_parts=self._reaching.issuperset(starting))
        written, entry, first = 0, None, _NOTHING
        for number in starting:
            file, offset = self._files[number], self._places[number].offset
            if number in self._reaching:
                entry, first = file, _skip(content, offset)
            else:
                self._writer.file(file, content[0][offset : offset + file.size])
                written += file.size
        return _Taken(written, content if frame in self._continued else _NOTHING, entry, first)


def _skip(parts: _Parts, count: int) -> _Parts:
    found = []
    for part in parts:
        found.append(part[count:])
        count = max(count - len(part), 0)
    return found


class _LargeFileWriter:
    """Writes files from frames; of a file that reaches over frames, what is written so far."""

    def __init__(self, writer: TreeWriter, told: Callable[[int], None]) -> None:
        self._writer, self._told = writer, told
        self._file: OpenFile | None = None
        self._entry: Entry | None = None
        self._hasher = blake3()
        self._missing = 0

    def start(self, entry: Entry, content: _Parts) -> None:
        self._file, self._entry = self._writer.begin(entry), entry
        self._hasher, self._missing = blake3(), entry.size
        self.go_on(content)

    def go_on(self, content: _Parts) -> None:
        for part in content:
            if self._file is None or self._entry is None:
                return
            part = part[: self._missing]
            self._hasher.update(part)
            self._file.write(part)
            self._told(len(part))
            self._missing -= len(part)
            if not self._missing:
                if self._hasher.digest() != self._entry.digest:
                    raise wrong(self._entry)
                self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _unzip(item: tuple[int, Frame, memoryview], *, in_parts: bool) -> _Parts:
    number, frame, data = item
    size = frame.content_bytes
    try:
        parts = zstd.decompress_parts(data, at_most=size, part_bytes=_PART_BYTES if in_parts else max(size, 1))
        if sum(map(len, parts)) != size:
            raise ValueError("the length does not match")
    except ValueError as error:
        raise ArchiveError(f"damaged: frame {number} at byte {frame.offset}: {error}") from error
    return [memoryview(part) for part in parts]


def _stored(plan: FetchPlan, reader: RangeReader) -> Generator[tuple[int, Frame, memoryview]]:
    """The wanted frames as they lie in the archive."""
    wanted = iter(plan.frames)
    number = next(wanted, None)
    with closing(in_order(lambda batch: (batch, reader.read(batch)), _batches(plan.ranges), jobs=_READS)) as read:
        for ranges, found in read:
            if [len(data) for data in found] != [end - start for start, end in ranges]:
                raise ArchiveError("cut off: fewer bytes came than asked for")
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
