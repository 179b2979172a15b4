"""Hashing trees on disk, and freezing them: read-only, with the times of a store."""

from __future__ import annotations

import mmap
import os
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from zlib import crc32

from blake3 import blake3

from vstore.errors import StoreError
from vstore.fs.atomic import begin_flush
from vstore.fs.folder import Folder
from vstore.fs.trees.manifest import FIXED_TIME, Entry, EntryKind, Manifest, linked_object, shown
from vstore.fs.trees.removal import NO_LINK, OPEN_FOLDER
from vstore.values import frozen

_BIG_BYTES = 1 << 20  # larger files are hashed in threads
_READ_BYTES = 4 << 20  # at a time, where they cannot be mapped
_MAPPED_BYTES = 16 << 20  # at a time, where they can
_POPULATE_READ = 22  # MADV_POPULATE_READ, linux/mman.h
_READ = os.O_RDONLY | NO_LINK | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_MAX_DEPTH = 400  # folders held open at once
_BY_HANDLE = os.utime in os.supports_fd and os.chmod in os.supports_fd  # without looking the path up again


@frozen(kw_only=False)
class Shard:
    """The part of a tree that one of `of` workers reads, chosen by the hash of the path."""

    number: int = 0
    of: int = 1

    def has(self, path: bytes) -> bool:
        """Return whether a path is in this part."""
        return self.of == 1 or crc32(path) % self.of == self.number


def scan(
    root: Path | Folder,
    *,
    freeze: bool = False,
    on_found: Callable[[Entry, os.stat_result], None] | None = None,
    shard: Shard | None = None,
) -> Manifest:
    """Hash a tree, or a `shard` of it; with `freeze` also freeze it, except for its top folder.

    Only some users may move a read-only folder, so the top folder is frozen after it was moved into place. `on_found`
    is called for each file and folder, and for the top folder with the path ``b""``, with its status before freezing.
    No link is followed, not even one that replaces a folder meanwhile. Raises StoreError for devices, sockets, links
    that are not allowed in a store, and folders that are too deep.
    """
    return _scanned(root, _Scan(freeze, on_found, shard or Shard(), None))


def repair_modes(folder: Folder, expected: Manifest | None) -> Manifest:
    """Freeze a tree in place with its top folder, and restore executable bits. Return its manifest then.

    A file with unexpected bytes is not changed. A file of another user than its folder's is replaced by
    a copy: the folder's owner may have linked any file there. Raises as `scan` does.
    """
    wanted = {entry.path: entry for entry in expected.entries} if expected else {}
    found = _scanned(folder, _Scan(True, None, Shard(), wanted))
    freeze_directory(folder.at)
    return found


def _scanned(root: Path | Folder, work: _Scan) -> Manifest:
    if isinstance(root, Folder):
        work.directory(root.at, b"")
    else:
        with Folder.open(root.parent, root.name) as folder:
            return _scanned(folder, work)
    work.entries.sort()
    return Manifest(tuple(work.entries))


class _Scan:
    def __init__(
        self,
        freeze: bool,
        on_found: Callable[[Entry, os.stat_result], None] | None,
        shard: Shard,
        wanted: Mapping[bytes, Entry] | None,
    ) -> None:
        self.entries: list[Entry] = []
        self._shard = shard
        self._freeze = freeze
        self._on_found = on_found
        self._wanted = wanted

    def directory(self, folder: int | str, prefix: bytes) -> None:
        """Read an open folder, or the one with this path where folders cannot be opened."""
        if prefix.count(b"/") > _MAX_DEPTH:
            raise StoreError(f"refused {shown(prefix[:-1])}: more than {_MAX_DEPTH} folders deep")
        if self._on_found is not None and self._shard.has(prefix[:-1]):
            self._on_found(Entry(prefix[:-1], EntryKind.DIRECTORY), os.stat(folder))
        with os.scandir(folder) as found:
            children = list(found)
        path = prefix
        try:
            for child in children:
                path = prefix + os.fsencode(child.name)
                ours = self._shard.has(path)
                if child.is_dir(follow_symlinks=False):
                    if ours:
                        self.entries.append(Entry(path, EntryKind.DIRECTORY))
                    self._directory(child, folder, path)
                elif not ours:
                    continue
                elif child.is_symlink():
                    name, parent = _place(child, folder)
                    target = os.fsencode(os.readlink(name, dir_fd=parent))
                    linked_object(path, target)
                    self.entries.append(Entry(path, EntryKind.SYMLINK, target=target))
                    if self._freeze and os.utime in os.supports_follow_symlinks:
                        os.utime(name, (FIXED_TIME, FIXED_TIME), dir_fd=parent, follow_symlinks=False)
                else:
                    self.entries.append(self._file(child, folder, path))
        except OSError as error:
            if error.filename == os.fsdecode(path[len(prefix) :]):  # relative to the open folder
                error.filename = shown(path)
                if isinstance(error, PermissionError) and not os.stat(folder).st_mode & 0o111:
                    error.strerror = f"{error.strerror}, because its folder cannot be entered"
            raise

    def _directory(self, child: os.DirEntry[str], folder: int | str, path: bytes) -> None:
        if isinstance(folder, str):
            self.directory(child.path, path + b"/")
            if self._freeze:
                freeze_directory(child.path)
            return
        inside = os.open(child.name, OPEN_FOLDER | NO_LINK, dir_fd=folder)
        try:
            self.directory(inside, path + b"/")
            if self._freeze:
                freeze_directory(inside)
        finally:
            os.close(inside)

    def _file(self, child: os.DirEntry[str], folder: int | str, path: bytes) -> Entry:
        if not child.is_file(follow_symlinks=False):
            raise StoreError(f"refused {shown(path)}: neither a file, a directory nor a link")
        name, parent = _place(child, folder)
        handle = os.open(name, _READ, dir_fd=parent)
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
                entry = self._frozen(entry, status, handle, name, parent)
        finally:
            os.close(handle)
        return entry

    def _frozen(self, entry: Entry, status: os.stat_result, handle: int, name: str, parent: int | None) -> Entry:
        """Freeze a file, and return its entry then."""
        if self._wanted:
            other = self._wanted.get(entry.path)
            if other is None or entry != other._replace(executable=entry.executable):
                return entry
            entry = other
        mode = 0o555 if entry.executable else 0o444
        if status.st_mtime_ns == entry.mtime * 10**9 and stat.S_IMODE(status.st_mode) == mode:
            return entry
        if self._wanted is not None and parent is not None and status.st_uid != os.fstat(parent).st_uid:
            _replace_by_copy(handle, name, parent, entry.mtime, mode)
            return entry
        place = handle if _BY_HANDLE else name
        if status.st_mtime_ns != entry.mtime * 10**9:
            os.utime(place, (entry.mtime, entry.mtime))
        if stat.S_IMODE(status.st_mode) != mode:
            os.chmod(place, mode)
        return entry


def _place(child: os.DirEntry[str], folder: int | str) -> tuple[str, int | None]:
    return (child.name, folder) if isinstance(folder, int) else (child.path, None)


def _replace_by_copy(handle: int, name: str, folder: int, mtime: int, mode: int) -> None:
    """Replace a file by a frozen copy in one rename."""
    os.fchmod(folder, 0o755)
    temporary = f".{name[:200]}.{os.urandom(4).hex()}"
    copy = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        while data := os.read(handle, _READ_BYTES):
            while data:
                data = data[os.write(copy, data) :]
        os.utime(copy, (mtime, mtime))
        os.fchmod(copy, mode)
        os.fsync(copy)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
    finally:
        os.close(copy)


def _hash_file(handle: int, size: int) -> tuple[bytes, int]:
    """Return digest and size of an open file. Read to the end, in case `size` is not true."""
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
    """Hash a file in the page cache, without a copy, and return the number of bytes hashed; the rest is to be read.

    madvise(2) with MADV_POPULATE_READ (Linux 5.14) loads the pages. It fails where touching them would kill the process
    with SIGBUS: at a disk error, or beyond the end of a file that was truncated.
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
    """Return the BLAKE3 digest of a file; large files are hashed in threads. Raises OSError for a link."""
    handle = os.open(path, _READ)
    try:
        return _hash_file(handle, os.fstat(handle).st_size)[0]
    finally:
        os.close(handle)


def freeze_directory(folder: int | bytes | str | Path) -> None:
    """Make a folder read-only with the fixed time. Its content must be complete."""
    os.utime(folder, (FIXED_TIME, FIXED_TIME))
    os.chmod(folder, 0o555)
