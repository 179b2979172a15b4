"""Tree manifests: every entry of a tree with its digest, and the digest of the whole tree.

Encoding (all numbers big-endian), hashed in the domain ``tree 1``::

    "vstore-tree-1\\n"  u64 count  then, sorted by path bytes:
    "D" u32 path-length path
    "F" u32 path-length path u64 size  32 bytes BLAKE3     an ordinary file
    "X" …the same…                                         an executable one
    "L" u32 path-length path u32 target-length target      a symlink

Every variable part is framed by its length, so no two trees have the same encoding. Owners, times and modes other than
the executable bit are not part of a tree: the time of an entry in a store follows from the entry.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import cached_property
from operator import lt
from typing import NamedTuple, Self

from vstore.digest import Digest, hash_bytes
from vstore.errors import StoreError
from vstore.objects import StorePath, is_store_path
from vstore.values import frozen

_MAGIC = b"vstore-tree-1\n"
_DOMAIN = "tree 1"
_UNSAFE = frozenset({b"", b".", b".."})  # parts of a path; the first of an absolute one is empty
_HEAD = struct.Struct(">cI")
_FILE_BYTES = 40  # of size and digest
FIXED_TIME = 315_619_200  # 2 January 1980 UTC: zip archives have no earlier times, in any time zone
_TIMES = (946_684_800 - FIXED_TIME) // 2  # even seconds until the year 2000: zip and FAT keep no odd ones


class EntryKind(IntEnum):
    """The kind of an entry."""

    DIRECTORY = 1
    FILE = 2
    SYMLINK = 3


_KINDS = {b"D": EntryKind.DIRECTORY, b"F": EntryKind.FILE, b"X": EntryKind.FILE, b"L": EntryKind.SYMLINK}


class Entry(NamedTuple):
    """One directory, file or symlink; `path` is relative to the tree and uses ``/``."""

    path: bytes
    kind: EntryKind
    executable: bool = False
    size: int = 0
    digest: bytes = b""
    target: bytes = b""

    @property
    def mtime(self) -> int:
        """The modification time in a store, in seconds: for files a function of the content, else fixed.

        Equal content has equal times on every machine, and other content has another time. So comparing time and size
        for equality is right (HTTP entity tags, caches of compiled code). Comparing times for order is not.
        """
        return FIXED_TIME + 2 * (int.from_bytes(self.digest[:8], "big") % _TIMES)


class Outline(NamedTuple):
    """The kinds of the entries of a tree, and the targets of its links, by path."""

    kinds: Mapping[bytes, EntryKind]
    links: Mapping[bytes, bytes]

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read an encoding whose digest is known, in a third of the time of `Manifest.decode`: no path is checked.

        Raises StoreError if it has another form.
        """
        try:
            rows = list(_rows(data))
        except (struct.error, ValueError) as error:
            raise StoreError(f"malformed tree manifest: {error}") from error
        return cls(
            {path: _KINDS[tag] for tag, path, _ in rows}, {path: rest for tag, path, rest in rows if tag == b"L"}
        )

    def references(self, own: StorePath | None = None) -> frozenset[StorePath]:
        """Return the objects that the links lead to, without the tree's `own`."""
        names = {name for path, target in self.links.items() if (name := linked_object(path, target)) is not None}
        return frozenset(map(StorePath.parse, names)) - {own}


@frozen(kw_only=False, slots=False)
class Manifest:
    """All entries of a tree below its top folder, sorted by path bytes."""

    entries: tuple[Entry, ...]

    @cached_property
    def encoded(self) -> bytes:
        """The encoding."""
        parts = [_MAGIC, len(self.entries).to_bytes(8, "big")]
        for path, kind, executable, size, digest, target in self.entries:
            if kind == EntryKind.FILE:
                parts += (_HEAD.pack(b"X" if executable else b"F", len(path)), path, size.to_bytes(8, "big"), digest)
            elif kind == EntryKind.DIRECTORY:
                parts += (_HEAD.pack(b"D", len(path)), path)
            else:
                parts += (_HEAD.pack(b"L", len(path)), path, len(target).to_bytes(4, "big"), target)
        return b"".join(parts)

    @cached_property
    def digest(self) -> Digest:
        """The digest of the tree."""
        return self.digest_of(self.encoded)

    @property
    def outline(self) -> Outline:
        """The kinds and the links."""
        links = {entry.path: entry.target for entry in self.entries if entry.kind == EntryKind.SYMLINK}
        return Outline({entry.path: entry.kind for entry in self.entries}, links)

    @property
    def size_bytes(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.entries)

    @property
    def files(self) -> int:
        """The number of files and links."""
        return sum(entry.kind != EntryKind.DIRECTORY for entry in self.entries)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Decode a manifest. Raises StoreError unless the data is the one encoding of a valid tree."""
        try:
            manifest = cls(tuple(_decode_entries(data)))
        except (struct.error, IndexError, ValueError) as error:
            raise StoreError(f"malformed tree manifest: {error}") from error
        paths = [entry.path for entry in manifest.entries]
        if not all(map(lt, paths, paths[1:])):
            raise StoreError("malformed tree manifest: paths are not sorted and distinct")
        vars(manifest)["encoded"] = data  # a tree has one encoding
        return manifest

    @staticmethod
    def count(data: bytes) -> int:
        """Return the number of entries in the header of an encoding."""
        return int.from_bytes(data[len(_MAGIC) : len(_MAGIC) + 8], "big")

    @staticmethod
    def digest_of(data: bytes) -> Digest:
        """Return the digest of the tree with this encoding, without decoding it."""
        return hash_bytes(_DOMAIN, data)

    def references(self, own: StorePath | None = None) -> frozenset[StorePath]:
        """Return the objects that the tree's links lead to, without its `own`."""
        return self.outline.references(own)

    def differences(self, found: Manifest) -> Iterator[str]:
        """Yield a line for each path that is missing, added or changed in `found`."""
        if found.entries == self.entries:
            return
        ours = {entry.path: entry for entry in self.entries}
        theirs = {entry.path: entry for entry in found.entries}
        for path in sorted(ours.keys() | theirs.keys()):
            if path not in theirs:
                yield f"missing: {shown(path)}"
            elif path not in ours:
                yield f"added: {shown(path)}"
            elif ours[path] != theirs[path]:
                yield f"changed: {shown(path)}"


def _decode_entries(data: bytes) -> Iterator[Entry]:
    is_safe = _UNSAFE.isdisjoint
    for tag, path, rest in _rows(data):
        if not is_safe(path.split(b"/")):
            raise ValueError(f"unsafe path {path!r}")
        kind = _KINDS[tag]
        if kind == EntryKind.FILE:
            yield Entry(path, kind, tag == b"X", int.from_bytes(rest[:8], "big"), rest[8:])
        else:
            yield Entry(path, kind, target=rest)


def _rows(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield the tag of each entry, its path, and what follows: size and digest, a target, or nothing."""
    if not data.startswith(_MAGIC):
        raise ValueError("not a tree manifest of version 1")
    at, read_head = len(_MAGIC) + 8, _HEAD.unpack_from
    for _ in range(Manifest.count(data)):
        tag, length = read_head(data, at)
        at += _HEAD.size
        start = end = at + length
        if tag == b"F" or tag == b"X":
            end += _FILE_BYTES
        elif tag == b"L":
            start += 4
            end = start + int.from_bytes(data[at + length : start], "big")
        elif tag != b"D":
            raise ValueError(f"unknown entry {tag!r}")
        yield tag, data[at : at + length], data[start:end]
        at = end
    if at != len(data):
        raise ValueError("the length does not match")


def shown(path: bytes) -> str:
    """Return a path as printable text on one line; all bytes are accepted."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in os.fsdecode(path))


def linked_object(path: bytes, target: bytes) -> str | None:
    """Return the store path that a link at `path` leads to; None if it stays inside the tree. Else raise StoreError.

    Only leading ``..`` are allowed, so that a target means the same as text and on disk.
    """
    parts = target.split(b"/")
    ups = next((index for index, part in enumerate(parts) if part != b".."), len(parts))
    if target.startswith(b"/") or b".." in parts[ups:] or not target:
        raise StoreError(f"refused link {shown(path)} -> {shown(target)}: not a plain relative path")
    depth = path.count(b"/")
    if ups <= depth:
        return None
    if ups == depth + 1 and ups < len(parts):
        name = os.fsdecode(parts[ups])
        if is_store_path(name):
            return name
    raise StoreError(f"refused link {shown(path)} -> {shown(target)}: it leaves the store")
