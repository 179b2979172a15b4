"""The order of layers: C3 linearisation, as in Python's method resolution order. Pure.

See https://www.python.org/download/releases/2.3/mro/. Unlike a class's, a layer's order leaves out the layer itself.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence


class OrderConflict(ValueError):
    """Orders that contradict each other; `remaining` are those that could not be merged."""

    def __init__(self, remaining: tuple[tuple[str, ...], ...]) -> None:
        super().__init__(" against ".join(" > ".join(names) for names in remaining))
        self.remaining = remaining


def merge(sequences: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Merge orders into the one that keeps each of them, earlier sequences first; OrderConflict if there is none."""
    places = [0] * len(sequences)  # how far each is merged
    behind = Counter(name for sequence in sequences for name in sequence[1:])
    fronts: dict[str, list[int]] = {}
    for number, sequence in enumerate(sequences):
        if sequence:
            fronts.setdefault(sequence[0], []).append(number)
    merged: list[str] = []
    begin = 0  # the first sequence that is not merged whole
    while fronts:
        while places[begin] == len(sequences[begin]):
            begin += 1
        rest = range(begin, len(sequences))
        heads = (sequences[n][places[n]] for n in rest if places[n] < len(sequences[n]))
        head = next((name for name in heads if not behind[name]), None)
        if head is None:
            remaining = (tuple(sequences[n][places[n] :]) for n in rest if places[n] < len(sequences[n]))
            raise OrderConflict(tuple(dict.fromkeys(remaining)))
        merged.append(head)
        for number in fronts.pop(head):
            places[number] += 1
            if places[number] < len(sequences[number]):
                following = sequences[number][places[number]]
                behind[following] -= 1
                fronts.setdefault(following, []).append(number)
    return tuple(merged)


def linearise(declared: Sequence[str], orders: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The order of all that lies below something that sits on `declared`; `orders` has the order of each of these."""
    if len(declared) == 1:  # nothing to merge; a long chain is made of such
        return (declared[0], *orders[declared[0]])
    return merge([*([name, *orders[name]] for name in declared), declared])


def find_cycle(start: str, edges: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """A way from `start` along the edges back to it, without the return; None if there is none."""
    came_from: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
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
