"""Turning uv's packages into those of a lock: for the layer's targets only, shared where a layer below has them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

from vstore.credentials import without_login
from vstore.lock.markers import holds, targets_marker
from vstore.lock.model import FROM_LOWER, LockedPackage, LockedWheel
from vstore.lock.resolution.uv_project import ResolveRequest, pins_on
from vstore.spec import Layer
from vstore.spec.lockfiles import lock_path
from vstore.target import Target


def layer_packages(
    request: ResolveRequest, layer: Layer, packages: Sequence[LockedPackage], targets: Sequence[Target]
) -> tuple[LockedPackage, ...]:
    """Return the packages of a layer's lock for these targets, given all that uv lists for it."""
    python = request.python.pin.version
    below = {target: pins_on(request.dependencies, target, python) for target in targets}
    folder = lock_path(request.spec, layer).parent
    found = (_layer_package(package, below, python, folder) for package in packages)
    return tuple(package for package in found if package is not None)


def _layer_package(
    package: LockedPackage, below: Mapping[Target, Mapping[str, tuple[str, str]]], python: str, folder: Path
) -> LockedPackage | None:
    """Return one package, None if no target needs it. `below` are the packages below by target and name."""
    wanted = [target for target in below if holds(package.marker, target, python)]
    if not wanted:
        return None
    marker = None if len(wanted) == len(below) else targets_marker(wanted)
    if package.version and {below[target].get(package.name, ("",))[0] for target in wanted} == {package.version}:
        shared = f"({marker}) and {FROM_LOWER}" if marker else FROM_LOWER
        return LockedPackage(name=package.name, version=package.version, marker=shared)
    index = package.index
    if index is not None:  # a folder of this machine is omitted, as the paths of the wheels are enough
        index = None if index.startswith("file:") else without_login(index)
    wheels = tuple(_relocated(folder, wheel) for wheel in package.wheels)
    return replace(package, marker=marker, index=index, wheels=wheels)


def _relocated(folder: Path, wheel: LockedWheel) -> LockedWheel:
    """Return a wheel with its URL without a login, or a local one with a path relative to the lock file."""
    local = wheel.location
    if "://" in local:
        parsed = urlparse(local)
        if parsed.scheme != "file":
            return replace(wheel, location=without_login(local))
        local = unquote(parsed.path)
    return replace(wheel, location=Path(os.path.relpath(local, folder)).as_posix())
