"""Carrying out a collection.

Under the exclusive lock, briefly: read the roots, decide, remove the rows in one transaction, rename the folders to the
trash. After it, unlink the trash, in several threads. A process killed anywhere leaves only litter, in the
trash or without a row, which the next collection removes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from vstore.fs.filelock import lock_file
from vstore.gc.litter import entries, find_litter, stray_links
from vstore.gc.plan import Plan, exclusive_bytes, make_plan
from vstore.gc.unlink import empty_trash
from vstore.objects import StorePath
from vstore.report import Report
from vstore.store import Layout, Root, RootKind, Store, list_roots


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection deleted; `litter` is what it removed of killed processes, relative to the root."""

    deleted: tuple[StorePath, ...]
    freed_bytes: int
    litter: tuple[str, ...]


def plan_collection(
    store: Store,
    *,
    without: Collection[tuple[str, int]] = (),
    max_freed: int | None = None,
    registered_before: datetime | None = None,
) -> Plan:
    """What `collect` would delete now, if the generations `without` were forgotten first."""
    skipped = {f"profiles/{profile}-{number}-link" for profile, number in without}
    with stray_links(store) as stray:
        return _decide(store, stray, skipped, max_freed, registered_before, prune=False)


def collect(
    store: Store, *, max_freed: int | None = None, registered_before: datetime | None = None, report: Report
) -> Collected:
    """Delete what no root reaches, and litter. Others may go on building meanwhile."""
    layout = store.layout
    report.stage("gc", "marking")
    with lock_file(layout.gc_lock):
        with stray_links(store) as stray:
            plan = _decide(store, stray, set(), max_freed, registered_before, prune=True)
            for link in stray:
                (layout.root / link).unlink(missing_ok=True)
        store.index.forget(plan.dead)
        _discard(layout, [f"{layout.store.name}/{path}" for path in plan.dead])
        for path in plan.dead:
            layout.manifest(path).unlink(missing_ok=True)
        _discard(layout, plan.litter)
    empty_trash(layout, report)
    return Collected(deleted=plan.dead, freed_bytes=plan.freed_bytes, litter=plan.litter)


def exclusive_sizes(store: Store, roots: Collection[Root]) -> dict[str, int]:
    """By root name, the bytes that only this root keeps. Temp roots and processes do not count as others."""
    lasting = [root for root in roots if root.kind in (RootKind.PROFILE, RootKind.USER)]
    sizes = exclusive_bytes(store.index.graph(), [root.path for root in lasting])
    found = {root.name: size for root, size in zip(lasting, sizes, strict=True)}
    return {root.name: found.get(root.name, 0) for root in roots}


def shortfall(store: Store, free_bytes: int) -> int:
    """How many bytes must be freed until `free_bytes` are free on the store's file system: a `max_freed`."""
    return max(free_bytes - shutil.disk_usage(store.layout.root).free, 0)


def _decide(
    store: Store,
    stray: Collection[str],
    skipped: Collection[str],
    max_freed: int | None,
    registered_before: datetime | None,
    *,
    prune: bool,
) -> Plan:
    """The plan, read in an order in which nothing alive is missed: what lies there, roots, generations, objects.

    A generation in the index counts even without its link; a stray link does not.
    """
    places = entries(store.layout)
    named = [(root.name, root.path) for root in list_roots(store.layout, prune=prune)]
    for profile in store.generations.profiles():
        named += [(f"profiles/{profile}-{row.number}-link", row.path) for row in store.generations.of(profile)]
    roots = {path for name, path in named if name not in skipped and name not in stray}
    graph = store.index.graph()
    plan = make_plan(graph, roots, max_freed=max_freed, registered_before=registered_before)
    known = {str(path) for path in (*graph.paths, *roots)}
    return replace(plan, litter=(*stray, *find_litter(store.layout, places, known)))


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
