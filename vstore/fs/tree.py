"""The tree manifest: every entry of a tree with its digest, and the digest of the whole.

Encoding (all numbers big-endian), hashed in the domain ``tree 1``::

    "vstore-tree-1\\n"  u64 count  then, sorted by path bytes:
    "D" u32 path-length path
    "F" u32 path-length path u64 size  32 bytes BLAKE3     an ordinary file
    "X" …the same…                                         an executable one
    "L" u32 path-length path u32 target-length target      a symlink

Every variable part is framed by its length, so no two trees share an encoding. Modes other than
the executable bit, owners and times are not part of a tree: `scan` can set them to fixed values.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

from blake3 import blake3

from vstore.digest import Digest, hash_bytes
from vstore.errors import StoreError
from vstore.fs.atomic import begin_flush
from vstore.objects import StorePath

_MAGIC = b"vstore-tree-1\n"
_HEAD = struct.Struct(">cI")
_BIG_BYTES = 1 << 20  # larger files are hashed in threads
_READ_BYTES = 4 << 20  # at a time, where they cannot be mapped
_MAPPED_BYTES = 16 << 20  # at a time, where they can
_POPULATE_READ = 22  # MADV_POPULATE_READ, linux/mman.h
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_BY_HANDLE = os.utime in os.supports_fd and os.chmod in os.supports_fd  # without looking the path up again
FROZEN_TIME = 1  # seconds: the mtime of everything in a store


class EntryKind(IntEnum):
    DIRECTORY = 1
    FILE = 2
    SYMLINK = 3


class Entry(NamedTuple):
    """One directory, file or symlink; `path` is relative to the tree and uses ``/``."""

    path: bytes
    kind: EntryKind
    executable: bool = False
    size: int = 0
    digest: bytes = b""
    target: bytes = b""


@dataclass(frozen=True)
class Manifest:
    """All entries of a tree below its top folder, sorted by path bytes."""

    entries: tuple[Entry, ...]

    @cached_property
    def encoded(self) -> bytes:
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
        return hash_bytes("tree 1", self.encoded)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size for entry in self.entries)

    @property
    def files(self) -> int:
        return sum(entry.kind != EntryKind.DIRECTORY for entry in self.entries)

    def encode(self) -> bytes:
        return self.encoded

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an encoding; StoreError unless it is the one encoding of a well-formed tree."""
        try:
            manifest = cls(tuple(_decode_entries(data)))
        except (struct.error, IndexError, ValueError) as error:
            raise StoreError(f"malformed tree manifest: {error}") from error
        paths = [entry.path for entry in manifest.entries]
        if any(a >= b for a, b in pairwise(paths)):
            raise StoreError("malformed tree manifest: paths are not sorted and distinct")
        if manifest.encoded != data:
            raise StoreError("malformed tree manifest: not the canonical encoding")
        return manifest

    def references(self, own: StorePath | None = None) -> frozenset[StorePath]:
        """The other objects that the tree's links point to."""
        names = {
            name
            for entry in self.entries
            if entry.kind == EntryKind.SYMLINK and (name := linked_object(entry.path, entry.target)) is not None
        }
        return frozenset(StorePath.parse(name) for name in names) - {own}

    def differences(self, found: Manifest) -> Iterator[str]:
        """What is missing, added or changed in `found`, a line per path."""
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
    if not data.startswith(_MAGIC):
        raise ValueError("no tree manifest of version 1")
    at = len(_MAGIC) + 8
    for _ in range(int.from_bytes(data[len(_MAGIC) : at], "big")):
        tag, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        path = data[at : at + length]
        at += length
        if path.startswith(b"/") or any(part in (b"", b".", b"..") for part in path.split(b"/")):
            raise ValueError(f"unsafe path {path!r}")
        if tag == b"D":
            yield Entry(path, EntryKind.DIRECTORY)
        elif tag in (b"F", b"X"):
            size, digest = int.from_bytes(data[at : at + 8], "big"), data[at + 8 : at + 40]
            at += 40
            yield Entry(path, EntryKind.FILE, tag == b"X", size, digest)
        elif tag == b"L":
            length = int.from_bytes(data[at : at + 4], "big")
            target = data[at + 4 : at + 4 + length]
            at += 4 + length
            yield Entry(path, EntryKind.SYMLINK, target=target)
        else:
            raise ValueError(f"unknown entry {tag!r}")


def shown(path: bytes) -> str:
    """For people, on one line and printable anywhere, whatever the bytes."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in os.fsdecode(path))


def linked_object(path: bytes, target: bytes) -> str | None:
    """The store path that a link at `path` leads to, None if it stays inside; StoreError if it may do neither.

    Only leading ``..`` are allowed, so what the letters say and what the disk does are the same.
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
        try:
            StorePath.parse(name)
        except ValueError:
            pass
        else:
            return name
    raise StoreError(f"refused link {shown(path)} -> {shown(target)}: it leaves the store")


def scan(
    root: Path, *, freeze: bool = False, on_status: Callable[[bytes, os.stat_result], None] | None = None
) -> Manifest:
    """Hash a tree; with `freeze` also make it read-only with fixed times, except for the top folder itself.

    The top folder stays writable because moving a read-only folder is not allowed to everyone:
    whoever moves it into its final place freezes it there. `on_status` is told how each file and folder, also the top
    one with the path ``b""``, was found. Raises StoreError for devices, sockets and links that may not be in a store.
    """
    work = _Scan(freeze, on_status)
    work.directory(os.fsencode(root), b"")
    work.entries.sort()
    return Manifest(tuple(work.entries))


def mended(root: Path, expected: Manifest | None) -> Manifest:
    """Freeze a tree in place, its top folder too, and make executable what is expected to be; how it is then.

    Only files whose bytes are the expected ones change that mode. Raises as `scan` does.
    """
    found = scan(root, freeze=True)
    freeze_directory(root)
    wanted = {entry.path: entry for entry in expected.entries} if expected else {}
    entries = []
    for entry in found.entries:
        other = wanted.get(entry.path, entry)
        if other != entry == other._replace(executable=entry.executable):
            os.chmod(os.path.join(os.fsencode(root), entry.path), 0o555 if other.executable else 0o444)
            entry = other
        entries.append(entry)
    return Manifest(tuple(entries))


class _Scan:
    def __init__(self, freeze: bool, on_status: Callable[[bytes, os.stat_result], None] | None) -> None:
        self.entries: list[Entry] = []
        self._freeze = freeze
        self._on_status = on_status

    def directory(self, folder: bytes, prefix: bytes) -> None:
        if self._on_status is not None:
            self._on_status(prefix[:-1], os.lstat(folder))
        with os.scandir(folder) as found:
            children = list(found)
        for child in children:
            path = prefix + child.name
            if child.is_symlink():
                target = os.readlink(child.path)
                linked_object(path, target)
                self.entries.append(Entry(path, EntryKind.SYMLINK, target=target))
                if self._freeze:
                    _freeze_link(child)
            elif child.is_dir(follow_symlinks=False):
                self.entries.append(Entry(path, EntryKind.DIRECTORY))
                self.directory(child.path, path + b"/")
                if self._freeze:
                    freeze_directory(child.path)
            else:
                self.entries.append(self._file(child, path))

    def _file(self, child: os.DirEntry[bytes], path: bytes) -> Entry:
        if not child.is_file(follow_symlinks=False):
            raise StoreError(f"refused {shown(path)}: neither a file, a directory nor a link")
        handle = os.open(child.path, _READ)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"refused {shown(path)}: neither a file, a directory nor a link")
            if self._on_status is not None:
                self._on_status(path, status)
            if self._freeze:
                begin_flush(handle, status.st_size)  # the disk writes while the file is hashed
            digest, size = _hash_file(handle, status.st_size)
            executable = bool(status.st_mode & 0o100)
            if self._freeze:
                place = handle if _BY_HANDLE else child.path
                if status.st_mtime_ns != FROZEN_TIME * 10**9:
                    os.utime(place, (FROZEN_TIME, FROZEN_TIME))
                mode = 0o555 if executable else 0o444
                if stat.S_IMODE(status.st_mode) != mode:
                    os.chmod(place, mode)
        finally:
            os.close(handle)
        return Entry(path, EntryKind.FILE, executable, size, digest)


def _hash_file(handle: int, size: int) -> tuple[bytes, int]:
    """Read to the end whatever `size` says, so that the digest is of what is really there."""
    if size < _BIG_BYTES:
        data = os.read(handle, size + 1)
        if len(data) == size:
            return blake3(data).digest(), size
        hasher, done = blake3(data), len(data)
    else:
        hasher = blake3(max_threads=blake3.AUTO)
        done = os.lseek(handle, _hash_mapped(handle, size, hasher), os.SEEK_SET)
    while data := os.read(handle, _READ_BYTES):
        hasher.update(data)
        done += len(data)
    return hasher.digest(), done


def _hash_mapped(handle: int, size: int, hasher: blake3) -> int:
    """Hash a file where it lies in the page cache, which spares a copy; returns how far that went, the rest is read.

    The pages are brought in by a call that fails where touching them would be the end of the process (SIGBUS): at an
    error of the disk, or past an end that has moved (madvise(2), Linux 5.14).
    """
    if sys.platform != "linux":
        return 0
    done = 0
    while done < size:
        try:
            with mmap.mmap(handle, min(_MAPPED_BYTES, size - done), access=mmap.ACCESS_READ, offset=done) as part:
                part.madvise(_POPULATE_READ)
                hasher.update(part)
                done += len(part)
        except (OSError, ValueError):
            break
    return done


def hash_file(path: Path | bytes) -> bytes:
    """The BLAKE3 of a file, large ones in threads; OSError for a link."""
    handle = os.open(path, _READ)
    try:
        return _hash_file(handle, os.fstat(handle).st_size)[0]
    finally:
        os.close(handle)


def freeze_directory(folder: bytes | Path) -> None:
    """Read-only with the fixed time; its content must be complete."""
    os.utime(folder, (FROZEN_TIME, FROZEN_TIME))
    os.chmod(folder, 0o555)


def _freeze_link(child: os.DirEntry[bytes]) -> None:
    if os.utime in os.supports_follow_symlinks:
        os.utime(child.path, (FROZEN_TIME, FROZEN_TIME), follow_symlinks=False)
