"""Taking dead objects out of the store, a batch at a time: rows, then folders to the trash.

Under the exclusive lock, since whoever is about to use an object names it in a temp root under the shared one first.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from vstore.fs.faults import Point, reached
from vstore.fs.filelock import lock_file
from vstore.gc.litter import find_litter, stray_links
from vstore.gc.model import Victim
from vstore.objects import StorePath
from vstore.store import Graph, Layout, Store, generation_link, read_roots

_LOOK_SECONDS = 1.0  # how often running programs are looked for: what they use was alive when the plan was made


def current_roots(
    store: Store, skipped: Collection[str] = (), *, prune: bool = False, running: bool = True
) -> set[StorePath]:
    """Where reachability starts. A generation in the index counts even without its link."""
    named = [(root.name, root.path) for root in read_roots(store.layout, prune=prune, running=running)]
    for profile in store.generations.profiles():
        rows = store.generations.of(profile)
        named += [(f"profiles/{generation_link(profile, row.number)}", row.path) for row in rows]
    return {path for name, path in named if name not in skipped}


class Removal:
    """Removes what was planned, bit by bit, leaving what came alive after the plan was made."""

    def __init__(self, store: Store, graph: Graph, roots: set[StorePath]) -> None:
        self._store = store
        self._roots = roots
        self._graph = graph
        self._position = {name: number for number, name in enumerate(graph.names)}
        self._revived: set[StorePath] = set()
        self._looked = 0.0
        self.seconds = 0.0  # what taking out the last batch took, but for looking for new roots

    def clear(self, places: Sequence[str]) -> list[str]:
        """Put litter into the trash; which of it is still litter is asked again under the lock."""
        layout = self._store.layout
        others = [place for place in places if not place.startswith("profiles/")]
        with lock_file(layout.gc_lock), stray_links(self._store) as stray:
            roots = current_roots(self._store, stray, prune=True)
            self._revive(roots - self._roots)
            known = {str(path) for path in roots}
            known |= {name for place in others if self._is_valid(name := place.rpartition("/")[2])}
            found = list(find_litter(self._store, others, known, now=datetime.now(UTC)))
            _discard(layout, [*stray, *found])
        return [*stray, *found]

    def _is_valid(self, name: str) -> bool:
        try:
            return self._store.is_valid(StorePath.parse(name))
        except ValueError:
            return False

    def remove(self, victims: Sequence[Victim]) -> list[Victim]:
        """Remove a batch; returns what really went."""
        store, layout = self._store, self._store.layout
        with lock_file(layout.gc_lock):
            reached(Point.GC_LOCKED)
            paths = {victim.path for victim in victims}
            look = time.monotonic() - self._looked > _LOOK_SECONDS
            self._revive(current_roots(store, running=look) - self._roots)
            self._looked = time.monotonic() if look else self._looked
            started = time.monotonic()
            self._revive(store.index.held_by_others(paths - self._revived))
            gone = [victim for victim in victims if victim.path not in self._revived]
            logs = store.index.recipes(victim.path for victim in gone)
            store.index.forget(victim.path for victim in gone)
            reached(Point.GC_FORGOTTEN)
            folders = (layout.store.name, layout.manifests.name)
            places = [f"{folder}/{victim.path}" for folder in folders for victim in gone]
            _discard(layout, [*places, *(os.fspath(layout.log(recipe)) for recipe in logs)])
            reached(Point.GC_DISCARDED)
            self.seconds = max(time.monotonic() - started, 1e-6)
        return gone

    def _revive(self, starts: Iterable[StorePath]) -> None:
        """These are needed again, with all that they refer to; what is not in the graph came after it."""
        queue = list(starts)
        while queue:
            path = queue.pop()
            if path in self._revived:
                continue
            self._revived.add(path)
            number = self._position.get(str(path))
            if number is not None:
                queue += [StorePath.parse(self._graph.names[low]) for low in self._graph.references[number]]
            elif (info := self._store.index.info(path)) is not None:
                queue += info.references


def _discard(layout: Layout, places: Iterable[str]) -> None:
    """Move to the trash what is not there yet: one rename each, so nobody sees half an object.

    Files too: a rename is cheaper than freeing blocks, which may wait for the disk, while others wait for the lock.
    """
    trash = layout.trash.relative_to(layout.root).as_posix()
    token = os.urandom(8).hex()
    root = os.fspath(layout.root)
    for number, place in enumerate(places):
        if place.rpartition("/")[0] != trash:
            _move(os.path.join(root, place), f"{root}/{trash}/{token}-{number}")
            reached(Point.GC_MOVED)


def _move(place: str, target: str) -> None:
    """Rename it; a read-only folder must be writable for that, as its ``..`` changes (rename(2))."""
    try:
        os.rename(place, target)
    except FileNotFoundError:
        return
    except PermissionError:
        if not stat.S_ISDIR(os.lstat(place).st_mode):
            raise
        os.chmod(place, 0o700)
        os.rename(place, target)
