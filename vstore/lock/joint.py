"""Resolving layers with those they share a stack with, so that what is pinned below suits what is asked for above.

A stack is a layer that nothing sits on, with all that it sits on. Layers that meet in no stack may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vstore.lock.explain import Unsatisfiable
from vstore.lock.project import Question
from vstore.spec import Layer, Spec

Answer = Callable[[Question], dict[str, Any]]


def company(spec: Spec, layer: Layer) -> list[list[Layer]]:
    """For each stack that a layer is in, who is in it besides the layer and what that sits on, in spec order."""
    lowers = {low.env_name for low in spec.lower(layer)}
    stacks = []
    for top in _tops(spec):
        stack = {one.env_name for one in (top, *spec.lower(top))}
        if layer.env_name in stack:
            stack -= {layer.env_name, *lowers}
            stacks.append([one for one in spec.layers if one.env_name in stack])
    return stacks


def _tops(spec: Spec) -> list[Layer]:
    layers = [layer for layer in spec.layers if layer.targets]
    below = {low.env_name for layer in layers for low in spec.lower(layer)}
    return [layer for layer in layers if layer.env_name not in below]


def suiting(question: Question, answer: Answer) -> dict[str, Any]:
    """The answer for a layer that suits all its company: all of it at once, else one stack after another.

    Raises Unsatisfiable where the stacks cannot agree on what the layer itself needs.
    """
    stacks = company(question.spec, question.layer)
    everyone = {one.env_name for stack in stacks for one in stack}
    together = [one for one in question.spec.layers if one.env_name in everyone]
    if len(stacks) == 1 or _one_index_each([question.layer, *together]):
        try:
            return answer(replace(question, above=tuple(together)))
        except Unsatisfiable:
            if len(stacks) < 2:
                raise
    return _agreed(question, stacks, answer)


def _one_index_each(layers: Sequence[Layer]) -> bool:
    """Whether no two layers take one distribution from different indexes."""
    chosen: dict[str, str] = {}
    return all(
        chosen.setdefault(package, index) == index
        for layer in layers
        for package, index in layer.package_indexes.items()
    )


def _agreed(question: Question, stacks: Sequence[Sequence[Layer]], answer: Answer) -> dict[str, Any]:
    """Ask for each stack by itself; where they disagree on a package, try the lowest of its versions for all first."""
    answers = [answer(replace(question, above=tuple(stack))) for stack in stacks]
    found = [_versions(one) for one in answers]
    for name in sorted({name for versions in found for name in versions}):
        offered = {versions.get(name) for versions in found}
        if len(offered) == 1:
            continue
        pinned = {pin.partition("==")[0] for pin in question.pins}
        for version in (
            sorted({one for some in offered if some for one in some}, key=_order) if name not in pinned else ()
        ):
            try:
                return _agreed(replace(question, pins=(*question.pins, f"{name}=={version}")), stacks, answer)
            except Unsatisfiable:
                continue
        raise Unsatisfiable(
            f"layer {question.layer.env_name} cannot suit all that sits on it: {name}",
            details=[
                f"{', '.join(one.env_name for one in stack)}: {name} {', '.join(sorted(versions.get(name, ['none'])))}"
                for stack, versions in zip(stacks, found, strict=True)
            ],
            hint="change the requirements, or lock with --no-joint",
        )
    return answers[0]


def _versions(document: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    versions: dict[str, frozenset[str]] = {}
    for table in document["packages"]:
        versions[table["name"]] = versions.get(table["name"], frozenset()) | {str(table.get("version"))}
    return versions


def _order(version: str) -> Any:
    from packaging.version import Version

    return Version(version), version  # 1.0 and 1.0.0 are equal
