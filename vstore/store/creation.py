"""Creating the folders of a store, and refusing a root that is not a store, not safe or not this user's."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from vstore.errors import StoreError, UsageError
from vstore.fs.disk import spread_folders
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder, refuse_links
from vstore.objects import StorePath
from vstore.store.layout import FOLDERS, OPTIONAL_FOLDERS, StoreLayout

_SPREAD = ("tmp", "uv")  # see `spread_folders`
_ALLOWED = {"config.toml", "keys", "emergency-space", "cache", "locks", "lost+found"}  # in the root of a new store
_ALLOWED_CACHES = {"cache/remote", "cache/archives"}
_UNFINISHED = ("tmp/emergency-", "gcroots/temp/")  # made before the index is
_SHOWN = 3


def create_folders(layout: StoreLayout) -> bool:
    """Create the missing folders. Return whether the last one was missing: until then the store is incomplete.

    Raises UsageError if the root is not there and holds other files, and StoreError for a link in place of a folder.
    """
    missing = check_folders(layout)
    is_new = not {"store", "locks"}.isdisjoint(missing) or not _has_manifests(layout)
    if is_new and not os.path.lexists(layout.index_file):
        _check_new_root(layout.root)
    if missing:
        os.makedirs(layout.root, exist_ok=True)
    for name in missing:
        with layout.opened((layout.root / name).parent) as parent, _made_folder(parent, name.rpartition("/")[2]):
            pass
        reached(Point.ROOT_MADE)
    return "locks" in missing


def check_folders(layout: StoreLayout) -> list[str]:
    """Return the missing folders, relative to the root. Raises StoreError if one is a link or not a folder."""
    missing = []
    for name in (*FOLDERS, *OPTIONAL_FOLDERS):
        place = f"{layout.root}/{name}"
        try:
            if not stat.S_ISDIR(os.lstat(place).st_mode):
                refuse_links(Path(place))
        except FileNotFoundError:
            if name in FOLDERS:
                missing.append(name)
    return missing


def check_owner(layout: StoreLayout) -> None:
    """Raise StoreError if the store is another user's and not shared with this one."""
    locks = layout.locks.folder
    if not hasattr(os, "geteuid") or not locks.is_dir() or os.access(locks, os.W_OK):
        return
    if layout.root.stat().st_uid != os.geteuid():
        raise StoreError(
            f"the store belongs to {owner_of(layout.root)} and is not writable for you: {layout.root}",
            hint="list, info, run and verify need no write access; for your own store give --root or set VSTORE_ROOT",
        )


def check_index_file(layout: StoreLayout) -> None:
    """Raise StoreError if the index or a file of SQLite's beside it is a link or has a second name.

    SQLite would follow it, and write to another program's database.
    """
    for suffix in ("", "-wal", "-shm", "-journal"):
        place = f"{layout.index_file}{suffix}"
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1):
            kind = "a link" if stat.S_ISLNK(status.st_mode) else "a file with a second name (a hard link)"
            raise StoreError(
                f"the index is {kind}, which vstore does not open: {place}",
                hint="check who owns it, move it away, then run `vstore reindex`",
            )


def is_empty(layout: StoreLayout) -> bool:
    """Return whether the store has no object, not even one without a row."""
    with os.scandir(layout.store) as found:
        return not any(found)


def own_uv_cache(layout: StoreLayout) -> Path:
    """Return this user's uv cache, created if missing with mode 0700. StoreError if it is a link or another user's.

    uv trusts the content of its cache and follows links there, so in a shared store each user has a cache. ``cache/uv``
    belongs to the user who created the store.
    """
    if not hasattr(os, "geteuid"):
        return layout.uv_cache
    user = os.geteuid()
    with layout.opened(layout.uv_cache.parent) as parent:
        name = "uv" if parent.lstat("uv").st_uid == user else f"uv-{user}"
        with _made_folder(parent, name) as cache:
            status = os.stat(cache.at)
            if status.st_uid != user:
                raise StoreError(f"the cache for uv is another user's: {cache.path}", hint="ask its owner to remove it")
            if status.st_mode & 0o022:
                os.chmod(cache.at, 0o700)
            return cache.path


def owner_of(place: Path) -> str:
    """Return the name of the user who owns a file, or ``user N`` for a user without a name."""
    if sys.platform == "win32":
        name = "another user"
    else:
        try:
            name = place.owner()
        except KeyError:
            name = f"user {place.stat().st_uid}"
    return name


def _made_folder(parent: Folder, name: str) -> Folder:
    """Open a folder, and create it if it is missing."""
    made = False
    with suppress(FileExistsError):
        parent.make_folder(name, 0o700 if name.startswith("uv") else 0o777)
        made = True
    folder = parent.folder(name)
    if made and name in _SPREAD:
        spread_folders(folder.at)
    return folder


def _has_manifests(layout: StoreLayout) -> bool:
    """Return whether ``manifests/`` has a file named like an object: folders of the right names alone are no store."""
    with os.scandir(layout.manifests) as found:  # each command that writes asks: do not list them all
        for entry in found:
            with suppress(ValueError):
                StorePath.parse(entry.name)
                return True
    return False


def _check_new_root(root: Path) -> None:
    """Raise UsageError unless `root` is missing, empty, or holds only the start of a store.

    The collector would delete other files in it.

    ``config.toml``, keys and uv's cache may exist before the store does, and ``lost+found`` of a file system.
    """
    for parent in Path(os.path.realpath(root)).parents:
        if os.path.lexists(parent / "index.sqlite") and os.path.lexists(parent / "store"):
            raise UsageError(f"the root is inside the store {parent}: {root}", hint="give another place with --root")
    if not os.path.lexists(root):
        return
    if not root.is_dir():
        raise UsageError(f"the root is not a folder: {root}", hint="give another place with --root")
    folders = {name for name in (*FOLDERS, *OPTIONAL_FOLDERS) if name.partition("/")[0] not in _ALLOWED}
    folders |= {parent.as_posix() for name in folders for parent in Path(name).parents}
    others = sorted(
        name
        for folder in folders
        for name in _names(root, folder)
        if name not in folders and not (folder == "." and name in _ALLOWED) and not name.startswith(_UNFINISHED)
    )
    others += sorted(
        name for name in _names(root, "cache") if name not in _ALLOWED_CACHES and not _is_cache(root / name)
    )
    if others and not os.path.lexists(root / "index.sqlite"):  # else another process has created the store meanwhile
        more = [f"and {len(others) - _SHOWN} more"] if len(others) > _SHOWN else []
        raise UsageError(
            f"neither a store nor an empty folder: {root}",
            details=[*(f"it holds {name}" for name in others[:_SHOWN]), *more],
            hint="give an empty or a new folder with --root or VSTORE_ROOT",
        )


def _names(root: Path, folder: str) -> list[str]:
    """Return the entries of a folder, relative to the root; a place that is not a folder counts as an entry."""
    place = root / folder
    if not os.path.lexists(place):
        return []
    if (place.is_symlink() and folder != ".") or not place.is_dir():
        return [f"{folder}, which is no folder"]
    return [(Path(folder) / name).as_posix() for name in os.listdir(place)]


def _is_cache(place: Path) -> bool:
    """Return whether a folder is empty or tagged as a cache (bford.info/cachedir), as uv does."""
    return place.is_dir() and (os.path.lexists(place / "CACHEDIR.TAG") or not any(place.iterdir()))
