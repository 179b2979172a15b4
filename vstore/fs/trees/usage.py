"""The bytes that files take on the disk: each inode counts once, however many names it has."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

_BLOCK_BYTES = 512  # the unit of st_blocks, stat(2)
_SHARDS = 64
_CACHED_DEPTH = 2  # of objects and manifests below the root of a store


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
                status = child.stat(follow_symlinks=False)
            except OSError:
                continue
            yield child.path, status
            if stat.S_ISDIR(status.st_mode):
                folders.append(child.path)


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


class Inodes(NamedTuple):
    """The inodes of a tree: the bytes of those without a name elsewhere, and of the others each name.

    `several` has four numbers for each name: device, inode, number of names, bytes. Folders have one name.
    `folder_time` is the modification time of all folders in nanoseconds; None if they differ, or there are none.
    """

    single_bytes: int
    several: array[int]
    folder_time: int | None

    @classmethod
    def of(cls, found: Iterable[os.stat_result]) -> Inodes:
        """Return the inodes that these names lead to."""
        single, several, times = 0, array("Q"), set[int]()
        for status in found:
            if is_folder := stat.S_ISDIR(status.st_mode):
                times.add(status.st_mtime_ns)
            if is_folder or status.st_nlink <= 1:
                single += held_bytes(status)
            else:
                several.extend((status.st_dev, status.st_ino, status.st_nlink, held_bytes(status)))
        return cls(single, several, times.pop() if len(times) == 1 else None)

    def names(self) -> Iterable[tuple[int, int, int]]:
        """Return the key of the inode, its number of names and its bytes for each name of `several`."""
        if not self.several:
            return ()
        numbers = zip(*[iter(self.several)] * 4, strict=True)
        return ((device << 64 | inode, names, held) for device, inode, names, held in numbers)


class InodeCache:
    """Reads each tree once for several measures of one store. They do not see changes that are made meanwhile."""

    def __init__(self) -> None:
        self._known: dict[str, Inodes] = {}

    def inodes(self, place: str | os.PathLike[str]) -> Inodes:
        """Return the inodes of a file or folder and of all below it."""
        name = os.fspath(place)
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = Inodes.of(statuses(name))
        return found

    def add(self, other: InodeCache) -> None:
        """Take the trees that another cache, perhaps of another process, has read."""
        self._known |= other._known

    def used_bytes(self, place: str | os.PathLike[str], depth: int = _CACHED_DEPTH) -> int:
        """Return the bytes that a tree takes, as du(1) counts them. The trees at this depth below it are cached."""
        total, several = 0, dict[int, int]()
        for inodes in self._below(os.fspath(place), depth):
            total += inodes.single_bytes
            several.update((key, held) for key, _, held in inodes.names())
        return total + sum(several.values())

    def _below(self, place: str, depth: int) -> Iterator[Inodes]:
        names: list[str] = []
        if depth:
            with suppress(OSError):
                status = os.lstat(place)
                names = os.listdir(place) if stat.S_ISDIR(status.st_mode) else []  # a link is not followed
        if not names:
            yield self.inodes(place)
            return
        yield Inodes.of([status])
        for child in (os.path.join(place, name) for name in names):
            if depth == 1:
                yield self.inodes(child)
            else:
                yield from self._below(child, depth - 1)


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
        return self.remove_inodes(Inodes.of(found))

    def remove_inodes(self, inodes: Inodes) -> int:
        """Count the names of a tree as removed, as `remove` does."""
        freed = inodes.single_bytes
        for key, names, held in inodes.names():
            if left := self._names_left(key, names) - 1:
                self._left[key] = left
            else:
                self._left.pop(key, None)
                freed += held
        self.freed_bytes += freed
        return freed

    def names_left(self, status: os.stat_result) -> int:
        """Return how many names of an inode have not been removed."""
        return self._names_left(status.st_dev << 64 | status.st_ino, status.st_nlink)

    def _names_left(self, key: int, names: int) -> int:
        return self._left.get(key) or self._before.get(key, names)
