"""Removing wheels, or everything, from uv's caches while builds and uv may run.

Every uv holds the ``.lock`` of its cache shared while it runs, and a build holds the store's lock `uv_cache` shared as
long as it relies on the caches. A removal holds both exclusively, but only to rename: entries are unlinked afterwards.
Pointers are removed before the archive that they lead to, since uv does not check that the archive exists.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from vstore.errors import BusyError
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import NoFileLocks, lock_file
from vstore.fs.trees.usage import Tally, held_bytes, statuses
from vstore.gc.unlink import unlink_all
from vstore.gc.uv_cache import POINTERS, TEMPORARY, CachedWheel, UvCaches, own_caches, pools, temporaries
from vstore.reporter import Reporter
from vstore.store import StoreLayout
from vstore.values import frozen

_LOCK = ".lock"
_ASIDE = f"{TEMPORARY}vstore-"


@frozen
class Cleaned:
    """The names of the removed wheels, and the bytes that were freed."""

    wheels: tuple[str, ...] = ()
    freed_bytes: int = 0


def clean_wheels(layout: StoreLayout, chosen: Sequence[CachedWheel], *, now: datetime, reporter: Reporter) -> Cleaned:
    """Remove the chosen wheels that are still unshared, and leftovers of killed uv processes.

    Skip a cache that is in use.
    """
    names: list[str] = []
    freed_bytes = 0
    for cache in own_caches(layout):
        wanted = {wheel.place for wheel in chosen if wheel.cache == cache}
        with layout.opened(layout.uv_cache.with_name(cache)) as folder:
            if not wanted and not temporaries(folder) and not pools(folder):
                continue
            with _alone(layout, folder, blocking=False) as is_alone:
                if not is_alone:
                    if wanted:
                        reporter.note("uv's cache is in use or has no file locks; its unshared wheels stay")
                    continue
                found = UvCaches(layout, Tally(), [cache]).unshared(now=now) if wanted else []
                wheels = [wheel for _, wheel in found if wheel.place in wanted]
                freed_bytes += _discard(folder, wheels)
                names += [wheel.name for wheel in wheels]
                left = temporaries(folder)
            freed_bytes += unlink_all(folder, left, reporter) + _sweep_pools(layout, folder)
    return Cleaned(wheels=tuple(names), freed_bytes=freed_bytes)


def clean_everything(layout: StoreLayout, reporter: Reporter) -> int:
    """Empty the caches that this user may clean, after builds and uvs have ended. Return the bytes that were freed."""
    freed_bytes = 0
    for cache in own_caches(layout):
        with layout.opened(layout.uv_cache.with_name(cache)) as folder:
            with _alone(layout, folder, blocking=True):
                freed_bytes += _move_aside(folder, ((folder, name) for name in _contents(folder)))
                left = temporaries(folder)
            freed_bytes += unlink_all(folder, left, reporter)
    return freed_bytes


def distrust_pools(layout: StoreLayout, reporter: Reporter) -> None:
    """Empty the caches in which wheels share files: a damaged file may belong to any wheel."""
    for cache in own_caches(layout):
        with layout.opened(layout.uv_cache.with_name(cache)) as folder:
            if pools(folder):
                with _uv_lock(folder, blocking=True):
                    _move_aside(folder, ((folder, name) for name in _contents(folder)))
                unlink_all(folder, [name for name in temporaries(folder) if name.startswith(_ASIDE)], reporter)


def leftovers(layout: StoreLayout, *, everything: bool = False) -> list[Path]:
    """Return the paths that `clean_wheels` removes beside wheels, or with `everything` those of `clean_everything`."""
    found = []
    for cache in own_caches(layout):
        with layout.opened(layout.uv_cache.with_name(cache)) as folder:
            names = _contents(folder) if everything else []
            if temporaries(folder):
                with _alone(layout, folder, blocking=False) as is_alone:
                    names += temporaries(folder) if is_alone else []
            found += [folder.path / name for name in names]
    return found


def _contents(cache: Folder) -> list[str]:
    return [name for name in cache.names() if name != _LOCK and not name.startswith(TEMPORARY)]


@contextmanager
def _alone(layout: StoreLayout, cache: Folder, *, blocking: bool) -> Iterator[bool]:
    """Hold both locks. Yield False if that fails, because of another holder or no locks, and `blocking` is False."""
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(layout.locks.uv_cache, blocking=blocking, builds=True))
            held.enter_context(_uv_lock(cache, blocking=blocking))
        except (BusyError, NoFileLocks):
            if blocking:
                raise
            yield False
        else:
            yield True


@contextmanager
def _uv_lock(cache: Folder, *, blocking: bool) -> Iterator[None]:
    """Hold uv's own lock. If there is none, no uv has used the cache."""
    if _LOCK in cache.names():
        with lock_file(cache.path / _LOCK, blocking=blocking):
            yield
    else:
        yield


def _discard(cache: Folder, wheels: Sequence[CachedWheel]) -> int:
    """Remove the pointers to these archives, then move the archives aside. Return the bytes that were freed."""
    for wheel in wheels:
        for pointer in wheel.pointers:
            ends = ("",) if pointer.suffix in POINTERS else (*POINTERS, "")
            with cache.folder(*pointer.parent.parts) as folder:
                for end in ends:
                    folder.unlink(pointer.name + end)
        reached(Point.CACHE_UNLINKED)
    with ExitStack() as held:
        folders = {
            above: held.enter_context(cache.folder(*above.parts)) for above in {one.archive.parent for one in wheels}
        }
        return _move_aside(cache, ((folders[wheel.archive.parent], wheel.archive.name) for wheel in wheels))


def _move_aside(cache: Folder, places: Iterable[tuple[Folder, str]]) -> int:
    """Rename entries to temporary names in the cache. Return the bytes of those that were removed in place instead.

    An overlay does not move folders of its lower layer (EXDEV).
    """
    token, freed_bytes = os.urandom(8).hex(), 0
    for number, (folder, name) in enumerate(places):
        try:
            folder.rename(name, cache, f"{_ASIDE}{token}-{number}")
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            freed_bytes += Tally().remove(statuses(folder.path / name))
            folder.remove(name)
        reached(Point.CACHE_MOVED)
    return freed_bytes


def _sweep_pools(layout: StoreLayout, cache: Folder) -> int:
    """Remove the files whose only name is in a pool. Return the bytes that were freed."""
    freed_bytes = 0
    if not pools(cache):
        return 0
    with _alone(layout, cache, blocking=False) as is_alone:
        for pool in pools(cache) if is_alone else ():
            with cache.folder(pool) as shards:
                for shard in shards.names():
                    with suppress(OSError), shards.folder(shard) as files:
                        for name in files.names():
                            status = files.lstat(name)
                            if status.st_nlink == 1:
                                files.unlink(name)
                                freed_bytes += held_bytes(status)
    return freed_bytes
