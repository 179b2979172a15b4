"""What a collection would do, decided on a graph in memory: no query per object, nothing touched.

Liveness first, then order: what is dead does not become younger because something dead that refers to it was used
lately. Only where a policy spares an object must all that it refers to stay too, since an object is never left
without its references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from heapq import heapify, heappop, heappush
from math import inf
from typing import Protocol, Self

from vstore.gc.model import CollectionPlan, CollectionPolicy, Victim
from vstore.gc.uv_cache import CachedWheel
from vstore.objects import StorePath
from vstore.store import Graph
from vstore.values import frozen

_NOBODY, _SEVERAL = -1, -2


class FreedBytes(Protocol):
    """Answers how many bytes objects give back; `take` counts inodes that several of the taken ones share."""

    def own_bytes(self, name: str) -> int: ...

    def take(self, name: str) -> int: ...


class _Recorded:
    """The sizes in the index, as if objects shared nothing."""

    def __init__(self, graph: Graph) -> None:
        self._sizes = dict(zip(graph.names, graph.sizes, strict=True))

    def own_bytes(self, name: str) -> int:
        return self._sizes[name]

    def take(self, name: str) -> int:
        return self._sizes[name]


def plan_victims(
    graph: Graph,
    roots: Iterable[StorePath],
    policy: CollectionPolicy | None = None,
    *,
    limit: int | None = None,
    owned_by_others: Callable[[str], bool] | None = None,
    sizes: FreedBytes | None = None,
) -> CollectionPlan:
    """Everything that no root reaches is dead; of that, what the policy lets go, longest unused first.

    End when `limit` bytes are freed, as `sizes` counts them. Objects that are `owned_by_others` cannot be removed by
    this user and stay, with all that they refer to; only dead objects are checked.
    """
    policy = policy or CollectionPolicy()
    wanted = set(map(str, roots))
    alive = _reachable(graph, (number for number, name in enumerate(graph.names) if name in wanted))
    live = sum(alive)
    kept = _reachable(graph, _spared(graph, alive, policy), alive)
    left = [
        number
        for number, name in enumerate(graph.names)
        if owned_by_others and not kept[number] and owned_by_others(name)
    ]
    kept = _reachable(graph, left, kept)
    sizes = sizes or _Recorded(graph)
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
        skipped=tuple(StorePath.parse(graph.names[number]) for number in left),
    )


def _victim(graph: Graph, number: int) -> Victim:
    return Victim(
        path=StorePath.parse(graph.names[number]),
        size_bytes=graph.sizes[number],
        registered_at=datetime.fromisoformat(graph.registered_at[number]),
        used_on=date.fromisoformat(graph.used_on[number]),
        used_by=graph.used_by[number],
        seconds=graph.seconds[number],
    )


def _spared(graph: Graph, alive: Sequence[int], policy: CollectionPolicy) -> Iterable[int]:
    """The dead that are too fresh or were used too lately."""
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
    """How many bytes to free: up to `goal` (None: there is none), and never more than `cap` (None: no matter)."""

    goal: int | None = None
    cap: int | None = None

    @classmethod
    def of(cls, policy: CollectionPolicy, *, used_bytes: int = 0, free_bytes: int = 0, freed_bytes: int = 0) -> Self:
        """Return the limits where the store's root takes so much, so much is free, and so much was freed already."""
        goals = []
        if policy.until_free is not None:
            goals.append(max(policy.until_free - free_bytes, 0))
        if policy.max_size is not None:
            goals.append(max(used_bytes - policy.max_size, 0))
        cap = max(policy.max_freed - freed_bytes, 0) if policy.max_freed is not None else None
        return cls(goal=max(goals, default=None), cap=cap)

    def after(self, freed_bytes: int) -> Self:
        """Return what remains once so many bytes more are freed."""
        goal, cap = (None if one is None else max(one - freed_bytes, 0) for one in (self.goal, self.cap))
        return replace(self, goal=goal, cap=cap)

    @property
    def least(self) -> int | None:
        """Return the bytes after which to end, None if there is no end."""
        return min((one for one in (self.goal, self.cap) if one is not None), default=None)


def choose_wheels(
    unshared: Iterable[tuple[datetime, CachedWheel]],
    policy: CollectionPolicy,
    limits: ByteLimits,
    *,
    held_bytes: int = 0,
    take: Callable[[CachedWheel], int],
) -> list[CachedWheel]:
    """Choose wheels, the longest unshared first, while the policy wants more to go; `take` answers what each frees.

    `held_bytes` is what all of them hold.
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


def _reachable(graph: Graph, starts: Iterable[int], alive: bytes | bytearray = b"") -> bytearray:
    """A flag per object of the graph; those in `alive` have theirs already, with all they refer to."""
    found = bytearray(alive or len(graph.names))
    queue = list(starts)
    while queue:
        number = queue.pop()
        if not found[number]:
            found[number] = 1
            queue.extend(graph.references[number])
    return found


def _referrers_first(graph: Graph, kept: Sequence[int], own: Callable[[int], int]) -> Iterator[int]:
    """What is not kept, topologically sorted (Kahn); of what can go, the longest unused goes first.

    Of those last used on one day, the one that gives back most of its `own` bytes per second of building it again.
    """
    waiting = [0] * len(graph.names)
    for number, references in enumerate(graph.references):
        if not kept[number]:
            for reference in references:
                waiting[reference] += 1

    def unranked(number: int) -> tuple[str, float, int]:
        return graph.used_on[number], -inf, number

    ready = [unranked(number) for number in range(len(graph.names)) if not kept[number] and not waiting[number]]
    heapify(ready)
    while ready:
        day, rank, number = heappop(ready)
        if rank == -inf:  # bytes are asked for only of objects whose day has come
            heappush(ready, (day, -own(number) / max(graph.seconds[number] or 0, 1), number))
            continue
        yield number
        for reference in graph.references[number]:
            waiting[reference] -= 1
            if not waiting[reference] and not kept[reference]:
                heappush(ready, unranked(reference))


def exclusive_objects(graph: Graph, roots: Sequence[StorePath]) -> list[list[str]]:
    """Return for each root the names of the objects that nothing else would keep if it went away.

    One walk for all: an object is marked at most twice, with its only root and then as kept by several.
    """
    position = {path: number for number, path in enumerate(graph.paths)}
    owner = [_NOBODY] * len(graph.paths)
    for root, path in enumerate(roots):
        queue = [position[path]] if path in position else []
        while queue:
            number = queue.pop()
            if owner[number] not in (root, _SEVERAL):
                owner[number] = root if owner[number] == _NOBODY else _SEVERAL
                queue.extend(graph.references[number])
    result: list[list[str]] = [[] for _ in roots]
    for number, root in enumerate(owner):
        if root >= 0:
            result[root].append(graph.names[number])
    return result
