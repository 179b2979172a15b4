"""The wheels in uv's caches, and which of them no object shares.

uv unpacks a wheel once, to ``archive-v*/<id>``, and installs it by hard links. A link ``wheels-v*/…/<name>/<version>``
leads to the archive, and a pointer beside it (``.rev``, ``.http``) names it. With its preview feature
``content-addressed-cache``, ``files-v*`` holds one more name of each file. So link counts show what is
shared: an inode's change time is the moment at which it lost its last name elsewhere.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath

from vstore.fs.folder import Folder
from vstore.fs.trees.usage import Tally, statuses
from vstore.store import StoreLayout
from vstore.values import frozen

TEMPORARY = ".tmp"  # the prefix of names that uv and a collector use while they work
_MARKS = ("METADATA", "WHEEL")  # in each wheel's dist-info, installed as links; equal METADATA in two wheels is rare
_LEADING = ("wheels-", "sdists-", "environments-")  # buckets whose entries lead to archives
POINTERS = (".rev", ".http")  # files beside a link that uv reads; it does not check that the archive exists
_IDENTIFIER = re.compile(rb"[0-9A-Za-z_-]{12,}")
_LARGEST_POINTER_BYTES = 1 << 16
_EPOCH = datetime.fromtimestamp(0, UTC)


@frozen
class CachedWheel:
    """An unpacked wheel in a cache of uv. `cache` is the name of its folder in ``cache/`` of the store.

    `archive` is the folder of the wheel's files, and `pointers` are uv's entries that name it; both are relative to the
    cache. `marks` are the statuses of two of its files: their link counts show whether objects share the wheel.
    """

    cache: str
    archive: PurePosixPath
    pointers: tuple[PurePosixPath, ...]
    marks: tuple[os.stat_result, ...]

    @property
    def name(self) -> str:
        """The distribution with its version and tag, to be shown; the archive's name if there is no pointer."""
        return "/".join(self.pointers[-1].parts[-2:]) if self.pointers else self.archive.name

    @property
    def place(self) -> str:
        """The place of the archive, relative to the store's root."""
        return f"cache/{self.cache}/{self.archive}"


class UvCaches:
    """The wheels in `caches`, by default in all that this user may clean. The tally `gone` counts what is removed."""

    def __init__(self, layout: StoreLayout, gone: Tally, caches: Iterable[str] | None = None) -> None:
        self._layout = layout
        self._gone = gone
        self._wheels: dict[str, CachedWheel] = {}
        for cache in own_caches(layout) if caches is None else caches:
            with layout.opened(layout.uv_cache.with_name(cache)) as folder:
                self._wheels |= {wheel.place: wheel for wheel in _wheels(cache, folder)}
                for pool in pools(folder):  # its names are removed with the last ones elsewhere
                    gone.remove(one for one in statuses(folder.path / pool) if not stat.S_ISDIR(one.st_mode))
        marks = [mark for wheel in self._wheels.values() for mark in wheel.marks]
        self._inside = Counter(map(_inode, marks))
        self._names = {_inode(mark): gone.names_left(mark) for mark in marks}

    def unshared(self, *, now: datetime) -> list[tuple[datetime, CachedWheel]]:
        """Return the wheels that nothing outside uv's caches shares, and since when, the longest unshared first."""
        found = []
        for wheel in self._wheels.values():
            since = self._since(wheel, now) if wheel.pointers else _EPOCH
            if since is not None:
                found.append((since, wheel))
        return sorted(found, key=lambda one: (one[0].date(), one[1].name))

    def _since(self, wheel: CachedWheel, now: datetime) -> datetime | None:
        for mark in wheel.marks:
            names = self._gone.names_left(mark)
            if names <= self._inside[_inode(mark)]:
                return datetime.fromtimestamp(mark.st_ctime, UTC) if names == self._names[_inode(mark)] else now
        return None

    def take(self, wheel: CachedWheel) -> int:
        """Count a wheel as removed. Return the bytes that become free."""
        del self._wheels[wheel.place]
        self._inside.subtract(map(_inode, wheel.marks))
        return self._gone.remove(statuses(self._layout.root / wheel.place))

    def alone_bytes(self, wheels: list[CachedWheel]) -> int:
        """Return the bytes that become free if all these go."""
        after = Tally(self._gone)
        return sum(after.remove(statuses(self._layout.root / wheel.place)) for wheel in wheels)


def own_caches(layout: StoreLayout) -> list[str]:
    """Return the names of the caches in ``cache/`` that this user may clean: their own, or all for root."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    found: list[str] = []
    with suppress(FileNotFoundError), layout.opened(layout.uv_cache.parent) as parent:
        for name in parent.names():
            status = parent.lstat(name)
            if (name == "uv" or name.startswith("uv-")) and stat.S_ISDIR(status.st_mode) and user in (0, status.st_uid):
                found.append(name)
    return found


def pools(cache: Folder) -> list[str]:
    """Return the folders in which uv keeps a name of each file that it has unpacked."""
    return [name for name in cache.names() if name.startswith("files-")]


def temporaries(cache: Folder) -> list[str]:
    """Return the temporary entries of uv or of a collector. If none runs, they are orphans."""
    return [name for name in cache.names() if name.startswith(TEMPORARY)]


def _wheels(cache: str, folder: Folder) -> Iterator[CachedWheel]:
    """Yield the archives that are wheels, without those that other entries lead to, as built source distributions."""
    pointers: dict[str, list[PurePosixPath]] = {}
    others: set[str] = set()
    buckets = folder.names()
    for bucket in buckets:
        if bucket.startswith(_LEADING):
            for place, archive in _pointers(folder, bucket, PurePosixPath(bucket)):
                if bucket.startswith("wheels-"):
                    pointers.setdefault(archive, []).append(place)
                else:
                    others.add(archive)
    for bucket in buckets:
        if bucket.startswith("archive-"):
            with suppress(FileNotFoundError), folder.folder(bucket) as archives:  # another root may empty it
                for name in archives.names():
                    if name not in others and (marks := _marks(archives, name)):
                        found = sorted(pointers.get(name, ()), key=lambda place: (place.suffix not in POINTERS, place))
                        where = PurePosixPath(bucket, name)
                        yield CachedWheel(cache=cache, archive=where, pointers=tuple(found), marks=marks)


def _pointers(parent: Folder, name: str, place: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield each entry below that may lead to an archive, with the archive's name."""
    try:
        folder = parent.folder(name)
    except OSError:
        return
    with folder, folder.scan() as found:
        for entry in found:
            inner = place / entry.name
            if entry.is_symlink():
                with suppress(FileNotFoundError):
                    yield inner, PurePosixPath(folder.readlink(entry.name)).name
            elif entry.is_dir(follow_symlinks=False):
                yield from _pointers(folder, entry.name, inner)
            elif inner.suffix not in (".lock", ".msgpack"):
                with suppress(OSError):
                    data = folder.read(entry.name, limit=_LARGEST_POINTER_BYTES)
                    yield from ((inner, word.decode()) for word in set(_IDENTIFIER.findall(data)))


def _marks(archives: Folder, name: str) -> tuple[os.stat_result, ...]:
    with suppress(OSError), archives.folder(name) as archive:
        for inner in archive.names():
            if inner.endswith(".dist-info"):
                with archive.folder(inner) as info:
                    return tuple(info.lstat(mark) for mark in _MARKS)
    return ()


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
