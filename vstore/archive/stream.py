"""Reading ``.tar.xz`` and ``.tar.gz``: in order, nothing but what `pack` writes, with the checks of zst."""

from __future__ import annotations

import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from blake3 import blake3

from vstore.archive.check import check_ratio
from vstore.archive.model import Compression, RangeReader
from vstore.archive.tar import padding, read_member
from vstore.archive.write import TreeWriter, new_folder, wrong
from vstore.errors import ArchiveError
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.validate import Limits, TreeValidator

_READ_BYTES = 1 << 20
_MEMORY_BYTES = 128 << 20  # xz -9 asks for 65 MiB to decompress


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def more(self, data: bytes) -> bytes:
        """At most `_READ_BYTES` of content."""

    @property
    def hungry(self) -> bool:
        """Whether it has no more content without more data."""


class _Xz:
    def __init__(self) -> None:
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_BYTES)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def hungry(self) -> bool:
        return self._inner.needs_input

    def more(self, data: bytes) -> bytes:
        return self._inner.decompress(data, _READ_BYTES)


class _Gz:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def hungry(self) -> bool:
        return not self._inner.unconsumed_tail

    def more(self, data: bytes) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, _READ_BYTES)


_DECOMPRESSORS: dict[Compression, Callable[[], _Decompressor]] = {Compression.XZ: _Xz, Compression.GZ: _Gz}


class _Stream:
    """The content of concatenated xz streams or gzip members, piece by piece, each at most `_READ_BYTES` long."""

    def __init__(self, reader: RangeReader, compression: Compression, limits: Limits | None) -> None:
        self._reader = reader
        self._limits = limits
        self._chunks = self._decompress(_DECOMPRESSORS[compression])
        self._left = memoryview(b"")

    def _decompress(self, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
        at, size, given = 0, self._reader.size_bytes, 0
        data = b""
        inner = make()
        while True:
            if inner.eof:
                data = inner.unused_data
                if not data and at == size:
                    return
                inner = make()
            if not data and inner.hungry:
                if at == size:
                    raise ValueError("it ends too early")
                data = bytes(self._reader.read([(at, min(at + _READ_BYTES, size))])[0])
                if not data:
                    raise ValueError("fewer bytes came than asked for")
                at += len(data)
            content = inner.more(data)
            data = b""
            given += len(content)
            if self._limits:
                check_ratio(given, size, self._limits)
            if content:
                yield content

    def read(self, size: int) -> bytes:
        """Exactly so many bytes; ValueError if there are not."""
        parts = []
        while size:
            if not self._left:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise ValueError("it ends too early")
                self._left = memoryview(chunk)
            part, self._left = self._left[:size], self._left[size:]
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def at_end(self) -> bool:
        return not self._left and next(self._chunks, None) is None


def unpack_stream(
    reader: RangeReader,
    compression: Compression,
    destination: Path,
    expected: Manifest | None,
    limits: Limits,
    told: Callable[[int], None],
) -> Manifest:
    """Unpack into a new folder; `expected` is compared as it goes and at the end."""
    stream = _Stream(reader, compression, limits if expected is None else None)
    admission = TreeValidator(limits)
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
                admission.admit(entry)
                if _ORDER[entry.kind] < _ORDER[last]:
                    raise ValueError("its members are in no order of vstore's")
                last = entry.kind
                entries.append(_write(stream, writer, entry, time, known, told))
            if not stream.at_end():
                raise ValueError("something follows its end")
        except (ValueError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise ArchiveError(f"the archive is damaged: {error}") from error
        manifest = Manifest(tuple(sorted(entries)))
        check_expected(manifest, expected)
        writer.freeze()
    return manifest


_ORDER = {EntryKind.DIRECTORY: 0, EntryKind.FILE: 1, EntryKind.SYMLINK: 2}


def _write(
    stream: _Stream,
    writer: TreeWriter,
    entry: Entry,
    time: int,
    known: dict[bytes, Entry] | None,
    told: Callable[[int], None],
) -> Entry:
    """Write one entry; the entry with its digest."""
    if known is not None:
        wanted = known.get(entry.path)
        if wanted is None or wanted._replace(digest=b"") != entry:
            raise ArchiveError(f"refused {os.fsdecode(entry.path)!r}: it is not in the expected tree like this")
    if entry.kind == EntryKind.DIRECTORY:
        writer.directory(entry)
        return entry
    if entry.kind == EntryKind.SYMLINK:
        writer.symlink(entry)
        return entry
    hasher, left = blake3(), entry.size
    with writer.begin(entry) as file:
        while left:
            data = stream.read(min(left, _READ_BYTES))
            hasher.update(data)
            file.write(memoryview(data))
            told(len(data))
            left -= len(data)
        entry = file.entry = entry._replace(digest=hasher.digest())  # its time follows from it
    if any(stream.read(padding(entry.size))):
        raise ValueError("padding that is not empty")
    if time != entry.mtime:
        raise ValueError(f"the time of {os.fsdecode(entry.path)} is not of its content")
    if known is not None and known[entry.path] != entry:
        raise wrong(entry)
    return entry


def check_expected(found: Manifest, expected: Manifest | None) -> None:
    """ArchiveError if the tree is another one."""
    if expected is not None and found.digest != expected.digest:
        details = list(expected.differences(found))
        raise ArchiveError("the archive holds another tree than expected", details=details[:10])
