"""Selecting the wheels of a lock for one target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlparse

from vstore.errors import LockError
from vstore.lock.markers import holds, wheel_tags
from vstore.lock.model import LockedLayer, LockedPackage, LockedWheel, PinnedWheel
from vstore.spec import Layer, Spec
from vstore.target import Target


def check_covered(locked: LockedLayer, target: Target) -> None:
    """Raise LockError, with the reason, if the lock does not cover a target."""
    why = locked.findings.left_out.get(str(target))
    if why is not None:
        raise LockError(
            f"layer {locked.env_name} is not locked for {target}: {why}",
            hint=f"add {target} to its `platforms` to require it, and replace the packages without a wheel for it;"
            " --include realises other layers",
        )


def select_wheels(locked: LockedLayer, layer: Layer, target: Target, python: str) -> tuple[PinnedWheel, ...]:
    """Return the best wheel of each package that the layer itself installs on `target`, sorted by package name.

    Raises LockError with all packages that have no wheel, or if the lock does not cover the target.
    """
    check_covered(locked, target)
    rank = wheel_tags(layer, target, python)
    chosen, missing = [], []
    for package in locked.packages:
        if package.shared or not holds(package.marker, target, python):
            continue
        wheel = best_wheel(package, rank)
        if wheel is None:
            missing.append(f"{package.name} {package.version}")
        else:
            chosen.append(_pinned(package, wheel, locked.path.parent))
    if missing:
        raise LockError(
            f"layer {layer.env_name}: no wheel for {target}: {', '.join(missing)}",
            hint="build one with `uv build --wheel` (or fromager) and pass its folder by --local-wheels,"
            " or narrow `platforms`",
        )
    return tuple(sorted(chosen, key=lambda wheel: wheel.name))


def missing_targets(package: LockedPackage, layer: Layer, targets: Iterable[Target], python: str) -> tuple[Target, ...]:
    """Return the targets for which a package has no wheel that the layer may use."""
    return tuple(target for target in targets if best_wheel(package, wheel_tags(layer, target, python)) is None)


def missing_wheels(spec: Spec, locks: Iterable[LockedLayer]) -> Iterator[str]:
    """Return a line for each wheel that is missing in locks that venvstacks wrote: it does not check all platforms."""
    for locked in locks:
        layer = spec.layer(locked.env_name)
        if locked.inputs is not None or layer.python.is_range:  # venvstacks has no ranges, so the lock is stale
            continue
        for package in locked.packages:
            if not package.shared:
                targets = [target for target in layer.targets if holds(package.marker, target, layer.python.version)]
                for target in missing_targets(package, layer, targets, layer.python.version):
                    yield f"layer {layer.env_name}: {package.name} {package.version} has no wheel for {target}"


def best_wheel(package: LockedPackage, rank: Mapping[str, int]) -> LockedWheel | None:
    """Return the wheel with the best tag by `rank` (0 is the best), among equals the one with the highest build tag."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    best: tuple[int, tuple[int, str]] | None = None
    found = None
    for wheel in package.wheels:
        try:
            _, _, build, tags = parse_wheel_filename(wheel.filename)
        except InvalidWheelFilename:
            continue
        ranks = [rank[str(tag)] for tag in tags if str(tag) in rank]
        if ranks:
            key = (-min(ranks), build or (0, ""))
            if best is None or key > best:
                best, found = key, wheel
    return found


def platforms_of_wheels(package: LockedPackage, rank: Mapping[str, int] | None = None) -> list[str]:
    """Return the platform tags of a package's wheels; with a `rank`, of those for its Python."""
    pythons = None if rank is None else {tag.rpartition("-")[0] for tag in rank}
    fitting = (tag for tag in _tags(package) if pythons is None or tag.rpartition("-")[0] in pythons)
    return sorted({tag.rpartition("-")[2] for tag in fitting})


def wheels_for_other_pythons(package: LockedPackage, rank: Mapping[str, int]) -> list[str]:
    """Return the tags of a package's wheels that are for a platform of `rank`, but not for its Python."""
    pythons, platforms = ({tag.rpartition("-")[n] for tag in rank} for n in (0, 2))
    found = (tag.rpartition("-") for tag in _tags(package))
    return sorted(
        {f"{python}-{platform}" for python, _, platform in found if python not in pythons and platform in platforms}
    )


def _tags(package: LockedPackage) -> Iterator[str]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    for wheel in package.wheels:
        try:
            yield from map(str, parse_wheel_filename(wheel.filename)[3])
        except InvalidWheelFilename:
            continue


def _pinned(package: LockedPackage, wheel: LockedWheel, folder: Path) -> PinnedWheel:
    location = wheel.location
    parsed = urlparse(location)
    if parsed.scheme == "file":
        location = unquote(parsed.path)
    elif len(parsed.scheme) <= 1:  # a path, perhaps with a drive letter
        location = str((folder / location).resolve())
    return PinnedWheel(
        name=package.name,
        version=package.version,
        sha256=wheel.sha256,
        location=location,
        filename=wheel.filename,
        index=package.index,
    )
