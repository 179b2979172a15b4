"""Removing dead objects in batches: rows first, then folders to the trash.

This needs the exclusive lock, since a process names an object in a temp root under the shared lock before it uses it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder, thaw_folder
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import shown
from vstore.fs.trees.usage import Tally, statuses
from vstore.gc.model import Victim
from vstore.gc.orphans import find_orphans
from vstore.gc.packed_archives import archives_of
from vstore.graph import reachable
from vstore.objects import StorePath
from vstore.reporter import Reporter
from vstore.store import ObjectGraph, Store, StoreLayout, generation_link, read_roots
from vstore.store.roots.orphan_links import orphan_links

_LOOK_SECONDS = 1.0  # how often to check for running programs: their objects were alive when the plan was made


def current_roots(
    store: Store, ignored: Collection[str] = (), *, prune: bool = False, running: bool = True
) -> set[StorePath]:
    """Return the objects of all roots that are not `ignored`. A generation in the index counts without its link."""
    named = [(root.name, root.path) for root in read_roots(store.layout, prune=prune, running=running)]
    named += [(f"profiles/{generation_link(one.profile, one.number)}", one.path) for one in store.generations.all()]
    return {path for name, path in named if name not in ignored}


class Removal:
    """Carries out a plan, except for objects that became alive after the plan was made."""

    def __init__(self, store: Store, graph: ObjectGraph, roots: set[StorePath]) -> None:
        self._store = store
        self._roots = roots
        self._graph = graph
        self._position = {name: number for number, name in enumerate(graph.names)}
        self._live: set[StorePath] = set()
        self._looked = 0.0
        self._unmoved: list[str] = []
        self.seconds = 0.0  # how long the last batch took, without reading the roots

    def clear(self, places: Sequence[str]) -> list[str]:
        """Move orphans to the trash, after checking again under the lock that they are orphans. Return their places."""
        layout = self._store.layout
        others = [place for place in places if not place.startswith("profiles/")]
        with lock_file(layout.locks.gc), orphan_links(self._store) as links:
            roots = current_roots(self._store, links, prune=True)
            self._mark_live(roots - self._roots)
            known = {str(path) for path in roots}
            known |= {name for place in others if self._is_valid(name := place.rpartition("/")[2])}
            found = list(find_orphans(self._store, others, known, now=datetime.now(UTC)))
            self._unmoved += _discard(layout, [*links, *found])
        return [*links, *found]

    def _is_valid(self, name: str) -> bool:
        try:
            return self._store.is_valid(StorePath.parse(name))
        except ValueError:
            return False

    def remove(self, victims: Sequence[Victim]) -> list[Victim]:
        """Remove a batch of objects. Return those that were removed."""
        store, layout = self._store, self._store.layout
        with lock_file(layout.locks.gc):
            reached(Point.GC_LOCKED)
            paths = {victim.path for victim in victims}
            look = time.monotonic() - self._looked > _LOOK_SECONDS
            self._mark_live(current_roots(store, running=look) - self._roots)
            self._looked = time.monotonic() if look else self._looked
            started = time.monotonic()
            self._mark_live(store.objects.kept_by_others(paths - self._live))
            gone = [victim for victim in victims if victim.path not in self._live]
            logs = store.realisations.recipes_of(victim.path for victim in gone)
            store.objects.forget(victim.path for victim in gone)
            reached(Point.GC_FORGOTTEN)
            folders = (layout.store.name, layout.manifests.name)
            places = [f"{folder}/{victim.path}" for folder in folders for victim in gone]
            places += (f"{layout.logs.name}/{layout.log(one).name}" for one in logs)
            self._unmoved += _discard(layout, [*places, *archives_of(layout, paths - self._live)])
            reached(Point.GC_DISCARDED)
            self.seconds = max(time.monotonic() - started, 1e-6)
        return gone

    def finish(self, reporter: Reporter) -> int:
        """Remove in place the objects that could not be moved to the trash. Return the bytes that were freed.

        Each under its object's lock, and only if it has no row: an object that is added again has the same name.
        """
        layout, failures, freed_bytes = self._store.layout, [], 0
        for number, place in enumerate(self._unmoved):
            reporter.progress("gc", "unlinking in place", number, len(self._unmoved))
            above, _, name = place.rpartition("/")
            try:
                with ExitStack() as held:
                    if above in (layout.store.name, layout.manifests.name):
                        held.enter_context(lock_file(layout.locks.object(name)))
                        if self._is_valid(name):
                            continue
                    tally = Tally()
                    tally.remove(statuses(layout.root / place))
                    held.enter_context(layout.opened(layout.root / above)).remove(name)
                    freed_bytes += tally.freed_bytes
            except OSError as error:
                failures.append(f"{shown(os.fsencode(place))}: {error.strerror}")
            reached(Point.GC_IN_PLACE)
        self._unmoved.clear()
        if failures:
            reporter.warn(f"{len(failures)} entries could not be removed: {failures[0]}", "`vstore gc` tries again")
        return freed_bytes

    def _mark_live(self, starts: Iterable[StorePath]) -> None:
        """Mark objects and all that they lead to as live. An object that is not in the graph is newer than the plan."""
        self._live |= reachable(starts, self._edges, known=self._live)

    def _edges(self, path: StorePath) -> Iterable[StorePath]:
        number = self._position.get(str(path))
        if number is not None:
            return [StorePath.parse(self._graph.names[low]) for low in self._graph.edges[number]]
        info = self._store.objects.info(path)
        return (*info.references, *info.inputs) if info else ()


def _discard(layout: StoreLayout, places: Iterable[str]) -> list[str]:
    """Move places to the trash, in one rename each, so that nobody sees half an object. Return those that did not move.

    Files are moved as well: a rename is cheaper than freeing blocks, which may wait for the disk, and others wait for
    the lock.
    """
    trash_place = layout.relative(layout.trash)
    token, unmoved = os.urandom(8).hex(), []
    with ExitStack() as held:
        trash = held.enter_context(layout.opened(layout.trash))
        folders: dict[str, Folder] = {}
        for number, place in enumerate(places):
            above, _, name = place.rpartition("/")
            if above == trash_place:
                continue
            if above not in folders:
                folders[above] = held.enter_context(layout.opened(layout.root / above))
            if not _moved(folders[above], name, trash, f"{token}-{number}"):
                unmoved.append(place)
            reached(Point.GC_MOVED)
    return unmoved


def _moved(folder: Folder, name: str, trash: Folder, new: str) -> bool:
    """Rename an entry, and make a read-only folder writable first, as its ``..`` changes (rename(2)).

    Return False if that fails, as in an overlay's lower layer and between mounts (EXDEV). The row is removed, so the
    entry is an orphan.
    """
    try:
        try:
            folder.rename(name, trash, new)
        except PermissionError:
            thaw_folder(folder, name)
            folder.rename(name, trash, new)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
