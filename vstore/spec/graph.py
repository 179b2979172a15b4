"""The order of layers: C3 linearisation, as in Python's method resolution order. Pure.

See https://www.python.org/download/releases/2.3/mro/. Unlike a class's, a layer's order leaves out the layer itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class OrderConflict(ValueError):
    """Orders that contradict each other; `remaining` are those that could not be merged."""

    def __init__(self, remaining: tuple[tuple[str, ...], ...]) -> None:
        super().__init__(" against ".join(" > ".join(names) for names in remaining))
        self.remaining = remaining


def merge(sequences: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Merge orders into the one that keeps each of them, earlier sequences first; OrderConflict if there is none."""
    remaining = [list(sequence) for sequence in sequences if sequence]
    merged: list[str] = []
    while remaining:
        for sequence in remaining:
            head = sequence[0]
            if not any(head in other[1:] for other in remaining):
                break
        else:
            raise OrderConflict(tuple(dict.fromkeys(tuple(sequence) for sequence in remaining)))
        merged.append(head)
        for sequence in remaining:
            if sequence[0] == head:
                del sequence[0]
        remaining = [sequence for sequence in remaining if sequence]
    return tuple(merged)


def linearise(declared: Sequence[str], orders: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The order of all that lies below something that sits on `declared`; `orders` has the order of each of these."""
    return merge([*([name, *orders[name]] for name in declared), declared])


def find_cycle(start: str, edges: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """A way from `start` along the edges back to it, without the return; None if there is none."""
    came_from: dict[str, str] = {}
    waiting = [start]
    while waiting:
        node = waiting.pop(0)
        for following in edges.get(node, ()):
            if following == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return tuple(reversed(path))
            if following not in came_from:
                came_from[following] = node
                waiting.append(following)
    return None
