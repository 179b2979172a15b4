"""What a collection would do, decided on a graph in memory: no query per object, nothing touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vstore.objects import StorePath
from vstore.store import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`dead` in the order in which it can be deleted: referrers before what they refer to."""

    dead: tuple[StorePath, ...]
    live: int
    freed_bytes: int


def make_plan(graph: Graph, roots: Iterable[StorePath], *, max_freed: int | None = None) -> Plan:
    """Everything that no root reaches is dead; with `max_freed` only as many as free that many bytes."""
    alive = reachable(graph, roots)
    order = _referrers_first(graph, alive)
    freed, chosen = 0, []
    for number in order:
        if max_freed is not None and freed >= max_freed:
            break
        freed += graph.sizes[number]
        chosen.append(graph.paths[number])
    return Plan(dead=tuple(chosen), live=sum(alive), freed_bytes=freed)


def reachable(graph: Graph, roots: Iterable[StorePath]) -> bytearray:
    """A flag per object of the graph; roots that are not in it keep nothing."""
    position = {path: number for number, path in enumerate(graph.paths)}
    alive = bytearray(len(graph.paths))
    queue = [position[path] for path in roots if path in position]
    while queue:
        number = queue.pop()
        if not alive[number]:
            alive[number] = 1
            queue.extend(graph.references[number])
    return alive


def _referrers_first(graph: Graph, alive: Sequence[int]) -> list[int]:
    """The dead, topologically sorted (Kahn), the oldest first among equals."""
    waiting = [0] * len(graph.paths)
    for number, references in enumerate(graph.references):
        if not alive[number]:
            for reference in references:
                waiting[reference] += 1
    ready = [number for number in range(len(graph.paths)) if not alive[number] and not waiting[number]]
    order = []
    for number in ready:  # grows while it is walked
        order.append(number)
        for reference in graph.references[number]:
            waiting[reference] -= 1
            if not waiting[reference] and not alive[reference]:
                ready.append(reference)
    return order


def exclusive_bytes(graph: Graph, roots: Sequence[StorePath]) -> list[int]:
    """For each root, the bytes that nothing else would keep if it went away."""
    result = []
    total = sum(size for size, flag in zip(graph.sizes, reachable(graph, roots), strict=True) if flag)
    for number, root in enumerate(roots):
        rest = [*roots[:number], *roots[number + 1 :]]
        if root in rest:
            result.append(0)
            continue
        alive = reachable(graph, rest)
        result.append(total - sum(size for size, flag in zip(graph.sizes, alive, strict=True) if flag))
    return result
