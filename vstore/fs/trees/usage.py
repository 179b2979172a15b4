"""The bytes that files take on the disk: each inode counts once, however many names it has."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator

_BLOCK_BYTES = 512  # the unit of st_blocks, stat(2)
_SHARDS = 64


def held_bytes(status: os.stat_result) -> int:
    """Return the bytes that an inode takes on the disk, one name or many."""
    blocks: int | None = getattr(status, "st_blocks", None)  # not on Windows
    return status.st_size if blocks is None else blocks * _BLOCK_BYTES


def is_last_name(status: os.stat_result) -> bool:
    """Return whether unlinking this name frees the inode; a folder has one name, regardless of its link count."""
    return status.st_nlink <= 1 or stat.S_ISDIR(status.st_mode)


def statuses(place: str | os.PathLike[str]) -> Iterator[os.stat_result]:
    """Yield the status of a file or folder and of all below it, as `places_below` does."""
    return (status for _, status in places_below(place))


def places_below(place: str | os.PathLike[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the path and the status of a file or folder and of all below it.

    Links are not followed; unreadable entries are skipped.
    """
    try:
        status = os.lstat(place)
    except OSError:
        return
    yield os.fspath(place), status
    folders = [os.fspath(place)] if stat.S_ISDIR(status.st_mode) else []
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                children = list(found)
        except OSError:
            continue
        for child in children:
            try:
                yield child.path, child.stat(follow_symlinks=False)
                if child.is_dir(follow_symlinks=False):
                    folders.append(child.path)
            except OSError:
                continue


def used_bytes(place: str | os.PathLike[str]) -> int:
    """Return the bytes that a tree takes, as du(1) counts them."""
    return inode_bytes(statuses(place))


def inode_bytes(found: Iterable[os.stat_result]) -> int:
    """Return the bytes that these names take, each inode once. Needs 16 bytes of memory for each of several names."""
    total = 0
    several: dict[tuple[int, int], array[int]] = {}  # inode and bytes in turns
    for status in found:
        if is_last_name(status):
            total += held_bytes(status)
        else:
            shard = several.setdefault((status.st_dev, status.st_ino % _SHARDS), array("Q"))
            shard.extend((status.st_ino, held_bytes(status)))
    return total + sum(sum(dict(zip(shard[::2], shard[1::2], strict=True)).values()) for shard in several.values())


class Tally:
    """Counts removed names, and the bytes that become free: those of an inode with its last name.

    Names counted by the tally `after` are removed beforehand. An inode that keeps a name takes 110 bytes of memory.
    """

    def __init__(self, after: Tally | None = None) -> None:
        self.freed_bytes = 0
        self._left: dict[int, int] = {}
        self._before = after._left if after else {}

    def remove(self, found: Iterable[os.stat_result]) -> int:
        """Count names as removed, each once. Return the bytes that become free."""
        freed = 0
        for status in found:
            if is_last_name(status):
                freed += held_bytes(status)
            elif left := self.names_left(status) - 1:
                self._left[_key(status)] = left
            else:
                self._left.pop(_key(status), None)
                freed += held_bytes(status)
        self.freed_bytes += freed
        return freed

    def names_left(self, status: os.stat_result) -> int:
        """Return how many names of an inode have not been removed."""
        key = _key(status)
        return self._left.get(key) or self._before.get(key, status.st_nlink)


def _key(status: os.stat_result) -> int:
    return status.st_dev << 64 | status.st_ino
