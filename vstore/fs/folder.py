"""Folders held open: what is done in one is done there, wherever its name leads meanwhile.

In a folder that others may write to a name can become a link between two system calls. So a folder is opened once,
without following a link, and its entries are reached from its descriptor (openat(2)). Windows opens no folders: there
paths are joined.
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
    """An open folder. Names are of its own entries; `path` is where it was opened, for messages."""

    __slots__ = ("_at", "path")

    def __init__(self, path: Path, handle: int | None) -> None:
        self.path = path
        self._at = handle

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a folder that a user named: links on the way to it, and itself a link, are followed. Raises OSError."""
        return cls(path, os.open(path, OPEN_FOLDER) if BY_HANDLE else None)

    @classmethod
    def below(cls, root: Path, *names: str) -> Self:
        """Open a folder below `root`, following no link there. StoreError for a link, and for what is no folder."""
        opened = cls.open(root)
        if not names:
            return opened
        with opened:
            return opened.down(*names)

    def folder(self, name: str) -> Self:
        """Open a folder in this one. Raises StoreError for a link and for what is no folder, and OSError."""
        self._name(name)
        place = self.path / name
        if self._at is None:
            refuse_links(place)
            return type(self)(place, None)
        try:
            return type(self)(place, os.open(name, OPEN_FOLDER | NO_LINK, dir_fd=self._at))
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                refuse_links(place)
            raise

    def down(self, *names: str) -> Self:
        """Open a folder further below, following no link. Raises as `folder`."""
        found = self.folder(names[0])
        for name in names[1:]:
            with found:
                found = found.folder(name)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._at is not None:
            os.close(self._at)

    @property
    def handle(self) -> int:
        """The descriptor; only where there are such (`BY_HANDLE`)."""
        assert self._at is not None
        return self._at

    def _name(self, name: str) -> str:
        """What names an entry for a system call. StoreError for what is no name of one, as a hostile index may hold."""
        if "/" in name or name in ("", ".", ".."):
            raise StoreError(f"not a name in a folder of the store: {shown(os.fsencode(name))!r}")
        return name if self._at is not None else str(self.path / name)

    # looking

    def names(self) -> list[str]:
        """The names of all entries, sorted."""
        return sorted(os.listdir(self.path if self._at is None else self._at))

    def scan(self) -> os._ScandirIterator[str]:
        """All entries, as scandir does; each knows its kind, and is looked at no further."""
        return os.scandir(self.path if self._at is None else self._at)

    def lstat(self, name: str) -> os.stat_result:
        return os.lstat(self._name(name), dir_fd=self._at)

    def readlink(self, name: str) -> str:
        """Where a link leads. OSError for what is none."""
        return os.readlink(self._name(name), dir_fd=self._at)

    def open_file(self, name: str) -> BinaryIO:
        """Open a regular file, and no link, for reading; raises as `open_regular`."""
        return open_regular(self._name(name), follow=False, dir_fd=self._at)

    def read(self, name: str, *, limit: int) -> bytes:
        """Read a regular file, and no link; raises as `read_regular`."""
        return read_regular(self._name(name), limit=limit, follow=False, dir_fd=self._at)

    # changing

    def write(self, name: str, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
        """Write a whole file and move it into place, as `write_file` does."""
        write_file(Path(self._name(name)), data, mode=mode, durable=durable, dir_fd=self._at)

    def replace_symlink(self, name: str, target: str) -> None:
        """Make a link point to `target` in one rename, as `replace_symlink` does."""
        replace_symlink(Path(self._name(name)), target, dir_fd=self._at)

    def make_folder(self, name: str, mode: int = 0o777) -> None:
        """Make a folder. FileExistsError if the name is taken."""
        os.mkdir(self._name(name), mode, dir_fd=self._at)

    def make_file(self, name: str, mode: int = 0o666) -> int:
        """Make a new file and return its descriptor, for writing. FileExistsError if the name is taken."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        return os.open(self._name(name), flags, mode, dir_fd=self._at)

    def append(self, name: str) -> int:
        """Open a file of this folder for writing at its end, made if it is missing, and return its descriptor."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINK | getattr(os, "O_CLOEXEC", 0)
        return os.open(self._name(name), flags, 0o600, dir_fd=self._at)

    def link(self, name: str, to: Folder, new: str) -> None:
        """Make a further name of a file, in another folder; a link is not followed."""
        follow = os.link not in os.supports_follow_symlinks  # Windows follows none in any case
        os.link(self._name(name), to._name(new), src_dir_fd=self._at, dst_dir_fd=to._at, follow_symlinks=follow)

    def chmod(self, mode: int) -> None:
        """Change the mode of the folder itself."""
        os.chmod(self.path if self._at is None else self._at, mode)

    def rename(self, name: str, to: Folder, new: str) -> None:
        """Move an entry to another folder, replacing what rename(2) replaces."""
        os.replace(self._name(name), to._name(new), src_dir_fd=self._at, dst_dir_fd=to._at)

    def exchange(self, name: str, to: Folder, new: str) -> bool:
        """Let two entries change places in one step, as `exchange` does."""
        return exchange(Path(self._name(name)), Path(to._name(new)), one_fd=self._at, other_fd=to._at)

    def unlink(self, name: str) -> None:
        """Remove a file or link, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._name(name), dir_fd=self._at)

    def remove(self, name: str) -> None:
        """Remove an entry with all that it holds, as `remove_tree` does."""
        remove_tree(self._name(name), dir_fd=self._at)

    def thaw(self, name: str) -> None:
        """Make a folder of this user writable for him, and readable."""
        thaw(self._name(name), self._at)

    def flush(self) -> None:
        """Make what was renamed here durable."""
        if self._at is not None:
            flush_file(self._at)


def refuse_links(place: Path) -> None:
    """Raise StoreError if a link or a file lies where a folder of a store should; FileNotFoundError if nothing does."""
    kind = stat.S_IFMT(os.lstat(place).st_mode)
    if kind == stat.S_IFDIR:
        return
    name = shown(os.fsencode(place))
    if kind == stat.S_IFLNK:
        target = shown(os.fsencode(os.readlink(place)))
        text = f"a folder of the store is a link, which is not followed: {name} -> {target}"
    else:
        text = f"not a folder, but {'a file' if kind == stat.S_IFREG else 'something else'}: {name}"
    raise StoreError(text, hint=f"see whose it is (`ls -ld {name}`) and move it away; vstore makes the folder anew")
