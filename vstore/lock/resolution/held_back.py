"""The packages that a pin below, or the system that a layer allows, holds at an older version. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from vstore.lock.lockfile import parse_package
from vstore.lock.markers import environment_marker
from vstore.lock.model import HeldBack
from vstore.lock.resolution.postprocess import NoWheel, system_needed
from vstore.lock.resolution.uv_answers import Solution, Versions
from vstore.lock.resolution.uv_project import ResolveRequest, excluding
from vstore.spec import Layer
from vstore.target import Target

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
    for target, versions in solution.versions.items():
        kinds = (
            _held_by_systems(layer, target, solution),
            _held_by_pins(request, target, solution),
            _held_by_agreement(versions, solution.free.get(target, versions), solution.agreed),
            _held_by_targets(layer, target, solution),
        )
        for held in chain.from_iterable(kinds):
            found.setdefault(held.name, held)
    for held in _held_by_stacks(solution):
        found.setdefault(held.name, held)
    yield from (held for name, held in sorted(found.items()) if name in own)


def _behind(versions: Versions, other: Versions) -> Iterator[tuple[str, str, str]]:
    """(name, version, the other's version) of the packages that are older than in another resolution, by name."""
    for name in sorted(other.pins):
        version, without = versions.version(name), other.version(name)
        if version is not None and without is not None and _order(version) < _order(without):
            yield name, version, without


def _held_by_pins(request: ResolveRequest, target: Target, solution: Solution) -> Iterator[HeldBack]:
    """The packages that are older than without the pins below, each with the pins nearest to it."""
    free, below = solution.free.get(target), request.below(target)
    other = disagreements(free, below) if free is not None else {}
    if free is None or not other:
        return
    behind = [one for one in _behind(solution.versions[target], free) if one[0] not in below]
    names = frozenset(name for name, _, _ in behind)
    for name, version, without in behind:
        pins = sorted(_holders(name, free, frozenset(other), names))
        written = all(_written(pin, other[pin], below[pin][1], request) for pin in pins)
        yield HeldBack(
            name=name,
            version=version,
            without=without,
            by=tuple(f"{pin}=={below[pin][0]} of layer {below[pin][1]}" for pin in pins),
            ways=(
                " and ".join(dict.fromkeys(_way_to(pin, other[pin], below[pin][1], request) for pin in pins)),
                *(() if written else ("lock with --joint",)),
            ),
        )


def _way_to(name: str, version: str, owner: str, request: ResolveRequest) -> str:
    """The way to have a version of a package in the layer below that pins another: that layer's own, if it has one."""
    held = (one for low in request.dependencies if low.env_name == owner for one in low.findings.held_back)
    way = next((one.ways[0] for one in held if one.name == name), f"require {name}=={version} in layer {owner}")
    written = _written(name, version, owner, request)
    return f"{way} instead of {' and '.join(written)}" if written else way


def _written(name: str, version: str, owner: str, request: ResolveRequest) -> list[str]:
    """The requirements of the layer that owns a pin which exclude this version anywhere: no other lock would help."""
    return [text for text in excluding(request.spec.layer(owner), name, version) if ";" not in text]


def _held_by_agreement(versions: Versions, free: Versions, agreed: Mapping[str, str]) -> Iterator[HeldBack]:
    """The packages of a joint lock that are older than in their stack alone."""
    by = tuple(f"{name}=={version}, on which all stacks agree" for name, version in agreed.items())
    for name, version, without in _behind(versions, free) if agreed else ():
        ways = ("change what the other stacks require", "lock with --no-joint")
        yield HeldBack(name=name, version=version, without=without, by=by, ways=ways)


def _held_by_stacks(solution: Solution) -> Iterator[HeldBack]:
    """The packages that are older than in a stack alone, as all stacks were resolved together."""
    versions = next(iter(solution.versions.values()))
    for alone in solution.alone:
        for name, version, without in _behind(versions, alone.versions):
            others = alone.others.get(name) or dict.fromkeys(chain.from_iterable(alone.others.values()))
            by = tuple(f"the requirements of layer {other}" for other in others)
            ways = (f"change the requirements of {' and '.join(others)}", "lock with --no-joint")
            yield HeldBack(name=name, version=version, without=without, by=by, ways=ways)


def _held_by_targets(layer: Layer, target: Target, solution: Solution) -> Iterator[HeldBack]:
    """The packages that are older than on the target alone, as the first target has no newer version."""
    first, apart = next(iter(solution.versions)), solution.apart.get(target)
    for name, version, without in () if apart is None else _behind(solution.versions[target], apart):
        way = f"require `{name}=={without} ; {environment_marker(target)}` in layer {layer.env_name}"
        by = (f"{name}=={solution.versions[first].version(name) or version} of {first}",)
        yield HeldBack(name=name, version=version, without=without, by=by, ways=(way, f"lock without {first}"))


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


def _held_by_systems(layer: Layer, target: Target, solution: Solution) -> Iterator[HeldBack]:
    """The packages that are older than if wheels for a newer glibc or macOS were allowed, here or in another layer."""
    newest, limits = (
        solution.newest.get(target),
        {one.package.name: one for one in solution.too_new if one.target == target},
    )
    if newest is None or not limits:
        return
    behind = list(_behind(solution.versions[target], newest))
    names = frozenset(name for name, _, _ in behind)
    for name, version, without in behind:
        holders = {name} if name in limits else _holders(name, newest, frozenset(limits), names)
        by, ways = _settings([limits[one] for one in sorted(holders)])
        yield HeldBack(
            name=name,
            version=version,
            without=without,
            by=by,
            ways=(
                " and ".join(ways),
                f"require {name}=={version} in layer {layer.env_name}, if that is meant",
            ),
        )


def _settings(limits: Iterable[NoWheel]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The systems that layers allow, and the settings that would allow all of these wheels, each layer once."""
    needed: dict[str, tuple[int, int]] = {}
    allowed: dict[str, str] = {}
    linux = True
    for one in limits:
        name, system, linux = one.layer.env_name, system_needed(one), one.target.is_linux
        assert system is not None
        needed[name] = max(system, needed.get(name, system))
        allowed[name] = _setting(linux, one.layer.glibc if linux else one.layer.macos)
    by = tuple(f"{setting} of layer {name}" for name, setting in allowed.items())
    return by, tuple(f"set {_setting(linux, system)} in layer {name}" for name, system in needed.items())


def _setting(linux: bool, system: tuple[int, int]) -> str:
    key, prefix = ("linux_target", "glibc@") if linux else ("macosx_target", "")
    return f'{key} = "{prefix}{system[0]}.{system[1]}"'


def _order(version: str) -> Any:
    from packaging.version import Version

    return Version(version)
