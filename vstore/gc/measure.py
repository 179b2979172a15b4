"""The bytes that a deletion frees, from one lstat for each deleted file."""

from __future__ import annotations

import os
from collections.abc import Iterable

from vstore.fs.trees.usage import InodeCache, Inodes, Tally, statuses
from vstore.objects import StorePath
from vstore.store import Store, StoreLayout


class Measure:
    """Counts the bytes that become free while objects and other places are taken one after the other.

    Several measures that share the cache `inodes` read each object once.
    """

    def __init__(self, layout: StoreLayout, *, after: Measure | None = None, inodes: InodeCache | None = None) -> None:
        self.tally: Tally = Tally(after.tally if after else None)
        self._inodes = inodes
        self._folders = [os.path.join(folder, "") for folder in (layout.store, layout.manifests)]
        self._root = layout.root

    def own_bytes(self, name: str) -> int:
        """Return the bytes that deleting one object frees: those of files whose names are all in it."""
        return self._remove(name, Tally())

    def take(self, name: str) -> int:
        """Take an object with its manifest. Return the bytes that become free after all that was taken before."""
        return self._remove(name, self.tally)

    def take_places(self, places: Iterable[str | os.PathLike[str]]) -> None:
        """Take files and trees, absolute or relative to the store's root."""
        for place in places:
            self.tally.remove(statuses(self._root / place))

    def _remove(self, name: str, tally: Tally) -> int:
        freed = 0
        for folder in self._folders:
            inodes = self._inodes.inodes(folder + name) if self._inodes else Inodes.of(statuses(folder + name))
            freed += tally.remove_inodes(inodes)
        return freed


def logs_of(store: Store, paths: Iterable[StorePath]) -> list[str]:
    """Return the build logs that go with objects."""
    return [os.fspath(store.layout.log(recipe)) for recipe in store.realisations.recipes_of(paths)]
