"""Archives that `vstore serve` packed. Each can be packed again.

An archive is removed with its object, and when it was not requested for a while. `serve` records each request in the
archive's access time, which is set regardless of the mount options.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from vstore.fs.trees.usage import Tally, statuses
from vstore.gc.ownership import removable
from vstore.objects import StorePath
from vstore.store import ARCHIVE_SUFFIX, Store, StoreLayout

UNREQUESTED_AGE = timedelta(days=14)  # how long an archive is kept that is not requested


def is_expired(store: Store, name: str, now: datetime) -> bool:
    """Return whether an entry of ``cache/serve`` is not the archive of an object, or was not requested lately."""
    try:
        path = StorePath.parse(name.removesuffix(ARCHIVE_SUFFIX))
        requested = (store.layout.served / name).lstat().st_atime
    except ValueError:
        return True
    except FileNotFoundError:
        return False
    return not store.is_valid(path) or requested < (now - UNREQUESTED_AGE).timestamp()


def archives_of(layout: StoreLayout, paths: Iterable[StorePath]) -> list[str]:
    """Return the archives that are removed with objects, relative to the root."""
    files = (layout.served_archive(path) for path in paths) if layout.served.is_dir() else ()
    return [layout.relative(file) for file in files if file.is_file() and removable(file)]


def other_archives(store: Store, now: datetime) -> list[str]:
    """Return the names in ``cache/serve`` that are not expired and that this user can remove."""
    served = store.layout.served
    names = []
    with suppress(FileNotFoundError), store.layout.opened(served) as folder:
        names = folder.names()
    return [name for name in names if not is_expired(store, name, now) and removable(served / name)]


def remove_archives(store: Store, now: datetime) -> int:
    """Remove the archives that are not expired. Return the bytes that were freed."""
    tally = Tally()
    for name in other_archives(store, now):
        with store.layout.opened(store.layout.served) as folder:
            found = list(statuses(folder.path / name))
            with suppress(OSError):  # a folder, which `serve` did not make
                folder.unlink(name)
                tally.remove(found)
    return tally.freed_bytes
