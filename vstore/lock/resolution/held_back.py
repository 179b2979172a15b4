"""Finding the packages that a pin of a layer below, or the system that a layer allows, holds at an older version.

The system can also hold a package at a wheel without native code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from vstore.lock.markers import environment_marker, holds, version_key, wheel_tags
from vstore.lock.model import HeldBack, LockedPackage
from vstore.lock.resolution.missing_wheels import NoWheel, system_needed
from vstore.lock.resolution.uv_answers import Solution, Versions
from vstore.lock.resolution.uv_project import ResolveRequest, requirements_excluding
from vstore.lock.wheels import best_wheel
from vstore.spec import Layer
from vstore.target import Target

PinsBelow = Mapping[str, tuple[str, str]]  # by package, the pinned version and the layer that pins it


def unmet_pins(unpinned: Versions, below: PinsBelow) -> dict[str, str]:
    """Return the pins below that a resolution without them does not meet, with the version (or URL) that it has."""
    return {
        name: unpinned.pins[name].removeprefix(f"{name}==")
        for name, (version, _) in below.items()
        if name in unpinned.pins and unpinned.pins[name] != f"{name}=={version}"
    }


def find_held_back(
    request: ResolveRequest, layer: Layer, solution: Solution, packages: Sequence[LockedPackage]
) -> Iterator[HeldBack]:
    """Return the packages of a layer's lock that have an older version than possible, each once, sorted by name."""
    own = {package.name for package in packages if not package.shared}
    found: dict[str, HeldBack] = {}
    for target, versions in solution.versions.items():
        kinds = (
            _held_by_systems(layer, target, solution),
            _held_by_pins(request, target, solution),
            _held_by_agreement(versions, solution.unpinned.get(target, versions), solution.agreed),
            _held_by_targets(layer, target, solution),
        )
        for held in chain.from_iterable(kinds):
            found.setdefault(held.name, held)
    for held in _held_by_stacks(solution):
        found.setdefault(held.name, held)
    yield from (held for name, held in sorted(found.items()) if name in own)


def _behind(versions: Versions, other: Versions) -> Iterator[tuple[str, str, str]]:
    """Return name, version and other version of the packages that are older than in another resolution, by name."""
    for name in sorted(other.pins):
        version, without = versions.version(name), other.version(name)
        if version is not None and without is not None and version_key(version) < version_key(without):
            yield name, version, without


def _held_by_pins(request: ResolveRequest, target: Target, solution: Solution) -> Iterator[HeldBack]:
    """Return the packages that are older than without the pins below, with the pins nearest to each."""
    unpinned, below = solution.unpinned.get(target), request.below(target)
    other = unmet_pins(unpinned, below) if unpinned is not None else {}
    if unpinned is None or not other:
        return
    behind = [one for one in _behind(solution.versions[target], unpinned) if one[0] not in below]
    names = frozenset(name for name, _, _ in behind)
    for name, version, without in behind:
        pins = sorted(_holders(name, unpinned, frozenset(other), names))
        declared = all(_declared(pin, other[pin], below[pin][1], request) for pin in pins)
        yield HeldBack(
            name=name,
            version=version,
            without=without,
            by=tuple(f"{pin}=={below[pin][0]} of layer {below[pin][1]}" for pin in pins),
            ways=(
                " and ".join(dict.fromkeys(_suggestion(pin, other[pin], below[pin][1], request) for pin in pins)),
                *(() if declared else ("lock with --joint",)),
            ),
        )


def _suggestion(name: str, version: str, owner: str, request: ResolveRequest) -> str:
    """Suggest how to get a version of a package in the layer below that pins another."""
    held = (one for low in request.dependencies if low.env_name == owner for one in low.findings.held_back)
    way = next((one.ways[0] for one in held if one.name == name), f"require {name}=={version} in layer {owner}")
    declared = _declared(name, version, owner, request)
    return f"{way} instead of {' and '.join(declared)}" if declared else way


def _declared(name: str, version: str, owner: str, request: ResolveRequest) -> list[str]:
    """Return the unconditional requirements of the layer with a pin that exclude this version: no lock can have it."""
    return [text for text in requirements_excluding(request.spec.layer(owner), name, version) if ";" not in text]


def _held_by_agreement(versions: Versions, unpinned: Versions, agreed: Mapping[str, str]) -> Iterator[HeldBack]:
    """Return the packages of a joint lock that are older than in their stack alone."""
    by = tuple(f"{name}=={version}, on which all stacks agree" for name, version in agreed.items())
    for name, version, without in _behind(versions, unpinned) if agreed else ():
        ways = ("change what the other stacks require", "lock with --no-joint")
        yield HeldBack(name=name, version=version, without=without, by=by, ways=ways)


def _held_by_stacks(solution: Solution) -> Iterator[HeldBack]:
    """Return the packages that are older than in a stack alone, as all stacks were resolved together."""
    versions = next(iter(solution.versions.values()))
    for alone in solution.stacks_alone:
        for name, version, without in _behind(versions, alone.versions):
            others = alone.others.get(name) or dict.fromkeys(chain.from_iterable(alone.others.values()))
            by = tuple(f"the requirements of layer {other}" for other in others)
            ways = (f"change the requirements of {' and '.join(others)}", "lock with --no-joint")
            yield HeldBack(name=name, version=version, without=without, by=by, ways=ways)


def _held_by_targets(layer: Layer, target: Target, solution: Solution) -> Iterator[HeldBack]:
    """Return the packages that are older than on the target alone, as the first target has no newer version."""
    first, separate = next(iter(solution.versions)), solution.separate.get(target)
    for name, version, without in () if separate is None else _behind(solution.versions[target], separate):
        way = f"require `{name}=={without} ; {environment_marker(target)}` in layer {layer.env_name}"
        by = (f"{name}=={solution.versions[first].version(name) or version} of {first}",)
        yield HeldBack(name=name, version=version, without=without, by=by, ways=(way, f"lock without {first}"))


def _holders(name: str, versions: Versions, unmet: frozenset[str], behind: frozenset[str]) -> frozenset[str]:
    """Return the nearest unmet pins on which a package depends, else those of the packages that depend on it."""
    seen, level = {name}, {name}
    while level:
        level = {child for child, parents in versions.parents.items() if not parents.isdisjoint(level)} - seen
        found = level & unmet
        if found:
            return frozenset(found)
        seen |= level
    above = versions.parents.get(name, frozenset()) & behind - {name}
    found = {pin for one in above for pin in _holders(one, versions, unmet, behind - {name})}
    return frozenset(found) or unmet


def _held_by_systems(layer: Layer, target: Target, solution: Solution) -> Iterator[HeldBack]:
    """Return the packages that are older than with wheels for a newer glibc or macOS, in this layer or in another."""
    any_system = solution.any_system.get(target)
    limits = {one.package.name: one for one in solution.too_new if one.target == target}
    if any_system is None or not limits:
        return
    behind = list(_behind(solution.versions[target], any_system))
    names = frozenset(name for name, _, _ in behind)
    for name, version, without in behind:
        holders = {name} if name in limits else _holders(name, any_system, frozenset(limits), names)
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
    """Return the systems that layers allow, and the settings that would allow all of these wheels, each layer once."""
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


def wheels_without_native_code(
    layer: Layer, packages: Sequence[LockedPackage], targets: Sequence[Target], python: str
) -> Iterator[str]:
    """Return a line for each package whose wheels for a target need a newer system, so that a pure one is used."""
    for package in packages:
        pure = [wheel for wheel in package.wheels if wheel.filename.endswith("-any.whl")]
        found: dict[str, list[str]] = {}
        for target in targets if 0 < len(pure) < len(package.wheels) else ():
            system = system_needed(NoWheel(layer=layer, package=package, target=target, python=python))
            used = best_wheel(package, wheel_tags(layer, target, python))
            if used in pure and system is not None and holds(package.marker, target, python):
                found.setdefault(_setting(target.is_linux, system), []).append(target)
        for setting, wanted in found.items():
            yield (
                f"{package.name} {package.version} is used without native code on {', '.join(wanted)}:"
                f" its wheel with native code needs {setting} in layer {layer.name}"
            )


def _setting(linux: bool, system: tuple[int, int]) -> str:
    key, prefix = ("linux_target", "glibc@") if linux else ("macosx_target", "")
    return f'{key} = "{prefix}{system[0]}.{system[1]}"'
