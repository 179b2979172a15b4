"""Taking dead objects out of the store, a batch at a time: rows, then folders to the trash.

Under the exclusive lock, since whoever is about to use an object names it in a temp root under the shared one first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import shown
from vstore.fs.trees.usage import Tally, statuses
from vstore.gc.model import Victim
from vstore.gc.orphans import find_orphans, orphan_links
from vstore.gc.served_archives import archives_of
from vstore.objects import StorePath
from vstore.reporter import Reporter
from vstore.store import Graph, Layout, Store, generation_link, read_roots

_LOOK_SECONDS = 1.0  # how often running programs are looked for: what they use was alive when the plan was made


def current_roots(
    store: Store, ignored: Collection[str] = (), *, prune: bool = False, running: bool = True
) -> set[StorePath]:
    """Where reachability starts. A generation in the index counts even without its link."""
    named = [(root.name, root.path) for root in read_roots(store.layout, prune=prune, running=running)]
    for profile in store.generations.profiles():
        rows = store.generations.of(profile)
        named += [(f"profiles/{generation_link(profile, row.number)}", row.path) for row in rows]
    return {path for name, path in named if name not in ignored}


class Removal:
    """Removes what was planned, bit by bit, leaving what came alive after the plan was made."""

    def __init__(self, store: Store, graph: Graph, roots: set[StorePath]) -> None:
        self._store = store
        self._roots = roots
        self._graph = graph
        self._position = {name: number for number, name in enumerate(graph.names)}
        self._revived: set[StorePath] = set()
        self._looked = 0.0
        self._stuck: list[str] = []
        self.seconds = 0.0  # what taking out the last batch took, but for looking for new roots

    def clear(self, places: Sequence[str]) -> list[str]:
        """Put litter into the trash; which of it is still litter is asked again under the lock."""
        layout = self._store.layout
        others = [place for place in places if not place.startswith("profiles/")]
        with lock_file(layout.gc_lock), orphan_links(self._store) as orphan_links_found:
            roots = current_roots(self._store, orphan_links_found, prune=True)
            self._mark_live(roots - self._roots)
            known = {str(path) for path in roots}
            known |= {name for place in others if self._is_valid(name := place.rpartition("/")[2])}
            found = list(find_orphans(self._store, others, known, now=datetime.now(UTC)))
            self._stuck += _discard(layout, [*orphan_links_found, *found])
        return [*orphan_links_found, *found]

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
            self._mark_live(current_roots(store, running=look) - self._roots)
            self._looked = time.monotonic() if look else self._looked
            started = time.monotonic()
            self._mark_live(store.index.held_by_others(paths - self._revived))
            gone = [victim for victim in victims if victim.path not in self._revived]
            logs = store.index.recipes(victim.path for victim in gone)
            store.index.forget(victim.path for victim in gone)
            reached(Point.GC_FORGOTTEN)
            folders = (layout.store.name, layout.manifests.name)
            places = [f"{folder}/{victim.path}" for folder in folders for victim in gone]
            places += (f"{layout.logs.name}/{layout.log(one).name}" for one in logs)
            self._stuck += _discard(layout, [*places, *archives_of(layout, paths - self._revived)])
            reached(Point.GC_DISCARDED)
            self.seconds = max(time.monotonic() - started, 1e-6)
        return gone

    def finish(self, reporter: Reporter) -> int:
        """Remove where it is what could not be moved to the trash. Returns the bytes that the disk got back.

        Each under its object's lock, and only without a row: an object that is added again has this name for its own.
        """
        layout, failures, freed_bytes = self._store.layout, [], 0
        for number, place in enumerate(self._stuck):
            reporter.progress("gc", "unlinking in place", number, len(self._stuck))
            above, _, name = place.rpartition("/")
            try:
                with ExitStack() as held:
                    if above in (layout.store.name, layout.manifests.name):
                        held.enter_context(lock_file(layout.object_lock(name)))
                        if self._is_valid(name):
                            continue
                    tally = Tally()
                    tally.remove(statuses(layout.root / place))
                    held.enter_context(layout.opened(layout.root / above)).remove(name)
                    freed_bytes += tally.freed_bytes
            except OSError as error:
                failures.append(f"{shown(os.fsencode(place))}: {error.strerror}")
            reached(Point.GC_IN_PLACE)
        self._stuck.clear()
        if failures:
            reporter.warn(f"{len(failures)} leftovers could not be removed: {failures[0]}", "`vstore gc` tries again")
        return freed_bytes

    def _mark_live(self, starts: Iterable[StorePath]) -> None:
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


def _discard(layout: Layout, places: Iterable[str]) -> list[str]:
    """Move to the trash what is not there yet: one rename each, so nobody sees half an object. What could not be moved.

    Files too: a rename is cheaper than freeing blocks, which may wait for the disk, while others wait for the lock.
    """
    trash_place = layout.trash.relative_to(layout.root).as_posix()
    token, stuck = os.urandom(8).hex(), []
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
                stuck.append(place)
            reached(Point.GC_MOVED)
    return stuck


def _moved(folder: Folder, name: str, trash: Folder, new: str) -> bool:
    """Rename it; a read-only folder must be writable for that, as its ``..`` changes (rename(2)).

    False where that fails, as for folders of an overlay's lower layer and between mounts (EXDEV): the row is out, so
    what stays is litter.
    """
    try:
        try:
            folder.rename(name, trash, new)
        except PermissionError:
            folder.thaw(name)
            folder.rename(name, trash, new)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
