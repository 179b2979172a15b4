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
from vstore.gc.litter import entries, find_litter, stray_links, unclaimed
from vstore.gc.model import Collected, Plan, Policy, Victim
from vstore.gc.owners import foreign
from vstore.gc.plan import exclusive_bytes, make_plan
from vstore.gc.remove import Removal, current_roots
from vstore.gc.unlink import empty_trash
from vstore.objects import StorePath
from vstore.report import Report
from vstore.store import Graph, Root, RootKind, Store, generation_link

_SMALLEST, _LARGEST = 250, 2000  # objects removed in one transaction, whose commit costs the same for few as for many
_HOLD_SECONDS = 0.05  # how long removing them may take: others wait for the lock meanwhile


def plan_collection(store: Store, policy: Policy | None = None, *, without: Collection[tuple[str, int]] = ()) -> Plan:
    """What `collect` would delete now, if the generations `without` were forgotten first."""
    skipped = {f"profiles/{generation_link(*one)}" for one in without}
    with stray_links(store) as stray:
        return _planned(store, policy, {*skipped, *stray}, stray)[0]


def collect(store: Store, policy: Policy | None = None, *, report: Report) -> Collected:
    """Delete what no root reaches as far as the policy says, and litter. Others may go on building meanwhile."""
    report.stage("gc", "marking")
    with stray_links(store) as stray:
        plan, graph, roots = _planned(store, policy, stray, stray)
    reached(Point.GC_DECIDED)
    removal = Removal(store, graph, roots)
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
    empty_trash(store.layout, report)
    reached(Point.GC_EMPTIED)
    return Collected(victims=tuple(victims), litter=tuple(litter), left=plan.left)


def exclusive_sizes(store: Store, roots: Collection[Root]) -> dict[str, int]:
    """By root name, the bytes that only this root keeps. Temp roots and processes do not count as others."""
    lasting = [root for root in roots if root.kind in (RootKind.PROFILE, RootKind.USER)]
    sizes = exclusive_bytes(store.index.graph(), [root.path for root in lasting])
    found = {root.name: size for root, size in zip(lasting, sizes, strict=True)}
    return {root.name: found.get(root.name, 0) for root in roots}


def shortfall(store: Store, wanted_bytes: int) -> int:
    """How many bytes must be freed until `wanted_bytes` are free on the store's file system: a `Policy.to_free`."""
    return max(wanted_bytes - free_bytes(store.layout.root), 0)


def _planned(
    store: Store, policy: Policy | None, skipped: Collection[str], stray: Collection[str]
) -> tuple[Plan, Graph, set[StorePath]]:
    """The plan, read in an order in which nothing alive is missed: what lies there, roots, generations, objects."""
    places = entries(store.layout)
    roots = current_roots(store, skipped)
    graph = store.index.graph()
    plan = make_plan(graph, roots, policy, foreign=foreign(store.layout))
    known = {*graph.names, *map(str, roots)}
    litter = (*stray, *find_litter(store, unclaimed(places, known), known, now=datetime.now(UTC)))
    return replace(plan, litter=litter), graph, roots
