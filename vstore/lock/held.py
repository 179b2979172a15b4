"""The packages that a pin below, or the system that a layer allows, holds at an older version. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vstore.lock.answers import Solution, Versions
from vstore.lock.edit import NoWheel, system_needed
from vstore.lock.lockfile import parse_package
from vstore.lock.model import HeldBack
from vstore.lock.project import ResolveRequest
from vstore.spec import Layer

Below = Mapping[str, tuple[str, str]]  # by name, the version pinned below, and the layer


def disagreements(free: Versions, below: Below) -> dict[str, str]:
    """The pins below that a resolution without them does not meet, each with the version (or URL) that it takes."""
    return {
        name: free.pins[name].removeprefix(f"{name}==")
        for name, (version, _) in below.items()
        if name in free.pins and free.pins[name] != f"{name}=={version}"
    }


def held_back(
    request: ResolveRequest, layer: Layer, solution: Solution, document: Mapping[str, Any]
) -> Iterator[HeldBack]:
    """The packages that a layer's lock installs at an older version than it might, each once, by name."""
    own = {package.name for table in document["packages"] if not (package := parse_package(table)).shared}
    found: dict[str, HeldBack] = {}
    for one in solution.too_new:
        for held in _held_by_system(one, solution.versions[one.target]) if one.layer == layer else ():
            found.setdefault(held.name, held)
    for target, free in solution.free.items():
        versions = solution.versions.get(target, free)
        for held in _held_by_pins(versions, free, request.below(target)):
            found.setdefault(held.name, held)
        for held in _held_by_agreement(versions, free, solution.agreed):
            found.setdefault(held.name, held)
    yield from (held for name, held in sorted(found.items()) if name in own)


def _held_by_pins(versions: Versions, free: Versions, below: Below) -> Iterator[HeldBack]:
    """The packages of the layer that are older than without the pins below, each with the pins nearest to it."""
    other = disagreements(free, below)
    if not other:
        return
    behind = {name for name in free.pins if name not in below and _is_older(versions.version(name), free.version(name))}
    for name in sorted(behind):
        pins = sorted(_holders(name, free, frozenset(other), frozenset(behind)))
        version, without = versions.version(name), free.version(name)
        assert version is not None and without is not None
        yield HeldBack(
            name=name,
            version=version,
            without=without,
            by=tuple(f"{pin}=={below[pin][0]} of layer {below[pin][1]}" for pin in pins),
            ways=(
                " and ".join(f"require {pin}=={other[pin]} in layer {below[pin][1]}" for pin in pins),
                "lock with --joint",
            ),
        )


def _held_by_agreement(versions: Versions, free: Versions, agreed: Mapping[str, str]) -> Iterator[HeldBack]:
    """The packages of a joint lock that are older than in their stack alone."""
    by = tuple(f"{name}=={version}, on which all stacks agree" for name, version in agreed.items())
    for name in free.pins if agreed else ():
        version, without = versions.version(name), free.version(name)
        if version is not None and without is not None and _is_older(version, without):
            ways = ("change what the other stacks require", "lock with --no-joint")
            yield HeldBack(name=name, version=version, without=without, by=by, ways=ways)


def _holders(name: str, free: Versions, other: frozenset[str], behind: frozenset[str]) -> frozenset[str]:
    """The disagreeing pins on which a package depends, nearest first; else those of the packages that depend on it."""
    seen, level = {name}, {name}
    while level:
        level = {child for child, parents in free.parents.items() if not parents.isdisjoint(level)} - seen
        found = level & other
        if found:
            return frozenset(found)
        seen |= level
    above = free.parents.get(name, frozenset()) & behind - {name}
    found = {pin for one in above for pin in _holders(one, free, other, behind - {name})}
    return frozenset(found) or other


def _held_by_system(one: NoWheel, versions: Versions) -> Iterator[HeldBack]:
    """A package whose newest version wants a newer glibc or macOS than its layer allows."""
    name, system, version = one.package.name, system_needed(one), versions.version(one.package.name)
    if system is None or version is None or not _is_older(version, one.package.version):
        return
    layer = one.layer
    key, prefix, allowed = ("linux_target", "glibc@", layer.glibc)
    if one.target.is_macosx:
        key, prefix, allowed = ("macosx_target", "", layer.macos)
    yield HeldBack(
        name=name,
        version=version,
        without=one.package.version,
        by=(f'{key} = "{prefix}{_dotted(allowed)}" of layer {layer.env_name}',),
        ways=(
            f'set {key} = "{prefix}{_dotted(system)}" in layer {layer.env_name}',
            f"require {name}=={version} there, if that is meant",
        ),
    )


def _dotted(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)


def _is_older(version: str | None, other: str | None) -> bool:
    return version is not None and other is not None and bool(_order(version) < _order(other))


def _order(version: str) -> Any:
    from packaging.version import Version

    return Version(version)
