"""The plan of a collection (pure), computed on a graph in memory without a query per object.

Liveness is decided first, then the order: a dead object does not become younger because a dead object that refers to it
was used recently. If a policy spares an object, all that it refers to stays too, since an object never loses its
references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from heapq import heapify, heappop, heappush
from math import inf
from typing import Protocol, Self

from vstore.gc.model import CollectionPlan, CollectionPolicy, Victim
from vstore.gc.uv_cache import CachedWheel
from vstore.objects import StorePath
from vstore.store import ObjectGraph
from vstore.values import frozen, replace

_NO_ROOT, _SEVERAL = -1, -2


class FreedBytes(Protocol):
    """Counts the bytes that objects free when they are deleted."""

    def own_bytes(self, name: str) -> int:
        """Return the bytes that deleting one object frees."""

    def take(self, name: str) -> int:
        """Return the bytes that an object frees after all that was taken before, with the inodes that they share."""


class _RecordedSizes:
    """Counts the sizes in the index, as if objects shared no bytes."""

    def __init__(self, graph: ObjectGraph) -> None:
        self._sizes = dict(zip(graph.names, graph.sizes, strict=True))

    def own_bytes(self, name: str) -> int:
        return self._sizes[name]

    def take(self, name: str) -> int:
        return self._sizes[name]


def plan_victims(
    graph: ObjectGraph,
    roots: Iterable[StorePath],
    policy: CollectionPolicy | None = None,
    *,
    limit: int | None = None,
    owned_by_others: Callable[[str], bool] | None = None,
    sizes: FreedBytes | None = None,
) -> CollectionPlan:
    """Plan to delete the objects that no root reaches, as far as the policy allows, the longest unused first.

    End when `limit` bytes are freed, as `sizes` counts them. Objects that are `owned_by_others` cannot be removed by
    this user and stay, with all that they refer to; only dead objects are checked.
    """
    policy = policy or CollectionPolicy()
    wanted = set(map(str, roots))
    alive = _reachable(graph, (number for number, name in enumerate(graph.names) if name in wanted))
    live = sum(alive)
    kept = _reachable(graph, _spared(graph, alive, policy), alive)
    skipped = [
        number
        for number, name in enumerate(graph.names)
        if owned_by_others and not kept[number] and owned_by_others(name)
    ]
    kept = _reachable(graph, skipped, kept)
    sizes = sizes or _RecordedSizes(graph)
    own = graph.sizes.__getitem__ if limit is None else lambda number: sizes.own_bytes(graph.names[number])
    freed, chosen = 0, []
    for number in _referrers_first(graph, kept, own) if limit != 0 else ():
        freed += sizes.take(graph.names[number])
        chosen.append(_victim(graph, number))
        if limit is not None and freed >= limit:
            break
    spared = len(graph.names) - live - len(chosen)
    return CollectionPlan(
        victims=tuple(chosen),
        live=live,
        spared=spared,
        freed_bytes=freed,
        skipped=tuple(StorePath.parse(graph.names[number]) for number in skipped),
    )


def _victim(graph: ObjectGraph, number: int) -> Victim:
    return Victim(
        path=StorePath.parse(graph.names[number]),
        size_bytes=graph.sizes[number],
        registered_at=datetime.fromisoformat(graph.registered_at[number]),
        used_on=date.fromisoformat(graph.used_on[number]),
        used_by=graph.used_by[number],
        build_seconds=graph.build_seconds[number],
    )


def _spared(graph: ObjectGraph, alive: Sequence[int], policy: CollectionPolicy) -> Iterable[int]:
    """Yield the dead objects that are too fresh or were used too recently."""
    used = policy.used_since.isoformat() if policy.used_since else None
    if policy.fresh_since is None and used is None:
        return
    for number, registered in enumerate(graph.registered_at):
        if alive[number]:
            continue
        fresh = policy.fresh_since is not None and datetime.fromisoformat(registered) >= policy.fresh_since
        if fresh or (used is not None and graph.used_on[number] >= used):
            yield number


@frozen
class ByteLimits:
    """The bytes to free: up to `goal`, and no more once `cap` are freed. None means no such limit."""

    goal: int | None = None
    cap: int | None = None

    @classmethod
    def of(cls, policy: CollectionPolicy, *, used_bytes: int = 0, free_bytes: int = 0, freed_bytes: int = 0) -> Self:
        """Return the limits of a policy, given the bytes of the store's root, and the bytes free and already freed."""
        goals = []
        if policy.until_free is not None:
            goals.append(max(policy.until_free - free_bytes, 0))
        if policy.max_size is not None:
            goals.append(max(used_bytes - policy.max_size, 0))
        cap = max(policy.max_freed - freed_bytes, 0) if policy.max_freed is not None else None
        return cls(goal=max(goals, default=None), cap=cap)

    def after(self, freed_bytes: int) -> Self:
        """Return the limits that remain after more bytes are freed."""
        goal, cap = (None if one is None else max(one - freed_bytes, 0) for one in (self.goal, self.cap))
        return replace(self, goal=goal, cap=cap)

    @property
    def least(self) -> int | None:
        """The bytes after which to end; None if there is no limit."""
        return min((one for one in (self.goal, self.cap) if one is not None), default=None)


def choose_wheels(
    unshared: Iterable[tuple[datetime, CachedWheel]],
    policy: CollectionPolicy,
    limits: ByteLimits,
    *,
    held_bytes: int = 0,
    take: Callable[[CachedWheel], int],
) -> list[CachedWheel]:
    """Choose wheels to remove, the longest unshared first, until the policy and the limits are satisfied.

    `held_bytes` is the size of all of them, and `take` returns the bytes that removing a wheel frees.
    """
    chosen: list[CachedWheel] = []
    for since, wheel in unshared:
        expired = policy.cache_unshared_since is not None and since <= policy.cache_unshared_since
        crowded = policy.cache_max_size is not None and held_bytes > policy.cache_max_size
        if not (expired or crowded or limits.goal) or limits.cap == 0:
            break
        freed = take(wheel)
        chosen.append(wheel)
        held_bytes -= freed
        limits = limits.after(freed)
    return chosen


def _reachable(graph: ObjectGraph, starts: Iterable[int], alive: bytes | bytearray = b"") -> bytearray:
    """Return a flag for each object: set for `starts`, for all that they lead to, and for those set in `alive`."""
    found = bytearray(alive or len(graph.names))
    queue = list(starts)
    while queue:
        number = queue.pop()
        if not found[number]:
            found[number] = 1
            queue.extend(graph.edges[number])
    return found


def _referrers_first(graph: ObjectGraph, kept: Sequence[int], own: Callable[[int], int]) -> Iterator[int]:
    """Yield the objects that are not kept, referrers first (Kahn's algorithm), the longest unused first.

    Of objects last used on the same day, yield the one that frees most of its `own` bytes per second of build time.
    """
    waiting = [0] * len(graph.names)
    for number, references in enumerate(graph.edges):
        if not kept[number]:
            for reference in references:
                waiting[reference] += 1

    def unranked(number: int) -> tuple[str, float, int]:
        return graph.used_on[number], -inf, number

    ready = [unranked(number) for number in range(len(graph.names)) if not kept[number] and not waiting[number]]
    heapify(ready)
    while ready:
        day, rank, number = heappop(ready)
        if rank == -inf:  # bytes are counted only of objects whose day has come
            heappush(ready, (day, -own(number) / max(graph.build_seconds[number] or 0, 1), number))
            continue
        yield number
        for reference in graph.edges[number]:
            waiting[reference] -= 1
            if not waiting[reference] and not kept[reference]:
                heappush(ready, unranked(reference))


def exclusive_objects(graph: ObjectGraph, roots: Sequence[StorePath]) -> list[list[str]]:
    """Return for each root the names of the objects that no other root keeps.

    One walk for all roots: an object is marked at most twice, first with its root and then as kept by several.
    """
    position = {path: number for number, path in enumerate(graph.paths)}
    owner = [_NO_ROOT] * len(graph.paths)
    for root, path in enumerate(roots):
        queue = [position[path]] if path in position else []
        while queue:
            number = queue.pop()
            if owner[number] not in (root, _SEVERAL):
                owner[number] = root if owner[number] == _NO_ROOT else _SEVERAL
                queue.extend(graph.edges[number])
    result: list[list[str]] = [[] for _ in roots]
    for number, root in enumerate(owner):
        if root >= 0:
            result[root].append(graph.names[number])
    return result
