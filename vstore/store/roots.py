"""What keeps objects alive: generations, user roots, temp roots of living processes, running programs.

Every root but the last is a file or symlink on disk. A process names what it is about to use in its
own temp root file *before* it asks whether the object is valid; a collector reads all of them under the
exclusive lock. So whatever was valid after it was named stays.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vstore.digest import SHORT_LENGTH, hash_bytes
from vstore.errors import StoreError
from vstore.fs.atomic import replace_symlink
from vstore.fs.faults import Point, reached
from vstore.fs.filelock import is_held, lock_file
from vstore.objects import StorePath
from vstore.store.layout import Layout, generation_of
from vstore.store.pins import NO_PIN, Pin, pin_name, read_pin, remove_pin, write_pin

_parsed = lru_cache(1 << 16)(StorePath.parse)  # the same roots are read for each batch of a collection


class RootKind(StrEnum):
    PROFILE = "profile"
    USER = "user"
    TEMP = "temp"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One reason why `path` is alive: a place on disk or a process, and since when. Only a user's root has a pin."""

    kind: RootKind
    name: str
    path: StorePath
    since: datetime | None = None
    pin: Pin = NO_PIN


class RootAt(NamedTuple):
    """A root as a collector reads it, who wants to know no more than this and reads all while others wait."""

    kind: RootKind
    name: str
    path: StorePath
    place: str | Path | None = None
    pin: Pin = NO_PIN


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
        self._held.callback(file.unlink, missing_ok=True)
        self._handle = self._held.enter_context(lock_file(file))
        reached(Point.TEMP_ROOT_MADE)

    def close(self) -> None:
        with self._mutex:
            self._held.close()
            self._handle = -1
            self._named.clear()


def generation_links(layout: Layout) -> Iterator[tuple[str, int, Path]]:
    """The links that are generations: profile, number, link."""
    for name in _listed(layout.profiles)[0]:
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
        yield from running_roots(layout)


def object_at(layout: Layout, place: Path) -> StorePath | None:
    """The object that a place is in or leads to, through other links too; None if it is not in this store."""
    return _leads_to(place, os.path.realpath(layout.store))


def _leads_to(place: Path, store: str) -> StorePath | None:
    try:
        return StorePath.parse(Path(os.path.realpath(place)).relative_to(store).parts[0])
    except (ValueError, IndexError):
        return None


def _reader(folder: Path, store: str) -> Callable[[str], StorePath | None]:
    """What tells where a link of this folder leads; of one as vstore writes it without looking at each folder there."""
    beside = os.path.realpath(folder / "../store") == store
    start = os.path.join(folder, "")

    def read(name: str) -> StorePath | None:
        link = start + name
        with suppress(OSError, ValueError):
            target = os.readlink(link)
            if beside and target.startswith("../store/"):
                return _parsed(target[len("../store/") :])
        return _leads_to(Path(link), store)

    return read


def _listed(folder: Path) -> tuple[list[str], set[str]]:
    """The symlinks of a folder but those still being made, whose names start with a dot; and what starts with one."""
    with os.scandir(folder) as found:
        entries = list(found)
    hidden = {entry.name for entry in entries if entry.name.startswith(".")}
    return sorted(entry.name for entry in entries if entry.name not in hidden and entry.is_symlink()), hidden


def _profile_roots(layout: Layout, store: str) -> Iterator[RootAt]:
    folder, leads_to = str(layout.profiles), _reader(layout.profiles, store)
    for name in _listed(layout.profiles)[0]:
        if generation_of(name) and (path := leads_to(name)) is not None:
            yield RootAt(RootKind.PROFILE, f"profiles/{name}", path, f"{folder}/{name}")


def _user_roots(layout: Layout, store: str, prune: bool) -> Iterator[RootAt]:
    folder, leads_to = str(layout.gcroots), _reader(layout.gcroots, store)
    names, hidden = _listed(layout.gcroots)
    for name in names:
        link = f"{folder}/{name}"
        pin = _unexpired(layout, Path(link), Path(link), prune) if pin_name(name) in hidden else NO_PIN
        if pin is not None and (path := leads_to(name)) is not None:
            yield RootAt(RootKind.USER, f"gcroots/{name}", path, link, pin)
    for name in _listed(layout.indirect_roots)[0]:
        entry = layout.indirect_roots / name
        try:
            outside = Path(os.readlink(entry))
            outside.lstat()
        except FileNotFoundError:
            if prune:
                entry.unlink(missing_ok=True)
                remove_pin(entry)
            continue
        pin = _unexpired(layout, entry, outside, prune)
        if pin is not None and (path := _leads_to(outside, store)) is not None:
            yield RootAt(RootKind.USER, str(outside), path, entry, pin)


def _unexpired(layout: Layout, entry: Path, link: Path, prune: bool) -> Pin | None:
    """The pin of a root, None when it has expired; then, with `prune`, the root goes."""
    pin = read_pin(entry)
    if not pin.expired(datetime.now(UTC)):
        return pin
    if prune:
        with suppress(StoreError, OSError):
            remove_root(layout, link)
    return None


def _temp_roots(layout: Layout, prune: bool) -> Iterator[RootAt]:
    with os.scandir(layout.temp_roots) as found:
        files = sorted(layout.temp_roots / entry.name for entry in found)
    for file in files:
        if not is_held(file):
            if prune:
                file.unlink(missing_ok=True)
            continue
        for path in _named_in(file):
            yield RootAt(RootKind.TEMP, f"gcroots/temp/{file.name}", path, file)


def _named_in(file: Path) -> Iterator[StorePath]:
    """The store paths in a temp root file; a torn line is of a process that was told of its failure."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield StorePath.parse(line)
        except ValueError:
            continue


def add_root(layout: Layout, link: Path, path: StorePath, pin: Pin = NO_PIN) -> None:
    """Make `link` a root for `path`: inside ``gcroots/`` directly, elsewhere by an entry that names it.

    An outside link must exist already and lead to the object; removing it ends the root.
    """
    if link.parent == layout.gcroots:
        if link.name.startswith(".") or (link.is_dir() and not link.is_symlink()):
            raise StoreError(f"not a name for a root: {link.name}")
        write_pin(link, pin)
        replace_symlink(link, f"../store/{path}")
        return
    if object_at(layout, link) != path:
        raise StoreError(f"{link} does not lead to {path}")
    entry = _indirect(layout, link)
    write_pin(entry, pin)
    replace_symlink(entry, str(link))


def remove_root(layout: Layout, link: Path) -> None:
    """End a root that `add_root` made; an outside link itself is removed too."""
    entry = link if link.parent == layout.gcroots else _indirect(layout, link)
    if not entry.is_symlink():
        raise StoreError(f"not a root: {link}", hint="`vstore roots` lists them")
    if entry != link and link.is_symlink() and object_at(layout, link) is not None:
        link.unlink()
    entry.unlink()
    remove_pin(entry)


def _indirect(layout: Layout, link: Path) -> Path:
    return layout.indirect_roots / hash_bytes("indirect root 1", os.fsencode(link)).short


def running_roots(layout: Layout) -> Iterator[RootAt]:
    """Objects that a running process uses, read from /proc; elsewhere, and for others' processes, none.

    A pure-Python layer shows only in the arguments, where the trampolines leave its path.
    """
    places = {os.fsencode(os.path.realpath(layout.store)), os.fsencode(layout.store.absolute())}
    prefix = b"|".join(re.escape(place) for place in sorted(places))
    pattern = re.compile(rb"(?:%b)/([0-9a-z]{%d}-[A-Za-z0-9@+._-]+)" % (prefix, SHORT_LENGTH))
    for number in _processes():
        for name in set(pattern.findall(_traces(f"/proc/{number}"))):
            try:
                path = StorePath.parse(os.fsdecode(name))
            except ValueError:
                continue
            yield RootAt(RootKind.PROCESS, f"process {number}", path)


def _processes() -> list[str]:
    """The numbers of all processes but this one."""
    with suppress(OSError):
        return [name for name in os.listdir("/proc") if name.isdecimal() and name != str(os.getpid())]
    return []


def _traces(process: str) -> bytes:
    """All that shows what a process uses, each kind read on its own: it may end at any time."""
    found = []
    for name in ("cmdline", "environ", "maps"):
        with suppress(OSError), open(f"{process}/{name}", "rb", buffering=0) as file:
            found.append(file.read())
    links = [f"{process}/exe", f"{process}/cwd"]
    with suppress(OSError):
        links += [f"{process}/fd/{number}" for number in os.listdir(f"{process}/fd")]
    for link in links:
        with suppress(OSError):
            found.append(os.fsencode(os.readlink(link)))
    return b"\0".join(found)
