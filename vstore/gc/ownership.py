"""Ownership: in a store shared by a group every user collects their own objects, and root collects all.

Only its owner can rename a read-only folder to another one, since its ``..`` changes (rename(2)), and only its owner
can make it writable to empty it. So ownership is checked before a row is removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable

from vstore.objects import StorePath
from vstore.store import StoreLayout, owner_of


def removable(place: str | os.PathLike[str]) -> bool:
    """Return whether this user can remove a file or folder. Everybody can remove files, and missing paths."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return True
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return True
    return status.st_uid == os.geteuid() or not stat.S_ISDIR(status.st_mode)


def owned_by_others(layout: StoreLayout) -> Callable[[str], bool] | None:
    """Return a function that returns whether an object, given by name, is another user's; None if no object can be."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return None
    store = os.fspath(layout.store)
    return lambda name: not removable(os.path.join(store, name))


def owner_names(layout: StoreLayout, paths: Iterable[StorePath]) -> list[str]:
    """Return the names of the users who own these objects."""
    return sorted({owner_of(place) for path in paths if (place := layout.object(path)).exists()})
