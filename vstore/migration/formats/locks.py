"""The locks of uv, Poetry and PDM: their versions as pins, of the packages that a project needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from vstore.documents import Fields
from vstore.migration.documents import read_toml
from vstore.migration.formats.uv_lock import UvLock, last_part
from vstore.migration.indexes import IndexSettings
from vstore.migration.model import Choice, Pin
from vstore.migration.requirement import SPEC, CollectedRequirements, name_of, needed_packages
from vstore.spec.requirement_hints import wheel_hint
from vstore.values import frozen, replace


@frozen
class FoundPins:
    """The pins of the lock `file`; no file if there is no lock."""

    file: str | None = None
    pins: tuple[Pin, ...] = ()


def read_pins(
    folder: Path, name: str, choice: Choice, collected: CollectedRequirements, indexes: IndexSettings
) -> FoundPins:
    """Return the pins of the lock in a folder. Packages without a version in an index are left out.

    `collected` has the requirements of the project so far. Raises UsageError or FieldError for a malformed lock.
    """
    if (folder / "uv.lock").is_file():
        lock = UvLock(read_toml(folder / "uv.lock"), choice, name)
        lock.add_to(collected, indexes)
        return FoundPins(file="uv.lock", pins=lock.pins())
    for file in ("poetry.lock", "pdm.lock"):
        if (folder / file).is_file():
            packages = list(read_toml(folder / file).tables("package"))
            return FoundPins(file=file, pins=tuple(_pins(packages, collected)))
    return FoundPins()


def _pins(packages: Iterable[Fields], collected: CollectedRequirements) -> Iterator[Pin]:
    """Return the pins of the packages that the requirements need, directly or not."""
    found: dict[str, list[Pin]] = {}
    oldest: dict[tuple[str, str], str] = {}
    for package in packages:
        name = canonicalize_name(package.text("name"))
        place = _source_code(package)
        if place is not None:
            if any(name_of(text) == name for text in collected.requirements):
                collected.leave_out(f"{name} from {place}", wheel_hint(place, SPEC, name))
            continue
        found.setdefault(name, []).append(_pin(name, package))
        oldest[name, package.text("version")] = package.optional_text("python-versions") or ""
    for needed in needed_packages(found, map(name_of, collected.requirements)):
        pins = list(dict.fromkeys(found[needed]))
        if len({one.version for one in pins}) == 1:
            pins = [replace(one, marker=None) for one in pins]
        elif not any(one.marker for one in pins):
            pins = list(_for_pythons(pins, oldest))
        yield from dict.fromkeys(pins)


def _for_pythons(pins: Iterable[Pin], oldest: Mapping[tuple[str, str], str]) -> Iterator[Pin]:
    """Return several versions of a package with the Pythons that each is for; Poetry before 2.1 does not lock these.

    A version is for the Pythons that it supports, and that no newer version supports.
    """
    below = ""
    for pin in sorted(pins, key=lambda one: Version(one.version), reverse=True):
        found = re.match(r">=\s*(\d+\.\d+)", oldest[pin.name, pin.version])
        lowest = found[1] if found else ""
        clauses = [f"python_version >= '{lowest}'"] if lowest else []
        clauses += [f"python_version < '{below}'"] if below else []
        yield replace(pin, marker=" and ".join(clauses) or None)
        below = lowest or below


def _pin(name: str, package: Fields) -> Pin:
    marker = package.values.get("marker", package.values.get("markers"))
    return Pin(
        name=name,
        version=package.text("version"),
        marker=marker if isinstance(marker, str) else None,
        wheels=tuple(one for one in _files(package) if one.endswith(".whl")),
        requires=tuple(_requires(package.values.get("dependencies"))),
    )


def _files(package: Fields) -> Iterator[str]:
    for entry in package.tables("files"):
        yield last_part(entry.optional_text("file") or entry.optional_text("url") or "")


def _requires(dependencies: object) -> Iterator[str]:
    """Return the names in Poetry's table, or in PDM's array of requirements."""
    if isinstance(dependencies, dict):
        yield from map(canonicalize_name, dependencies)
    for text in dependencies if isinstance(dependencies, list) else []:
        try:
            yield canonicalize_name(Requirement(str(text)).name)
        except InvalidRequirement:
            continue


def _source_code(package: Fields) -> str | None:
    """Return where a package lies that no index has."""
    source = package.table("source")
    if source.values.get("type") in ("git", "directory", "file", "url"):
        revision = source.values.get("resolved_reference")
        url = source.text("url")
        return f"git+{url}@{revision}" if source.values["type"] == "git" else url
    if "git" in package:
        return f"git+{package.text('git')}@{package.values.get('revision', '')}"
    return package.optional_text("path")
