"""Garbage collection: forget generations by policy, delete dead objects, and explain each deletion.

Example::

    from vstore.api import gc, stores

    with stores.open_store() as store:
        options = gc.GcOptions(gc.limits_of(store, keep=3))
        print(gc.plan_gc(store, options).found.freed_bytes)
        gc.run_gc(store, options)
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from vstore import profile as profiles
from vstore.config import GcConfig
from vstore.errors import BusyError, UsageError
from vstore.fs.disk import free_bytes
from vstore.fs.trees.usage import InodeCache, Inodes, used_bytes
from vstore.gc import (
    Collected,
    CollectionPlan,
    CollectionPolicy,
    Victim,
    collect_garbage,
    delete,
    exclusive_sizes,
    owner_names,
    plan_collection,
    plan_deletion,
    shortfall,
)
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store, keep_emergency_space
from vstore.values import replace

__all__ = [
    "Collected",
    "CollectionPlan",
    "CollectionPolicy",
    "GcOptions",
    "GcResult",
    "InodeCache",
    "Inodes",
    "Victim",
    "collect_garbage",
    "delete",
    "exclusive_sizes",
    "limits_of",
    "limits_reached",
    "owners_of_skipped",
    "plan_collection",
    "plan_deletion",
    "plan_gc",
    "policy_of",
    "run_gc",
    "shortfall",
    "used_bytes",
]


_FOREVER = datetime.max.replace(tzinfo=UTC)  # wheels that this collection itself makes unshared, too


class GcOptions(NamedTuple):
    """Options of one collection: limits, the space to reach in bytes, and whether to empty caches.

    With `until_free` a collection ends when the file system of the store has so much free space. `clean_cache` empties
    uv's cache, whatever is shared, and removes all packed archives.
    """

    limits: GcConfig
    until_free: int | None = None
    clean_cache: bool = False


class GcResult(NamedTuple):
    """The forgotten generations, as profile and number, and the deleted objects. In a plan: those to forget and delete.

    `missing_bytes` is how much less is free than `GcOptions.until_free`.
    """

    forgotten: tuple[tuple[str, int], ...]
    found: CollectionPlan | Collected
    missing_bytes: int = 0


def limits_of(store: Store, **chosen: object) -> GcConfig:
    """Return the limits in ``[gc]`` of the store's config.toml, replaced by those chosen here that are not None.

    Raises UsageError unless `keep` is at least 1: the current generation is always kept.
    """
    if isinstance(keep := chosen.get("keep"), int) and keep < 1:
        raise UsageError(f"keep must be at least 1, not {keep}", hint="`forget` removes a whole profile")
    return replace(store.config.gc, **{name: value for name, value in chosen.items() if value is not None})  # type: ignore[arg-type]


def plan_gc(store: Store, options: GcOptions, *, inodes: InodeCache | None = None) -> GcResult:
    """Return the plan that `run_gc` would carry out now. The cache `inodes` serves other measures of the store too."""
    now = datetime.now(UTC)
    forgotten = [
        (name, number)
        for name in profiles.names(store)
        for number in profiles.expired(profiles.history(store, name), _retention(options.limits), now=now)
    ]
    plan = plan_collection(store, policy_of(options, now=now), without=forgotten, inodes=inodes)
    return GcResult(tuple(forgotten), plan)


def run_gc(store: Store, options: GcOptions, *, reporter: Reporter | None = None) -> GcResult:
    """Forget the generations that all limits allow to forget, then delete the objects that no root reaches.

    A current generation is never forgotten. A profile that another process is changing is skipped with a warning.
    Objects that `store` has realised or looked up since it was opened are kept: collect with a store opened anew.
    Raises StoreError or BusyError; the store is intact after any error, and the next collection continues.
    """
    reporter, now = reporter or NullReporter(), datetime.now(UTC)
    try:
        forgotten = _forget_expired(store, options.limits, now, reporter)
        collected = collect_garbage(store, policy_of(options, now=now), reporter=reporter)
        keep_emergency_space(store.layout)
    except KeyboardInterrupt:
        reporter.note("the store is intact; the next `vstore gc` continues")
        raise
    missing_bytes = shortfall(store, options.until_free) if options.until_free is not None else 0
    return GcResult(tuple(forgotten), collected, missing_bytes)


def owners_of_skipped(store: Store, found: CollectionPlan | Collected) -> list[str]:
    """Return the users to whom dead objects belong that only they, or root, can delete."""
    return owner_names(store.layout, found.skipped)


def limits_reached(store: Store, options: GcOptions) -> dict[str, tuple[int, int]]:
    """Return the sizes that end a collection, by the name of the limit: the current bytes, and those of the limit.

    `max_size` is compared with the bytes of the store, `until_free` with the free ones.
    """
    found = {}
    if (limit := options.limits.max_size) is not None:
        found["max_size"] = used_bytes(store.layout.root), limit
    if options.until_free is not None:
        found["until_free"] = free_bytes(store.layout.root), options.until_free
    return found


def policy_of(options: GcOptions, *, now: datetime) -> CollectionPolicy:
    """Return the limits of a collection: the dead objects that it spares, and its end."""
    limits = options.limits
    return CollectionPolicy(
        fresh_since=now - limits.grace if limits.grace is not None else None,
        used_since=(now - limits.unused_for).date() if limits.unused_for is not None else None,
        max_size=limits.max_size,
        until_free=options.until_free,
        max_freed=limits.max_freed,
        cache_unshared_since=now - limits.cache_unshared_for if limits.cache_unshared_for else _FOREVER,
        cache_max_size=limits.cache_max_size,
        clean_cache=options.clean_cache,
    )


def _forget_expired(store: Store, limits: GcConfig, now: datetime, reporter: Reporter) -> list[tuple[str, int]]:
    forgotten = []
    for name in profiles.names(store):
        try:
            numbers = profiles.forget_expired(store, name, _retention(limits), now=now, blocking=False)
        except BusyError as error:
            reporter.warn(f"profile {name} is in use and was left alone: {'; '.join([error.message, *error.details])}")
            continue
        forgotten += [(name, number) for number in numbers]
    return forgotten


def _retention(limits: GcConfig) -> profiles.Retention:
    return profiles.Retention(keep=limits.keep, older_than=limits.older_than, unused_for=limits.unused_for)
