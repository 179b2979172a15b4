"""Finding conflicts in a finished stack, as ``uv pip check`` does.

Each layer is consistent with the layers below it, as it was resolved over their pins. But of two layers side by side,
the nearer one's version of a package hides the other's, so packages of the farther layer get a version that they were
not resolved for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vstore.lock.markers import holds
from vstore.lock.model import LockedLayer, LockedPackage
from vstore.lock.resolution.uv_answers import resolve_versions
from vstore.lock.resolution.uv_project import ResolveRequest, pins_on
from vstore.spec import Layer
from vstore.target import Target
from vstore.uv import Uv, UvError

_DEPENDS = (  # uv writes a dependent alone or with versions, and its requirement with extras
    r"([\w.-]+?)(?:[<>=!~]\S*)? depends? on"
    r" (([\w.-]+?)(?:\[[^\]\s]*\])?(?:[<>=!~][^\s,]*(?:,[<>=!~][^\s,]*)*)?)(?=[\s,]|$)"
)
_MAX_CONFLICTS = 20


def find_conflicts(request: ResolveRequest, layer: Layer, packages: Sequence[LockedPackage], uv: Uv) -> list[str]:
    """Return the conflicts in the stack of a layer with these packages. Raises UvError, UsageError."""
    python, dependencies = request.python.pin.version, request.dependencies
    found: dict[str, None] = {}
    for target in request.required:
        visible = {
            one.name: (one.version, layer.env_name)
            for one in packages
            if not one.shared and holds(one.marker, target, python)
        }
        visible = pins_on(dependencies, target, python) | visible
        hidden = dict(_hidden(dependencies, visible, target, python))
        if hidden:
            alone = replace(layer, requirements=())
            check = replace(request, layers=(alone,), dependencies=(), pins=(), preferred={}, any_system=True)
            found |= dict.fromkeys(_conflicts(check, target, visible, hidden, uv))
    return list(found)


def _hidden(
    dependencies: Sequence[LockedLayer], visible: Mapping[str, tuple[str, str]], target: Target, python: str
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Return by package the versions, with their layers, that a nearer layer hides."""
    for locked in dependencies:
        for package in locked.packages:
            hides = not package.shared and visible.get(package.name, (package.version,))[0] != package.version
            if hides and holds(package.marker, target, python):
                yield package.name, (package.version, locked.env_name)


def _conflicts(
    request: ResolveRequest,
    target: Target,
    visible: Mapping[str, tuple[str, str]],
    hidden: Mapping[str, tuple[str, str]],
    uv: Uv,
) -> Iterator[str]:
    """Let uv resolve all visible packages together. Drop the package of each conflict that it reports, and repeat."""
    left = dict(visible)
    for _ in range(_MAX_CONFLICTS):
        wanted = tuple(f"{name}=={version}" for name, (version, _) in left.items())
        layer = replace(request.layers[0], requirements=wanted)
        try:
            resolve_versions(replace(request, layers=(layer,)), target, uv, constraints=(), preferred={})
            return
        except UvError as error:
            conflict = _read_conflict(error.output, left, hidden)
            if conflict is None:
                if _is_about_dependencies(error.output):
                    yield f"its packages conflict on {target}: run `uv pip check` in the realised layer"
                return
        name, requirement, package = conflict
        version, owner = left.pop(name)
        got, near = visible[package]
        lost, far = hidden[package]
        yield (
            f"{name} {version} of layer {owner} needs {requirement}, and gets {package} {got} of layer {near},"
            f" which hides {package} {lost} of layer {far}: lock with --joint, or require one version below both"
        )


def _is_about_dependencies(output: str) -> bool:
    """Return whether uv reports a dependency that is not met, and not a package that is missing."""
    text = " ".join(output.split())
    return re.search(r" depends? on ", text) is not None and "there is no version of" not in text


def _read_conflict(
    output: str, visible: Mapping[str, tuple[str, str]], hidden: Mapping[str, tuple[str, str]]
) -> tuple[str, str, str] | None:
    """Return the dependent, its requirement, and the hidden package in uv's report."""
    text = " ".join(output.split())
    for name, wanted, package in re.findall(_DEPENDS, text):
        package = package.rstrip(".")
        if name in visible and package in hidden:
            return name, wanted.rstrip(",."), package
    return None
