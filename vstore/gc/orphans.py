"""Orphans: leftovers of killed processes in the store. They are found without touching them.

Everything that is being made has a living owner that shows: a temp root that names the object, a lock on the staging
folder, a lock on the profile. Whatever has neither an owner nor a row is an orphan.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from vstore.errors import StoreError
from vstore.fs.locking.filelock import is_held
from vstore.gc.ownership import removable
from vstore.gc.packed_archives import expired_archives
from vstore.objects import StorePath
from vstore.store import RootKind, Store, StoreLayout, is_new_index, read_roots
from vstore.store.roots.orphan_links import UNFINISHED

FAILED_AGE = timedelta(days=14)  # how long the folder of a failed build is kept
_LOG_AGE = timedelta(days=1)  # a log is written before its row, in another transaction
_LINK_AGE = timedelta(hours=1)  # making a root takes two system calls, without a lock


def entries(layout: StoreLayout) -> dict[str, list[str]]:
    """Return all entries that may be orphans, by folder, relative to the root. List them before reading the roots."""
    folders = (layout.store, layout.manifests, layout.tmp, layout.trash, layout.locks.folder, layout.logs)
    everywhere = (*folders, layout.failed, layout.gcroots, layout.indirect_roots, layout.archives)
    found = {layout.relative(folder): _names(layout, folder) for folder in everywhere}
    found[layout.tmp.name].remove(layout.trash.name)
    found["."] = [name for name in _names(layout, layout.root) if is_new_index(name)]
    return found


def orphan_candidates(places: Mapping[str, Collection[str]], known: Collection[str]) -> list[str]:
    """Return the `entries` that are not named like one of the `known` objects, as places relative to the root."""
    return [f"{folder}/{name}" for folder, names in places.items() for name in names if name not in known]


def lacks_folders(store: Store, listed: Collection[str], names: Collection[str]) -> bool:
    """Return whether an indexed object is not on disk. `listed` are the entries of ``store/``, read before `names`."""
    gone = (name for name in set(names) - set(listed) if not os.path.lexists(store.layout.store / name))
    return any(store.objects.is_registered(StorePath.parse(name)) for name in gone)


def require_rows(store: Store, roots: Iterable[StorePath], ignored: Collection[str]) -> None:
    """Raise StoreError if the index lacks an object that a lasting root names and that is on disk.

    The references of such an object are not known.
    """
    layout = store.layout
    unknown = {path for path in roots if not store.objects.is_registered(path) and os.path.lexists(layout.object(path))}
    found = [root for root in (read_roots(layout, running=False) if unknown else ()) if root.path in unknown]
    being_made = {root.path for root in found if root.kind == RootKind.TEMP}
    wrong = [
        f"{root.name} -> {root.path}" for root in found if root.path not in being_made and root.name not in ignored
    ]
    if wrong:
        raise StoreError(
            f"the index is damaged: it lacks objects that roots name: {layout.index_file}",
            details=wrong,
            hint="run `vstore reindex`; remove a root if reindex leaves its object out",
        )


def find_orphans(store: Store, places: Collection[str], known: Collection[str], *, now: datetime) -> Iterator[str]:
    """Yield the `places` that are orphans and that this user can remove. `known` objects have a row or a root."""
    found = _ownerless(store, places, known, now)
    return (place for place in found if removable(store.layout.root / place))


def _ownerless(store: Store, places: Collection[str], known: Collection[str], now: datetime) -> Iterator[str]:
    layout = store.layout
    logs = {layout.relative(layout.log(recipe)) for recipe in store.realisations.recipes()}
    expired = expired_archives(store, now)
    for place in places:
        folder, _, name = place.rpartition("/")
        match folder:
            case "tmp":
                lock = layout.tmp / (name if name.endswith(".lock") else f"{name}.lock")
                if not is_held(lock) and os.path.lexists(layout.root / place):
                    yield place
            case "tmp/trash":
                yield place
            case "locks":
                if name.startswith("recipe-") and not is_held(layout.locks.folder / name):
                    yield place
            case "logs":
                if place not in logs and _older(layout.root / place, now - _LOG_AGE):
                    yield place
            case ".":
                yield place  # no `reindex` runs while this store is open
            case "cache/archives":
                if name in expired:
                    yield place
            case "failed":
                if _older(layout.root / place, now - FAILED_AGE):
                    yield place
            case "gcroots" | "gcroots/auto":
                if UNFINISHED.fullmatch(name) and _older(layout.root / place, now - _LINK_AGE):
                    yield place
            case _ if unfinished := UNFINISHED.fullmatch(name):
                if not is_held(layout.locks.object(unfinished["name"])):  # its writer holds that lock
                    yield place
            case _:
                if name not in known:
                    yield place


def _older(place: Path, moment: datetime) -> bool:
    try:
        return place.lstat().st_mtime < moment.timestamp()
    except FileNotFoundError:
        return False


def _names(layout: StoreLayout, folder: Path) -> list[str]:
    try:
        with layout.opened(folder) as opened:
            return opened.names()
    except FileNotFoundError:
        return []
