"""Archives as values: how they are compressed, what lies where in one, what to fetch of it, and limits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, Protocol

from vstore.digest import Digest
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.values import frozen

Data = bytes | memoryview  # as it came, without a copy


class Compression(StrEnum):
    """How a tar stream is compressed. Only ZST has an index, and so can be fetched in part."""

    ZST = "zst"
    XZ = "xz"
    GZ = "gz"

    @property
    def suffix(self) -> str:
        """Such as ``.tar.zst``."""
        return f".tar.{self.value}"

    @property
    def default_level(self) -> int:
        """What `pack` takes when it is not told."""
        return 3 if self is Compression.ZST else 6

    @property
    def best_level(self) -> int:
        """Small archives for a long time of packing."""
        return 19 if self is Compression.ZST else 9


@frozen
class ArchiveInfo:
    """What `pack` wrote."""

    size_bytes: int
    sha256: str  # of the whole file, in hexadecimal
    index_digest: Digest | None  # of the index as it lies in the archive; None for XZ and GZ
    content_bytes: int  # of the files, uncompressed


class ByteRange(NamedTuple):
    """Bytes of an archive from `start` up to, not with, `end`."""

    start: int
    end: int


class RangeReader(Protocol):
    """Random access to an archive, local or remote."""

    @property
    def size_bytes(self) -> int:
        """The archive's length."""

    def read(self, ranges: Sequence[tuple[int, int]]) -> Sequence[Data]:
        """The bytes of each range (start, end), in order, each of full length; may fetch them side by side.

        Called from several threads. Ranges ascend and do not overlap.
        """


class Frame(NamedTuple):
    """One zstd frame: where it lies in the archive and how much it holds."""

    offset: int
    size_bytes: int
    content_bytes: int


class Place(NamedTuple):
    """Where a file's content starts: the frame, and where in that frame's content. It may go on in the next ones."""

    frame: int
    offset: int


@frozen(kw_only=False, slots=False)
class Index:
    """What an archive holds and where; `places` are those of `files`, which are in the manifest's order."""

    name: str  # the top folder: the store path
    manifest: Manifest
    frames: tuple[Frame, ...]
    places: tuple[Place, ...]
    digest: Digest  # of the index as it lies in the archive
    archive_bytes: int  # length of the whole archive

    @cached_property
    def files(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.manifest.entries if entry.kind == EntryKind.FILE)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each frame's content starts in the whole tar stream, and its end."""
        return tuple(accumulate((frame.content_bytes for frame in self.frames), initial=0))

    def frames_of(self, number: int) -> range:
        """The frames that hold the content of file `number`; none for an empty file."""
        size, (first, offset) = self.files[number].size, self.places[number]
        if not size:
            return range(first, first)
        return range(first, bisect_right(self.starts, self.starts[first] + offset + size - 1))


@frozen
class FetchPlan:
    """How to get a tree: files (numbers in ``index.files``) from donors, the others from ranges of the archive."""

    index: Index
    donated: tuple[int, ...]
    fetched: tuple[int, ...]  # in the order of their content in the archive
    frames: tuple[int, ...]  # to decompress, ascending
    ranges: tuple[ByteRange, ...]  # to read, ascending; each is made of whole frames

    @property
    def fetch_bytes(self) -> int:
        """What goes over the wire, the index aside."""
        return sum(end - start for start, end in self.ranges)

    @property
    def donated_bytes(self) -> int:
        return sum(self.index.files[number].size for number in self.donated)
