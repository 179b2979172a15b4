"""Unpack ``.tar.xz`` and ``.tar.gz``: in order, only as `Packer` writes them, with the same checks as for zstd."""

from __future__ import annotations

import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from vstore.archive.check import check_equal, check_ratio
from vstore.archive.model import Compression, RangeReader
from vstore.archive.tar import ByteStream, read_content, read_member
from vstore.archive.write import TreeWriter, new_folder, wrong_content
from vstore.errors import ArchiveError
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.validate import Limits, TreeValidator

_READ_BYTES = 1 << 20
_MEMORY_BYTES = 128 << 20  # xz -9 needs 65 MiB to decompress
_ORDER = {EntryKind.DIRECTORY: 0, EntryKind.FILE: 1, EntryKind.SYMLINK: 2}


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, most: int, /) -> bytes: ...


class _Gzip:
    """One gzip member, with the interface of lzma's decompressor."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, most)


_DECOMPRESSORS: dict[Compression, Callable[[], _Decompressor]] = {
    Compression.XZ: lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_BYTES),
    Compression.GZ: _Gzip,
}


def _decompress(reader: RangeReader, make: Callable[[], _Decompressor], limits: Limits | None) -> Iterator[bytes]:
    """Yield the content of concatenated xz streams or gzip members, in pieces of at most `_READ_BYTES`."""
    at, size, content_bytes = 0, reader.size_bytes, 0
    data = b""
    inner = make()
    while True:
        if inner.eof:
            data = inner.unused_data
            if not data and at == size:
                return
            inner = make()
        if not data and inner.needs_input:
            if at == size:
                raise ValueError("it ends too early")
            data = bytes(reader.read([(at, min(at + _READ_BYTES, size))])[0])
            if not data:
                raise ValueError("the reader returned fewer bytes than requested")
            at += len(data)
        content = inner.decompress(data, _READ_BYTES)
        data = b""
        content_bytes += len(content)
        if limits:
            check_ratio(content_bytes, size, limits)
        if content:
            yield content


def unpack_stream(
    reader: RangeReader, compression: Compression, destination: Path, *, expected: Manifest | None, limits: Limits
) -> Manifest:
    """Unpack into a new folder; `expected` is compared entry by entry and at the end. Raises ArchiveError."""
    stream = ByteStream(_decompress(reader, _DECOMPRESSORS[compression], limits if expected is None else None))
    validator = TreeValidator(limits)
    known = {entry.path: entry for entry in expected.entries} if expected is not None else None
    entries: list[Entry] = []
    with new_folder(destination) as writer:
        try:
            first = read_member(stream.read, None)
            if first is None:
                raise ValueError("it is empty")
            top = first[0]
            last = EntryKind.DIRECTORY
            while (found := read_member(stream.read, top)) is not None:
                _, entry, time = found
                validator.check_entry(entry)
                if _ORDER[entry.kind] < _ORDER[last]:
                    raise ValueError("its members are not in vstore's order")
                last = entry.kind
                entries.append(_write(stream, writer, entry, time, known))
            if not stream.at_end():
                raise ValueError("there are bytes after its end")
        except (ValueError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise ArchiveError(f"the archive is damaged: {error}") from error
        manifest = Manifest(tuple(sorted(entries)))
        check_equal(manifest, expected)
        writer.freeze()
    return manifest


def _write(stream: ByteStream, writer: TreeWriter, entry: Entry, time: int, known: dict[bytes, Entry] | None) -> Entry:
    """Write one entry; return it with its digest."""
    if known is not None:
        wanted = known.get(entry.path)
        if wanted is None or wanted._replace(digest=b"") != entry:
            raise ArchiveError(f"refused {os.fsdecode(entry.path)!r}: it is not in the expected tree")
    if entry.kind == EntryKind.DIRECTORY:
        writer.add_directory(entry)
        return entry
    if entry.kind == EntryKind.SYMLINK:
        writer.add_symlink(entry)
        return entry
    with writer.open_file(entry) as file:
        entry = read_content(stream.read, entry, time, file.write)
        file.entry = entry  # its time follows from the digest
    if known is not None and known[entry.path] != entry:
        raise wrong_content(entry)
    return entry
