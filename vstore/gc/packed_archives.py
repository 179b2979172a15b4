"""Packed archives in ``cache/archives``. Each can be packed again.

An archive is removed with its object, when it was not used for a while, and when all take more than the limit in
config.toml. Each use is recorded in the archive's access time, which is set regardless of the mount options.
"""

from __future__ import annotations

import stat
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta

from vstore.fs.trees.usage import Tally, statuses
from vstore.gc.ownership import removable
from vstore.objects import StorePath
from vstore.store import Store, StoreLayout, packed_object

UNUSED_AGE = timedelta(days=14)  # how long an archive is kept that is not used


def expired_archives(store: Store, now: datetime) -> set[str]:
    """Return the entries of ``cache/archives`` that are not archives of objects, unused, or above the limit."""
    kept, expired = {}, set()
    with suppress(FileNotFoundError), store.layout.opened(store.layout.archives) as folder:
        for name in folder.names():
            path = packed_object(name)
            with suppress(FileNotFoundError):
                status = folder.lstat(name)
                if path is None or not stat.S_ISREG(status.st_mode) or not store.is_valid(path):
                    expired.add(name)
                else:
                    kept[name] = status
    unused_since, left_bytes = (now - UNUSED_AGE).timestamp(), store.config.archive_bytes
    for name, status in sorted(kept.items(), key=lambda one: one[1].st_atime_ns, reverse=True):
        left_bytes -= status.st_size
        if status.st_atime < unused_since or left_bytes < 0:
            expired.add(name)
    return expired


def archives_of(layout: StoreLayout, paths: Collection[StorePath]) -> list[str]:
    """Return the archives that are removed with objects, relative to the root."""
    return [
        layout.relative(layout.archives / name)
        for name in _names(layout)
        if packed_object(name) in paths and removable(layout.archives / name)
    ]


def other_archives(store: Store, now: datetime) -> list[str]:
    """Return the names in ``cache/archives`` that are not expired and that this user can remove."""
    expired = expired_archives(store, now)
    names = _names(store.layout)
    return [name for name in names if name not in expired and removable(store.layout.archives / name)]


def remove_archives(store: Store, now: datetime) -> int:
    """Remove the archives that are not expired. Return the bytes that were freed."""
    tally = Tally()
    for name in other_archives(store, now):
        with store.layout.opened(store.layout.archives) as folder:
            found = list(statuses(folder.path / name))
            with suppress(OSError):  # a folder, which is not vstore's
                folder.unlink(name)
                tally.remove(found)
    return tally.freed_bytes


def _names(layout: StoreLayout) -> list[str]:
    with suppress(FileNotFoundError), layout.opened(layout.archives) as folder:
        return folder.names()
    return []
