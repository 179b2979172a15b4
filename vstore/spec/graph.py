"""The order of layers: C3 linearisation, as in Python's method resolution order.

See https://www.python.org/download/releases/2.3/mro/. Unlike the order of a class, a layer's omits the layer itself.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence


class LinearisationError(ValueError):
    """Orders contradict each other. `remaining` are the parts that could not be merged."""

    def __init__(self, remaining: tuple[tuple[str, ...], ...]) -> None:
        super().__init__(" against ".join(" > ".join(names) for names in remaining))
        self.remaining = remaining


def merge(sequences: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Merge orders into one that keeps each of them, earlier ones first. Raises LinearisationError if there is none."""
    merged_counts = [0] * len(sequences)
    not_first = Counter(name for sequence in sequences for name in sequence[1:])
    fronts: dict[str, list[int]] = {}
    for number, sequence in enumerate(sequences):
        if sequence:
            fronts.setdefault(sequence[0], []).append(number)
    merged: list[str] = []
    begin = 0  # the first sequence that is not merged completely
    while fronts:
        while merged_counts[begin] == len(sequences[begin]):
            begin += 1
        rest = range(begin, len(sequences))
        heads = (sequences[n][merged_counts[n]] for n in rest if merged_counts[n] < len(sequences[n]))
        head = next((name for name in heads if not not_first[name]), None)
        if head is None:
            remaining = (tuple(sequences[n][merged_counts[n] :]) for n in rest if merged_counts[n] < len(sequences[n]))
            raise LinearisationError(tuple(dict.fromkeys(remaining)))
        merged.append(head)
        for number in fronts.pop(head):
            merged_counts[number] += 1
            if merged_counts[number] < len(sequences[number]):
                following = sequences[number][merged_counts[number]]
                not_first[following] -= 1
                fronts.setdefault(following, []).append(number)
    return tuple(merged)


def linearise(declared: Sequence[str], orders: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the order of all layers below one that declares these, given the order below each of them."""
    if len(declared) == 1:  # nothing to merge; a long chain is made of such
        return (declared[0], *orders[declared[0]])
    return merge([*([name, *orders[name]] for name in declared), declared])


def find_cycle(start: str, edges: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """Return a cycle of edges through `start`, beginning with it; None if there is none."""
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
