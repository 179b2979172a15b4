"""Write a validated tree into a new folder. After an error the folder is as before.

The result is as in a store: files 0444 or 0555, directories 0555, times by content. Only the top folder stays
writable, because the caller freezes it when it has moved it into place.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from blake3 import blake3

from vstore.errors import ArchiveError
from vstore.fs.atomic import begin_flush
from vstore.fs.reading import open_handle
from vstore.fs.trees.manifest import Entry
from vstore.fs.trees.removal import remove_tree
from vstore.fs.trees.scan import freeze_directory, hash_file

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_CHUNK_BYTES = 1 << 20
_BY_HANDLE = os.name != "nt"


@contextmanager
def new_folder(destination: Path, *, keep_after: tuple[type[BaseException], ...] = ()) -> Iterator[TreeWriter]:
    """Yield a writer for a folder that is missing or empty. After an error the folder is as before.

    After an error of the kinds in `keep_after` everything written stays. Raises ArchiveError for another folder.
    """
    existed = destination.is_dir() and not destination.is_symlink()
    if existed and any(destination.iterdir()):
        raise ArchiveError(f"the destination is not an empty folder: {destination}")
    if not existed:
        try:
            destination.mkdir()
        except FileExistsError as error:
            raise ArchiveError(f"the destination is not a folder: {destination}") from error
    try:
        yield TreeWriter(destination)
    except BaseException as error:
        if isinstance(error, keep_after):
            raise
        remove_tree(destination)
        if existed:
            destination.mkdir()
        raise


class TreeWriter:
    """Writes the entries of a tree that passed a `TreeValidator`: directories first, links last."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)
        self._directories: list[bytes] = []

    def add_directory(self, entry: Entry) -> None:
        """Make a directory. Raises ArchiveError if the name is taken, as in all these methods."""
        path = self._path(entry)
        try:
            os.mkdir(path)
        except FileExistsError as error:
            raise _taken(entry) from error
        self._directories.append(path)

    def add_file(self, entry: Entry, data: memoryview) -> None:
        """Write a whole file. Raises ArchiveError, and writes nothing, if it is not the entry's content."""
        if blake3(data).digest() != entry.digest:
            raise wrong_content(entry)
        with self.open_file(entry) as file:
            file.write(data)

    def open_file(self, entry: Entry) -> OpenFile:
        """Open a new file that is written in parts."""
        try:
            return OpenFile(self._path(entry), entry)
        except FileExistsError as error:
            raise _taken(entry) from error

    def copy_file(self, entry: Entry, local: Path) -> bool:
        """Copy a local file, by reflink where possible. Return False, with no file left, if it is not the entry's."""
        try:
            with open(local, "rb", buffering=0, opener=_open_local) as source:
                if os.fstat(source.fileno()).st_size != entry.size:
                    return False
                with self.open_file(entry) as file:
                    file.copy(source.fileno(), entry.size)
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(self._path(entry))
            return False
        return self._verify(entry)

    def link_file(self, entry: Entry, local: Path) -> bool:
        """Hard-link a local file. Return False, with no file left, if its content, mode or time is not the entry's."""
        try:
            os.link(local, self._path(entry), follow_symlinks=False)
        except FileExistsError as error:
            raise _taken(entry) from error
        except OSError:
            return False
        return self._verify(entry)

    def _verify(self, entry: Entry) -> bool:
        """Return whether a linked or copied file is the entry's; remove it otherwise."""
        path = self._path(entry)
        status = os.lstat(path)
        mode = 0o555 if entry.executable else 0o444
        form = (stat.S_IFREG | mode, entry.size, entry.mtime * 10**9)
        if (status.st_mode, status.st_size, status.st_mtime_ns) == form and hash_file(path) == entry.digest:
            return True
        os.unlink(path)
        return False

    def add_symlink(self, entry: Entry) -> None:
        """Make a symlink."""
        path = self._path(entry)
        try:
            os.symlink(entry.target, path)
        except FileExistsError as error:
            raise _taken(entry) from error
        if os.utime in os.supports_follow_symlinks:
            os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)

    def freeze(self) -> None:
        """Make the directories read-only, with the fixed time. Call this last."""
        for folder in reversed(self._directories):
            freeze_directory(folder)

    def _path(self, entry: Entry) -> bytes:
        return self._root + b"/" + entry.path


class OpenFile:
    """A file that is being written. `close` sets its mode, regardless of the umask, and the entry's time."""

    def __init__(self, path: bytes, entry: Entry) -> None:
        self._path, self.entry = path, entry
        self._mode = 0o555 if entry.executable else 0o444
        self._handle = os.open(path, _FLAGS, self._mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes | memoryview) -> None:
        """Write all of the data."""
        while (count := os.write(self._handle, data)) < len(data):
            data = memoryview(data)[count:]

    def copy(self, source: int, size: int) -> None:
        """Write `size` bytes from an open file, fewer if it is shorter."""
        done = 0
        while done < size:
            try:
                count = os.copy_file_range(source, self._handle, size - done)
            except (OSError, AttributeError):  # another file system, an old kernel, not Linux
                data = os.read(source, _CHUNK_BYTES)
                self.write(data)
                count = len(data)
            if not count:
                return
            done += count

    def close(self) -> None:
        """Start to flush the file, and set its mode and time."""
        try:
            begin_flush(self._handle, os.fstat(self._handle).st_size)
            if _BY_HANDLE:
                os.fchmod(self._handle, self._mode)
                os.utime(self._handle, (self.entry.mtime, self.entry.mtime))
        finally:
            os.close(self._handle)
        if not _BY_HANDLE:
            os.utime(self._path, (self.entry.mtime, self.entry.mtime))
            os.chmod(self._path, self._mode)


def _open_local(path: str, _flags: int) -> int:
    return open_handle(path, follow=False)


def _taken(entry: Entry) -> ArchiveError:
    """Return the error for a name that this file system treats as equal to another name of the tree."""
    path = os.fsdecode(entry.path)
    return ArchiveError(f"refused {path!r}: this file system already has this or an equivalent name")


def wrong_content(entry: Entry) -> ArchiveError:
    """Return the error for a file whose content is not the entry's."""
    return ArchiveError(f"damaged: the content of {os.fsdecode(entry.path)} differs from the manifest")
