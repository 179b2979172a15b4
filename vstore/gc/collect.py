"""Carrying out a collection.

The plan is made without any lock. It is carried out in batches: under the exclusive lock, briefly, ask which roots
there are now, leave what they reach, remove the rows of the rest in one transaction, rename the folders to the trash.
Between batches others go on; after all, the trash is unlinked in several threads. Killed or interrupted anywhere, a
collection leaves only litter, in the trash or without a row, which the next one removes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from vstore.fs.filelock import lock_file
from vstore.gc.litter import entries, find_litter, stray_links
from vstore.gc.model import Collected, Plan, Policy, Victim
from vstore.gc.plan import exclusive_bytes, make_plan
from vstore.gc.unlink import empty_trash
from vstore.objects import StorePath
from vstore.report import Report
from vstore.store import Graph, Layout, Root, RootKind, Store, list_roots

_BATCH = 1000  # objects removed in one transaction; nobody waits longer for the lock than that takes


def plan_collection(store: Store, policy: Policy | None = None, *, without: Collection[tuple[str, int]] = ()) -> Plan:
    """What `collect` would delete now, if the generations `without` were forgotten first."""
    skipped = {f"profiles/{profile}-{number}-link" for profile, number in without}
    with stray_links(store) as stray:
        return _planned(store, policy, {*skipped, *stray}, stray)[0]


def collect(store: Store, policy: Policy | None = None, *, report: Report) -> Collected:
    """Delete what no root reaches as far as the policy says, and litter. Others may go on building meanwhile."""
    report.stage("gc", "marking")
    with stray_links(store) as stray:
        plan, graph, roots = _planned(store, policy, stray, stray)
    batches = _Batches(store, graph, roots)
    litter = batches.clear(plan.litter)
    victims: list[Victim] = []
    for start in range(0, len(plan.victims), _BATCH):
        victims += batches.remove(plan.victims[start : start + _BATCH])
        report.stage("gc", "removing", min(start + _BATCH, len(plan.victims)), len(plan.victims))
    store.index.database.compact()
    empty_trash(store.layout, report)
    return Collected(victims=tuple(victims), litter=tuple(litter))


def exclusive_sizes(store: Store, roots: Collection[Root]) -> dict[str, int]:
    """By root name, the bytes that only this root keeps. Temp roots and processes do not count as others."""
    lasting = [root for root in roots if root.kind in (RootKind.PROFILE, RootKind.USER)]
    sizes = exclusive_bytes(store.index.graph(), [root.path for root in lasting])
    found = {root.name: size for root, size in zip(lasting, sizes, strict=True)}
    return {root.name: found.get(root.name, 0) for root in roots}


def shortfall(store: Store, free_bytes: int) -> int:
    """How many bytes must be freed until `free_bytes` are free on the store's file system: a `Policy.to_free`."""
    return max(free_bytes - shutil.disk_usage(store.layout.root).free, 0)


def _planned(
    store: Store, policy: Policy | None, skipped: Collection[str], stray: Collection[str]
) -> tuple[Plan, Graph, set[StorePath]]:
    """The plan, read in an order in which nothing alive is missed: what lies there, roots, generations, objects."""
    places = entries(store.layout)
    roots = _roots(store, skipped)
    graph = store.index.graph()
    plan = make_plan(graph, roots, policy)
    known = {str(path) for path in (*graph.paths, *roots)}
    litter = (*stray, *find_litter(store, places, known, now=datetime.now(UTC)))
    return replace(plan, litter=litter), graph, roots


def _roots(store: Store, skipped: Collection[str] = (), *, prune: bool = False) -> set[StorePath]:
    """Where reachability starts. A generation in the index counts even without its link."""
    named = [(root.name, root.path) for root in list_roots(store.layout, prune=prune)]
    for profile in store.generations.profiles():
        named += [(f"profiles/{profile}-{row.number}-link", row.path) for row in store.generations.of(profile)]
    return {path for name, path in named if name not in skipped}


class _Batches:
    """Removes what was planned, bit by bit, leaving what came alive after the plan was made."""

    def __init__(self, store: Store, graph: Graph, roots: set[StorePath]) -> None:
        self._store = store
        self._roots = roots
        self._references = dict(zip(graph.paths, graph.references, strict=True))
        self._paths = graph.paths
        self._revived: set[StorePath] = set()

    def clear(self, places: Sequence[str]) -> list[str]:
        """Put litter into the trash; which of it is still litter is asked again under the lock."""
        layout = self._store.layout
        others = [place for place in places if not place.startswith("profiles/")]
        with lock_file(layout.gc_lock), stray_links(self._store) as stray:
            roots = _roots(self._store, stray, prune=True)
            self._revive(roots - self._roots)
            known = {str(path) for path in roots}
            known |= {name for place in others if self._is_valid(name := place.rpartition("/")[2])}
            found = list(find_litter(self._store, others, known, now=datetime.now(UTC)))
            for link in stray:
                (layout.root / link).unlink(missing_ok=True)
            _discard(layout, found)
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
            paths = {victim.path for victim in victims}
            self._revive(_roots(store) - self._roots)
            self._revive(store.index.held_by_others(paths - self._revived))
            gone = [victim for victim in victims if victim.path not in self._revived]
            logs = store.index.recipes(victim.path for victim in gone)
            store.index.forget(victim.path for victim in gone)
            _discard(layout, [f"{layout.store.name}/{victim.path}" for victim in gone])
            for victim in gone:
                layout.manifest(victim.path).unlink(missing_ok=True)
            for recipe in logs:
                layout.log(recipe).unlink(missing_ok=True)
        return gone

    def _revive(self, starts: Iterable[StorePath]) -> None:
        """These are needed again, with all that they refer to; what is not in the graph came after it."""
        queue = list(starts)
        while queue:
            path = queue.pop()
            if path in self._revived:
                continue
            self._revived.add(path)
            if path in self._references:
                queue += [self._paths[number] for number in self._references[path]]
            elif (info := self._store.index.info(path)) is not None:
                queue += info.references


def _discard(layout: Layout, places: Iterable[str]) -> None:
    """Move to the trash what is not there yet: one rename each, so nobody sees half an object."""
    trash = layout.trash.relative_to(layout.root).as_posix()
    token = secrets.token_hex(8)
    for number, place in enumerate(places):
        if place.rpartition("/")[0] != trash:
            _move(os.path.join(layout.root, place), os.path.join(layout.root, trash, f"{token}-{number}"))


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
