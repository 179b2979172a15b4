"""Carry out the collection of a cache, safe beside pushes without any lock.

A push touches the records that it relies on, and checks them again when its channel is written. A collection checks
each record again before it deletes it. Whichever is later sees the other.
"""

from __future__ import annotations

from vstore.remote.maintenance.plan import CachePlan, CachePolicy, cache_roots
from vstore.remote.records.cache import Cache
from vstore.remote.records.inventory import Item
from vstore.remote.records.trust import NO_TRUST, Trust
from vstore.reporter import Reporter


def collect_cache(
    cache: Cache, plan: CachePlan, policy: CachePolicy, *, reporter: Reporter, trust: Trust = NO_TRUST
) -> tuple[Item, ...]:
    """Delete the dead objects of the plan, except those touched or reached since; return the deleted ones."""
    again = cache.inventory()
    live = again.closure(cache_roots(again, policy.keep, trust))
    deleted: list[Item] = []
    for number, item in enumerate(plan.dead):
        reporter.progress("cache gc", "deleting", number, len(plan.dead))
        touched_at = cache.writer.touched_at(item)
        if touched_at is not None and touched_at > item.touched_at:
            live |= again.closure([item.path])
        if item.path in live:
            continue
        for key in item.keys:
            cache.writer.delete([key])
        deleted.append(item)
    cache.writer.delete(plan.orphans)
    return tuple(deleted)
