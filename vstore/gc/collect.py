"""Carrying out a collection.

The plan is made without any lock. It is carried out in batches: under the exclusive lock, briefly, ask which roots
there are now, leave what they reach, remove the rows of the rest in one transaction, rename the folders to the trash.
Between batches others go on; after all, the trash is unlinked in several threads. Killed or interrupted anywhere, a
collection leaves only litter, in the trash or without a row, which the next one removes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from vstore.fs.disk import free_bytes
from vstore.fs.faults import Point, reached
from vstore.fs.usage import used_bytes
from vstore.gc.litter import entries, find_litter, stray_links, unclaimed
from vstore.gc.measure import Measure, logs_of
from vstore.gc.model import Collected, Plan, Policy, Victim
from vstore.gc.owners import foreign
from vstore.gc.plan import exclusive_objects, limit_of, make_plan
from vstore.gc.remove import Removal, current_roots
from vstore.gc.unlink import empty_trash
from vstore.objects import StorePath
from vstore.report import Report
from vstore.store import Graph, Root, RootKind, Store, generation_link
from vstore.store.interrupted import freeze_interrupted

_SMALLEST, _LARGEST = 250, 2000  # objects removed in one transaction, whose commit costs the same for few as for many
_HOLD_SECONDS = 0.05  # how long removing them may take: others wait for the lock meanwhile


def plan_collection(store: Store, policy: Policy | None = None, *, without: Collection[tuple[str, int]] = ()) -> Plan:
    """Plan what `collect` would delete now, if the generations `without` were forgotten first."""
    skipped = {f"profiles/{generation_link(*one)}" for one in without}
    measure = Measure(store.layout)
    with stray_links(store) as stray:
        plan = _planned(store, policy or Policy(), {*skipped, *stray}, stray, measure=measure)[0]
        measure.take_places(logs_of(store, plan.dead))
    return replace(plan, freed_bytes=measure.tally.freed_bytes)


def collect(store: Store, policy: Policy | None = None, *, report: Report) -> Collected:
    """Delete what no root reaches as far as the policy says, and litter. Others may go on building meanwhile.

    Where a policy wants so much free, objects go until that is so, or none is left that may go.
    """
    policy = policy or Policy()
    done = _collect_once(store, policy, report)
    while done.victims and policy.until_free is not None and shortfall(store, policy.until_free):
        more = _collect_once(store, policy, report, freed_bytes=done.freed_bytes)
        if not more.victims:
            break
        done = replace(
            done, victims=done.victims + more.victims, litter=done.litter + more.litter, freed_bytes=more.freed_bytes
        )
    return done


def _collect_once(store: Store, policy: Policy, report: Report, *, freed_bytes: int = 0) -> Collected:
    report.stage("gc", "marking")
    with stray_links(store) as stray:
        plan, graph, roots = _planned(store, policy, stray, stray, freed_bytes=freed_bytes)
    reached(Point.GC_DECIDED)
    removal = Removal(store, graph, roots)
    freeze_interrupted(store.layout)
    litter = removal.clear(plan.litter)
    victims: list[Victim] = []
    done, batch = 0, _SMALLEST
    while done < len(plan.victims):
        victims += removal.remove(plan.victims[done : done + batch])
        done = min(done + batch, len(plan.victims))
        report.stage("gc", "removing", done, len(plan.victims))
        batch = max(_SMALLEST, min(2 * batch, int(batch * _HOLD_SECONDS / removal.seconds), _LARGEST))
    store.index.database.compact()
    reached(Point.GC_RELEASED)
    freed_bytes += empty_trash(store.layout, report)
    freed_bytes += removal.finish(report)
    reached(Point.GC_EMPTIED)
    return Collected(victims=tuple(victims), litter=tuple(litter), freed_bytes=freed_bytes, left=plan.left)


def exclusive_sizes(store: Store, roots: Collection[Root]) -> dict[str, int]:
    """Return by root name the bytes that collecting gives back in addition once this root has ended.

    Temp roots and processes get 0, and do not count as others that keep something.
    """
    lasting = [root for root in roots if root.kind in (RootKind.PROFILE, RootKind.USER)]
    graph = store.index.graph()
    kept = exclusive_objects(graph, [root.path for root in lasting])
    dead = Measure(store.layout)
    make_plan(graph, [root.path for root in roots], sizes=dead)
    sizes = dict.fromkeys((root.name for root in roots), 0)
    for root, names in zip(lasting, kept, strict=True):
        measure = Measure(store.layout, after=dead)
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
    policy: Policy,
    skipped: Collection[str],
    stray: Collection[str],
    *,
    freed_bytes: int = 0,
    measure: Measure | None = None,
) -> tuple[Plan, Graph, set[StorePath]]:
    """The plan, read in an order in which nothing alive is missed: what lies there, roots, generations, objects."""
    places = entries(store.layout)
    roots = current_roots(store, skipped)
    graph = store.index.graph()
    known = {*graph.names, *map(str, roots)}
    litter = (*stray, *find_litter(store, unclaimed(places, known), known, now=datetime.now(UTC)))
    limit = None
    if policy.is_limited:
        used = used_bytes(store.layout.root) if policy.max_size is not None else 0
        free = free_bytes(store.layout.root)
        limit = limit_of(policy, used_bytes=used, free_bytes=free, freed_bytes=freed_bytes)
        measure = measure or Measure(store.layout)
    if measure is not None:
        measure.take_places(litter)
        limit = max(limit - measure.tally.freed_bytes, 0) if limit is not None else None
    plan = make_plan(graph, roots, policy, limit=limit, foreign=foreign(store.layout), sizes=measure)
    return replace(plan, litter=litter), graph, roots
