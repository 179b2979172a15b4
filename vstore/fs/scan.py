"""Hashing a tree as it lies on the disk, and freezing it: read-only, with the times of a store."""

from __future__ import annotations

import mmap
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from blake3 import blake3

from vstore.errors import StoreError
from vstore.fs.atomic import begin_flush
from vstore.fs.tree import FIXED_TIME, Entry, EntryKind, Manifest, linked_object, shown

_BIG_BYTES = 1 << 20  # larger files are hashed in threads
_READ_BYTES = 4 << 20  # at a time, where they cannot be mapped
_MAPPED_BYTES = 16 << 20  # at a time, where they can
_POPULATE_READ = 22  # MADV_POPULATE_READ, linux/mman.h
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_BY_HANDLE = os.utime in os.supports_fd and os.chmod in os.supports_fd  # without looking the path up again


class Share(NamedTuple):
    """The entries of a tree that one of `of` takes who look at it side by side."""

    number: int = 0
    of: int = 1

    def has(self, path: bytes) -> bool:
        return self.of == 1 or crc32(path) % self.of == self.number


def scan(
    root: Path,
    *,
    freeze: bool = False,
    on_found: Callable[[Entry, os.stat_result], None] | None = None,
    share: Share | None = None,
) -> Manifest:
    """Hash a tree; with `freeze` also make it read-only with the times of a store, except for the top folder itself.

    The top folder stays writable because moving a read-only folder is not allowed to everyone:
    whoever moves it into its final place freezes it there. `on_found` is called for each file and folder, also for
    the top one with the path ``b""``, with its status before any freezing. Of a `share` only its entries are looked
    at. Raises StoreError for devices, sockets and links that may not be in a store.
    """
    work = _Scan(freeze, on_found, share or Share())
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
    def __init__(self, freeze: bool, on_found: Callable[[Entry, os.stat_result], None] | None, share: Share) -> None:
        self.entries: list[Entry] = []
        self._share = share
        self._freeze = freeze
        self._on_found = on_found

    def directory(self, folder: bytes, prefix: bytes) -> None:
        if self._on_found is not None and self._share.has(prefix[:-1]):
            self._on_found(Entry(prefix[:-1], EntryKind.DIRECTORY), os.lstat(folder))
        with os.scandir(folder) as found:
            children = list(found)
        for child in children:
            path = prefix + child.name
            ours = self._share.has(path)
            if child.is_dir(follow_symlinks=False):
                if ours:
                    self.entries.append(Entry(path, EntryKind.DIRECTORY))
                self.directory(child.path, path + b"/")
                if self._freeze:
                    freeze_directory(child.path)
            elif not ours:
                continue
            elif child.is_symlink():
                target = os.readlink(child.path)
                linked_object(path, target)
                self.entries.append(Entry(path, EntryKind.SYMLINK, target=target))
                if self._freeze:
                    _freeze_link(child)
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
            if self._freeze:
                begin_flush(handle, status.st_size)  # the disk writes while the file is hashed
            digest, size = _hash_file(handle, status.st_size)
            entry = Entry(path, EntryKind.FILE, bool(status.st_mode & 0o100), size, digest)
            if self._on_found is not None:
                self._on_found(entry, status)
            if self._freeze:
                place = handle if _BY_HANDLE else child.path
                if status.st_mtime_ns != entry.mtime * 10**9:
                    os.utime(place, (entry.mtime, entry.mtime))
                mode = 0o555 if entry.executable else 0o444
                if stat.S_IMODE(status.st_mode) != mode:
                    os.chmod(place, mode)
        finally:
            os.close(handle)
        return entry


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


def freeze_directory(folder: int | bytes | Path) -> None:
    """Read-only with the fixed time; its content must be complete."""
    os.utime(folder, (FIXED_TIME, FIXED_TIME))
    os.chmod(folder, 0o555)


def _freeze_link(child: os.DirEntry[bytes]) -> None:
    if os.utime in os.supports_follow_symlinks:
        os.utime(child.path, (FIXED_TIME, FIXED_TIME), follow_symlinks=False)
