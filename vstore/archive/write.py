"""Writing a checked tree into a new folder; nothing of it stays after a failure, unless it is wanted.

The result is as in a store: files 0444 or 0555, directories 0555, times by content; only the top folder stays writable,
since whoever moves it into place freezes it there.
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
def new_folder(destination: Path, *, stays_after: tuple[type[BaseException], ...] = ()) -> Iterator[TreeWriter]:
    """Give a writer for a folder that does not exist yet or is empty; after an error it is again as it was.

    After one of the kinds in `stays_after` what was written stays.
    """
    existed = destination.is_dir() and not destination.is_symlink()
    if existed and any(destination.iterdir()):
        raise ArchiveError(f"will not unpack into a folder that is not empty: {destination}")
    if not existed:
        try:
            destination.mkdir()
        except FileExistsError as error:
            raise ArchiveError(f"will not unpack over what is there: {destination}") from error
    try:
        yield TreeWriter(destination)
    except BaseException as error:
        if isinstance(error, stays_after):
            raise
        remove_tree(destination)
        if existed:
            destination.mkdir()
        raise


class TreeWriter:
    """Makes the entries of a tree that `TreeValidator` let pass: directories first, links last."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)
        self._directories: list[bytes] = []

    def directory(self, entry: Entry) -> None:
        path = self._path(entry)
        try:
            os.mkdir(path)
        except FileExistsError as error:
            raise _taken(entry) from error
        self._directories.append(path)

    def file(self, entry: Entry, data: memoryview) -> None:
        """Write a whole file; ArchiveError, and nothing written, if its content is not the entry's."""
        if blake3(data).digest() != entry.digest:
            raise wrong(entry)
        with self.begin(entry) as file:
            file.write(data)

    def begin(self, entry: Entry) -> OpenFile:
        """Start a file that is written in parts."""
        try:
            return OpenFile(self._path(entry), entry)
        except FileExistsError as error:
            raise _taken(entry) from error

    def copy(self, entry: Entry, donor: Path) -> bool:
        """Copy a file, by reflink where that works; False, and nothing there, if the donor is not it after all."""
        try:
            with open(donor, "rb", buffering=0, opener=_open_donor) as source:
                if os.fstat(source.fileno()).st_size != entry.size:
                    return False
                with self.begin(entry) as file:
                    file.copy(source.fileno(), entry.size)
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(self._path(entry))
            return False
        return self._kept(entry)

    def link(self, entry: Entry, donor: Path) -> bool:
        """Make a hard link; False, and nothing there, if the donor is not the file in content, mode and time."""
        try:
            os.link(donor, self._path(entry), follow_symlinks=False)
        except FileExistsError as error:
            raise _taken(entry) from error
        except OSError:
            return False
        return self._kept(entry)

    def _kept(self, entry: Entry) -> bool:
        """Whether a file that came from a donor is the entry; else it is removed."""
        path = self._path(entry)
        status = os.lstat(path)
        mode = 0o555 if entry.executable else 0o444
        form = (stat.S_IFREG | mode, entry.size, entry.mtime * 10**9)
        if (status.st_mode, status.st_size, status.st_mtime_ns) == form and hash_file(path) == entry.digest:
            return True
        os.unlink(path)
        return False

    def symlink(self, entry: Entry) -> None:
        path = self._path(entry)
        try:
            os.symlink(entry.target, path)
        except FileExistsError as error:
            raise _taken(entry) from error
        if os.utime in os.supports_follow_symlinks:
            os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)

    def freeze(self) -> None:
        """Make the directories read-only with the fixed time, once their content is complete."""
        for folder in reversed(self._directories):
            freeze_directory(folder)

    def _path(self, entry: Entry) -> bytes:
        return self._root + b"/" + entry.path


class OpenFile:
    """A file being written; closing it sets its mode, whatever the umask, and the time of the entry's content."""

    def __init__(self, path: bytes, entry: Entry) -> None:
        self._path, self.entry = path, entry
        self._mode = 0o555 if entry.executable else 0o444
        self._handle = os.open(path, _FLAGS, self._mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: memoryview) -> None:
        while (count := os.write(self._handle, data)) < len(data):
            data = data[count:]

    def copy(self, source: int, size: int) -> None:
        done = 0
        while done < size:
            try:
                count = os.copy_file_range(source, self._handle, size - done)
            except (OSError, AttributeError):  # another file system, an old kernel, not Linux
                data = os.read(source, _CHUNK_BYTES)
                self.write(memoryview(data))
                count = len(data)
            if not count:
                return
            done += count

    def close(self) -> None:
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


def _open_donor(path: str, _flags: int) -> int:
    return open_handle(path, follow=False)


def _taken(entry: Entry) -> ArchiveError:
    """A name that this file system takes for another one of the tree is an error of the archive here."""
    path = os.fsdecode(entry.path)
    return ArchiveError(f"refused {path!r}: this file system has it already, under this or a similar name")


def wrong(entry: Entry) -> ArchiveError:
    return ArchiveError(f"damaged: the content of {os.fsdecode(entry.path)} is not what the manifest says")
