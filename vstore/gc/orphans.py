"""What killed processes left behind: found without touching it.

Everything that is being made has a living owner that shows: a temp root that names the object, a lock on the
build's folder, a lock on the profile. What has neither an owner nor a row is litter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from vstore.errors import BusyError, StoreError
from vstore.fs.locking.filelock import is_held, lock_file
from vstore.gc.ownership import removable
from vstore.gc.served_archives import is_expired
from vstore.objects import StorePath
from vstore.store import Layout, RootKind, Store, generation_of, is_new_index, read_roots
from vstore.store.generation_records import belongs_to, read_record, record_file

_BEING_WRITTEN = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}")  # what vstore.fs.atomic makes before it renames
FAILED_AGE = timedelta(days=14)  # how long the folder of a failed build is kept
_LOG_AGE = timedelta(days=1)  # a log is written beside its row, not in the same transaction
_LINK_AGE = timedelta(hours=1)  # making a root is two system calls, without a lock


def entries(layout: Layout) -> dict[str, list[str]]:
    """All that could be litter, by folder, relative to the root. List it before asking who owns what."""
    folders = (layout.store, layout.manifests, layout.tmp, layout.trash, layout.locks, layout.logs, layout.failed)
    everywhere = (*folders, layout.gcroots, layout.indirect_roots, layout.served)
    found = {folder.relative_to(layout.root).as_posix(): _names(layout, folder) for folder in everywhere}
    found[layout.tmp.name].remove(layout.trash.name)
    found["."] = [name for name in _names(layout, layout.root) if is_new_index(name)]
    return found


def orphan_candidates(places: Mapping[str, Collection[str]], known: Collection[str]) -> list[str]:
    """Those of `entries` that are not named like one of the `known` objects, as places relative to the root."""
    return [f"{folder}/{name}" for folder, names in places.items() for name in names if name not in known]


def lacks_folders(store: Store, listed: Collection[str], names: Collection[str]) -> bool:
    """Whether an object in the index is not on disk. `listed` are the entries of ``store/``, read before `names`."""
    gone = (name for name in set(names) - set(listed) if not os.path.lexists(store.layout.store / name))
    return any(store.index.is_valid(StorePath.parse(name)) for name in gone)


def require_rows(store: Store, roots: Iterable[StorePath], ignored: Collection[str]) -> None:
    """Raise StoreError if the index lacks an object that a generation or a user's root names, and that is on disk.

    Then nobody knows what that one refers to.
    """
    layout = store.layout
    unknown = {path for path in roots if not store.index.is_valid(path) and os.path.lexists(layout.object(path))}
    found = [root for root in (read_roots(layout, running=False) if unknown else ()) if root.path in unknown]
    being_made = {root.path for root in found if root.kind == RootKind.TEMP}
    wrong = [
        f"{root.name} -> {root.path}" for root in found if root.path not in being_made and root.name not in ignored
    ]
    if wrong:
        raise StoreError(
            f"the index is damaged: it lacks what roots name: {layout.index_file}",
            details=wrong,
            hint="run `vstore reindex`; a root whose object that leaves out can be removed",
        )


def find_orphans(store: Store, places: Collection[str], known: Collection[str], *, now: datetime) -> Iterator[str]:
    """Those of `places` that nobody needs and this user can remove; `known` are the objects with a row or a root."""
    found = _ownerless(store, places, known, now)
    return (place for place in found if removable(store.layout.root / place))


def _ownerless(store: Store, places: Collection[str], known: Collection[str], now: datetime) -> Iterator[str]:
    layout = store.layout
    logs = {f"logs/{layout.log(recipe).name}" for recipe in store.index.all_recipes()}
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
                if name.startswith("recipe-") and not is_held(layout.locks / name):
                    yield place
            case "logs":
                if place not in logs and _older(layout.root / place, now - _LOG_AGE):
                    yield place
            case ".":
                yield place  # a `reindex` is alone: none runs while this store is open
            case "cache/serve":
                if is_expired(store, name, now):
                    yield place
            case "failed":
                if _older(layout.root / place, now - FAILED_AGE):
                    yield place
            case "gcroots" | "gcroots/auto":
                if _BEING_WRITTEN.fullmatch(name) and _older(layout.root / place, now - _LINK_AGE):
                    yield place
            case _ if being_written := _BEING_WRITTEN.fullmatch(name):
                if not is_held(layout.object_lock(being_written["name"])):  # who writes it holds that
                    yield place
            case _:
                if name not in known:
                    yield place


def _older(place: Path, moment: datetime) -> bool:
    try:
        return place.lstat().st_mtime < moment.timestamp()
    except FileNotFoundError:
        return False


@contextmanager
def orphan_links(store: Store) -> Iterator[list[str]]:
    """What lies in ``profiles/`` of generations that were not made in the end, or forgotten; locks their profiles.

    Without a row, and with a number never given or a record that is gone: else it is a root, whatever became of its
    row. So is the link of a profile whose last generation was forgotten. Nothing is stray of a profile that another
    process is changing, nor is the mark that the last number is used up.
    """
    folder = store.layout.profiles.relative_to(store.layout.root).as_posix()
    suspects: dict[str, list[tuple[str, int | None]]] = {}
    known = store.generations.numbers()
    for name in _names(store.layout, store.layout.profiles):
        profile, number = _belongs_to(name)
        if profile is None and (to := _belongs_to(_target(store.layout.profiles / name) or ""))[0] == name:
            profile, number = to
        if profile is not None and (number is None or (profile, number) not in known):
            suspects.setdefault(profile, []).append((name, number))
    with ExitStack() as held:
        found = []
        for profile, links in suspects.items():
            with suppress(BusyError):
                held.enter_context(lock_file(store.layout.profile_lock(profile), blocking=False))
                needed = {_last_mark(store, profile)}
                led = _target(store.layout.profiles / profile) or ""
                if store.generations.of(profile) or _is_recorded(store, *_belongs_to(led)):
                    needed |= {profile, led}
                for name, number in links:
                    if number is None or (name not in needed and _is_gone(store, profile, number)):
                        found.append(f"{folder}/{name}")
        yield found


def _last_mark(store: Store, profile: str) -> str:
    return record_file(store.layout, profile, store.generations.last_number(profile)).name


def _is_gone(store: Store, profile: str, number: int) -> bool:
    if (profile, number) in store.generations.numbers():
        return False
    return number > store.generations.last_number(profile) or not _is_recorded(store, profile, number)


def _is_recorded(store: Store, profile: str | None, number: int | None) -> bool:
    return bool(profile and number and read_record(store.layout, profile, number))


def _belongs_to(name: str) -> tuple[str | None, int | None]:
    """The profile that a link in ``profiles/`` is a generation of, and its number; none while it is being written."""
    being_written = _BEING_WRITTEN.fullmatch(name)
    whole = being_written["name"] if being_written else name
    found = generation_of(whole) or belongs_to(whole)
    if being_written:
        return (found[0] if found else whole), None
    return found or (None, None)


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _names(layout: Layout, folder: Path) -> list[str]:
    try:
        with layout.opened(folder) as opened:
            return opened.names()
    except FileNotFoundError:
        return []
