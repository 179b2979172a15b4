"""Resolving layers with those they share a stack with, so that what is pinned below suits what is asked for above.

A stack is a layer that nothing sits on, with all that it sits on. Layers that meet in no stack may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vstore.lock.resolution.uv_answers import Alone, Solution, Versions
from vstore.lock.resolution.uv_errors import ResolutionConflict
from vstore.lock.resolution.uv_project import required_name
from vstore.spec import Layer, Spec
from vstore.target import Target

Solve = Callable[[Sequence[Layer], tuple[str, ...]], Solution]  # layers and further pins
Plain = Callable[[Sequence[Sequence[Layer]], Target], Sequence[Versions | None]]  # each stack by itself, for a target


def stacks_of(spec: Spec, layers: Sequence[Layer]) -> list[list[Layer]]:
    """The stacks that these layers form, each in spec order."""
    below = {low.env_name for layer in layers for low in spec.dependencies(layer)}
    tops = [layer for layer in layers if layer.env_name not in below]
    members = [{one.env_name for one in (top, *spec.dependencies(top))} for top in tops]
    return [[layer for layer in layers if layer.env_name in names] for names in members]


def resolve_joint(spec: Spec, layers: Sequence[Layer], solve: Solve, plain: Plain) -> dict[str, Solution]:
    """By env name, a solution in which each layer suits its company: of all at once, else of one stack after another.

    Raises ResolutionConflict where the stacks cannot agree on what a layer below both needs.
    """
    stacks = stacks_of(spec, layers)
    if len(stacks) == 1 or _one_index_each(layers):
        try:
            solution = solve(layers, ())
            return _with_stacks_alone(stacks, layers, solution, plain)
        except ResolutionConflict:
            if len(stacks) < 2:
                raise
    alone = [solve(stack, ()) for stack in stacks]
    found, pins = _agreed(stacks, alone, (), solve)
    free = _by_layer(stacks, alone)
    agreed = {name: version for name, _, version in (pin.partition("==") for pin in pins)}
    return {name: replace(one, free=free[name].versions, agreed=agreed) for name, one in found.items()}


def _with_stacks_alone(
    stacks: Sequence[Sequence[Layer]], layers: Sequence[Layer], solution: Solution, plain: Plain
) -> dict[str, Solution]:
    """The solution of all by env name, with resolutions of the stacks alone where others may have lowered a version.

    They have a package on which something of another stack depends.
    """
    target = next(iter(solution.versions))
    shared = [_shared(stack, layers, solution, target) for stack in stacks]
    asked = [stack for stack, others in zip(stacks, shared, strict=True) if others]
    found = zip(asked, plain(asked, target), filter(None, shared), strict=True)
    alone: dict[str, tuple[Alone, ...]] = {}
    for stack, versions, others in found:
        for layer in stack if versions is not None else ():
            assert versions is not None
            alone[layer.env_name] = (*alone.get(layer.env_name, ()), Alone(versions=versions, others=others))
    return {layer.env_name: replace(solution, alone=alone.get(layer.env_name, ())) for layer in layers}


def _shared(
    stack: Sequence[Layer], layers: Sequence[Layer], solution: Solution, target: Target
) -> dict[str, tuple[str, ...]]:
    """The packages of a stack that something outside of it depends on, each with the layers that have it there."""
    names = {layer.env_name: _versions(solution.documents[layer.env_name]).keys() for layer in layers}
    inside = {name for layer in stack for name in names[layer.env_name]}
    outside = [layer for layer in layers if layer not in stack]
    direct = {required_name(text) for layer in outside for text in layer.requirements}
    parents = solution.versions[target].parents
    if direct.isdisjoint(inside) and all(parents.get(name, frozenset()) <= inside for name in inside):
        return {}
    found = {name: tuple(one.env_name for one in outside if name in names[one.env_name]) for name in inside}
    return {name: owners for name, owners in found.items() if owners}


def _by_layer(stacks: Sequence[Sequence[Layer]], solutions: Sequence[Solution]) -> dict[str, Solution]:
    """By env name, the solution of the first stack with that layer."""
    found: dict[str, Solution] = {}
    for stack, solution in zip(stacks, solutions, strict=True):
        for layer in stack:
            found.setdefault(layer.env_name, solution)
    return found


def _one_index_each(layers: Sequence[Layer]) -> bool:
    """Whether no two layers take one distribution from different indexes."""
    chosen: dict[str, str] = {}
    return all(
        chosen.setdefault(package, index) == index
        for layer in layers
        for package, index in layer.package_indexes.items()
    )


def _agreed(
    stacks: Sequence[Sequence[Layer]], solutions: Sequence[Solution], pins: tuple[str, ...], solve: Solve
) -> tuple[dict[str, Solution], tuple[str, ...]]:
    """The solutions by env name, and the pins that they need to agree.

    Where two stacks disagree on a package of a shared layer, the lowest of its versions is tried for all.
    """
    for shared in dict.fromkeys(layer.env_name for stack in stacks for layer in stack):
        sharing = {
            ", ".join(one.env_name for one in stack if one.env_name != shared): _versions(solution.documents[shared])
            for stack, solution in zip(stacks, solutions, strict=True)
            if any(one.env_name == shared for one in stack)
        }
        for name in sorted({name for versions in sharing.values() for name in versions}):
            if len({versions.get(name) for versions in sharing.values()}) > 1:
                return _with_one_version(shared, name, sharing, stacks, pins, solve)
    return _by_layer(stacks, solutions), pins


def _with_one_version(
    layer: str,
    name: str,
    sharing: Mapping[str, Mapping[str, frozenset[str]]],
    stacks: Sequence[Sequence[Layer]],
    pins: tuple[str, ...],
    solve: Solve,
) -> tuple[dict[str, Solution], tuple[str, ...]]:
    offered = {version for versions in sharing.values() for version in versions.get(name, ())}
    pinned = {pin.partition("==")[0] for pin in pins}
    for version in sorted(offered, key=_order) if name not in pinned else ():
        more = (*pins, f"{name}=={version}")
        try:
            return _agreed(stacks, [solve(stack, more) for stack in stacks], more, solve)
        except ResolutionConflict:
            continue
    raise ResolutionConflict(
        f"layer {layer} cannot suit all that sits on it: {name}",
        details=[f"{who}: {name} {', '.join(sorted(found.get(name, ['none'])))}" for who, found in sharing.items()],
        hint="change the requirements, or lock with --no-joint",
    )


def _versions(document: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    versions: dict[str, frozenset[str]] = {}
    for table in document["packages"]:
        versions[table["name"]] = versions.get(table["name"], frozenset()) | {str(table.get("version"))}
    return versions


def _order(version: str) -> Any:
    from packaging.version import Version

    return Version(version)
