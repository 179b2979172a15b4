"""Atomic changes: other processes see them whole or not at all, and they survive a power cut once flushed."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from vstore.fs.faults import Point, reached

if sys.platform == "darwin":
    import fcntl

_FULL, _WAIT = 1, 2  # SYNC_VOLUME_FULLSYNC, SYNC_VOLUME_WAIT
_LARGE_BYTES = 1 << 20


def write_file(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o644,
    keep_mode: bool = False,
    durable: bool = True,
    dir_fd: int | None = None,
) -> None:
    """Write a file aside and move it into place: a reader sees the old or the new content.

    The umask applies to `mode`. With `keep_mode` the mode of the file that is replaced stays as it is. With `dir_fd`
    the path is a name in that open folder.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=dir_fd)
    try:
        with open(handle, "wb") as file:
            if keep_mode:
                with suppress(FileNotFoundError):
                    old_mode = stat.S_IMODE(os.stat(path, dir_fd=dir_fd).st_mode)
                    os.chmod(temporary, old_mode, dir_fd=dir_fd)
            file.write(data)
            file.flush()
            if durable:
                flush_file(file.fileno())
        reached(Point.FILE_WRITTEN)
        os.replace(temporary, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        _discard(temporary, dir_fd)
        raise
    if durable:
        _flush_parent(path, dir_fd)


def replace_symlink(
    link: Path, target: str, *, in_one: bool = sys.platform != "win32", dir_fd: int | None = None
) -> None:
    """Make `link` point to `target` in one rename, durable when it returns.

    With `dir_fd` the link is a name in that open folder. Windows replaces no link to a folder: there (`in_one` False)
    the old link is moved aside first, and for a moment there is none.
    """
    temporary = link.with_name(f".{link.name}.{os.urandom(4).hex()}")
    os.symlink(target, temporary, dir_fd=dir_fd)
    try:
        reached(Point.LINK_MADE)
        if in_one:
            os.replace(temporary, link, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            _replace(temporary, link)
    except BaseException:
        _discard(temporary, dir_fd)
        raise
    reached(Point.LINK_RENAMED)
    _flush_parent(link, dir_fd)


def _discard(temporary: Path, dir_fd: int | None) -> None:
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=dir_fd)


def _flush_parent(path: Path, dir_fd: int | None) -> None:
    if dir_fd is None:
        fsync_directory(path.parent)
    else:
        flush_file(dir_fd)


def _replace(temporary: Path, link: Path) -> None:
    aside = temporary.with_name(f"{temporary.name}.old")
    try:
        os.rename(link, aside)
    except FileNotFoundError:
        os.rename(temporary, link)
        return
    try:
        os.rename(temporary, link)
    except BaseException:
        os.rename(aside, link)
        raise
    os.unlink(aside)


def exchange(one: Path, other: Path, *, one_fd: int | None = None, other_fd: int | None = None) -> bool:
    """Exchange two names in one step, with renameat2(2). Return False if the system cannot, or if one is missing.

    With `one_fd` or `other_fd` that path is a name in that open folder.
    """
    rename = getattr(_libc(), "renameat2", None) if sys.platform == "linux" else None
    at_cwd, flag = -100, 2  # linux/fcntl.h, linux/fs.h
    if rename is None:
        return False
    folders = [at_cwd if handle is None else handle for handle in (one_fd, other_fd)]
    return rename(folders[0], os.fsencode(one), folders[1], os.fsencode(other), flag) == 0  # type: ignore[no-any-return]


@cache
def _libc() -> Any:
    import ctypes  # loaded late: a no-op does not need it

    return ctypes.CDLL(None, use_errno=True)


def flush_file(handle: int) -> None:
    """Flush an open file to the medium. On macOS fsync(2) only reaches the drive's buffer, so F_FULLFSYNC is used."""
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
        except OSError:  # the file system does not support it
            pass
    os.fsync(handle)


def begin_flush(handle: int, size: int) -> None:
    """Start writing a large file to the disk without waiting, with sync_file_range(2) on Linux; it is flushed later."""
    if size < _LARGE_BYTES or sys.platform != "linux":
        return
    begin = getattr(_libc(), "sync_file_range", None)
    if begin is not None:
        from ctypes import c_int64

        write = 2  # linux/fs.h; the flush reports errors
        begin(handle, c_int64(0), c_int64(0), write)


def fsync_directory(path: Path) -> None:
    """Flush the entries of a directory. On POSIX systems a rename is durable only after this."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flush_file(handle)
    finally:
        os.close(handle)


def flush_filesystem(path: Path) -> None:
    """Flush the file system that holds `path`, with syncfs(2), on macOS with fsync_volume_np, else with sync(2).

    Does nothing on Windows, where only administrators may. Raises OSError.
    """
    if sys.platform == "win32":
        return
    name, flags = ("fsync_volume_np", (_FULL | _WAIT,)) if sys.platform == "darwin" else ("syncfs", ())
    flush = getattr(_libc(), name, None)
    if flush is None:
        os.sync()
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        if flush(handle, *flags) != 0:
            import ctypes

            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(handle)
