"""What changed between two stacks, in packages and versions: a pure comparison."""

from __future__ import annotations

from collections.abc import Mapping

from vstore.values import frozen


@frozen
class Change:
    """A package that came, went or changed in a layer; None for "not there"."""

    layer: str
    name: str
    old: str | None
    new: str | None


def compare(old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> tuple[Change, ...]:
    """Compare layer name → package → version on both sides, in the new stack's order of layers."""
    layers = [*new, *(layer for layer in old if layer not in new)]
    changes = []
    for layer in layers:
        before, after = old.get(layer, {}), new.get(layer, {})
        changes += [
            Change(layer=layer, name=name, old=before.get(name), new=after.get(name))
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
    return tuple(changes)
