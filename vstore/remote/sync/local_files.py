"""Local files that need not be fetched, by digest: those of the store, of earlier fetches, and of deltas."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from vstore.archive import FileSource
from vstore.errors import StoreError
from vstore.fs.trees.manifest import EntryKind
from vstore.objects import StorePath
from vstore.store import Store

_MAX_FILES = 120_000  # reading manifests takes time and memory: the likely objects first, then the newest
_BYTES_OF_A_FILE = 1 << 10  # fetching so many bytes takes as long as reading one file's entry in a manifest
_FILES_OF_A_MANIFEST = 50  # opening a manifest takes as long as reading so many entries


class LocalFiles:
    """The files of the objects in a store. Every object that was read is temp-rooted, so its files stay.

    `budget` is the number of files to read beyond the objects that are requested by name.
    """

    def __init__(self, store: Store, *, budget: int = _MAX_FILES) -> None:
        self._store = store
        self._found: dict[bytes, tuple[StorePath, bytes]] = {}
        self._names: set[str] = set()
        self._seen: set[StorePath] = set()
        self._budget = budget

    def read(self, names: Iterable[str], size_bytes: int) -> None:
        """Read the manifests of the objects with these names, and of the newest others within the budget.

        A name is a store path without its digest. Reading the others takes no longer than fetching `size_bytes`.
        """
        wanted = set(names) - self._names
        if not wanted:
            return
        self._names |= wanted
        objects, worth = self._store.objects, size_bytes // _BYTES_OF_A_FILE
        others = worth > _FILES_OF_A_MANIFEST
        found = objects.all() if others else [info for name in wanted for info in objects.newest_of(name)]
        infos = [info for info in found if info.path not in self._seen]
        infos.sort(key=lambda info: (info.path.name in wanted, info.registered_at), reverse=True)
        chosen: list[StorePath] = []
        for info in infos:
            cost = info.files + _FILES_OF_A_MANIFEST
            if cost <= min(self._budget, worth) or info.path.name in wanted:
                self._budget -= cost
                worth -= cost
                chosen.append(info.path)
        self._seen.update(chosen)
        self._store.add_temp_root(*chosen)
        for path in chosen:
            self._read_object(path)

    def _read_object(self, path: StorePath) -> None:
        """Read one object. An object with a damaged manifest is skipped; its other files are verified when used."""
        if not self._store.objects.is_registered(path):
            return
        try:
            manifest, _ = self._store.manifest(path)
        except StoreError:
            return  # `verify` reports it
        for entry in manifest.entries:
            if entry.kind == EntryKind.FILE and entry.size:
                self._found.setdefault(entry.digest, (path, entry.path))

    def __contains__(self, digest: object) -> bool:
        return digest in self._found

    def find(self, digest: bytes) -> Path | None:
        """Return the path of a file with this content; None if there is none."""
        found = self._found.get(digest)
        return self._store.layout.object(found[0]) / os.fsdecode(found[1]) if found else None

    def may_link(self, path: Path) -> bool:
        """Return whether the file is in the store: objects share inodes."""
        return path.is_relative_to(self._store.layout.store)


class FileMap:
    """Files by digest. With `link` they may be hard-linked."""

    def __init__(self, files: Mapping[bytes, Path], *, link: bool) -> None:
        self._files = files
        self._linkable = set(files.values()) if link else set[Path]()

    def __contains__(self, digest: object) -> bool:
        return digest in self._files

    def find(self, digest: bytes) -> Path | None:
        """Return the path of a file with this content; None if there is none."""
        return self._files.get(digest)

    def may_link(self, path: Path) -> bool:
        """Return whether the file is one of these and may be linked."""
        return path in self._linkable


class FileUnion:
    """The files of several sources. The first that has a file gives it."""

    def __init__(self, *sources: FileSource) -> None:
        self._sources = sources

    def __contains__(self, digest: object) -> bool:
        return any(digest in source for source in self._sources)

    def find(self, digest: bytes) -> Path | None:
        """Return the path of a file with this content; None if there is none."""
        return next((path for source in self._sources if (path := source.find(digest)) is not None), None)

    def may_link(self, path: Path) -> bool:
        """Return whether one of the sources allows a link."""
        return any(source.may_link(path) for source in self._sources)
