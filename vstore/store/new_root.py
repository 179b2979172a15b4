"""A folder that becomes the root of a store holds nothing of anybody else's: collections delete what lies there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vstore.errors import UsageError

_OURS = {"config.toml", "keys", "reserve", "cache", "locks", "lost+found"}
_OUR_CACHES = {"cache/remote", "cache/serve"}
_BEGUN = ("tmp/reserve-", "gcroots/temp/")  # made before the index is
_SHOWN = 3


def check_new_root(root: Path, folders: Iterable[str]) -> None:
    """Raise UsageError unless `root` is not there, empty, or holds only what making a store, broken off, has left.

    `folders` are those of the layout, relative to the root. ``config.toml``, keys and uv's cache may be there
    first, and ``lost+found`` of a file system.
    """
    for parent in Path(os.path.realpath(root)).parents:
        if os.path.lexists(parent / "index.sqlite") and os.path.lexists(parent / "store"):
            raise UsageError(f"the place lies inside the store {parent}: {root}", hint="give another one with --root")
    if not os.path.lexists(root):
        return
    if not root.is_dir():
        raise UsageError(f"the root of a store is a folder: {root}", hint="give another place with --root")
    inner = {name for name in folders if name.partition("/")[0] not in _OURS}
    inner |= {parent.as_posix() for name in inner for parent in Path(name).parents}
    foreign = sorted(
        name
        for folder in inner
        for name in _names(root, folder)
        if name not in inner and not (folder == "." and name in _OURS) and not name.startswith(_BEGUN)
    )
    foreign += sorted(name for name in _names(root, "cache") if name not in _OUR_CACHES and not _is_cache(root / name))
    if foreign and not os.path.lexists(root / "index.sqlite"):  # else another process has made the store meanwhile
        more = [f"and {len(foreign) - _SHOWN} more"] if len(foreign) > _SHOWN else []
        raise UsageError(
            f"neither a store nor an empty folder: {root}",
            details=[*(f"it holds {name}" for name in foreign[:_SHOWN]), *more],
            hint="give an empty or a new folder with --root or VSTORE_ROOT",
        )


def _names(root: Path, folder: str) -> list[str]:
    """What lies in a folder, relative to the root; a folder that is something else counts as its own content."""
    place = root / folder
    if not os.path.lexists(place):
        return []
    if (place.is_symlink() and folder != ".") or not place.is_dir():
        return [f"{folder}, which is no folder"]
    return [(Path(folder) / name).as_posix() for name in os.listdir(place)]


def _is_cache(place: Path) -> bool:
    """Whether a folder is a cache: empty, or tagged as one (bford.info/cachedir), as uv does with its own."""
    return place.is_dir() and (os.path.lexists(place / "CACHEDIR.TAG") or not any(place.iterdir()))
