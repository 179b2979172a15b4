"""Whose a folder is: in a store shared by a group everyone collects what is his own, and root everything.

Only its owner may move a read-only folder to another one, since its ``..`` changes (rename(2)), and only he can make
it writable to empty it. So this is asked before a row is removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable

from vstore.objects import StorePath
from vstore.store import Layout, owner_of


def removable(place: str | os.PathLike[str]) -> bool:
    """Whether this user can take it away; what is not there, and what is no folder, everyone can."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return True
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return True
    return status.st_uid == os.geteuid() or not stat.S_ISDIR(status.st_mode)


def owned_by_others(layout: Layout) -> Callable[[str], bool] | None:
    """The question whether the object of a name is another user's; None where none can be, so that nobody asks."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return None
    store = os.fspath(layout.store)
    return lambda name: not removable(os.path.join(store, name))


def owner_names(layout: Layout, paths: Iterable[StorePath]) -> list[str]:
    """The users whose these objects are."""
    return sorted({owner_of(place) for path in paths if (place := layout.object(path)).exists()})
