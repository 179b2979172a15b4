"""Opening files by path: regular files only, so that no read waits for a writer or never ends.

A path may name a FIFO, a socket or a device. Opening some of these blocks, or acts on the hardware. So the path is
checked first, opened without blocking, and checked again by its descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_FLAGS = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
_PIECE_BYTES = 1 << 20
_MORE_BYTES = 1 << 20  # of a file that has grown, or whose size is unknown
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
}


def open_handle(
    path: str | bytes | Path, *, follow: bool = True, dir_fd: int | None = None, access: int = os.O_RDONLY
) -> int:
    """Open a regular file, for reading unless `access` states another mode, and return its descriptor, without waiting.

    With `follow` False the last part of the path must not be a link. Raises OSError for a path that cannot be opened,
    IsADirectoryError for a folder, and OSError (EINVAL) whose `strerror` names the kind of the entry otherwise.
    """
    try:
        _refuse_special(os.stat(path, dir_fd=dir_fd, follow_symlinks=follow), path)
        handle = os.open(path, access | _FLAGS | (0 if follow else getattr(os, "O_NOFOLLOW", 0)), dir_fd=dir_fd)
    except ValueError as error:  # a NUL or a lone surrogate, which no file name has
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    try:
        _refuse_special(os.fstat(handle), path)
    except BaseException:
        os.close(handle)
        raise
    return handle


def check_regular(path: str | bytes | Path) -> None:
    """Raise OSError unless the path is a regular file. Use it for a path that another program opens."""
    os.close(open_handle(path))


def open_regular(path: str | bytes | Path, *, follow: bool = True, dir_fd: int | None = None) -> BinaryIO:
    """Open a regular file for reading. Raises as `open_handle` does."""
    return open(open_handle(path, follow=follow, dir_fd=dir_fd), "rb")


def read_regular(path: str | bytes | Path, *, limit: int, follow: bool = True, dir_fd: int | None = None) -> bytes:
    """Read a whole regular file of at most `limit` bytes.

    Raises as `open_handle`, and OSError (EFBIG) for a longer file.
    """
    handle = open_handle(path, follow=follow, dir_fd=dir_fd)
    try:
        data = os.read(handle, min(os.fstat(handle).st_size, limit) + 1)  # allocates as much as is requested
        while len(data) <= limit and (more := os.read(handle, min(_MORE_BYTES, limit + 1 - len(data)))):
            data += more
    finally:
        os.close(handle)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than the limit of {limit} bytes", path)
    return data


def read_start(path: str | bytes | Path, size_bytes: int) -> bytes:
    """Return the first bytes of a regular file, which is not a link; none if it cannot be read."""
    try:
        with open_regular(path, follow=False) as file:
            return file.read(size_bytes)
    except OSError:
        return b""


def read_pieces(path: str | bytes | Path, *, follow: bool = True) -> Iterator[bytes]:
    """Yield the content of a regular file of any size in pieces.

    Raises as `open_handle`, and OSError (ESTALE) for a file that grows or shrinks meanwhile.
    """
    with open_regular(path, follow=follow) as file:
        remaining = os.fstat(file.fileno()).st_size
        while piece := file.read(_PIECE_BYTES):
            remaining -= len(piece)
            if remaining < 0:
                break
            yield piece
    if remaining:
        raise OSError(errno.ESTALE, "it changed while it was read", path)


def _refuse_special(status: os.stat_result, path: str | bytes | Path) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        return
    code = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
    raise OSError(code, f"it is {_KINDS.get(kind, 'something else')}, not a regular file", path)
