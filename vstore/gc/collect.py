"""Executing a collection.

The plan is made without any lock, and executed in batches. For each batch, under the exclusive lock: read the roots
again, keep the objects that they reach, remove the rows of the rest in one transaction, rename the folders to the
trash. Other processes go on between batches. At the end the trash is unlinked in several threads. A collection that is
killed anywhere leaves only orphans, in the trash or without a row, which the next one removes.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from vstore.fs.disk import free_bytes
from vstore.fs.faults import Point, reached
from vstore.fs.trees.usage import InodeCache, Tally, used_bytes
from vstore.gc.clean import Cleaned, clean_everything, clean_wheels, leftovers
from vstore.gc.measure import Measure, logs_of
from vstore.gc.model import Collected, CollectionPlan, CollectionPolicy, Victim
from vstore.gc.orphans import entries, find_orphans, lacks_folders, orphan_candidates, require_rows
from vstore.gc.ownership import owned_by_others
from vstore.gc.packed_archives import archives_of, other_archives, remove_archives
from vstore.gc.plan import ByteLimits, choose_wheels, exclusive_objects, plan_victims
from vstore.gc.remove import Removal, current_roots
from vstore.gc.unlink import empty_trash
from vstore.gc.uv_cache import CachedWheel, UvCaches
from vstore.objects import StorePath
from vstore.reporter import NullReporter, Reporter
from vstore.store import ObjectGraph, Root, RootKind, Store, generation_link
from vstore.store.health.interrupted import freeze_interrupted
from vstore.store.roots.orphan_links import orphan_links
from vstore.values import replace

_SMALLEST, _LARGEST = 250, 2000  # objects removed in one transaction: a commit costs the same for few as for many
_OBJECTS = ("store/", "manifests/")
_HOLD_SECONDS = 0.05  # the longest that others shall wait for the lock


def plan_collection(
    store: Store,
    policy: CollectionPolicy | None = None,
    *,
    without: Collection[tuple[str, int]] = (),
    inodes: InodeCache | None = None,
) -> CollectionPlan:
    """Plan the deletions of `collect_garbage`, after the generations `without` were forgotten."""
    policy, layout, now = policy or CollectionPolicy(), store.layout, datetime.now(UTC)
    ignored = {f"profiles/{generation_link(*one)}" for one in without}
    measure, limits = Measure(layout, inodes=inodes), _limits(store, policy)
    if policy.clean_cache or policy.takes_wheels:
        measure.take_places(leftovers(layout, everything=policy.clean_cache))
    if policy.clean_cache:
        measure.take_places(layout.archives / name for name in other_archives(store, now))
    caches = UvCaches(layout, measure.tally) if policy.takes_wheels else None
    with orphan_links(store) as links:
        expired = _expired(caches, policy, limits.after(measure.tally.freed_bytes), now)
        plan = _planned(store, policy, {*ignored, *links}, links, measure=measure, limits=limits)[0]
        measure.take_places(logs_of(store, plan.dead))
        if not policy.clean_cache:
            measure.take_places(set(archives_of(layout, plan.dead)) - set(plan.orphans))
    wheels = expired + _wheels(caches, policy, limits.after(measure.tally.freed_bytes), now)
    names = tuple(wheel.name for wheel in wheels)
    return replace(plan, freed_bytes=measure.tally.freed_bytes, wheels=names)


def collect_garbage(
    store: Store, policy: CollectionPolicy | None = None, *, reporter: Reporter | None = None
) -> Collected:
    """Delete orphans, unshared wheels of uv's caches, and objects that no root reaches, as far as the policy allows.

    Other processes may build meanwhile. If the policy has `until_free`, repeat until so much is free, or until nothing
    more may go.
    """
    policy, reporter = policy or CollectionPolicy(), reporter or NullReporter()
    freed = 0
    if policy.clean_cache:
        freed = clean_everything(store.layout, reporter) + remove_archives(store, datetime.now(UTC))
    done = Collected(freed_bytes=freed)
    while True:
        more = _collect_once(store, policy, reporter, done.freed_bytes)
        done = Collected(
            victims=done.victims + more.victims,
            spared=more.spared,
            orphans=done.orphans + more.orphans,
            freed_bytes=done.freed_bytes + more.freed_bytes,
            skipped=more.skipped,
            wheels=done.wheels + more.wheels,
        )
        short = policy.until_free is not None and shortfall(store, policy.until_free)
        if not short or not (more.victims or more.wheels):
            return done


def _collect_once(store: Store, policy: CollectionPolicy, reporter: Reporter, freed_before: int) -> Collected:
    reporter.progress("gc", "marking")
    with orphan_links(store) as links:
        measure = None
        limits = _limits(store, policy, freed_before)
        if limits.least is not None:
            measure = Measure(store.layout)
            caches = UvCaches(store.layout, measure.tally) if policy.takes_wheels else None
            _expired(caches, policy, limits, datetime.now(UTC))
        plan, graph, roots = _planned(store, policy, links, links, measure=measure, limits=limits)
    if plan.victims or plan.orphans:
        store.database.check()  # nothing is deleted because of a damaged index
    if plan.unclear:
        reporter.warn(
            f"{len(plan.unclear)} entries without a row stay, as objects with a row are missing",
            hint="run `vstore verify --repair`, or `vstore reindex` if the index is an old one",
        )
    reached(Point.GC_DECIDED)
    removal = Removal(store, graph, roots)
    freeze_interrupted(store.layout)
    orphans = removal.clear(plan.orphans)
    victims: list[Victim] = []
    done, batch = 0, _SMALLEST
    while done < len(plan.victims):
        victims += removal.remove(plan.victims[done : done + batch])
        done = min(done + batch, len(plan.victims))
        reporter.progress("gc", "removing", done, len(plan.victims))
        batch = max(_SMALLEST, min(2 * batch, int(batch * _HOLD_SECONDS / removal.seconds), _LARGEST))
    store.database.compact()
    reached(Point.GC_RELEASED)
    freed = empty_trash(store.layout, reporter) + removal.finish(reporter)
    reached(Point.GC_EMPTIED)
    cleaned = _clean(store, policy, reporter, freed_before + freed)
    return Collected(
        victims=tuple(victims),
        spared=plan.spared,
        orphans=tuple(orphans),
        freed_bytes=freed + cleaned.freed_bytes,
        skipped=plan.skipped,
        wheels=cleaned.wheels,
    )


def _clean(store: Store, policy: CollectionPolicy, reporter: Reporter, freed_before: int) -> Cleaned:
    """Remove the wheels from uv's caches that the policy allows to go now."""
    if not policy.takes_wheels:
        return Cleaned()
    now = datetime.now(UTC)
    caches = UvCaches(store.layout, Tally())
    chosen = _wheels(caches, policy, _limits(store, policy, freed_before), now)
    return clean_wheels(store.layout, chosen, now=now, reporter=reporter)


def _expired(caches: UvCaches | None, policy: CollectionPolicy, limits: ByteLimits, now: datetime) -> list[CachedWheel]:
    """Add the wheels that are deleted regardless of the goals."""
    if caches is None:
        return []
    only = replace(policy, cache_max_size=None)
    return choose_wheels(caches.unshared(now=now), only, replace(limits, goal=None), take=caches.take)


def _wheels(caches: UvCaches | None, policy: CollectionPolicy, limits: ByteLimits, now: datetime) -> list[CachedWheel]:
    if caches is None:
        return []
    unshared = caches.unshared(now=now)
    held = 0
    if policy.cache_max_size is not None:
        held = caches.alone_bytes([wheel for _, wheel in unshared])
    return choose_wheels(unshared, policy, limits, held_bytes=held, take=caches.take)


def _limits(store: Store, policy: CollectionPolicy, freed_bytes: int = 0) -> ByteLimits:
    """Return the limits for the current state of the disk."""
    root = store.layout.root
    used = used_bytes(root) if policy.max_size is not None else 0
    return ByteLimits.of(policy, used_bytes=used, free_bytes=free_bytes(root), freed_bytes=freed_bytes)


def exclusive_sizes(store: Store, roots: Collection[Root], *, inodes: InodeCache | None = None) -> dict[str, int]:
    """Return by root name the bytes that a collection frees in addition once this root has ended.

    Temp roots and processes get 0; other roots are measured as if they did not exist.
    """
    return exclusive_sizes_in(store.objects.graph(), store, roots, inodes=inodes)


def exclusive_sizes_in(
    graph: ObjectGraph, store: Store, roots: Collection[Root], *, inodes: InodeCache | None = None
) -> dict[str, int]:
    """Return the `exclusive_sizes` of roots, given the graph of all objects in the store."""
    lasting = [root for root in roots if root.kind in (RootKind.PROFILE, RootKind.USER)]
    kept = exclusive_objects(graph, [root.path for root in lasting])
    dead = Measure(store.layout, inodes=inodes)
    plan_victims(graph, [root.path for root in roots], sizes=dead)
    sizes = dict.fromkeys((root.name for root in roots), 0)
    for root, names in zip(lasting, kept, strict=True):
        measure = Measure(store.layout, after=dead, inodes=inodes)
        for name in names:
            measure.take(name)
        measure.take_places(logs_of(store, map(StorePath.parse, names)))
        sizes[root.name] = measure.tally.freed_bytes
    return sizes


def shortfall(store: Store, wanted_bytes: int) -> int:
    """Return how many bytes must become free until `wanted_bytes` are on the store's file system."""
    return max(wanted_bytes - free_bytes(store.layout.root), 0)


def _planned(
    store: Store,
    policy: CollectionPolicy,
    ignored: Collection[str],
    links: Collection[str],
    *,
    measure: Measure | None,
    limits: ByteLimits,
) -> tuple[CollectionPlan, ObjectGraph, set[StorePath]]:
    """Make the plan from entries, roots and objects, read in this order so that nothing alive is missed.

    `measure` has counted the files that are deleted in any case; they count for the limits.
    """
    places = entries(store.layout)
    roots = current_roots(store, ignored)
    graph = store.objects.graph()
    names = set(graph.names)
    require_rows(store, (path for path in roots if str(path) not in names), ignored)
    known = names.union(map(str, roots))
    orphans = (
        *links,
        *find_orphans(store, orphan_candidates(places, known), known, now=datetime.now(UTC)),
    )
    unclear = tuple(place for place in orphans if place.startswith(_OBJECTS))
    if unclear and lacks_folders(store, places["store"], graph.names):
        orphans = tuple(place for place in orphans if place not in unclear)
    else:
        unclear = ()
    if measure is not None:
        measure.take_places(orphans)
        limits = limits.after(measure.tally.freed_bytes)
    plan = plan_victims(
        graph, roots, policy, limit=limits.least, owned_by_others=owned_by_others(store.layout), sizes=measure
    )
    return replace(plan, orphans=orphans, unclear=unclear), graph, roots
