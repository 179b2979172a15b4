"""Copy trees out of the store. A copy appears whole or not at all, and its owner can write to it.

A copy shares blocks with the store where the file system can (reflinks). It shares an inode only with `hardlink`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from vstore.fs.atomic import flush_filesystem
from vstore.fs.place import Claim, put_folder
from vstore.fs.reading import open_regular
from vstore.fs.scratch import scratch
from vstore.fs.trees.manifest import FIXED_TIME

_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_FIXED = (FIXED_TIME, FIXED_TIME)
_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)


class TreeFile(NamedTuple):
    """A file to create: its path in the tree, the file with its content, whether it is executable, and its size."""

    path: bytes
    source: bytes
    executable: bool
    size_bytes: int


class TreeCopier:
    """Creates trees in one output folder.

    With `hardlink` the files are inodes of the store. With `share` a file of the store that is in several trees is one
    file with a link in each of them.
    """

    def __init__(self, *, hardlink: bool = False, share: bool = False) -> None:
        self._hardlink = hardlink
        self._share = share
        self._copied: dict[bytes, bytes] = {}
        self._reflinks = os.name != "nt"  # until the first refusal: source and target stay on the same two file systems

    def copy(
        self,
        final: Claim,
        folders: Sequence[bytes],
        files: Iterable[TreeFile],
        links: Iterable[tuple[bytes, bytes]],
        *,
        on_file: Callable[[TreeFile], None],
    ) -> None:
        """Create a tree beside `final`, flush it, and move it to its place. `folders` lists parents first.

        `on_file` is called with each file once it is copied.
        """
        with scratch(final.path.parent, "export") as place:
            top = place / "tree"
            top.mkdir()
            root = os.fsencode(top) + b"/"
            for folder in folders:
                os.mkdir(root + folder)
            made: dict[bytes, bytes] = {}
            for file in files:
                self._file(file.source, root + file.path, file.executable)
                made.setdefault(file.source, file.path)
                on_file(file)
            for path, target in links:
                os.symlink(target, root + path)
                if os.utime in os.supports_follow_symlinks:
                    os.utime(root + path, _FIXED, follow_symlinks=False)
            for folder in reversed(folders):
                os.utime(root + folder, _FIXED)
            os.utime(root, _FIXED)
            flush_filesystem(top)
            put_folder(top, final)
        if self._share:
            self._copied.update({source: os.fsencode(final.path) + b"/" + path for source, path in made.items()})

    def _file(self, source: bytes, path: bytes, executable: bool) -> None:
        if self._hardlink and _linked(source, path):
            return
        if source in self._copied and _linked(self._copied[source], path):
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags, 0o755 if executable else 0o644)
        with open_regular(source) as reader, open(handle, "wb") as writer:
            if not self._reflinked(reader.fileno(), writer.fileno()):
                shutil.copyfileobj(reader, writer, 1 << 20)
            time = os.fstat(reader.fileno()).st_mtime_ns
        os.utime(path, ns=(time, time))

    def _reflinked(self, source: int, target: int) -> bool:
        if self._reflinks:
            try:
                import fcntl

                fcntl.ioctl(target, _FICLONE, source)
            except (ImportError, OSError):
                self._reflinks = False
        return self._reflinks


def _linked(source: bytes, path: bytes) -> bool:
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True
