"""The files that a store holds already, by digest: what need not be fetched."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from pathlib import Path

from vstore.errors import StoreError
from vstore.fs.trees.manifest import EntryKind
from vstore.objects import StorePath
from vstore.store import Store

_MOST_FILES = 120_000  # what is looked at costs time and memory: the likely objects first, then the newest


class Donors:
    """A container of file digests; `locate` gives a file. Every object in it is temp-rooted, so it stays."""

    def __init__(self, store: Store, *, budget: int = _MOST_FILES) -> None:
        self._store = store
        self._found: dict[bytes, tuple[StorePath, bytes]] = {}
        self._names: set[str] = set()
        self._seen: set[StorePath] = set()
        self._budget = budget

    def look(self, names: Iterable[str]) -> None:
        """Look at all objects of these names, and at the newest of others as far as the budget goes."""
        wanted = set(names) - self._names
        if not wanted:
            return
        self._names |= wanted
        infos = [info for info in self._store.objects.all() if info.path not in self._seen]
        infos.sort(key=lambda info: (info.path.name in wanted, info.registered_at), reverse=True)
        for info in infos:
            if info.files <= self._budget or info.path.name in wanted:
                self._budget -= info.files
                self.add(info.path)

    def add(self, path: StorePath) -> None:
        self._seen.add(path)
        self._store.add_temp_root(path)
        if not self._store.objects.is_registered(path):  # of a damaged object the sound files will do: all are checked
            return
        try:
            manifest, _ = self._store.manifest(path)
        except StoreError:
            return  # damaged: `verify` says so
        for entry in manifest.entries:
            if entry.kind == EntryKind.FILE and entry.size:
                self._found.setdefault(entry.digest, (path, entry.path))

    def __contains__(self, digest: object) -> bool:
        return digest in self._found

    def find(self, digest: bytes) -> Path | None:
        return self.locate(digest) if digest in self._found else None

    def locate(self, digest: bytes) -> Path:
        path, inside = self._found[digest]
        return self._store.layout.object(path) / os.fsdecode(inside)


class AnyOf:
    """What is in one of several containers."""

    def __init__(self, *containers: Container[bytes]) -> None:
        self._containers = containers

    def __contains__(self, digest: object) -> bool:
        return any(digest in one for one in self._containers)
