"""The order of layers: C3, which is Python's own order of base classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class InconsistentOrder(ValueError):
    """No order respects all the given ones."""


def merge(orders: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The C3 merge: takes the first head that stands in no other tail, again and again.

    Raises InconsistentOrder when there is none. See "The Python 2.3 Method Resolution Order", Simionato 2003.
    """
    remaining = [list(order) for order in orders if order]
    result: list[str] = []
    while remaining:
        for order in remaining:
            head = order[0]
            if not any(head in other[1:] for other in remaining):
                break
        else:
            raise InconsistentOrder(", ".join(sorted({order[0] for order in remaining})))
        result.append(head)
        remaining = [rest for order in remaining if (rest := [name for name in order if name != head])]
    return tuple(result)


def linearise(bases: Sequence[str], orders: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The order below something that declares `bases`; `orders` gives what is below each base, nearest first."""
    return merge([*((base, *orders[base]) for base in bases), bases])
