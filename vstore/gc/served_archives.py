"""The archives that `vstore serve` packed: which of them go, as each can be packed again.

An archive goes with its object, and when nobody asked for it for a while. `serve` notes when it was asked for in its
access time, whatever the mount says of such times.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from vstore.fs.trees.usage import Tally, statuses
from vstore.gc.ownership import removable
from vstore.objects import StorePath
from vstore.store import ARCHIVE_SUFFIX, Layout, Store

UNASKED_AGE = timedelta(days=14)  # how long an archive is kept that nobody asks for


def is_expired(store: Store, name: str, now: datetime) -> bool:
    """Return whether what lies in ``cache/serve`` is no archive of an object, or was not asked for lately."""
    try:
        path = StorePath.parse(name.removesuffix(ARCHIVE_SUFFIX))
        asked = (store.layout.served / name).lstat().st_atime
    except ValueError:
        return True
    except FileNotFoundError:
        return False
    return not store.is_valid(path) or asked < (now - UNASKED_AGE).timestamp()


def archives_of(layout: Layout, paths: Iterable[StorePath]) -> list[str]:
    """Return the places of the archives that go with objects, relative to the root."""
    files = (layout.served_archive(path) for path in paths) if layout.served.is_dir() else ()
    return [file.relative_to(layout.root).as_posix() for file in files if file.is_file() and removable(file)]


def other_archives(store: Store, now: datetime) -> list[str]:
    """Return the names in ``cache/serve`` that do not go by themselves, and that this user may remove."""
    served = store.layout.served
    names = []
    with suppress(FileNotFoundError), store.layout.opened(served) as folder:
        names = folder.names()
    return [name for name in names if not is_expired(store, name, now) and removable(served / name)]


def remove_archives(store: Store, now: datetime) -> int:
    """Remove the archives that do not go by themselves. Return the bytes that the disk got back."""
    tally = Tally()
    for name in other_archives(store, now):
        with store.layout.opened(store.layout.served) as folder:
            found = list(statuses(folder.path / name))
            with suppress(OSError):  # a folder, which `serve` did not make
                folder.unlink(name)
                tally.remove(found)
    return tally.freed_bytes
