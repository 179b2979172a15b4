"""Changes that other processes see whole or not at all, and that survive a power cut once flushed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vstore.fs.faults import Point, reached


def write_file(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a whole file and move it into place; a reader sees the old or the new content."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        reached(Point.FILE_WRITTEN)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        fsync_directory(path.parent)


def replace_symlink(link: Path, target: str) -> None:
    """Make `link` point to `target` in one rename, durable when it returns."""
    temporary = link.with_name(f".{link.name}.{os.urandom(4).hex()}")
    os.symlink(target, temporary)
    try:
        reached(Point.LINK_MADE)
        os.replace(temporary, link)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    reached(Point.LINK_RENAMED)
    fsync_directory(link.parent)


def fsync_directory(path: Path) -> None:
    """Flush a directory's entries (a rename is durable only after this on POSIX systems)."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_filesystem(path: Path) -> None:
    """Flush all written data of the file system that holds `path`: syncfs(2), else sync(2)."""
    if os.name == "nt":
        return
    import ctypes  # a no-op does without it

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        if syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(handle)


def remove_tree(path: Path) -> None:
    """Remove a file, link or tree that nobody else uses, read-only folders included; links are not followed."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        _remove_directory(os.fsencode(path))
    else:
        os.unlink(path)


def _remove_directory(folder: bytes) -> None:
    try:
        os.chmod(folder, 0o700)
        with os.scandir(folder) as found:
            children = list(found)
        for child in children:
            if child.is_dir(follow_symlinks=False):
                _remove_directory(child.path)
            else:
                os.unlink(child.path)
        os.rmdir(folder)
    except FileNotFoundError:
        return
