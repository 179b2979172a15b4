"""Joint resolution: layers of one stack are resolved together, so that the pins below meet the requirements above.

A stack is a layer that is not below another, with all layers below it. Layers that share no stack may have different
versions of a package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vstore.lock.markers import version_key
from vstore.lock.model import LockedPackage
from vstore.lock.resolution.uv_answers import Solution, StackAlone, Versions
from vstore.lock.resolution.uv_errors import ResolutionConflictError
from vstore.lock.resolution.uv_project import required_name
from vstore.spec import Layer
from vstore.target import Target

Solve = Callable[[Sequence[Layer], tuple[str, ...]], Solution]  # layers and further pins
SolveAlone = Callable[[Sequence[Sequence[Layer]], Target], Sequence[Versions | None]]  # each stack, for a target


def stacks_of(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Return the stacks that these layers form, each in the order of the spec."""
    below = {name for layer in layers for name in layer.dependency_names}
    tops = [layer for layer in layers if layer.env_name not in below]
    members = [{top.env_name, *top.dependency_names} for top in tops]
    return [[layer for layer in layers if layer.env_name in names] for names in members]


def resolve_joint(layers: Sequence[Layer], solve: Solve, solve_alone: SolveAlone) -> dict[str, Solution]:
    """Return by env name solutions in which the layers of each stack agree: of all at once, else stack by stack.

    Raises ResolutionConflictError if the stacks cannot agree on the packages of a layer that they share.
    """
    stacks = stacks_of(layers)
    if len(stacks) == 1 or _one_index_each(layers):
        try:
            solution = solve(layers, ())
            return _with_stacks_alone(stacks, layers, solution, solve_alone)
        except ResolutionConflictError:
            if len(stacks) < 2:
                raise
    alone = [solve(stack, ()) for stack in stacks]
    found, pins = _agreed(stacks, alone, (), solve)
    unpinned = _by_layer(stacks, alone)
    agreed = {name: version for name, _, version in (pin.partition("==") for pin in pins)}
    return {name: replace(one, unpinned=unpinned[name].versions, agreed=agreed) for name, one in found.items()}


def _with_stacks_alone(
    stacks: Sequence[Sequence[Layer]], layers: Sequence[Layer], solution: Solution, solve_alone: SolveAlone
) -> dict[str, Solution]:
    """Return the solution of all by env name, with those of the stacks alone where others may have lowered a version.

    These are the stacks with a package on which a package of another stack depends.
    """
    target = next(iter(solution.versions))
    shared = [_shared(stack, layers, solution, target) for stack in stacks]
    asked = [stack for stack, others in zip(stacks, shared, strict=True) if others]
    found = zip(asked, solve_alone(asked, target), filter(None, shared), strict=True)
    alone: dict[str, tuple[StackAlone, ...]] = {}
    for stack, versions, others in found:
        for layer in stack if versions is not None else ():
            assert versions is not None
            alone[layer.env_name] = (*alone.get(layer.env_name, ()), StackAlone(versions=versions, others=others))
    return {layer.env_name: replace(solution, stacks_alone=alone.get(layer.env_name, ())) for layer in layers}


def _shared(
    stack: Sequence[Layer], layers: Sequence[Layer], solution: Solution, target: Target
) -> dict[str, tuple[str, ...]]:
    """Return the packages of a stack on which others outside of it depend, with the layers outside that have them."""
    names = {layer.env_name: _versions(solution.packages[layer.env_name]).keys() for layer in layers}
    inside = {name for layer in stack for name in names[layer.env_name]}
    outside = [layer for layer in layers if layer not in stack]
    direct = {required_name(text) for layer in outside for text in layer.requirements}
    parents = solution.versions[target].parents
    if direct.isdisjoint(inside) and all(parents.get(name, frozenset()) <= inside for name in inside):
        return {}
    found = {name: tuple(one.env_name for one in outside if name in names[one.env_name]) for name in inside}
    return {name: owners for name, owners in found.items() if owners}


def _by_layer(stacks: Sequence[Sequence[Layer]], solutions: Sequence[Solution]) -> dict[str, Solution]:
    """Return by env name the solution of the first stack with that layer."""
    found: dict[str, Solution] = {}
    for stack, solution in zip(stacks, solutions, strict=True):
        for layer in stack:
            found.setdefault(layer.env_name, solution)
    return found


def _one_index_each(layers: Sequence[Layer]) -> bool:
    """Return whether no two layers take one distribution from different indexes."""
    chosen: dict[str, str] = {}
    return all(
        chosen.setdefault(package, index) == index
        for layer in layers
        for package, index in layer.package_indexes.items()
    )


def _agreed(
    stacks: Sequence[Sequence[Layer]], solutions: Sequence[Solution], pins: tuple[str, ...], solve: Solve
) -> tuple[dict[str, Solution], tuple[str, ...]]:
    """Return the solutions by env name, and the pins that they need to agree.

    Where two stacks disagree on a package of a shared layer, its versions are tried for all, the lowest first.
    """
    for shared in dict.fromkeys(layer.env_name for stack in stacks for layer in stack):
        sharing = {
            ", ".join(one.env_name for one in stack if one.env_name != shared): _versions(solution.packages[shared])
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
    for version in sorted(offered, key=version_key) if name not in pinned else ():
        more = (*pins, f"{name}=={version}")
        try:
            return _agreed(stacks, [solve(stack, more) for stack in stacks], more, solve)
        except ResolutionConflictError:
            continue
    raise ResolutionConflictError(
        f"the layers above {layer} need different versions of {name}",
        details=[
            f"{layers}: {name} {', '.join(sorted(found.get(name, ['none'])))}" for layers, found in sharing.items()
        ],
        hint="change the requirements, or lock with --no-joint",
    )


def _versions(packages: Sequence[LockedPackage]) -> dict[str, frozenset[str]]:
    """Return the versions of each package."""
    versions: dict[str, frozenset[str]] = {}
    for package in packages:
        versions[package.name] = versions.get(package.name, frozenset()) | {package.version}
    return versions
