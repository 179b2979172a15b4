"""Carrying out a collection.

Under the exclusive lock, briefly: read the roots, decide, remove the rows in one transaction, rename the folders to the
trash. After it, unlink the trash, in several threads. A process killed anywhere leaves only litter, in the
trash or without a row, which the next collection removes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from vstore.fs.atomic import remove_tree
from vstore.fs.filelock import is_held, lock_file
from vstore.gc.plan import Plan, exclusive_bytes, make_plan
from vstore.objects import StorePath
from vstore.report import Report
from vstore.store import Layout, Root, RootKind, Store, list_roots

_UNLINKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection deleted; `litter` counts leftovers of killed processes."""

    deleted: tuple[StorePath, ...]
    freed_bytes: int
    litter: int


def plan_collection(store: Store, *, without: Collection[tuple[str, int]] = (), max_freed: int | None = None) -> Plan:
    """What `collect` would delete now, if the generations `without` were forgotten first."""
    skipped = {f"profiles/{profile}-{number}-link" for profile, number in without}
    roots = [root.path for root in list_roots(store.layout) if root.name not in skipped]
    return make_plan(store.index.graph(), roots, max_freed=max_freed)


def exclusive_sizes(store: Store, roots: Collection[Root]) -> dict[str, int]:
    """By root name, the bytes that only this root keeps. Temp roots and processes do not count as others."""
    lasting = [root for root in roots if root.kind in (RootKind.PROFILE, RootKind.USER)]
    sizes = exclusive_bytes(store.index.graph(), [root.path for root in lasting])
    found = {root.name: size for root, size in zip(lasting, sizes, strict=True)}
    return {root.name: found.get(root.name, 0) for root in roots}


def collect(store: Store, *, max_freed: int | None = None, report: Report) -> Collected:
    """Delete what no root reaches, and litter. Others may go on building meanwhile."""
    layout = store.layout
    report.stage("gc", "marking")
    with lock_file(layout.gc_lock):
        roots = [root.path for root in list_roots(layout, prune=True)]
        plan = make_plan(store.index.graph(), roots, max_freed=max_freed)
        store.index.forget(plan.dead)
        for path in plan.dead:
            _discard(layout, layout.object(path))
            layout.manifest(path).unlink(missing_ok=True)
        litter = list(_litter(store, set(roots)))
        for place in litter:
            _discard(layout, place)
    _empty_trash(layout, report)
    return Collected(deleted=plan.dead, freed_bytes=plan.freed_bytes, litter=len(litter))


def _discard(layout: Layout, place: Path) -> None:
    """Move to the trash: one rename, so nobody sees half an object. A read-only folder must be writable for it."""
    target = layout.trash / f"{place.name}-{secrets.token_hex(4)}"
    try:
        os.rename(place, target)
    except FileNotFoundError:
        return
    except PermissionError:
        os.chmod(place, 0o755)
        os.rename(place, target)


def _litter(store: Store, roots: set[StorePath]) -> Iterator[Path]:
    """What killed processes left: objects and manifests without a row, builds and locks without an owner."""
    layout = store.layout
    known = {str(info) for info in store.index.graph().paths} | {str(path) for path in roots}
    for folder in (layout.store, layout.manifests):
        with os.scandir(folder) as found:
            yield from [folder / entry.name for entry in found if entry.name not in known]
    for place in sorted(layout.tmp.iterdir()):
        if place == layout.trash:
            continue
        lock = place if place.suffix == ".lock" else place.with_name(place.name + ".lock")
        if not is_held(lock):
            yield place


def _empty_trash(layout: Layout, report: Report) -> None:
    places = sorted(layout.trash.iterdir())
    report.stage("gc", "unlinking", 0, len(places))
    with ThreadPoolExecutor(_UNLINKERS) as pool:
        for done, _ in enumerate(pool.map(remove_tree, places), 1):
            if done % 64 == 0:
                report.stage("gc", "unlinking", done, len(places))
