"""Whether the packages of a finished stack suit each other, as ``uv pip check`` would say.

Each layer suits those below it, as it was resolved over their pins. But of two layers side by side the nearer one's
version of a package hides the other's, and the packages of the farther layer then get another version than theirs.
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
from vstore.uv import Uv, UvFailed

_DEPENDS = (  # uv names a dependent alone or with the versions it speaks of, what it needs with extras
    r"([\w.-]+?)(?:[<>=!~]\S*)? depends? on"
    r" (([\w.-]+?)(?:\[[^\]\s]*\])?(?:[<>=!~][^\s,]*(?:,[<>=!~][^\s,]*)*)?)(?=[\s,]|$)"
)
_MOST = 20  # conflicts that are looked for


def find_conflicts(
    request: ResolveRequest, layer: Layer, own: Sequence[LockedPackage], dependencies: Sequence[LockedLayer], uv: Uv
) -> list[str]:
    """The conflicts in the stack of a layer with these `own` packages over its `dependencies`, nearest first."""
    python = request.python.pin.version
    found: dict[str, None] = {}
    for target in request.required:
        visible = {
            one.name: (one.version, layer.env_name)
            for one in own
            if not one.shared and holds(one.marker, target, python)
        }
        visible = pins_on(dependencies, target, python) | visible
        hidden = dict(_hidden(dependencies, visible, target, python))
        if hidden:
            alone = replace(layer, requirements=())
            asked = replace(request, layers=(alone,), dependencies=(), pins=(), keep={}, any_system=True)
            found |= dict.fromkeys(_conflicts(asked, target, visible, hidden, uv))
    return list(found)


def _hidden(
    dependencies: Sequence[LockedLayer], visible: Mapping[str, tuple[str, str]], target: Target, python: str
) -> Iterator[tuple[str, tuple[str, str]]]:
    """By name, the versions (and their layers) that a nearer layer hides."""
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
    """Ask uv whether all that is visible can be had together; leave out the package that it complains of, ask again."""
    left = dict(visible)
    for _ in range(_MOST):
        wanted = tuple(f"{name}=={version}" for name, (version, _) in left.items())
        layer = replace(request.layers[0], requirements=wanted)
        try:
            resolve_versions(replace(request, layers=(layer,)), target, uv, constraints=(), prefer={})
            return
        except UvFailed as error:
            complaint = _complaint(error.output, left, hidden)
            if complaint is None:
                if _is_conflict(error.output):
                    yield f"its packages do not suit each other on {target}: `uv pip check` in the realised layer tells"
                return
        name, wanted_by_it, package = complaint
        version, owner = left.pop(name)
        got, near = visible[package]
        lost, far = hidden[package]
        yield (
            f"{name} {version} of layer {owner} needs {wanted_by_it}, and gets {package} {got} of layer {near},"
            f" which hides {package} {lost} of layer {far}: lock with --joint, or require one version below both"
        )


def _is_conflict(output: str) -> bool:
    """Whether uv speaks of packages that need others, and not of one that cannot be found."""
    text = " ".join(output.split())
    return re.search(r" depends? on ", text) is not None and "there is no version of" not in text


def _complaint(
    output: str, visible: Mapping[str, tuple[str, str]], hidden: Mapping[str, tuple[str, str]]
) -> tuple[str, str, str] | None:
    """(dependent, its requirement, the hidden package) that uv's text speaks of."""
    text = " ".join(output.split())
    for name, wanted, package in re.findall(_DEPENDS, text):
        package = package.rstrip(".")
        if name in visible and package in hidden:
            return name, wanted.rstrip(",."), package
    return None
