"""Collecting garbage: forgetting by policy, a plan of what goes and why, and carrying it out."""

from __future__ import annotations

from datetime import UTC, datetime

from vstore import profile as profiles
from vstore.config import GcConfig
from vstore.errors import BusyError
from vstore.fs.trees.usage import used_bytes
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
    roots_keeping,
    shortfall,
)
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store

__all__ = [
    "Collected",
    "CollectionPlan",
    "CollectionPolicy",
    "Victim",
    "collect_garbage",
    "delete",
    "exclusive_sizes",
    "forget_expired",
    "forgettable",
    "owner_names",
    "plan_collection",
    "plan_deletion",
    "policy_of",
    "roots_keeping",
    "shortfall",
    "used_bytes",
]


_FOREVER = datetime.max.replace(tzinfo=UTC)  # what this very collection makes unshared as well


def policy_of(
    limits: GcConfig, *, until_free: int | None, now: datetime, clean_cache: bool = False
) -> CollectionPolicy:
    """Return what a collection spares and when it ends; `until_free` in bytes on the store's file system."""
    return CollectionPolicy(
        fresh_since=now - limits.grace if limits.grace is not None else None,
        used_since=(now - limits.unused_for).date() if limits.unused_for is not None else None,
        max_size=limits.max_size,
        until_free=until_free,
        max_freed=limits.max_freed,
        cache_unshared_since=now - limits.cache_unshared_for if limits.cache_unshared_for else _FOREVER,
        cache_max_size=limits.cache_max_size,
        clean_cache=clean_cache,
    )


def forgettable(store: Store, limits: GcConfig, *, now: datetime) -> list[tuple[str, int]]:
    """Profile and number of each generation that `forget_expired` would forget now."""
    return [
        (name, number)
        for name in profiles.names(store)
        for number in profiles.expired(profiles.history(store, name), _retention(limits), now=now)
    ]


def forget_expired(
    store: Store, limits: GcConfig, *, now: datetime, reporter: Reporter | None = None
) -> list[tuple[str, int]]:
    """Forget the generations of all profiles that all limits let go, never a current one.

    A profile that another process is changing is left alone, with a warning.
    """
    forgotten = []
    for name in profiles.names(store):
        try:
            numbers = profiles.forget_expired(store, name, _retention(limits), now=now, blocking=False)
        except BusyError as error:
            (reporter or NullReporter()).warn(
                f"left profile {name} alone: {'; '.join([error.message, *error.details])}"
            )
            continue
        forgotten += [(name, number) for number in numbers]
    return forgotten


def _retention(limits: GcConfig) -> profiles.Retention:
    return profiles.Retention(keep=limits.keep, older_than=limits.older_than, unused_for=limits.unused_for)
