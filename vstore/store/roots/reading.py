"""Reading all roots: generations, links of users, temp roots of living processes, running programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import is_held
from vstore.objects import StorePath
from vstore.store.layout import StoreLayout, generation_of
from vstore.store.roots.links import indirect_entry, object_below, remove_out_link
from vstore.store.roots.notes import NO_NOTE, RootNote, note_name, read_note, remove_note
from vstore.store.roots.running import running_objects
from vstore.store.roots.temp import read_temp_roots

_parsed = lru_cache(1 << 16)(StorePath.parse)  # the same roots are read for each batch of a collection


class RootKind(StrEnum):
    """The kind of a root."""

    PROFILE = "profile"
    USER = "user"
    TEMP = "temp"
    PROCESS = "process"


class Root(NamedTuple):
    """One reason why an object is alive.

    `place` is its link or file, None for a process. `since` is filled in by `list_roots`. Only a user's root has a
    note. A NamedTuple, as a collector reads all roots while others wait.
    """

    kind: RootKind
    name: str
    path: StorePath
    place: str | Path | None = None
    note: RootNote = NO_NOTE
    since: datetime | None = None


def generation_links(layout: StoreLayout) -> Iterator[tuple[str, int, Path]]:
    """Yield profile, number and link of each generation that has a link."""
    with layout.opened(layout.profiles) as folder:
        names = _links(folder)[0]
    for name in names:
        if found := generation_of(name):
            yield *found, layout.profiles / name


def list_roots(layout: StoreLayout) -> list[Root]:
    """Return all roots, sorted, with the time since which each exists. Raises OSError if one cannot be read."""
    roots = []
    for root in read_roots(layout):
        with suppress(FileNotFoundError):  # removed meanwhile
            since = datetime.fromtimestamp(int(os.lstat(root.place).st_mtime), UTC) if root.place is not None else None
            roots.append(root._replace(since=since))
    return sorted(roots, key=lambda root: (root.kind, root.name, root.path))


def read_roots(layout: StoreLayout, *, prune: bool = False, running: bool = True) -> Iterator[Root]:
    """Yield all roots, with `running` also running programs.

    With `prune`, which needs the collector's lock, remove stale roots. Raises OSError if a root cannot be read: it
    must not be taken for missing.
    """
    store = os.path.realpath(layout.store)
    yield from _temp_roots(layout, prune)  # first: a process that ends now has made its lasting root before
    yield from _profile_roots(layout, store)
    yield from _user_roots(layout, store, prune)
    if running:  # last: a process that was started from a root removed meanwhile is seen here
        yield from (Root(RootKind.PROCESS, f"process {number}", path) for number, path in running_objects(layout))


def _reader(folder: Folder, store: str) -> Callable[[str], StorePath | None]:
    """Return the function from a link's name to the object that it leads to. Fast for links that vstore wrote."""
    beside = os.path.realpath(folder.path / "../store") == store

    def read(name: str) -> StorePath | None:
        with suppress(OSError, ValueError):
            target = folder.readlink(name)
            if beside and target.startswith("../store/"):
                return _parsed(target[len("../store/") :])
        return object_below(store, folder.path / name)

    return read


def _links(folder: Folder) -> tuple[list[str], set[str]]:
    """Return the sorted names of the symlinks in a folder, and the names of notes and unfinished links."""
    with folder.scan() as found:
        entries = list(found)
    hidden = {entry.name for entry in entries if entry.name.startswith(".")}
    return sorted(entry.name for entry in entries if entry.name not in hidden and entry.is_symlink()), hidden


def _profile_roots(layout: StoreLayout, store: str) -> Iterator[Root]:
    with layout.opened(layout.profiles) as folder:
        leads_to = _reader(folder, store)
        for name in _links(folder)[0]:
            if generation_of(name) and (path := leads_to(name)) is not None:
                yield Root(RootKind.PROFILE, f"profiles/{name}", path, f"{folder.path}/{name}")


def _user_roots(layout: StoreLayout, store: str, prune: bool) -> Iterator[Root]:
    now = datetime.now(UTC)
    with layout.opened(layout.gcroots) as folder:
        leads_to = _reader(folder, store)
        names, hidden = _links(folder)
        for name in names:
            note = read_note(folder, name) if note_name(name) in hidden else NO_NOTE
            if note.expired(now):
                if prune:
                    _remove(folder, name)
            elif (path := leads_to(name)) is not None:
                yield Root(RootKind.USER, f"gcroots/{name}", path, f"{folder.path}/{name}", note)
    with layout.opened(layout.indirect_roots) as folder:
        for name in _links(folder)[0]:
            note = read_note(folder, name)
            try:
                outside = Path(folder.readlink(name))
                outside.lstat()
            except (FileNotFoundError, NotADirectoryError):
                if prune:
                    _remove(folder, name)
                continue
            if note.expired(now):
                if prune:
                    _remove_with_link(layout, folder, name, outside)
            elif (path := object_below(store, outside)) is not None:
                yield Root(RootKind.USER, str(outside), path, folder.path / name, note)


def _remove_with_link(layout: StoreLayout, folder: Folder, name: str, outside: Path) -> None:
    """Remove an expired entry, and its link elsewhere if entry, note and link are all this user's.

    Otherwise a member of a shared store could make root's collection remove another member's links.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    with suppress(OSError):
        found = (folder.lstat(name), folder.lstat(note_name(name)), outside.lstat())
        if {status.st_uid for status in found} == {user} and folder.path / name == indirect_entry(layout, outside):
            remove_out_link(layout, outside)
    _remove(folder, name)


def _remove(folder: Folder, name: str) -> None:
    with suppress(OSError):
        folder.unlink(name)
        remove_note(folder, name)


def _temp_roots(layout: StoreLayout, prune: bool) -> Iterator[Root]:
    with layout.opened(layout.temp_roots) as folder:
        for name in folder.names():
            file = folder.path / name
            try:
                paths = list(read_temp_roots(folder, name)) if is_held(file) else None
            except PermissionError:  # a user who cannot write here may be unable to read it, and does not collect
                if os.access(folder.path, os.W_OK):
                    raise
                continue
            if paths is None and prune:
                with suppress(IsADirectoryError, PermissionError):  # a folder, which vstore did not make
                    folder.unlink(name)
            for path in paths or ():
                yield Root(RootKind.TEMP, f"gcroots/temp/{name}", path, file)
