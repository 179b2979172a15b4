"""What keeps objects alive: generations, user roots, temp roots of living processes, running programs.

Every root but the last is a file or symlink on disk. A process names what it is about to use in its
own temp root file *before* it asks whether the object is valid; a collector reads all of them under the
exclusive lock. So whatever was valid after it was named stays.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vstore.digest import hash_bytes
from vstore.errors import StoreError
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import is_held, lock_file
from vstore.objects import StorePath
from vstore.store.layout import Layout, generation_of
from vstore.store.root_notes import NO_PIN, RootNote, pin_name, read_pin, remove_pin, write_pin
from vstore.store.running import running_objects
from vstore.values import frozen

_MOST_BYTES = 1 << 26  # of a temp root
_parsed = lru_cache(1 << 16)(StorePath.parse)  # the same roots are read for each batch of a collection


class RootKind(StrEnum):
    PROFILE = "profile"
    USER = "user"
    TEMP = "temp"
    PROCESS = "process"


@frozen
class Root:
    """One reason why `path` is alive: a place on disk or a process, and since when. Only a user's root has a pin."""

    kind: RootKind
    name: str
    path: StorePath
    since: datetime | None = None
    pin: RootNote = NO_PIN


class RootAt(NamedTuple):
    """A root as a collector reads it, who wants to know no more than this and reads all while others wait."""

    kind: RootKind
    name: str
    path: StorePath
    place: str | Path | None = None
    pin: RootNote = NO_PIN


class TempRoots:
    """This process's temp roots: one locked file that vanishes, or counts for nothing, when it ends."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._held = ExitStack()
        self._handle = -1
        self._named: set[StorePath] = set()
        self._mutex = threading.Lock()

    def add(self, paths: Iterable[StorePath]) -> None:
        """Keep these alive until `close`; waits while a collector decides."""
        with self._mutex:
            new = [path for path in paths if path not in self._named]
            if not new:
                return
            with lock_file(self._layout.gc_lock, shared=True):
                if self._handle < 0:
                    self._open()
                data = "".join(f"\n{path}" for path in new).encode()  # a line torn by a full disk ends at the next
                while data:
                    data = data[os.write(self._handle, data) :]
            self._named.update(new)

    def _open(self) -> None:
        file = self._layout.temp_roots / f"{os.getpid()}-{os.urandom(4).hex()}"
        folder = self._held.enter_context(self._layout.opened(file.parent))
        self._held.callback(folder.unlink, file.name)
        self._handle = self._held.enter_context(lock_file(file))
        reached(Point.TEMP_ROOT_MADE)

    def close(self) -> None:
        with self._mutex:
            self._held.close()
            self._handle = -1
            self._named.clear()


def generation_links(layout: Layout) -> Iterator[tuple[str, int, Path]]:
    """The links that are generations: profile, number, link."""
    with layout.opened(layout.profiles) as folder:
        names = _listed(folder)[0]
    for name in names:
        if found := generation_of(name):
            yield *found, layout.profiles / name


def list_roots(layout: Layout) -> list[Root]:
    """All roots there are now, running programs too. Raises OSError when one cannot be read."""
    roots = []
    for kind, name, path, place, pin in read_roots(layout):
        with suppress(FileNotFoundError):  # it is gone meanwhile
            since = datetime.fromtimestamp(int(os.lstat(place).st_mtime), UTC) if place is not None else None
            roots.append(Root(kind=kind, name=name, path=path, since=since, pin=pin))
    return sorted(roots, key=lambda root: (root.kind, root.name, root.path))


def read_roots(layout: Layout, *, prune: bool = False, running: bool = True) -> Iterator[RootAt]:
    """All roots there are now, `running` programs too. With `prune`, for a collector under its lock, stale ones go.

    Raises OSError when one cannot be read: a collector must not take that for its absence.
    """
    store = os.path.realpath(layout.store)
    yield from _temp_roots(layout, prune)  # first: a process that ends now has made its lasting root before
    yield from _profile_roots(layout, store)
    yield from _user_roots(layout, store, prune)
    if running:  # last: a process started from a root that is read before is seen here
        yield from (RootAt(RootKind.PROCESS, f"process {number}", path) for number, path in running_objects(layout))


def object_at(layout: Layout, place: Path) -> StorePath | None:
    """The object that a place is in or leads to, through other links too; None if it is not in this store."""
    return _leads_to(place, os.path.realpath(layout.store))


def _leads_to(place: Path, store: str) -> StorePath | None:
    try:
        return StorePath.parse(Path(os.path.realpath(place)).relative_to(store).parts[0])
    except (ValueError, IndexError):
        return None


def _reader(folder: Folder, store: str) -> Callable[[str], StorePath | None]:
    """What tells where a link of this folder leads; of one as vstore writes it without looking at each folder there."""
    beside = os.path.realpath(folder.path / "../store") == store

    def read(name: str) -> StorePath | None:
        with suppress(OSError, ValueError):
            target = folder.readlink(name)
            if beside and target.startswith("../store/"):
                return _parsed(target[len("../store/") :])
        return _leads_to(folder.path / name, store)

    return read


def _listed(folder: Folder) -> tuple[list[str], set[str]]:
    """The symlinks of a folder but those still being made, whose names start with a dot; and what starts with one."""
    with folder.scan() as found:
        entries = list(found)
    hidden = {entry.name for entry in entries if entry.name.startswith(".")}
    return sorted(entry.name for entry in entries if entry.name not in hidden and entry.is_symlink()), hidden


def _profile_roots(layout: Layout, store: str) -> Iterator[RootAt]:
    with layout.opened(layout.profiles) as folder:
        leads_to = _reader(folder, store)
        for name in _listed(folder)[0]:
            if generation_of(name) and (path := leads_to(name)) is not None:
                yield RootAt(RootKind.PROFILE, f"profiles/{name}", path, f"{folder.path}/{name}")


def _user_roots(layout: Layout, store: str, prune: bool) -> Iterator[RootAt]:
    now = datetime.now(UTC)
    with layout.opened(layout.gcroots) as folder:
        leads_to = _reader(folder, store)
        names, hidden = _listed(folder)
        for name in names:
            pin = read_pin(folder, name) if pin_name(name) in hidden else NO_PIN
            if pin.expired(now):
                if prune:
                    _end(folder, name)
            elif (path := leads_to(name)) is not None:
                yield RootAt(RootKind.USER, f"gcroots/{name}", path, f"{folder.path}/{name}", pin)
    with layout.opened(layout.indirect_roots) as folder:
        for name in _listed(folder)[0]:
            pin = read_pin(folder, name)
            try:
                outside = Path(folder.readlink(name))
                outside.lstat()
            except (FileNotFoundError, NotADirectoryError):
                if prune:
                    _end(folder, name)
                continue
            if pin.expired(now):
                if prune:
                    _end_outside(layout, folder, name, outside)
            elif (path := _leads_to(outside, store)) is not None:
                yield RootAt(RootKind.USER, str(outside), path, folder.path / name, pin)


def _end_outside(layout: Layout, folder: Folder, name: str, outside: Path) -> None:
    """End an expired root elsewhere; its link there goes too, if all that speaks for it is this user's.

    Else a member of a shared store could have another one's links removed by a collection of root's.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    with suppress(OSError):
        said = (folder.lstat(name), folder.lstat(pin_name(name)), outside.lstat())
        if {status.st_uid for status in said} == {user} and folder.path / name == indirect_entry(layout, outside):
            _remove_outside(layout, outside)
    _end(folder, name)


def _end(folder: Folder, name: str) -> None:
    with suppress(OSError):
        folder.unlink(name)
        remove_pin(folder, name)


def _temp_roots(layout: Layout, prune: bool) -> Iterator[RootAt]:
    with layout.opened(layout.temp_roots) as folder:
        for name in folder.names():
            file = folder.path / name
            try:
                named = list(_named_in(folder, name)) if is_held(file) else None
            except PermissionError:  # whoever may not write here may not read it either, and collects nothing
                if os.access(folder.path, os.W_OK):
                    raise
                continue
            if named is None and prune:
                with suppress(IsADirectoryError, PermissionError):  # no process of vstore made a folder there
                    folder.unlink(name)
            for path in named or ():
                yield RootAt(RootKind.TEMP, f"gcroots/temp/{name}", path, file)


def _named_in(folder: Folder, name: str) -> Iterator[StorePath]:
    """The store paths in a temp root file; a torn line is of a process that was told of its failure."""
    try:
        lines = folder.read(name, limit=_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield StorePath.parse(line)
        except ValueError:
            continue


def add_root(layout: Layout, link: Path, path: StorePath, pin: RootNote = NO_PIN) -> None:
    """Make `link` a root for `path`: inside ``gcroots/`` directly, elsewhere by an entry that names it.

    An outside link must exist already and lead to the object; removing it ends the root.
    """
    if link.parent == layout.gcroots:
        if link.name.startswith(".") or (os.path.lexists(link) and not link.is_symlink()):
            raise StoreError(f"not a name for a root: {link.name}")
        entry, target = link, f"../store/{path}"
    elif object_at(layout, link) != path:
        raise StoreError(f"{link} does not lead to {path}")
    else:
        entry, target = indirect_entry(layout, link), str(link)
    with layout.opened(entry.parent) as folder:
        write_pin(folder, entry.name, pin)
        folder.replace_symlink(entry.name, target)


def remove_root(layout: Layout, link: Path) -> None:
    """End a root that `add_root` made; an outside link itself is removed too."""
    entry = link if link.parent == layout.gcroots else indirect_entry(layout, link)
    if not entry.is_symlink():
        raise StoreError(f"not a root: {link}", hint="`vstore roots` lists them")
    if entry != link:
        _remove_outside(layout, link)
    with layout.opened(entry.parent) as folder:
        folder.unlink(entry.name)
        remove_pin(folder, entry.name)


def _remove_outside(layout: Layout, link: Path) -> None:
    if is_out_link(layout, link):
        link.unlink()


def is_out_link(layout: Layout, place: Path) -> bool:
    """Whether it is a link that leads straight to an object or a profile of this store, be they there or not.

    After the store was moved, a link to an object in the old place is one when the store still has its entry.
    """
    try:
        target = Path(os.readlink(place))
    except OSError:
        return False
    leads_to = os.path.realpath(place.parent / target.parent)
    if leads_to == os.path.realpath(layout.profiles):
        return True
    try:
        StorePath.parse(target.name)
    except ValueError:
        return False
    moved = target.parent.name == layout.store.name and indirect_entry(layout, place).is_symlink()
    return moved or leads_to == os.path.realpath(layout.store)


def indirect_entry(layout: Layout, link: Path) -> Path:
    """The entry in the store that names an outside link as a root."""
    return layout.indirect_roots / hash_bytes("indirect root 1", os.fsencode(link)).short
