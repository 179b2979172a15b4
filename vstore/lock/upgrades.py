"""Upgrades that were asked for: of packages that there are, and those that an exact requirement prevents (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vstore.errors import UsageError, suggestion
from vstore.lock.model import LockedLayer, LockOptions
from vstore.lock.project import Project
from vstore.spec import Spec
from vstore.values import frozen

_SETTINGS = ("constraint-dependencies", "override-dependencies")


@frozen
class ExactlyRequired:
    """A package at the only `version` that the setting or the layer in `by` allows."""

    layer: str
    name: str
    version: str
    by: str


def check_upgrades(project: Project, names: Sequence[str]) -> None:
    """Raise UsageError for the name of a package that no layer has. A spec without all its locks may have any."""
    from packaging.utils import canonicalize_name

    if not names:
        return
    layers = [layer for layer in project.spec.layers if layer.targets]
    locks = project.locks
    if len(locks) != len(layers):
        return
    known = {package.name for one in locks for package in one.packages}
    known |= {name for layer in layers for name, _ in _parsed(layer.requirements)}
    for name in names:
        if canonicalize_name(name) not in known:
            hint = f"{suggestion(canonicalize_name(name), known)}the lock files list the packages of the layers"
            raise UsageError(f"--upgrade-package {name}: no layer has that package", hint=hint)


def exactly_required(spec: Spec, locked: Iterable[LockedLayer], options: LockOptions) -> tuple[ExactlyRequired, ...]:
    """Return the packages that were to be upgraded, and whose version a setting or a requirement names."""
    from packaging.utils import canonicalize_name

    names = {canonicalize_name(name) for name in options.upgrade_packages}
    if not (options.upgrade or names):
        return ()
    places = {key: _exact(value) for key in _SETTINGS if isinstance(value := spec.uv.get(key), list | tuple)}
    places |= {f"the requirements of layer {layer.env_name}": _exact(layer.requirements) for layer in spec.layers}
    return tuple(
        ExactlyRequired(layer=one.env_name, name=package.name, version=package.version, by=by)
        for one in locked
        for package in one.packages
        if not package.shared and (options.upgrade or package.name in names)
        if (by := next((place for place, found in places.items() if (package.name, package.version) in found), None))
    )


def _exact(requirements: Iterable[object]) -> set[tuple[str, str]]:
    return {(name, version) for name, version in _parsed(requirements) if version is not None}


def _parsed(requirements: Iterable[object]) -> Iterator[tuple[str, str | None]]:
    """Return the name and the exact version, if there is one, of each valid requirement."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    for text in requirements:
        try:
            found = Requirement(str(text))
        except InvalidRequirement:
            continue
        exact = (one.version for one in found.specifier if one.operator in ("==", "===") and "*" not in one.version)
        yield canonicalize_name(found.name), next(exact, None)
