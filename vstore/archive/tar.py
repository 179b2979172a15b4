"""The tar members of a tree, each in its one form: ustar (POSIX.1-1988), with a pax header (POSIX.1-2001) where needed.

Owner 0, times as in a store, files 0444 or 0555, directories 0755: plain tar can then write into them and remove
them again.
The reader takes a member only if it is byte for byte what the writer would have made.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from vstore.fs.trees.manifest import FIXED_TIME, Entry, EntryKind

BLOCK = 512
END = bytes(2 * BLOCK)
_TYPES = {EntryKind.FILE: b"0", EntryKind.DIRECTORY: b"5", EntryKind.SYMLINK: b"2"}
_LARGEST = 8**11 - 1  # 8 GiB: what the size field can say
_LONGEST_PAX = 1 << 20
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")


def padding(size: int) -> int:
    """The zeros after a content of this size."""
    return -size % BLOCK


def member(top: bytes, entry: Entry, time: int | None = None) -> bytes:
    """The headers of an entry; the entry with an empty path is the top folder itself. `time` is for a reader only."""
    name = b"/".join(part for part in (top, entry.path) if part)
    if entry.kind == EntryKind.DIRECTORY:
        name += b"/"
    records: dict[str, bytes] = {}
    split = _split(name)
    if split is None or not _plain(name):
        records["path"] = name
    if len(entry.target) > 100 or not _plain(entry.target):
        records["linkpath"] = entry.target
    if entry.size > _LARGEST:
        records["size"] = str(entry.size).encode()
    prefix, rest = split or (b"", name[:100])
    mode = 0o755 if entry.kind == EntryKind.DIRECTORY else 0o555 if entry.executable else 0o444
    if entry.kind == EntryKind.SYMLINK:
        mode = 0o777
    size = 0 if "size" in records else entry.size
    header = _header(
        rest, prefix, mode, size, entry.mtime if time is None else time, _TYPES[entry.kind], entry.target[:100]
    )
    return _pax(records) + header if records else header


def _plain(text: bytes) -> bool:
    """Whether ustar's own fields say it as well as pax could: ASCII, or no known encoding at all."""
    return text.isascii() or not _is_utf8(text)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Prefix and name as ustar wants them, None if it cannot hold the name."""
    if len(name) <= 100:
        return b"", name
    at = name.find(b"/", len(name) - 101)
    if 0 < at <= 155 and at < len(name) - 1:
        return name[:at], name[at + 1 :]
    return None


def _header(name: bytes, prefix: bytes, mode: int, size: int, time: int, kind: bytes, target: bytes) -> bytes:
    def fields(checksum: bytes) -> bytes:
        return _HEADER.pack(
            name,
            b"%07o\0" % mode,
            b"0000000\0",
            b"0000000\0",
            b"%011o\0" % size,
            b"%011o\0" % time,
            checksum,
            kind,
            target,
            b"ustar\x0000",
            b"",
            b"",
            b"0000000\0",
            b"0000000\0",
            prefix,
        )

    return fields(b"%06o\0 " % sum(fields(b" " * 8)))


def _pax(records: dict[str, bytes]) -> bytes:
    if not all(_is_utf8(value) for value in records.values()):
        records = {"hdrcharset": b"BINARY", **records}
    data = b"".join(_record(key, value) for key, value in records.items())
    return _header(b"././@PaxHeader", b"", 0o444, len(data), FIXED_TIME, b"x", b"") + data + bytes(padding(len(data)))


def _record(key: str, value: bytes) -> bytes:
    """``<length> <key>=<value>\\n``, where the length counts itself."""
    rest = b" %s=%s\n" % (key.encode(), value)
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def read_member(read: Callable[[int], bytes], top: bytes | None) -> tuple[bytes, Entry, int] | None:
    """The next member: the top folder, the entry below it, its time; None at the end of the archive.

    The entry of a file lacks its digest, with which the time is to be compared when the content was read. `read`
    gives exactly as many bytes as asked for, or raises. ValueError for what `member` would not have written.
    Where `top` is None the member is the top folder itself.
    """
    block = read(BLOCK)
    if not any(block):
        if any(read(BLOCK)):
            raise ValueError("a single empty block")
        return None
    raw, records = block, dict[bytes, bytes]()
    if block[156:157] == b"x":
        size = _octal(block[124:136])
        if size > _LONGEST_PAX:
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
