"""Tar members in one canonical form: ustar (POSIX.1-1988), with a pax header (POSIX.1-2001) where needed.

Owner 0, times as in a store, files 0444 or 0555, directories 0755, so that plain tar can write into them and remove
them again. The reader accepts a member only if the writer would have written the same bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from blake3 import blake3

from vstore.fs.trees.manifest import FIXED_TIME, Entry, EntryKind

BLOCK = 512
END = bytes(2 * BLOCK)
_TYPES = {EntryKind.FILE: b"0", EntryKind.DIRECTORY: b"5", EntryKind.SYMLINK: b"2"}
_MAX_SIZE = 8**11 - 1  # of the size field: 8 GiB
_MAX_PAX_BYTES = 1 << 20
_READ_BYTES = 1 << 20
_USTAR = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")


def padding(size: int) -> int:
    """Return the number of zeros after a content of this size."""
    return -size % BLOCK


def member(top: bytes, entry: Entry, time: int | None = None) -> bytes:
    """Return the headers of an entry; an empty path is the top folder itself. Only the reader gives `time`."""
    name = b"/".join(part for part in (top, entry.path) if part)
    if entry.kind == EntryKind.DIRECTORY:
        name += b"/"
    records: dict[str, bytes] = {}
    split = _split(name)
    if split is None or not _plain(name):
        records["path"] = name
    if len(entry.target) > 100 or not _plain(entry.target):
        records["linkpath"] = entry.target
    if entry.size > _MAX_SIZE:
        records["size"] = str(entry.size).encode()
    prefix, rest = split or (b"", name[:100])
    mode = 0o755 if entry.kind == EntryKind.DIRECTORY else 0o555 if entry.executable else 0o444
    if entry.kind == EntryKind.SYMLINK:
        mode = 0o777
    size = 0 if "size" in records else entry.size
    at = entry.mtime if time is None else time
    header = _Header(rest, prefix, mode, size, at, _TYPES[entry.kind], entry.target[:100]).encode()
    return _pax(records) + header if records else header


def _plain(text: bytes) -> bool:
    """Return whether a pax record is needless: for ASCII, and for text in no known encoding."""
    return text.isascii() or not _is_utf8(text)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Return ustar's prefix and name, None if the name is too long for them."""
    if len(name) <= 100:
        return b"", name
    at = name.find(b"/", len(name) - 101)
    if 0 < at <= 155 and at < len(name) - 1:
        return name[:at], name[at + 1 :]
    return None


class _Header(NamedTuple):
    """The fields of a ustar header that differ between members."""

    name: bytes
    prefix: bytes
    mode: int
    size: int
    time: int
    kind: bytes
    target: bytes

    def encode(self) -> bytes:
        """Return the header with its checksum."""
        return self._pack(b"%06o\0 " % sum(self._pack(b" " * 8)))

    def _pack(self, checksum: bytes) -> bytes:
        return _USTAR.pack(
            self.name,
            b"%07o\0" % self.mode,
            b"0000000\0",
            b"0000000\0",
            b"%011o\0" % self.size,
            b"%011o\0" % self.time,
            checksum,
            self.kind,
            self.target,
            b"ustar\x0000",
            b"",
            b"",
            b"0000000\0",
            b"0000000\0",
            self.prefix,
        )


def _pax(records: dict[str, bytes]) -> bytes:
    if not all(_is_utf8(value) for value in records.values()):
        records = {"hdrcharset": b"BINARY", **records}
    data = b"".join(_record(key, value) for key, value in records.items())
    header = _Header(b"././@PaxHeader", b"", 0o444, len(data), FIXED_TIME, b"x", b"")
    return header.encode() + data + bytes(padding(len(data)))


def _record(key: str, value: bytes) -> bytes:
    """``<length> <key>=<value>\\n``, where the length includes itself."""
    rest = b" %s=%s\n" % (key.encode(), value)
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def read_member(read: Callable[[int], bytes], top: bytes | None) -> tuple[bytes, Entry, int] | None:
    """Return the top folder, the entry below it and its time; None at the end of the archive.

    Where `top` is None the member is the top folder itself. The entry of a file lacks its digest: `read_content`
    returns it. `read` must return exactly the requested bytes or raise. Raises ValueError for a member that `member`
    would not write.
    """
    block = read(BLOCK)
    if not any(block):
        if any(read(BLOCK)):
            raise ValueError("a single empty block")
        return None
    raw, records = block, dict[bytes, bytes]()
    if block[156:157] == b"x":
        size = _octal(block[124:136])
        if size > _MAX_PAX_BYTES:
            raise ValueError("an oversized pax header")
        data = read(size + padding(size))
        records = _records(data[:size])
        block = read(BLOCK)
        raw += data + block
    found_top, entry = _entry(block, records, top)
    time = _octal(block[136:148]) if entry.kind == EntryKind.FILE else FIXED_TIME
    if member(found_top, entry, time) != raw:
        raise ValueError("a header that vstore does not write")
    return found_top, entry, time


def read_content(
    read: Callable[[int], bytes], entry: Entry, time: int, write: Callable[[bytes], object] = len
) -> Entry:
    """Pass the content of a file to `write`; return the entry with its digest.

    Raises ValueError if the padding is not zero or `time` does not follow from the digest.
    """
    hasher, remaining = blake3(), entry.size
    while remaining:
        data = read(min(remaining, _READ_BYTES))
        hasher.update(data)
        write(data)
        remaining -= len(data)
    if any(read(padding(entry.size))):
        raise ValueError("padding that is not zero")
    entry = entry._replace(digest=hasher.digest())
    if time != entry.mtime:
        raise ValueError(f"the time of {os.fsdecode(entry.path)} does not follow from its content")
    return entry


class ByteStream:
    """Exact reads from an iterator of byte strings. `position` is the number of bytes read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.position = 0
        self._chunks = chunks
        self._buffer = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes. Raises ValueError if the stream ends before."""
        parts = []
        self.position += size
        while size:
            if not self._buffer:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise ValueError("it ends too early")
                self._buffer = memoryview(chunk)
            part, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def at_end(self) -> bool:
        """Return whether everything has been read."""
        return not self._buffer and next(self._chunks, None) is None


def _entry(block: bytes, records: dict[bytes, bytes], top: bytes | None) -> tuple[bytes, Entry]:
    kinds = {letter: kind for kind, letter in _TYPES.items()}
    kind = kinds.get(block[156:157])
    if kind is None:
        raise ValueError(f"a member of type {block[156:157]!r}")
    prefix, rest = block[345:500].rstrip(b"\0"), block[:100].rstrip(b"\0")
    name = records.get(b"path", prefix + b"/" + rest if prefix else rest)
    target = records.get(b"linkpath", block[157:257].rstrip(b"\0"))
    size = _decimal(records[b"size"]) if b"size" in records else _octal(block[124:136])
    if kind == EntryKind.DIRECTORY:
        name = name.removesuffix(b"/")
    if top is None:
        top = name
    if name == top:
        path = b""
    elif name.startswith(top + b"/"):
        path = name[len(top) + 1 :]
    else:
        raise ValueError("a member outside the top folder")
    executable = kind == EntryKind.FILE and _octal(block[100:108]) == 0o555
    return top, Entry(path, kind, executable, size, b"", target)


def _octal(field: bytes) -> int:
    digits = field.rstrip(b"\0 ")
    if digits and not digits.isdigit():
        raise ValueError("a number with something else than digits")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 19:
        raise ValueError("not a number")
    return int(digits)


def _records(data: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    while data:
        length = _decimal(data[: data.index(b" ")])
        key, equals, value = data[data.index(b" ") + 1 : length - 1].partition(b"=")
        if not equals or length <= 0 or length > len(data):
            raise ValueError("a malformed pax header")
        found[key] = value
        data = data[length:]
    return found
