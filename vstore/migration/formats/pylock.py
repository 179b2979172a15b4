"""Reading ``pylock.toml`` (PEP 751)."""

from __future__ import annotations

from pathlib import Path

from packaging.pylock import Package, Pylock, PylockValidationError

from vstore.errors import UsageError
from vstore.migration.documents import read_toml
from vstore.migration.formats.conditions import Conditions
from vstore.migration.indexes import PYPI, IndexSettings
from vstore.migration.model import Choice, Pin, SourceProject
from vstore.migration.requirement import SPEC, CollectedRequirements
from vstore.spec.requirement_hints import wheel_hint


def read_pylock(path: Path, choice: Choice) -> SourceProject:
    """Read a lock. Each package that no other one depends on is a requirement. Raises UsageError."""
    try:
        lock = Pylock.from_dict(dict(read_toml(path).values))
    except PylockValidationError as error:
        raise UsageError(f"{path} is not a valid pylock.toml: {error}") from error
    collected, indexes = CollectedRequirements(), IndexSettings()
    groups = choice.groups or tuple(lock.default_groups or ())
    conditions, pins = Conditions(choice.extras, groups), []
    for package in lock.packages:
        possible, marker = conditions.decide(str(package.marker) if package.marker else None)
        if not possible:
            continue
        if package.index and package.index.rstrip("/") != PYPI:
            indexes.take_from(package.name, indexes.add(package.index, explicit=True))
        place = _source_code(package)
        if place is not None or package.version is None:
            collected.leave_out(f"{package.name} from {place}", wheel_hint(place or "", SPEC, package.name))
            continue
        pins.append(_pin(package, marker))
    known = {name for pin in pins for name in pin.requires}
    for pin in pins:
        if pin.name not in known:
            collected.add(pin.name + (f" ; {pin.marker}" if pin.marker else ""))
    collected.name_others(
        Choice(extras=choice.extras, groups=groups), extras=lock.extras or (), groups=lock.dependency_groups or ()
    )
    return SourceProject(
        name=path.absolute().parent.name,
        format=path.name,
        requirements=tuple(collected.requirements),
        pins=tuple(pins),
        python=str(lock.requires_python or ""),
        settings=indexes.settings(),
        left_out=(*collected.left_out, *indexes.left_out),
    )


def _pin(package: Package, marker: str | None) -> Pin:
    wheels = package.wheels or ()
    return Pin(
        name=package.name,
        version=str(package.version),
        marker=marker,
        wheels=tuple(wheel.filename for wheel in wheels),
        size_bytes=max((wheel.size for wheel in wheels if wheel.size), default=None),
        requires=tuple(str(one["name"]) for one in package.dependencies or () if "name" in one),
    )


def _source_code(package: Package) -> str | None:
    """Return where a package lies that no index has."""
    if package.vcs:
        return f"{package.vcs.type}+{package.vcs.url}@{package.vcs.commit_id}"
    if package.directory:
        return package.directory.path
    if package.archive:
        return package.archive.url or package.archive.path
    return None
