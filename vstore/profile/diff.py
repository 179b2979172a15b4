"""Comparing the packages of two stacks (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from vstore.values import frozen


@frozen
class Change:
    """A package that was added, removed or changed in a layer. A missing version is None."""

    layer: str
    name: str
    old: str | None
    new: str | None


def compare(old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> tuple[Change, ...]:
    """Return the changes between two mappings of layer → package → version, in the order of the new layers."""
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
