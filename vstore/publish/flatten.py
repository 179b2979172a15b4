"""Flatten a layer: replace every link by its target. Pure: reads manifests only.

The files of the interpreter are merged in, so that the tree is a whole Python prefix. It needs neither the objects
beside it nor a ``pyvenv.cfg``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vstore.errors import StoreError
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.objects import StorePath

_MOST_HOPS = 40  # as Linux: a longer chain of links counts as a circle
_OF_LAYER = frozenset((b".lock", b"libexec/include", b"libexec/lib", b"pip.conf", b"pip.ini", b"pyvenv.cfg"))


class ObjectFile(NamedTuple):
    """A file of an object in the store."""

    object: StorePath
    path: bytes
    executable: bool
    size: int


class FlatTree(NamedTuple):
    """A tree without links. `folders` lists parents first; `dangling` links lead nowhere and are omitted."""

    folders: tuple[bytes, ...]
    files: dict[bytes, ObjectFile]
    dangling: tuple[bytes, ...]


def flatten(layer: StorePath, interpreter: StorePath | None, manifests: Callable[[StorePath], Manifest]) -> FlatTree:
    """Return the tree of `layer` with its links replaced. A file of the layer is preferred to one of the interpreter.

    Raises StoreError for a link into a folder that contains the link.
    """
    walk = _Walk(manifests)
    walk.merge(layer, b"", b"", (), lambda path: path not in _OF_LAYER)
    if interpreter is not None:
        walk.merge(interpreter, b"", b"", (), _is_of_interpreter)
    folders = sorted(walk.folders - {b""})
    return FlatTree(tuple(folders), dict(sorted(walk.files.items())), tuple(sorted(walk.dangling)))


def _is_of_interpreter(path: bytes) -> bool:
    return path != b"libexec" and b"site-packages" not in path.split(b"/")


class _ManifestIndex:
    """One manifest, by path and by folder."""

    def __init__(self, manifest: Manifest) -> None:
        self.entries = {entry.path: entry for entry in manifest.entries}
        self.children: dict[bytes, list[Entry]] = {}
        for entry in manifest.entries:
            self.children.setdefault(entry.path.rpartition(b"/")[0], []).append(entry)


class _Walk:
    def __init__(self, manifests: Callable[[StorePath], Manifest]) -> None:
        self._manifests = manifests
        self._trees: dict[StorePath, _ManifestIndex] = {}
        self.folders: set[bytes] = set()
        self.files: dict[bytes, ObjectFile] = {}
        self.dangling: list[bytes] = []

    def _tree(self, path: StorePath) -> _ManifestIndex:
        if path not in self._trees:
            self._trees[path] = _ManifestIndex(self._manifests(path))
        return self._trees[path]

    def merge(
        self,
        place: StorePath,
        folder: bytes,
        to: bytes,
        above: tuple[tuple[StorePath, bytes], ...],
        is_included: Callable[[bytes], bool],
    ) -> None:
        """Merge a folder of an object into the folder `to`. Files that are there already stay."""
        if (place, folder) in above:
            raise StoreError(f"{place}: a link in {to.decode(errors='replace')} leads to a folder that it is in")
        if to in self.files:
            return
        self.folders.add(to)
        for entry in self._tree(place).children.get(folder, ()):
            path = (to + b"/" if to else b"") + entry.path.rpartition(b"/")[2]
            if not is_included(path):
                continue
            found = self._follow(place, entry.path)
            if found is None:
                self.dangling.append(path)
            elif found[1].kind == EntryKind.DIRECTORY:
                self.merge(found[0], found[1].path, path, (*above, (place, folder)), is_included)
            elif path not in self.files and path not in self.folders:
                target = found[1]
                self.files[path] = ObjectFile(found[0], target.path, target.executable, target.size)

    def _follow(self, place: StorePath, path: bytes, hops: int = 0) -> tuple[StorePath, Entry] | None:
        """Return the entry at a path, following all links on the way; None if there is none."""
        parts = path.split(b"/") if path else []
        for count in range(1, len(parts) + 1):
            here = b"/".join(parts[:count])
            entry = self._tree(place).entries.get(here)
            if entry is None or hops > _MOST_HOPS:
                return None
            if entry.kind == EntryKind.SYMLINK:
                other, inside = _leads_to(place, here, entry.target)
                return self._follow(other, b"/".join((*inside, *parts[count:])), hops + 1)
        if not parts:
            return place, Entry(b"", EntryKind.DIRECTORY)
        return place, self._tree(place).entries[path]


def _leads_to(place: StorePath, path: bytes, target: bytes) -> tuple[StorePath, list[bytes]]:
    """Return the object and the path in it that a link leads to. Every link of a manifest has such a target."""
    parts = [part for part in target.split(b"/") if part not in (b"", b".")]
    ups = sum(part == b".." for part in parts)
    folder = path.split(b"/")[:-1]
    if ups <= len(folder):
        return place, folder[: len(folder) - ups] + parts[ups:]
    return StorePath.parse(parts[ups].decode()), parts[ups + 1 :]
