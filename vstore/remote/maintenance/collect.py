"""Carrying out the collection of a cache, safe beside pushes without any lock in it.

A push touches the records that it finds there and relies on, and looks again when its channel is written; a
collection looks at each record once more before it deletes it. Whichever is later sees the other.
"""

from __future__ import annotations

from vstore.remote.maintenance.plan import CachePlan, Policy, roots
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.inventory import Item, read_inventory
from vstore.remote.records.trust import NOBODY, Trust
from vstore.reporter import Reporter


def collect(
    cache: Cache, plan: CachePlan, policy: Policy, *, reporter: Reporter, trust: Trust = NOBODY
) -> tuple[Item, ...]:
    """Delete what the plan calls dead, unless it was touched or is reached meanwhile; returns what went."""
    again = read_inventory(cache)
    alive = again.closure(roots(again, policy.keep, trust))
    gone: list[Item] = []
    for number, item in enumerate(plan.dead):
        reporter.progress("cache gc", "deleting", number, len(plan.dead))
        stat = cache.transport.head(layout.object_key(item.path))
        if stat is not None and stat.modified > item.touched_at:
            alive |= again.closure([item.path])
        if item.path in alive:
            continue
        for key in item.keys:
            cache.transport.delete([key])
        gone.append(item)
    cache.transport.delete(plan.stray)
    return tuple(gone)
