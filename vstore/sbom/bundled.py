"""Merging the SBOMs of a wheel into its distribution. Pure.

Components of several documents with the same package URL, or without one with the same name and version, are one. A
component that is the distribution itself is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from vstore.sbom.embedded import EmbeddedSbom
from vstore.sbom.files import library_names, normal_library_name
from vstore.sbom.model import Component, HashedFile
from vstore.values import replace

_PYPI = "pkg:pypi/"


class Bundled(NamedTuple):
    """The components inside a wheel, and the keys of those that the distribution needs directly."""

    parts: tuple[Component, ...] = ()
    depends_on: tuple[str, ...] = ()


def merge_embedded(sboms: Sequence[EmbeddedSbom], key: str, name: str) -> Bundled:
    """Merge the SBOMs of the distribution with this key and normalised name. The keys of the parts begin with it."""
    parts: dict[str, Component] = {}
    edges: dict[str, set[str]] = {}
    for sbom in sboms:
        known = {}
        for reference, component in sbom.components.items():
            is_subject = reference == sbom.subject
            known[reference] = key if _is_distribution(component, name, is_subject) else f"{key}/{_identity(component)}"
            if known[reference] != key and known[reference] not in parts:
                parts[known[reference]] = replace(component, key=known[reference], properties={"sbom": sbom.name})
        for reference, targets in sbom.depends_on.items():
            if reference in known:
                edges.setdefault(known[reference], set()).update(known[one] for one in targets if one in known)
    needed = {target for source, targets in edges.items() for target in targets if source not in (target, key)}
    return Bundled(
        parts=tuple(
            replace(part, depends_on=tuple(sorted(edges.get(part.key, set()) - {part.key, key})))
            for part in sorted(parts.values(), key=lambda part: part.key)
        ),
        depends_on=tuple(sorted((edges.get(key, set()) | (parts.keys() - needed)) - {key})),
    )


def _identity(component: Component) -> str:
    return component.purl or f"{component.name}@{component.version or ''}"


def _is_distribution(component: Component, name: str, is_subject: bool) -> bool:
    """Whether a component is the distribution. A package URL with a subpath names a part of it."""
    if component.purl is None:
        return is_subject and canonicalize_name(component.name) == name
    stated = component.purl.removeprefix(_PYPI).partition("?")[0].partition("@")[0]
    return component.purl.startswith(_PYPI) and "#" not in component.purl and canonicalize_name(unquote(stated)) == name


class Placed(NamedTuple):
    """The components inside a wheel with their libraries, and the files that belong to no single one of them."""

    parts: tuple[Component, ...]
    rest: tuple[HashedFile, ...]


def place_libraries(parts: Sequence[Component], files: Iterable[HashedFile], site_packages: str) -> Placed:
    """Give each shared library to the only component of its name, if there is one."""
    named: dict[str, set[str]] = {}
    for part in parts:
        if not part.excluded:
            for name in (part.name.lower(), *map(normal_library_name, part.name.split(" / "))):
                named.setdefault(name, set()).add(part.key)
    owned: dict[str, list[HashedFile]] = {}
    rest = []
    for file in files:
        keys = _candidates(file, named, site_packages) if named else set()
        owned.setdefault(keys.pop(), []).append(file) if len(keys) == 1 else rest.append(file)
    placed = (replace(part, files=tuple(owned[part.key])) if part.key in owned else part for part in parts)
    return Placed(tuple(placed), tuple(rest))


def _candidates(file: HashedFile, named: Mapping[str, set[str]], site_packages: str) -> set[str]:
    found = (named.get(name, set()) for name in library_names(file.path, site_packages))
    return {key for keys in found for key in keys}
