"""What keeps objects alive: generations, user roots, temp roots of living processes, running programs.

Every root but the last is a file or symlink on disk. A process names what it is about to use in its
own temp root file *before* it asks whether the object is valid; a collector reads all of them under the
exclusive lock. So whatever was valid after it was named stays.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from vstore.digest import SHORT_LENGTH
from vstore.errors import StoreError
from vstore.fs.atomic import replace_symlink
from vstore.fs.filelock import is_held, lock_file
from vstore.objects import StorePath
from vstore.store.layout import Layout

_GENERATION_LINK = re.compile(r"(?P<profile>.+)-(?P<number>[1-9][0-9]*)-link")


class RootKind(StrEnum):
    PROFILE = "profile"
    USER = "user"
    TEMP = "temp"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One reason why `path` is alive: a place on disk or a process, and since when."""

    kind: RootKind
    name: str
    path: StorePath
    since: datetime | None = None


class TempRoots:
    """This process's temp roots: one locked file that vanishes, or counts for nothing, when it ends."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._file: Path | None = None
        self._handle = -1
        self._named: set[StorePath] = set()

    def add(self, paths: Iterable[StorePath]) -> None:
        """Keep these alive until `close`; waits while a collector decides."""
        new = [path for path in paths if path not in self._named]
        if not new:
            return
        with lock_file(self._layout.gc_lock, shared=True):
            if self._handle < 0:
                self._open()
            os.write(self._handle, "".join(f"{path}\n" for path in new).encode())
            self._named.update(new)

    def _open(self) -> None:
        import fcntl

        file = self._layout.temp_roots / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        self._file = file

    def close(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._handle)
            self._file, self._handle = None, -1
            self._named.clear()


def generation_links(layout: Layout) -> Iterator[tuple[str, int, Path]]:
    """The links that are generations: profile, number, link."""
    for link in sorted(layout.profiles.iterdir()) if layout.profiles.is_dir() else ():
        found = _GENERATION_LINK.fullmatch(link.name)
        if found and link.is_symlink():
            yield found["profile"], int(found["number"]), link


def list_roots(layout: Layout, *, prune: bool = False) -> list[Root]:
    """All roots there are now. With `prune`, which only a collector under its lock may ask for, stale ones go."""
    roots = [*_profile_roots(layout), *_user_roots(layout, prune), *_temp_roots(layout, prune), *running_roots(layout)]
    return sorted(roots, key=lambda root: (root.kind, root.name, root.path))


def _target(layout: Layout, link: Path) -> StorePath | None:
    """The object that a link leads to, if it leads into this store; a link through other links counts."""
    try:
        place = Path(os.path.realpath(link))
        parts = place.relative_to(os.path.realpath(layout.store)).parts
        return StorePath.parse(parts[0])
    except (ValueError, IndexError, OSError):
        return None


def _since(link: Path) -> datetime:
    return datetime.fromtimestamp(int(link.lstat().st_mtime), UTC)


def _profile_roots(layout: Layout) -> Iterator[Root]:
    for _, _, link in generation_links(layout):
        path = _target(layout, link)
        if path is not None:
            yield Root(kind=RootKind.PROFILE, name=f"profiles/{link.name}", path=path, since=_since(link))


def _user_roots(layout: Layout, prune: bool) -> Iterator[Root]:
    for folder in (layout.gcroots, layout.indirect_roots):
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not entry.is_symlink():
                continue
            path = _target(layout, entry)
            if path is not None:
                name = os.readlink(entry) if folder == layout.indirect_roots else f"gcroots/{entry.name}"
                yield Root(kind=RootKind.USER, name=name, path=path, since=_since(entry))
            elif prune and folder == layout.indirect_roots and not os.path.lexists(os.readlink(entry)):
                entry.unlink(missing_ok=True)


def _temp_roots(layout: Layout, prune: bool) -> Iterator[Root]:
    for file in sorted(layout.temp_roots.iterdir()) if layout.temp_roots.is_dir() else ():
        if not is_held(file):
            if prune:
                file.unlink(missing_ok=True)
            continue
        for line in file.read_text().splitlines():
            yield Root(
                kind=RootKind.TEMP, name=f"gcroots/temp/{file.name}", path=StorePath.parse(line), since=_since(file)
            )


def add_root(layout: Layout, link: Path, path: StorePath) -> None:
    """Make `link` a root for `path`: inside ``gcroots/`` directly, elsewhere by an entry that names it.

    An outside link must exist already and lead to the object; removing it ends the root.
    """
    if link.parent == layout.gcroots:
        replace_symlink(link, f"../store/{path}")
        return
    if _target(layout, link) != path:
        raise StoreError(f"{link} does not lead to {path}")
    replace_symlink(_indirect(layout, link), str(link))


def remove_root(layout: Layout, link: Path) -> None:
    """End a root that `add_root` made; an outside link itself is removed too."""
    entry = link if link.parent == layout.gcroots else _indirect(layout, link)
    if not entry.is_symlink():
        raise StoreError(f"not a root: {link}", hint="`vstore roots` lists them")
    if entry != link and _target(layout, link) is not None:
        link.unlink()
    entry.unlink()


def _indirect(layout: Layout, link: Path) -> Path:
    return layout.indirect_roots / hashlib.sha256(os.fsencode(link)).hexdigest()[:32]


def running_roots(layout: Layout) -> Iterator[Root]:
    """Objects that a running process uses, read from /proc; elsewhere, and for others' processes, none.

    A pure-Python layer shows only in the arguments, where the trampolines leave its path.
    """
    prefix = os.path.realpath(layout.store)
    pattern = re.compile(re.escape(os.fsencode(prefix)) + rb"/([0-9a-z]{%d}-[A-Za-z0-9@+._-]+)" % SHORT_LENGTH)
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        for name in set(pattern.findall(_traces(process))):
            try:
                path = StorePath.parse(os.fsdecode(name))
            except ValueError:
                continue
            yield Root(kind=RootKind.PROCESS, name=f"process {process.name}", path=path)


def _traces(process: Path) -> bytes:
    """All that shows what a process uses, each kind read on its own: it may end at any time."""
    found = []
    for name in ("cmdline", "environ", "maps"):
        try:
            found.append((process / name).read_bytes())
        except OSError:
            continue
    links = [process / "exe", process / "cwd"]
    try:
        links += list((process / "fd").iterdir())
    except OSError:
        pass
    for link in links:
        try:
            found.append(os.fsencode(os.readlink(link)))
        except OSError:
            continue
    return b"\0".join(found)
