"""What becomes of uv's answer: only wheels, only what a target needs, and what the layers below have is shared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from vstore.errors import LockError
from vstore.lock.lockfile import parse_package
from vstore.lock.markers import holds
from vstore.lock.model import FROM_LOWER
from vstore.lock.project import Question
from vstore.lock.select import missing_targets
from vstore.spec import Layer
from vstore.spec.lockfiles import lock_path
from vstore.target import Target

NEED_WHEELS = "make one with `uv build --wheel` (or fromager), and offer its folder by --local-wheels"


class MissingWheels(LockError):
    """Packages have no wheel for some of the layer's platforms."""

    def __init__(self, layer: Layer, missing: Mapping[str, Sequence[Target]]) -> None:
        gone = {target for targets in missing.values() for target in targets}
        left = [str(target) for target in layer.targets if target not in gone]
        narrower = f"set `platforms = {left}` in layer {layer.name}"
        super().__init__(
            f"layer {layer.env_name}: some packages have no wheel for some target platforms",
            details=[f"{name}: no wheel for {', '.join(targets)}" for name, targets in sorted(missing.items())],
            hint=f"{narrower if left else 'no platform has wheels for all packages'}; or {NEED_WHEELS}",
        )


def edited(question: Question, document: Mapping[str, Any]) -> dict[str, Any]:
    """The lock document of a layer. Raises MissingWheels, with all that is missing."""
    packages = []
    missing: dict[str, Sequence[Target]] = {}
    for table in document.get("packages", []):
        package = _edited(question, dict(table), missing)
        if package is not None:
            packages.append(package)
    if missing:
        raise MissingWheels(question.layer, missing)
    return {
        "lock-version": document["lock-version"],
        "requires-python": document.get("requires-python", f"=={question.python.pin.minor}.*"),
        "packages": packages,
    }


def _edited(question: Question, table: dict[str, Any], missing: dict[str, Sequence[Target]]) -> dict[str, Any] | None:
    version, layer = question.python.pin.version, question.layer
    marker = table.get("marker")
    targets = [target for target in layer.targets if holds(marker, target, version)]
    if not targets:
        return None
    if len(targets) == len(layer.targets):
        table.pop("marker", None)
        marker = None
    archive = table.pop("archive", None)
    if archive is not None and "wheels" not in table:  # a wheel that the spec names by its URL
        table["wheels"] = [archive]
    for key in ("sdist", "directory", "vcs"):
        table.pop(key, None)
    if _provided(question, table["name"], str(table.get("version")), targets):
        table["marker"] = f"({marker}) and {FROM_LOWER}" if marker else FROM_LOWER
        table.pop("index", None)
        table.pop("wheels", None)
        return table
    table["wheels"] = [_relocated(question, wheel) for wheel in table.get("wheels", [])]
    if str(table.get("index", "")).startswith("file:"):  # a folder of this machine; the wheels' paths say enough
        del table["index"]
    package = parse_package(table)
    without = missing_targets(package, layer, targets, version)
    if without:
        missing[f"{package.name} {package.version}"] = without
    return table


def _provided(question: Question, name: str, version: str, targets: Iterable[Target]) -> bool:
    """Whether the nearest layer below that installs the package on a target has this version, on each target."""
    python = question.python.pin.version
    for target in targets:
        found = (
            package.version
            for locked in question.lowers
            for package in locked.packages
            if package.name == name and not package.shared and holds(package.marker, target, python)
        )
        if next(found, None) != version:
            return False
    return True


def _relocated(question: Question, wheel: Mapping[str, Any]) -> dict[str, Any]:
    """Local wheels by a path relative to the lock file, with forward slashes; upload times left out."""
    result = {key: value for key, value in wheel.items() if key != "upload-time"}
    parsed = urlparse(result.get("url", ""))
    local = result.pop("path", None) or (unquote(parsed.path) if parsed.scheme == "file" else None)
    if local is not None:
        result.pop("url", None)
        folder = lock_path(question.spec, question.layer).parent
        result["path"] = Path(os.path.relpath(local, folder)).as_posix()
    return result
