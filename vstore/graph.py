"""Walks over a graph that is given by a function or a mapping from a node to the nodes that it leads to (pure)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import TypeVar

from vstore.objects import StorePath

Node = TypeVar("Node", bound=Hashable)
Sortable = TypeVar("Sortable", StorePath, str)


def reachable(
    starts: Iterable[Node], edges: Callable[[Node], Iterable[Node]], *, known: Iterable[Node] = ()
) -> set[Node]:
    """Return `starts` and all nodes that they lead to, without the `known` ones and nodes that only these lead to."""
    seen = set(known)
    found: set[Node] = set()
    queue = list(starts)
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            found.add(node)
            queue += edges(node)
    return found


def bottom_up(edges: Mapping[Sortable, Iterable[Sortable]]) -> list[Sortable]:
    """Return the keys, each after the nodes that it leads to, always in the same order. ValueError for a cycle."""
    sorter = TopologicalSorter({node: sorted(edges[node]) for node in sorted(edges)})
    return [node for node in sorter.static_order() if node in edges]


def inverted(edges: Mapping[Node, Iterable[Node]]) -> dict[Node, set[Node]]:
    """Return for each node the nodes that lead to it."""
    above: dict[Node, set[Node]] = {}
    for node, targets in edges.items():
        for target in targets:
            above.setdefault(target, set()).add(node)
    return above


def shortest_path(start: Node, end: Node, edges: Callable[[Node], Iterable[Node]]) -> tuple[Node, ...]:
    """Return the shortest path from one node to another, both included; empty if there is none."""
    came_from: dict[Node, Node | None] = {start: None}
    queue = [start]
    for node in queue:  # grows while it is read: breadth first
        if node == end:
            break
        for target in edges(node):
            if target not in came_from:
                came_from[target] = node
                queue.append(target)
    path: list[Node] = []
    step = end if end in came_from else None
    while step is not None:
        path.append(step)
        step = came_from[step]
    return tuple(reversed(path))
