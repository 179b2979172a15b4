"""From a lock to the wheels of one target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlparse

from vstore.errors import LockError
from vstore.lock.markers import holds, wheel_tags
from vstore.lock.model import LockedLayer, LockedPackage, LockedWheel, PinnedWheel
from vstore.lock.staleness import runtime_of
from vstore.spec import Layer, Spec
from vstore.target import Target


def check_covered(locked: LockedLayer, target: Target) -> None:
    """Raise LockError with the reason if the lock leaves a target out."""
    why = locked.findings.left_out.get(str(target))
    if why is not None:
        raise LockError(
            f"layer {locked.env_name} is not locked for {target}: {why}",
            hint=f"name {target} in its `platforms` to require it, then change what has no wheel for it;"
            " --include realises other layers",
        )


def select(locked: LockedLayer, layer: Layer, target: Target, python: str) -> tuple[PinnedWheel, ...]:
    """The best wheel of every package that the layer installs itself on `target`, sorted by name.

    Raises LockError naming each package that has none, or when the lock leaves the target out.
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
            hint="make one with `uv build --wheel` (or fromager) and offer it by --local-wheels, or narrow `platforms`",
        )
    return tuple(sorted(chosen, key=lambda wheel: wheel.name))


def missing_targets(package: LockedPackage, layer: Layer, targets: Iterable[Target], python: str) -> tuple[Target, ...]:
    """The targets for which a package has no wheel that a layer may use."""
    return tuple(target for target in targets if best_wheel(package, wheel_tags(layer, target, python)) is None)


def gaps(spec: Spec, locks: Iterable[LockedLayer]) -> Iterator[str]:
    """What locks that venvstacks wrote lack: it never looks again whether each platform has a wheel."""
    for locked in locks:
        if locked.inputs is not None:
            continue
        layer = spec.layer(locked.env_name)
        python = (runtime_of(spec, layer).python_implementation or "").partition("@")[2]
        for package in locked.packages:
            if not package.shared:
                targets = [target for target in layer.targets if holds(package.marker, target, python)]
                for target in missing_targets(package, layer, targets, python):
                    yield f"layer {layer.env_name}: {package.name} {package.version} has no wheel for {target}"


def best_wheel(package: LockedPackage, rank: Mapping[str, int]) -> LockedWheel | None:
    """The wheel whose tag stands first in `rank`; the highest build tag among equals."""
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
    """The platform tags of a package's wheels; with a `rank`, of those that fit its Python."""
    pythons = None if rank is None else {tag.rpartition("-")[0] for tag in rank}
    fitting = (tag for tag in _tags(package) if pythons is None or tag.rpartition("-")[0] in pythons)
    return sorted({tag.rpartition("-")[2] for tag in fitting})


def wheels_for_other_pythons(package: LockedPackage, rank: Mapping[str, int]) -> list[str]:
    """The tags of a package's wheels that would fit a platform of `rank`, but not its Python."""
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
