"""Write a tree into an archive: the same bytes on every machine, at any time, with any number of threads."""

from __future__ import annotations

import hashlib
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blake3 import blake3

from vstore.archive.check import admit_all, check_ratio
from vstore.archive.format import check_name, encode_index
from vstore.archive.layout import Sizes, TarSegment, frames
from vstore.archive.model import ArchiveInfo, Compression, Place
from vstore.archive.pipeline import in_order
from vstore.digest import Digest
from vstore.errors import ArchiveError
from vstore.fs import zstd
from vstore.fs.reading import open_handle
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.validate import Limits

_MIB = 1 << 20
_HIGH = 16  # from this zstd level on, frames are larger
_SIZES = {
    Compression.ZST: Sizes(frame_bytes=4 * _MIB, part_bytes=8 * _MIB),
    Compression.XZ: Sizes(frame_bytes=32 * _MIB, part_bytes=32 * _MIB),
    Compression.GZ: Sizes(frame_bytes=4 * _MIB, part_bytes=8 * _MIB),
}
_ELF = b"\x7fELF\x02\x01\x01"
_X86_64 = b"\x3e\0"  # e_machine
_HIGH_SIZES = Sizes(frame_bytes=8 * _MIB, part_bytes=8 * _MIB)


def pack(
    tree: Path,
    manifest: Manifest,
    output: Path,
    *,
    name: str,
    compression: Compression = Compression.ZST,
    level: int | None = None,
    jobs: int = 1,
    limits: Limits | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> ArchiveInfo:
    """Write the archive of a tree to `output`, all or nothing; `name` is its top folder, the store path.

    Every file is hashed while it is read: ArchiveError if the tree is not what the manifest says, and for one that
    is beyond the `limits` of those who are to unpack it, by default those of `unpack`. `jobs` threads
    compress. `on_bytes` is told of content as it is packed, and of 0 bytes while a frame takes long: it may raise to
    end the work. The caller flushes. Raises OSError, and ValueError for a bad name or level.
    """
    check_name(name)
    limits = limits or Limits()
    admit_all(manifest, limits)
    temporary = output.with_name(f".{output.name}.{os.urandom(4).hex()}")
    try:
        with open(temporary, "xb") as file:
            sink = _Sink(file)
            digest = _pack(tree, manifest, sink, name, compression, level, jobs, limits, on_bytes)
        os.replace(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    return ArchiveInfo(
        size_bytes=sink.size_bytes,
        sha256=sink.sha256.hexdigest(),
        index_digest=digest,
        content_bytes=manifest.size_bytes,
    )


@dataclass
class _Sink:
    """The file being written, its digest and length."""

    file: BinaryIO
    size_bytes: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.sha256.update(data)
        self.size_bytes += len(data)


class _Made(NamedTuple):
    """A compressed frame, and what it was made from: the content itself only of a part of a large file."""

    pieces: list[TarSegment]
    data: bytes
    content_bytes: int
    part: memoryview


def _pack(
    tree: Path,
    manifest: Manifest,
    sink: _Sink,
    name: str,
    compression: Compression,
    level: int | None,
    jobs: int,
    limits: Limits,
    on_bytes: Callable[[int], None] | None,
) -> Digest | None:
    level = compression.default_level if level is None else level
    sizes = _HIGH_SIZES if compression is Compression.ZST and level >= _HIGH else _SIZES[compression]
    work = partial(_make, os.fsencode(tree), partial(_COMPRESS[compression], level=level))
    places: dict[bytes, Place] = {}
    stored: list[tuple[int, int]] = []
    told = on_bytes or (lambda _: None)
    check = partial(told, 0)
    for made in _parts_checked(in_order(work, frames(manifest, name, sizes), jobs=jobs, check=check)):
        _place(made.pieces, len(stored), places)
        stored.append((len(made.data), made.content_bytes))
        sink.write(made.data)
        told(sum(piece.end - piece.start for piece in made.pieces))
    digest = None
    if compression is Compression.ZST:
        files = [entry for entry in manifest.entries if entry.kind == EntryKind.FILE]
        tail, digest = encode_index(name, manifest, stored, [places[entry.path] for entry in files], limits)
        sink.write(tail)
    check_ratio(sum(content for _, content in stored), sink.size_bytes, limits)
    return digest


def _place(pieces: list[TarSegment], frame: int, places: dict[bytes, Place]) -> None:
    """Note where the files of a frame start."""
    offset = 0
    for piece in pieces:
        if piece.entry is not None and piece.head:
            places[piece.entry.path] = Place(frame, offset + len(piece.head))
        offset += piece.size_bytes


def _make(tree: bytes, compress: Callable[[bytes], bytes], pieces: list[TarSegment]) -> _Made:
    """Read, check and compress one frame."""
    parts: list[bytes] = []
    for piece in pieces:
        parts.append(piece.head)
        if piece.entry is not None and piece.entry.kind != EntryKind.DIRECTORY:
            parts.append(_read(tree, piece))
        parts.append(bytes(piece.zeros))
    content = b"".join(parts)
    del parts
    head, zeros = len(pieces[0].head), pieces[-1].zeros
    part = memoryview(b"" if pieces[0].whole else content)[head : len(content) - zeros]
    return _Made(pieces, compress(content), len(content), part)


def _read(tree: bytes, piece: TarSegment) -> bytes:
    """The content of a piece; a whole file is checked here, a link too."""
    entry = piece.entry
    assert entry is not None
    path = tree + b"/" + entry.path
    try:
        if entry.kind == EntryKind.SYMLINK:
            right, data = os.readlink(path) == entry.target, b""
        else:
            data = _read_file(path, piece.start, piece.end, entry.size)
            right = not piece.whole or blake3(data).digest() == entry.digest
    except OSError as error:
        raise _changed(entry, error.strerror or str(error)) from error
    if not right:
        raise _changed(entry, "its content is another")
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


def _parts_checked(made: Iterator[_Made]) -> Iterator[_Made]:
    """Pass the frames on; hash each large file over its parts, which come in order."""
    hasher, done = blake3(), 0
    for one in made:
        entry = one.pieces[0].entry
        if entry is not None and not one.pieces[0].whole:
            hasher.update(one.part)
            done += len(one.part)
            if one.pieces[0].end == entry.size:
                if done != entry.size or hasher.digest() != entry.digest:
                    raise _changed(entry, "its content is another")
                hasher, done = blake3(), 0
        yield one


def _changed(entry: Entry, why: str) -> ArchiveError:
    return ArchiveError(f"cannot pack {os.fsdecode(entry.path)}: it is not what the manifest says ({why})")


def _zst(content: bytes, *, level: int) -> bytes:
    return zstd.compress(content, level)


def _xz(content: bytes, *, level: int) -> bytes:
    """One xz stream; x86 machine code goes through xz's filter for it, which every reader of xz undoes."""
    at = content.find(_ELF)
    x86 = at >= 0 and content[at + 18 : at + 20] == _X86_64
    filters = [{"id": lzma.FILTER_X86}] if x86 else []
    return lzma.compress(content, filters=[*filters, {"id": lzma.FILTER_LZMA2, "preset": level}])


def _gz(content: bytes, *, level: int) -> bytes:
    """One gzip member (RFC 1952) without name and time, from an unknown system."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    tail = zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    return head + deflate.compress(content) + deflate.flush() + tail


_COMPRESS = {Compression.ZST: _zst, Compression.XZ: _xz, Compression.GZ: _gz}
