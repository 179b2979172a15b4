"""Open folders: entries are reached from a folder's descriptor, wherever its name leads meanwhile.

In a folder that others may write to, a name can become a link between two system calls. So a folder is opened once,
without following a link, and its entries are reached with openat(2) and its relatives. Windows cannot open folders:
there paths are joined.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from vstore.errors import StoreError
from vstore.fs.atomic import exchange, flush_file, replace_symlink, write_file
from vstore.fs.reading import open_regular, read_regular
from vstore.fs.trees.manifest import shown
from vstore.fs.trees.removal import BY_HANDLE, NO_LINK, OPEN_FOLDER, remove_tree, thaw


class Folder:
    """An open folder. Methods take names of its entries.

    `path` is the path it was opened with, for messages. `at` names the folder in a system call: it is its descriptor,
    or its path where folders cannot be opened.
    """

    __slots__ = ("_fd", "at", "path")

    def __init__(self, path: Path, handle: int | None) -> None:
        self.path = path
        self.at: int | str = str(path) if handle is None else handle
        self._fd = handle

    @classmethod
    def open(cls, path: Path, *names: str) -> Self:
        """Open a folder: follow links in `path`, and none in `names` below it. Raises StoreError and OSError."""
        top = cls(path, os.open(path, OPEN_FOLDER) if BY_HANDLE else None)
        if not names:
            return top
        with top:
            return top.folder(*names)

    def folder(self, name: str, *names: str) -> Self:
        """Open a folder below this one, following no link. Raises StoreError for a link or a file, and OSError."""
        found = self._folder(name)
        for below in names:
            with found:
                found = found._folder(below)
        return found

    def _folder(self, name: str) -> Self:
        self._name(name)
        place = self.path / name
        if self._fd is None:
            refuse_links(place)
            return type(self)(place, None)
        try:
            return type(self)(place, os.open(name, OPEN_FOLDER | NO_LINK, dir_fd=self._fd))
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                refuse_links(place)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def _name(self, name: str) -> str:
        """Return the name or path for a system call. StoreError for a name that leads elsewhere."""
        if "/" in name or name in ("", ".", ".."):
            raise StoreError(f"not a name in a folder of the store: {shown(os.fsencode(name))!r}")
        return name if self._fd is not None else str(self.path / name)

    # reading

    def names(self) -> list[str]:
        """Return the names of all entries, sorted."""
        return sorted(os.listdir(self.at))

    def scan(self) -> os._ScandirIterator[str]:
        """Return all entries as os.scandir does."""
        return os.scandir(self.at)

    def lstat(self, name: str) -> os.stat_result:
        """Return the status of an entry, not following a link."""
        return os.lstat(self._name(name), dir_fd=self._fd)

    def readlink(self, name: str) -> str:
        """Return the target of a link. Raises OSError for an entry that is not a link."""
        return os.readlink(self._name(name), dir_fd=self._fd)

    def open_file(self, name: str) -> BinaryIO:
        """Open a regular file for reading, not following a link. Raises as `open_regular` does."""
        return open_regular(self._name(name), follow=False, dir_fd=self._fd)

    def read(self, name: str, *, limit: int) -> bytes:
        """Read a regular file of at most `limit` bytes, not following a link. Raises as `read_regular` does."""
        return read_regular(self._name(name), limit=limit, follow=False, dir_fd=self._fd)

    # changing

    def write(self, name: str, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
        """Write a file and move it into place, as `write_file` does."""
        write_file(Path(self._name(name)), data, mode=mode, durable=durable, dir_fd=self._fd)

    def create(self, name: str, mode: int = 0o666, *, append: bool = False) -> int:
        """Create a file and return its descriptor for writing. FileExistsError if it exists, unless to `append` to."""
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND | NO_LINK if append else os.O_EXCL)
        flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        return os.open(self._name(name), flags, mode, dir_fd=self._fd)

    def make_folder(self, name: str, mode: int = 0o777) -> None:
        """Make a folder. FileExistsError if the name is taken."""
        os.mkdir(self._name(name), mode, dir_fd=self._fd)

    def replace_symlink(self, name: str, target: str) -> None:
        """Make a link lead to `target` in one rename, as `replace_symlink` does."""
        replace_symlink(Path(self._name(name)), target, dir_fd=self._fd)

    def rename(self, name: str, to: Folder, new: str) -> None:
        """Move an entry to another folder, replacing an existing entry as rename(2) does."""
        os.replace(self._name(name), to._name(new), src_dir_fd=self._fd, dst_dir_fd=to._fd)

    def unlink(self, name: str) -> None:
        """Remove a file or link if it exists."""
        with suppress(FileNotFoundError):
            os.unlink(self._name(name), dir_fd=self._fd)

    def remove(self, name: str) -> None:
        """Remove an entry with all below it if it exists, as `remove_tree` does."""
        remove_tree(self._name(name), dir_fd=self._fd)


def flush_folder(folder: Folder) -> None:
    """Make the renames in a folder durable."""
    if folder._fd is not None:
        flush_file(folder._fd)


def exchange_entries(folder: Folder, name: str, other: Folder, other_name: str) -> bool:
    """Exchange two entries in one step, as `exchange` does."""
    one, two = Path(folder._name(name)), Path(other._name(other_name))
    return exchange(one, two, one_fd=folder._fd, other_fd=other._fd)


def link_file(folder: Folder, name: str, other: Folder, new: str) -> None:
    """Make a hard link to a file in another folder, not following a symlink."""
    follow = os.link not in os.supports_follow_symlinks  # Windows never follows one
    one, two = folder._name(name), other._name(new)
    os.link(one, two, src_dir_fd=folder._fd, dst_dir_fd=other._fd, follow_symlinks=follow)


def thaw_folder(folder: Folder, name: str) -> None:
    """Make a folder of this user readable and writable for the user."""
    thaw(folder._name(name), folder._fd)


def refuse_links(place: Path) -> None:
    """Raise StoreError if `place` is not a folder but a link or a file, and FileNotFoundError if it is missing."""
    kind = stat.S_IFMT(os.lstat(place).st_mode)
    if kind == stat.S_IFDIR:
        return
    name = shown(os.fsencode(place))
    if kind == stat.S_IFLNK:
        target = shown(os.fsencode(os.readlink(place)))
        text = f"a folder of the store is a link, which is not followed: {name} -> {target}"
    else:
        text = f"not a folder, but {'a file' if kind == stat.S_IFREG else 'something else'}: {name}"
    raise StoreError(
        text, hint=f"check who owns it (`ls -ld {name}`) and move it away; vstore creates the folder again"
    )
