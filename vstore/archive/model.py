"""Archives as values: their compression, their index, and the plan to fetch one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Protocol

from vstore.digest import Digest
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.values import frozen

Data = bytes | memoryview  # as it was read, without a copy


class Compression(StrEnum):
    """The compression of the tar stream. Only ZST has an index, so only it can be fetched in part."""

    ZST = "zst"
    XZ = "xz"
    GZ = "gz"

    @property
    def suffix(self) -> str:
        """The suffix of file names, such as ``.tar.zst``."""
        return f".tar.{self.value}"

    @property
    def default_level(self) -> int:
        """The level that a `Packer` takes by default."""
        return 3 if self is Compression.ZST else 6

    @property
    def best_level(self) -> int:
        """The level of the smallest archives, which take much longer to pack."""
        return 19 if self is Compression.ZST else 9


class ByteRange(NamedTuple):
    """Bytes of an archive from `start` up to but not including `end`."""

    start: int
    end: int


class RangeReader(Protocol):
    """Random access to an archive, local or remote."""

    @property
    def size_bytes(self) -> int:
        """The archive's length."""

    def read(self, ranges: Sequence[tuple[int, int]]) -> Sequence[Data]:
        """Return the bytes of each range (start, end), in order, each of full length. May read them in parallel.

        Called from several threads. Ranges ascend and do not overlap.
        """


class FileSource(Protocol):
    """Local files, by BLAKE3 digest, that need not be fetched."""

    def __contains__(self, digest: object) -> bool:
        """Return whether a file with this digest is at hand."""

    def find(self, digest: bytes) -> Path | None:
        """Return the place of a file with this digest, None if there is none."""

    def may_link(self, path: Path) -> bool:
        """Return whether the file may be hard-linked, if its mode and time are right, rather than copied."""


class Frame(NamedTuple):
    """One zstd frame: its offset and size in the archive, and the size of its content."""

    offset: int
    size_bytes: int
    content_bytes: int


class FileOffset(NamedTuple):
    """The start of a file's content: a frame, and the offset in its content. It may continue in the next frames."""

    frame: int
    offset: int


@dataclass(frozen=True)
class ArchiveIndex:
    """The content of an archive. `offsets` are those of `files`, which are in the manifest's order."""

    name: str  # the top folder: the store path
    manifest: Manifest
    frames: tuple[Frame, ...]
    offsets: tuple[FileOffset, ...]
    digest: Digest  # of the index as it lies in the archive
    archive_bytes: int  # the length of the whole archive

    @cached_property
    def files(self) -> tuple[Entry, ...]:
        """The regular files of the manifest."""
        return tuple(entry for entry in self.manifest.entries if entry.kind == EntryKind.FILE)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The start of each frame's content in the tar stream, and the end of the stream."""
        return tuple(accumulate((frame.content_bytes for frame in self.frames), initial=0))

    def frames_of(self, number: int) -> range:
        """Return the frames that contain file `number`; none for an empty file."""
        size, (first, offset) = self.files[number].size, self.offsets[number]
        if not size:
            return range(first, first)
        return range(first, bisect_right(self.starts, self.starts[first] + offset + size - 1))


@frozen
class FetchPlan:
    """The sources of a tree: the files (numbers in ``index.files``) that are local, and the ranges of the others."""

    index: ArchiveIndex
    local: tuple[int, ...]
    fetched: tuple[int, ...]  # in the order of their content in the archive
    frames: tuple[int, ...]  # to decompress, ascending
    ranges: tuple[ByteRange, ...]  # to read, ascending, each of whole frames

    @property
    def fetch_bytes(self) -> int:
        """The bytes of all ranges, without the index."""
        return sum(end - start for start, end in self.ranges)
