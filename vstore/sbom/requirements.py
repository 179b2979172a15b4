"""The edges from distributions to distributions, by Requires-Dist as installed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from packaging.markers import Marker, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vstore.values import frozen


@frozen
class Installed:
    """An installed distribution: its requirements, its extras, and the distributions that it can import, by name.

    `environment` has the values of markers.
    """

    requirements: Sequence[Requirement]
    extras: Sequence[str]
    visible: Mapping[str, str]
    environment: Mapping[str, str]


class _Edge(NamedTuple):
    target: str  # a key
    extras: frozenset[str]  # of the target


def requirement_edges(distributions: Mapping[str, Installed]) -> dict[str, tuple[str, ...]]:
    """Return the keys of the distributions that each one needs, by key.

    An extra counts if another distribution requires it, or if all that it requires is installed: no metadata state
    which extras were asked for.
    """
    markers = _Markers()
    active = {key: _satisfied_extras(one, markers) for key, one in distributions.items()}
    edges: dict[str, set[str]] = {key: set() for key in distributions}
    waiting = list(distributions)
    while waiting:
        key = waiting.pop()
        for target, extras in _edges(distributions[key], active[key], markers):
            edges[key].add(target)
            if new := (extras & _extras(distributions[target])) - active[target]:
                active[target] |= new
                waiting.append(target)
    return {key: tuple(sorted(targets - {key})) for key, targets in edges.items()}


def _edges(one: Installed, active: set[str], markers: _Markers) -> Iterator[_Edge]:
    for requirement in one.requirements:
        target = one.visible.get(canonicalize_name(requirement.name))
        if target is not None and any(markers.hold(requirement, one, extra) for extra in ("", *sorted(active))):
            yield _Edge(target, frozenset(map(canonicalize_name, requirement.extras)))


def _satisfied_extras(one: Installed, markers: _Markers) -> set[str]:
    found = set()
    conditional = [each for each in one.requirements if each.marker and not markers.hold(each, one, "")]
    for extra in _extras(one) if conditional else ():
        needed = [canonicalize_name(each.name) for each in conditional if markers.hold(each, one, extra)]
        if needed and all(name in one.visible for name in needed):
            found.add(extra)
    return found


def _extras(one: Installed) -> set[str]:
    return set(map(canonicalize_name, one.extras))


class _Markers:
    """Evaluates markers, each once for an environment and an extra."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], bool] = {}

    def hold(self, requirement: Requirement, one: Installed, extra: str) -> bool:
        marker = requirement.marker
        if marker is None:
            return True
        text = str(marker)
        key = (text, extra if "extra" in text else "", one.environment["python_full_version"])
        if key not in self._known:
            self._known[key] = _holds(marker, {**one.environment, "extra": extra})
        return self._known[key]


def _holds(marker: Marker, environment: Mapping[str, str]) -> bool:
    try:
        return marker.evaluate({**environment})
    except (UndefinedEnvironmentName, ValueError):  # a comparison of what are no versions
        return False
