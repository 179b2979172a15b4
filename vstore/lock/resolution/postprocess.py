"""uv's answer as a lock: only wheels, only what a target needs, and what the layers below have is shared."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from vstore.credentials import without_login
from vstore.errors import LockError
from vstore.lock.markers import holds, targets_marker, wheel_tags
from vstore.lock.model import FROM_LOWER, LockedLayer, LockedPackage
from vstore.lock.resolution.uv_project import ResolveRequest, pins_on
from vstore.lock.select import platforms_of_wheels, wheels_for_other_pythons
from vstore.spec import Layer
from vstore.spec.lockfiles import lock_path
from vstore.target import Target
from vstore.values import frozen

NEED_WHEELS = "make one with `uv build --wheel` (or fromager), and offer its folder by --local-wheels"
_SYSTEM = re.compile(r"(?:manylinux|macosx)_(\d+)_(\d+)_(\w+)")


@frozen
class NoWheel:
    """A package of a layer that has no wheel for a target."""

    layer: Layer
    package: LockedPackage
    target: Target
    python: str


class MissingWheels(LockError):
    """Packages have no wheel for some of the layer's platforms; for the `possible` ones it could be locked."""

    def __init__(self, missing: Sequence[NoWheel], possible: Collection[Target]) -> None:
        layers = {one.layer.env_name: one.layer for one in missing}
        ways = dict.fromkeys(_way_out(layer, missing, possible) for layer in layers.values())
        super().__init__(
            f"layer {', '.join(layers)}: some packages have no wheel for some target platforms",
            details=list(dict.fromkeys(_missing_line(one, missing) for one in missing)),
            hint="; or ".join([*ways, NEED_WHEELS]),
        )


def _missing_line(one: NoWheel, missing: Sequence[NoWheel]) -> str:
    alike = [other for other in missing if (other.layer, other.package) == (one.layer, one.package)]
    targets = ", ".join(other.target for other in alike)
    ranks = [wheel_tags(other.layer, other.target, other.python) for other in alike]
    odd = dict.fromkeys(tag for rank in ranks for tag in wheels_for_other_pythons(one.package, rank))
    there = ", ".join(list(odd) or platforms_of_wheels(one.package)) or "none"
    needed = ""
    if any(system_needed(other) for other in alike):
        needed = f"needs {', '.join(_newest_tag(other) for other in alike if system_needed(other))} or older, "
    return f"{one.package.name} {one.package.version}: no wheel for {targets} ({needed}there are: {there})"


def _newest_tag(one: NoWheel) -> str:
    if one.target.is_linux:
        return "manylinux_{}_{}_{}".format(*one.layer.glibc, one.target.partition("_")[2])
    return "macosx_{}_{}_{}".format(*one.layer.macos, one.target.partition("_")[2])


def _way_out(layer: Layer, missing: Sequence[NoWheel], possible: Collection[Target]) -> str:
    """A newer system where that is all that is missing, else fewer platforms."""
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
    """The oldest glibc or macOS for which there is a wheel of the target's machine; None if there is none."""
    machine = one.target.partition("_")[2]
    family, alike = ("manylinux", {machine}) if one.target.is_linux else ("macosx", {machine, "universal2"})
    if one.target.is_windows:
        return None
    found = [
        (int(match[1]), int(match[2]))
        for tag in platforms_of_wheels(one.package, wheel_tags(one.layer, one.target, one.python))
        if tag.startswith(family) and (match := _SYSTEM.fullmatch(tag)) and match[3] in alike
    ]
    return min(found, default=None)


def edited(
    request: ResolveRequest,
    layer: Layer,
    document: Mapping[str, Any],
    *,
    dependencies: Sequence[LockedLayer],
    targets: Sequence[Target],
) -> dict[str, Any]:
    """The lock document of a layer for its targets, over the locks of those below it."""
    python = request.python.pin.version
    below = {target: pins_on(dependencies, target, python) for target in targets}
    folder = lock_path(request.spec, layer).parent
    tables = (_edited(dict(table), below, python, folder) for table in document["packages"])
    return {
        "lock-version": document["lock-version"],
        "requires-python": f"=={request.python.pin.minor}.*",
        "packages": [table for table in tables if table is not None],
    }


def _edited(
    table: dict[str, Any], below: Mapping[Target, Mapping[str, tuple[str, str]]], python: str, folder: Path
) -> dict[str, Any] | None:
    """One package; None where no target wants it. `below` is what is installed below, by target and name."""
    marker = table.pop("marker", None)
    wanted = [target for target in below if holds(marker, target, python)]
    if not wanted:
        return None
    marker = None if len(wanted) == len(below) else targets_marker(wanted)
    for key in ("sdist", "directory", "vcs"):
        table.pop(key, None)
    if {below[target].get(table["name"], ("",))[0] for target in wanted} == {str(table.get("version"))}:
        for key in ("index", "wheels"):
            table.pop(key, None)
        return {**table, "marker": f"({marker}) and {FROM_LOWER}" if marker else FROM_LOWER}
    if marker:
        table["marker"] = marker
    table["wheels"] = [_relocated(folder, wheel) for wheel in table.get("wheels", [])]
    index = str(table.get("index", ""))
    if index.startswith("file:"):  # a folder of this machine; the wheels' paths say enough
        del table["index"]
    elif index:
        table["index"] = without_login(index)
    return table


def _relocated(folder: Path, wheel: Mapping[str, Any]) -> dict[str, Any]:
    """Local wheels by a path relative to the lock file, with forward slashes; upload times and logins left out."""
    result = {key: value for key, value in wheel.items() if key != "upload-time"}
    parsed = urlparse(result.get("url", ""))
    local = result.pop("path", None) or (unquote(parsed.path) if parsed.scheme == "file" else None)
    if local is not None:
        result.pop("url", None)
        result["path"] = Path(os.path.relpath(local, folder)).as_posix()
    elif "url" in result:
        result["url"] = without_login(result["url"])
    return result
