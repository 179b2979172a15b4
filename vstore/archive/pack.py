"""Pack a tree into an archive: the same bytes on every machine, at any time, with any number of threads."""

from __future__ import annotations

import hashlib
import lzma
import os
import platform
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blake3 import blake3

from vstore.archive.check import check_ratio, check_tree
from vstore.archive.format import check_name, encode_index
from vstore.archive.layout import FrameSizes, TarSegment, cut_frames
from vstore.archive.model import Compression, FileOffset
from vstore.archive.pipeline import in_order
from vstore.digest import Digest
from vstore.errors import ArchiveError
from vstore.fs import zstd
from vstore.fs.reading import open_handle
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.validate import Limits
from vstore.objects import ArchiveInfo

_MIB = 1 << 20
_HIGH_LEVEL = 16  # of zstd: from here on frames are larger
_STREAM_VERSION = 1  # of the tar stream: its order, its headers and its frames
_SIZES = {
    Compression.ZST: FrameSizes(frame_bytes=4 * _MIB, part_bytes=8 * _MIB),
    Compression.XZ: FrameSizes(frame_bytes=32 * _MIB, part_bytes=32 * _MIB),
    Compression.GZ: FrameSizes(frame_bytes=4 * _MIB, part_bytes=8 * _MIB),
}
_ELF = b"\x7fELF\x02\x01\x01"
_X86_64 = b"\x3e\0"  # e_machine
_HIGH_SIZES = FrameSizes(frame_bytes=8 * _MIB, part_bytes=8 * _MIB)


@dataclass
class _Output:
    """The file that is written, with its length, its digest, and the digest of the tar stream."""

    file: BinaryIO
    size_bytes: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    stream: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.sha256.update(data)
        self.size_bytes += len(data)


class _PackedFrame(NamedTuple):
    """A frame: its segments, their bytes in the tar stream, and these compressed."""

    segments: list[TarSegment]
    content: bytes
    data: bytes


class Packer:
    """Packs trees with one compression and level, in `jobs` threads.

    `limits` are those of the readers, by default those of `unpack`. Raises ValueError for a bad level.
    """

    def __init__(
        self,
        compression: Compression = Compression.ZST,
        *,
        level: int | None = None,
        jobs: int = 1,
        limits: Limits | None = None,
    ) -> None:
        self._compression = compression
        self.level = compression.default_level if level is None else level
        self._jobs = jobs
        self._limits = limits or Limits()
        large = compression is Compression.ZST and self.level >= _HIGH_LEVEL
        self._sizes = _HIGH_SIZES if large else _SIZES[compression]

    @property
    def version(self) -> str:
        """The format, and the release of the compressor: with equal versions and levels, equal trees give equal bytes.

        zlib and liblzma come with Python, which stands for their releases.
        """
        release = zstd.library_version() if self._compression is Compression.ZST else platform.python_version()
        return f"{self._compression} {_STREAM_VERSION} {release}"

    def pack(
        self,
        tree: Path,
        manifest: Manifest,
        output: Path,
        *,
        name: str,
        on_bytes: Callable[[int], None] | None = None,
    ) -> ArchiveInfo:
        """Write the archive of a tree to `output`, all or nothing, unflushed. `name` is its top folder: the store path.

        Every file is hashed while it is read: raises ArchiveError if the tree differs from the manifest, or exceeds
        the limits. `on_bytes` is called with the number of content bytes packed, and with 0 while a frame takes long;
        it may raise to end the work. Raises OSError, and ValueError for a bad name.
        """
        check_name(name)
        check_tree(manifest, self._limits)
        temporary = output.with_name(f".{output.name}.{os.urandom(4).hex()}")
        try:
            with open(temporary, "xb") as file:
                written = _Output(file)
                digest = self._write(tree, manifest, written, name, on_bytes or (lambda _: None))
            os.replace(temporary, output)
        finally:
            temporary.unlink(missing_ok=True)
        return ArchiveInfo(
            size_bytes=written.size_bytes,
            sha256=written.sha256.hexdigest(),
            diff_id=written.stream.hexdigest(),
            index_digest=digest,
            content_bytes=manifest.size_bytes,
        )

    def _write(
        self, tree: Path, manifest: Manifest, output: _Output, name: str, on_bytes: Callable[[int], None]
    ) -> Digest | None:
        work = partial(_pack_frame, os.fsencode(tree), partial(_COMPRESS[self._compression], level=self.level))
        frames = in_order(work, cut_frames(manifest, name, self._sizes), jobs=self._jobs, check=partial(on_bytes, 0))
        offsets: dict[bytes, FileOffset] = {}
        sizes: list[tuple[int, int]] = []
        for frame in _check_parts(frames):
            _add_offsets(frame.segments, len(sizes), offsets)
            sizes.append((len(frame.data), len(frame.content)))
            output.stream.update(frame.content)
            output.write(frame.data)
            on_bytes(sum(segment.end - segment.start for segment in frame.segments))
        digest = None
        if self._compression is Compression.ZST:
            files = [entry for entry in manifest.entries if entry.kind == EntryKind.FILE]
            tail, digest = encode_index(name, manifest, sizes, [offsets[entry.path] for entry in files], self._limits)
            output.write(tail)
        check_ratio(sum(content for _, content in sizes), output.size_bytes, self._limits)
        return digest


def _add_offsets(segments: list[TarSegment], frame: int, offsets: dict[bytes, FileOffset]) -> None:
    """Add the offsets of the files that start in a frame."""
    offset = 0
    for segment in segments:
        if segment.entry is not None and segment.header:
            offsets[segment.entry.path] = FileOffset(frame, offset + len(segment.header))
        offset += segment.size_bytes


def _pack_frame(tree: bytes, compress: Callable[[bytes], bytes], segments: list[TarSegment]) -> _PackedFrame:
    """Read, check and compress one frame."""
    parts: list[bytes] = []
    for segment in segments:
        parts.append(segment.header)
        if segment.entry is not None and segment.entry.kind != EntryKind.DIRECTORY:
            parts.append(_read(tree, segment))
        parts.append(bytes(segment.padding_bytes))
    content = b"".join(parts)
    del parts
    return _PackedFrame(segments, content, compress(content))


def _read(tree: bytes, segment: TarSegment) -> bytes:
    """Return the content of a segment. Raises ArchiveError if a whole file or a link differs from the manifest."""
    entry = segment.entry
    assert entry is not None
    path = tree + b"/" + entry.path
    try:
        if entry.kind == EntryKind.SYMLINK:
            correct, data = os.readlink(path) == entry.target, b""
        else:
            data = _read_file(path, segment.start, segment.end, entry.size)
            correct = not segment.whole or blake3(data).digest() == entry.digest
    except OSError as error:
        raise _changed(entry, error.strerror or str(error)) from error
    if not correct:
        raise _changed(entry, "its content differs")
    return data


def _read_file(path: bytes, start: int, end: int, size: int) -> bytes:
    handle = open_handle(path, follow=False)
    with open(handle, "rb", buffering=0) as file:
        if os.fstat(handle).st_size != size:
            return b""
        if start:
            file.seek(start)
        data = file.read(end - start)
        while len(data) < end - start and (more := file.read(end - start - len(data))):
            data += more
        return data


def _check_parts(made: Iterator[_PackedFrame]) -> Iterator[_PackedFrame]:
    """Yield the frames, and verify each large file over its parts."""
    hasher, done = blake3(), 0
    for one in made:
        entry = one.segments[0].entry
        if entry is not None and not one.segments[0].whole:
            [segment] = one.segments
            header, size = len(segment.header), segment.end - segment.start
            hasher.update(memoryview(one.content)[header : header + size])
            done += size
            if segment.end == entry.size:
                if done != entry.size or hasher.digest() != entry.digest:
                    raise _changed(entry, "its content differs")
                hasher, done = blake3(), 0
        yield one


def _changed(entry: Entry, reason: str) -> ArchiveError:
    return ArchiveError(f"cannot pack {os.fsdecode(entry.path)}: it differs from the manifest: {reason}")


def _zst(content: bytes, *, level: int) -> bytes:
    return zstd.compress(content, level)


def _xz(content: bytes, *, level: int) -> bytes:
    """Return one xz stream, with xz's filter for x86 machine code, which every reader of xz undoes."""
    at = content.find(_ELF)
    x86 = at >= 0 and content[at + 18 : at + 20] == _X86_64
    filters = [{"id": lzma.FILTER_X86}] if x86 else []
    return lzma.compress(content, filters=[*filters, {"id": lzma.FILTER_LZMA2, "preset": level}])


def _gz(content: bytes, *, level: int) -> bytes:
    """Return one gzip member (RFC 1952) without name and time, from an unknown system."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    tail = zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    return head + deflate.compress(content) + deflate.flush() + tail


_COMPRESS = {Compression.ZST: _zst, Compression.XZ: _xz, Compression.GZ: _gz}
