"""Removing trees from open folders. No link is followed, not even one that replaces a folder meanwhile."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BY_HANDLE = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
OPEN_FOLDER = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_DIRECTORY", "O_CLOEXEC"))
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
DEEPEST = 100  # deeper folders are moved up first, so that neither stack nor descriptors run out


def open_folder(name: str | bytes, parent: int | None) -> int:
    """Open a folder that is not a link, and make it readable first if needed. Raises OSError."""
    try:
        return os.open(name, OPEN_FOLDER | NO_LINK, dir_fd=parent)
    except PermissionError:
        thaw(name, parent)
        return os.open(name, OPEN_FOLDER | NO_LINK, dir_fd=parent)


def thaw(name: str | bytes, parent: int | None) -> None:
    """Set the mode of a folder to 0700. `parent` is the descriptor of its parent, None for the working folder.

    Links are not followed, except on systems where chmod cannot avoid it.
    """
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
    elif sys.platform == "linux":
        handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)  # fchmod(2) does not accept such a descriptor
        finally:
            os.close(handle)
    else:
        os.chmod(name, 0o700, dir_fd=parent)


def remove_tree(path: str | bytes | Path, *, dir_fd: int | None = None) -> None:
    """Remove a file, link or tree, read-only folders included, if it exists.

    No link is followed, not even one that replaces a folder meanwhile.
    """
    try:
        is_folder = stat.S_ISDIR(os.lstat(path, dir_fd=dir_fd).st_mode)
        if not is_folder:
            _unlink(path, dir_fd)
        elif BY_HANDLE:
            _remove_folder(os.fspath(path), dir_fd)
        else:
            _remove_by_path(os.fsencode(path))
    except FileNotFoundError:
        return


def _remove_folder(name: str | bytes, parent: int | None) -> None:
    folder = open_folder(name, parent)
    try:
        moved = _empty(folder, folder, 0)
        while moved:
            _remove_folder(moved.pop(), folder)
    finally:
        os.close(folder)
    in_folder(os.rmdir, name, parent)


def _empty(folder: int, top: int, depth: int) -> list[str]:
    """Empty an open folder. Move folders that are too deep to `top`, and return their names there."""
    moved: list[str] = []
    with os.scandir(folder) as found:
        children = list(found)
    for child in children:
        if not child.is_dir(follow_symlinks=False):
            in_folder(os.unlink, child.name, folder)
        elif depth < DEEPEST or not _moved_up(child.name, folder, top, moved):
            try:
                inside = open_folder(child.name, folder)
            except FileNotFoundError:
                continue
            try:
                moved += _empty(inside, top, depth + 1)
            finally:
                os.close(inside)
            in_folder(os.rmdir, child.name, folder)
    return moved


def _moved_up(name: str, folder: int, top: int, moved: list[str]) -> bool:
    aside = move_up(name, folder, top)
    moved += [aside] if aside else []
    return aside is not None


def move_up(name: str, folder: int, top: int) -> str | None:
    """Move a folder to `top`. Return its name there; None if the file system cannot (EXDEV on an overlay)."""
    aside = f"deep-{os.urandom(8).hex()}"
    try:
        os.fchmod(folder, 0o700)
        thaw(name, folder)
        os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=top)
    except OSError:
        return None
    return aside


def in_folder(change: Callable[..., None], name: str | bytes, folder: int | None) -> None:
    """Change an entry, and make a read-only folder writable first if needed."""
    try:
        with suppress(FileNotFoundError):
            change(name, dir_fd=folder)
    except PermissionError:
        if folder is None:
            raise
        os.fchmod(folder, 0o700)
        change(name, dir_fd=folder)


def _remove_by_path(folder: bytes) -> None:
    try:
        os.chmod(folder, 0o700)
        with os.scandir(folder) as found:
            children = list(found)
        for child in children:
            if child.is_dir(follow_symlinks=False):
                _remove_by_path(child.path)
            else:
                _unlink(child.path, None)
        os.rmdir(folder)
    except FileNotFoundError:
        return


def _unlink(path: str | bytes | Path, dir_fd: int | None) -> None:
    """Unlink a file; on Windows, make it writable first."""
    try:
        os.unlink(path, dir_fd=dir_fd)
    except PermissionError:
        if os.name != "nt":
            raise
        os.chmod(path, 0o600)
        os.unlink(path)
