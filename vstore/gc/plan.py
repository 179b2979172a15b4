"""What a collection would do, decided on a graph in memory: no query per object, nothing touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush

from vstore.objects import StorePath
from vstore.store import Graph

_NOBODY, _SEVERAL = -1, -2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`dead` in the order in which it can be deleted: referrers before what they refer to.

    `litter` is what killed processes left, as places relative to the root; its bytes are not counted.
    """

    dead: tuple[StorePath, ...]
    live: int
    freed_bytes: int
    litter: tuple[str, ...] = ()


def make_plan(
    graph: Graph,
    roots: Iterable[StorePath],
    *,
    max_freed: int | None = None,
    registered_before: datetime | None = None,
) -> Plan:
    """Everything that no root reaches is dead; with `max_freed` only as many as free that many bytes, oldest first.

    With `registered_before`, objects registered at that moment or later count as roots.
    """
    wanted = set(roots)
    starts = [number for number, path in enumerate(graph.paths) if path in wanted]
    if registered_before is not None:
        moments = map(datetime.fromisoformat, graph.registered_at)
        starts += [number for number, moment in enumerate(moments) if moment >= registered_before]
    alive = _reachable(graph, starts)
    freed, chosen = 0, []
    for number in _referrers_first(graph, alive):
        if max_freed is not None and freed >= max_freed:
            break
        freed += graph.sizes[number]
        chosen.append(graph.paths[number])
    return Plan(dead=tuple(chosen), live=sum(alive), freed_bytes=freed)


def _reachable(graph: Graph, starts: Iterable[int]) -> bytearray:
    """A flag per object of the graph."""
    alive = bytearray(len(graph.paths))
    queue = list(starts)
    while queue:
        number = queue.pop()
        if not alive[number]:
            alive[number] = 1
            queue.extend(graph.references[number])
    return alive


def _referrers_first(graph: Graph, alive: Sequence[int]) -> list[int]:
    """The dead, topologically sorted (Kahn); of those that can go, the first registered goes first."""
    waiting = [0] * len(graph.paths)
    for number, references in enumerate(graph.references):
        if not alive[number]:
            for reference in references:
                waiting[reference] += 1
    ready = [number for number in range(len(graph.paths)) if not alive[number] and not waiting[number]]
    heapify(ready)
    order = []
    while ready:
        number = heappop(ready)
        order.append(number)
        for reference in graph.references[number]:
            waiting[reference] -= 1
            if not waiting[reference] and not alive[reference]:
                heappush(ready, reference)
    return order


def exclusive_bytes(graph: Graph, roots: Sequence[StorePath]) -> list[int]:
    """For each root, the bytes that nothing else would keep if it went away.

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
    result = [0] * len(roots)
    for number, root in enumerate(owner):
        if root >= 0:
            result[root] += graph.sizes[number]
    return result
