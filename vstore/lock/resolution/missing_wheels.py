"""Packages that have no wheel for a target of their layer, and the possible remedies."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from vstore.errors import LockError
from vstore.lock.markers import wheel_tags
from vstore.lock.model import LockedPackage
from vstore.lock.wheels import platforms_of_wheels, wheels_for_other_pythons
from vstore.spec import Layer
from vstore.target import Target
from vstore.values import frozen

BUILD_WHEELS = "build one with `uv build --wheel` (or fromager), and pass its folder by --local-wheels"
_SYSTEM = re.compile(r"(?:manylinux|macosx)_(\d+)_(\d+)_(\w+)")


@frozen
class NoWheel:
    """A package of a layer that has no wheel for a target."""

    layer: Layer
    package: LockedPackage
    target: Target
    python: str


class MissingWheelsError(LockError):
    """Packages have no wheel for some platforms of their layers. Locking would succeed for the `possible` ones."""

    def __init__(self, missing: Sequence[NoWheel], possible: Collection[Target]) -> None:
        layers = {one.layer.env_name: one.layer for one in missing}
        suggestions = dict.fromkeys(_suggestion(layer, missing, possible) for layer in layers.values())
        super().__init__(
            f"layer {', '.join(layers)}: some packages have no wheel for some target platforms",
            details=list(dict.fromkeys(_missing_line(one, missing) for one in missing)),
            hint="; or ".join([*suggestions, BUILD_WHEELS]),
        )


def _missing_line(one: NoWheel, missing: Sequence[NoWheel]) -> str:
    same = [other for other in missing if (other.layer, other.package) == (one.layer, one.package)]
    targets = ", ".join(other.target for other in same)
    ranks = [wheel_tags(other.layer, other.target, other.python) for other in same]
    other_pythons = dict.fromkeys(tag for rank in ranks for tag in wheels_for_other_pythons(one.package, rank))
    there = ", ".join(list(other_pythons) or platforms_of_wheels(one.package)) or "none"
    needed = ""
    if any(system_needed(other) for other in same):
        needed = f"needs {', '.join(_newest_tag(other) for other in same if system_needed(other))} or older, "
    return f"{one.package.name} {one.package.version}: no wheel for {targets} ({needed}available: {there})"


def _newest_tag(one: NoWheel) -> str:
    if one.target.is_linux:
        return "manylinux_{}_{}_{}".format(*one.layer.glibc, one.target.partition("_")[2])
    return "macosx_{}_{}_{}".format(*one.layer.macos, one.target.partition("_")[2])


def _suggestion(layer: Layer, missing: Sequence[NoWheel], possible: Collection[Target]) -> str:
    """Suggest a newer system if that is all that is missing, else fewer platforms."""
    own = [one for one in missing if one.layer == layer]
    systems = [(one, system_needed(one)) for one in own]
    if all(system for _, system in systems):
        linux = max((system for one, system in systems if system and one.target.is_linux), default=None)
        macos = max((system for one, system in systems if system and one.target.is_macosx), default=None)
        settings = [f'linux_target = "glibc@{linux[0]}.{linux[1]}"'] if linux else []
        settings += [f'macosx_target = "{macos[0]}.{macos[1]}"'] if macos else []
        return f"set `{'` and `'.join(settings)}` in layer {layer.name}"
    left = [str(target) for target in layer.targets if target in possible]
    return f"set `platforms = {left}` in layer {layer.name}" if left else "no platform has wheels for all packages"


def system_needed(one: NoWheel) -> tuple[int, int] | None:
    """Return the oldest glibc or macOS for which the package has wheels of the target's machine, if any."""
    machine = one.target.partition("_")[2]
    family, machines = ("manylinux", {machine}) if one.target.is_linux else ("macosx", {machine, "universal2"})
    if one.target.is_windows:
        return None
    found = [
        (int(match[1]), int(match[2]))
        for tag in platforms_of_wheels(one.package, wheel_tags(one.layer, one.target, one.python))
        if tag.startswith(family) and (match := _SYSTEM.fullmatch(tag)) and match[3] in machines
    ]
    return min(found, default=None)
