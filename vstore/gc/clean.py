"""Taking wheels, or everything, out of uv's caches beside builds and running uvs.

Every uv holds its cache's ``.lock`` shared while it runs; a build holds the store's `cache_lock` shared from the moment
at which it counts on what is cached. Whoever removes holds both alone, but only for renames: what goes is unlinked
afterwards. Pointers go before the archive that they lead to, since uv does not ask whether that is still there.
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
from vstore.store import Layout
from vstore.values import frozen

_LOCK = ".lock"
_ASIDE = f"{TEMPORARY}vstore-"


@frozen
class Cleaned:
    """The names of the wheels that went, and the bytes that the disk got back."""

    wheels: tuple[str, ...] = ()
    freed_bytes: int = 0


def clean_wheels(layout: Layout, chosen: Sequence[CachedWheel], *, now: datetime, reporter: Reporter) -> Cleaned:
    """Remove wheels that are unshared still, and leftovers of killed uvs. A cache in use is left as it is."""
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
                        reporter.note(
                            "uv's cache is in use, or has no file locks; its unshared wheels are left as they are"
                        )
                    continue
                found = UvCaches(layout, Tally(), [cache]).unshared(now=now) if wanted else []
                wheels = [wheel for _, wheel in found if wheel.place in wanted]
                freed_bytes += _discard(folder, wheels)
                names += [wheel.name for wheel in wheels]
                left = temporaries(folder)
            freed_bytes += unlink_all(folder, left, reporter) + _sweep_pools(layout, folder)
    return Cleaned(wheels=tuple(names), freed_bytes=freed_bytes)


def clean_everything(layout: Layout, reporter: Reporter) -> int:
    """Empty the caches that this user may clean; waits for builds and uvs. Returns the bytes that the disk got back."""
    freed_bytes = 0
    for cache in own_caches(layout):
        with layout.opened(layout.uv_cache.with_name(cache)) as folder:
            with _alone(layout, folder, blocking=True):
                freed_bytes += _move_aside(folder, ((folder, name) for name in _contents(folder)))
                left = temporaries(folder)
            freed_bytes += unlink_all(folder, left, reporter)
    return freed_bytes


def distrust_pools(layout: Layout, reporter: Reporter) -> None:
    """Empty the caches in which wheels share files: one that is damaged may be in any of them."""
    for cache in own_caches(layout):
        with layout.opened(layout.uv_cache.with_name(cache)) as folder:
            if pools(folder):
                with _uv_lock(folder, blocking=True):
                    _move_aside(folder, ((folder, name) for name in _contents(folder)))
                unlink_all(folder, [name for name in temporaries(folder) if name.startswith(_ASIDE)], reporter)


def leftovers(layout: Layout, *, everything: bool = False) -> list[Path]:
    """Return the places of what `clean_wheels` removes beside wheels, or of all that `clean_everything` removes."""
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
def _alone(layout: Layout, cache: Folder, *, blocking: bool) -> Iterator[bool]:
    """Hold both locks; yields False if somebody else holds one, or there are no locks, and nobody is to wait."""
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(layout.cache_lock, blocking=blocking, builds=True))
            held.enter_context(_uv_lock(cache, blocking=blocking))
        except (BusyError, NoFileLocks):
            if blocking:
                raise
            yield False
        else:
            yield True


@contextmanager
def _uv_lock(cache: Folder, *, blocking: bool) -> Iterator[None]:
    """Hold the lock of uv's own; where there is none, no uv has been."""
    if _LOCK in cache.names():
        with lock_file(cache.path / _LOCK, blocking=blocking):
            yield
    else:
        yield


def _discard(cache: Folder, wheels: Sequence[CachedWheel]) -> int:
    """Let nothing lead to these archives any more, then move them aside."""
    for wheel in wheels:
        for pointer in wheel.pointers:
            ends = ("",) if pointer.suffix in POINTERS else (*POINTERS, "")
            with cache.down(*pointer.parent.parts) as folder:
                for end in ends:
                    folder.unlink(pointer.name + end)
        reached(Point.CACHE_UNLINKED)
    with ExitStack() as held:
        folders = {
            above: held.enter_context(cache.down(*above.parts)) for above in {one.archive.parent for one in wheels}
        }
        return _move_aside(cache, ((folders[wheel.archive.parent], wheel.archive.name) for wheel in wheels))


def _move_aside(cache: Folder, places: Iterable[tuple[Folder, str]]) -> int:
    """Give entries temporary names in the cache. Returns the bytes of those that had to be removed where they are.

    An overlay moves no folder of its lower layer (EXDEV).
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


def _sweep_pools(layout: Layout, cache: Folder) -> int:
    """Remove the files that nothing but a pool names any more. Returns the bytes that the disk got back."""
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
