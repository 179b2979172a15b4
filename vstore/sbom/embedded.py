"""SBOMs inside wheels (PEP 770): reading CycloneDX and SPDX documents as JSON. The content is untrusted.

auditwheel writes which packages of a Linux distribution its libraries came from, maturin the crates in a module, and
some projects write their own.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vstore.digest import parse_json
from vstore.documents import Fields
from vstore.fs.reading import read_regular
from vstore.sbom.licences import licences
from vstore.sbom.model import HASH_LENGTHS, Component, ComponentType, Download
from vstore.sbom.texts import clean, package_url, web_url
from vstore.values import frozen

_MAX_BYTES = 16 << 20
_MAX_VALUES = 500_000
_MAX_DOCUMENTS = 100
_MAX_COMPONENTS = 20_000
_DIGITS = frozenset("0123456789abcdef")
_SPDX_HASHES = {name.replace("SHA-", "SHA"): name for name in HASH_LENGTHS}


@frozen
class EmbeddedSbom:
    """An SBOM in a wheel. References of components are those of the document, as is the key of each component.

    `subject` is the component that the document is about. `depends_on` are the references of dependencies.
    """

    name: str
    subject: str | None
    components: Mapping[str, Component]
    depends_on: Mapping[str, tuple[str, ...]]


class Unreadable(NamedTuple):
    """A document that is not used: its name and the reason."""

    name: str
    reason: str


def read_embedded(dist_info: Path) -> Iterator[EmbeddedSbom | Unreadable]:
    """Yield the SBOMs of a distribution by its dist-info folder, sorted by name."""
    top = dist_info / "sboms"
    names = sorted(
        posixpath.normpath(posixpath.join(os.path.relpath(folder, top), name))
        for folder, _, files in os.walk(top)
        for name in files
    )
    for name in names[:_MAX_DOCUMENTS]:
        try:
            document = parse_json(read_regular(top / name, limit=_MAX_BYTES, follow=False), max_values=_MAX_VALUES)
            yield _read(name, Fields(document))
        except OSError as error:
            yield Unreadable(name, str(error.strerror))
        except (ValueError, RecursionError) as error:
            yield Unreadable(name, str(error) or "it is nested too deeply")
    if len(names) > _MAX_DOCUMENTS:
        yield Unreadable(names[_MAX_DOCUMENTS], f"there are more than {_MAX_DOCUMENTS} documents")


def _read(name: str, document: Fields) -> EmbeddedSbom:
    if document.values.get("bomFormat") == "CycloneDX":
        found = _read_cyclonedx(name, document)
    elif str(document.values.get("spdxVersion", "")).startswith("SPDX-2."):
        found = _read_spdx(name, document)
    else:
        raise ValueError("it is neither CycloneDX nor SPDX 2 as JSON")
    if len(found.components) > _MAX_COMPONENTS:
        raise ValueError(f"it has more than {_MAX_COMPONENTS} components")
    return found


def _read_cyclonedx(name: str, document: Fields) -> EmbeddedSbom:
    metadata = document.table("metadata")
    subject = [metadata.table("component")] if metadata.values.get("component") else []
    components: dict[str, Component] = {}
    contained: dict[str, list[str]] = {}
    subject_references = list(_cyclonedx_components(subject, components, contained))
    top = list(_cyclonedx_components(document.tables("components"), components, contained))
    for one in document.tables("dependencies"):
        contained.setdefault(one.text("ref"), []).extend(one.texts("dependsOn"))
    if subject_references and not contained.get(subject_references[0]):
        contained[subject_references[0]] = top
    return EmbeddedSbom(
        name=name,
        subject=subject_references[0] if subject_references else None,
        components=components,
        depends_on={reference: tuple(others) for reference, others in contained.items()},
    )


def _cyclonedx_components(
    tables: Iterator[Fields] | list[Fields], found: dict[str, Component], contained: dict[str, list[str]]
) -> Iterator[str]:
    """Add components and those nested in them, and yield the references of the former."""
    for one in tables:
        component = _cyclonedx_component(one, f"{len(found)}")
        found.setdefault(component.key, component)
        inner = list(_cyclonedx_components(one.tables("components"), found, contained))
        if inner:
            contained.setdefault(component.key, []).extend(inner)
        yield component.key


def _cyclonedx_component(one: Fields, number: str) -> Component:
    name, version = clean(one.text("name")), clean(one.optional_text("version"))
    if name is None:
        raise one.error("name", "a name")
    kind = one.optional_text("type")
    stated = [
        each.optional_text("expression")
        or each.table("license").optional_text("id")
        or each.table("license").optional_text("name")
        for each in one.tables("licenses")
    ]
    links = [
        (each.optional_text("type"), web_url(each.optional_text("url"))) for each in one.tables("externalReferences")
    ]
    origin = next((url for type_, url in links if type_ == "distribution" and url), None)
    return Component(
        key=one.optional_text("bom-ref") or f"\0{number}",
        type=ComponentType(kind) if kind in set(ComponentType) else ComponentType.LIBRARY,
        name=name,
        version=version,
        description=clean(one.optional_text("description")),
        purl=package_url(one.optional_text("purl")),
        hashes=_hashes((each.text("alg"), each.text("content")) for each in one.tables("hashes")),
        licences=licences(map(clean, stated)),
        download=Download(origin) if origin else None,
        website=next((url for type_, url in links if type_ in ("website", "vcs") and url), None),
        excluded=one.optional_text("scope") == "excluded",
    )


def _read_spdx(name: str, document: Fields) -> EmbeddedSbom:
    components: dict[str, Component] = {}
    for one in document.tables("packages"):
        component = _spdx_package(one)
        components.setdefault(component.key, component)
    depends_on: dict[str, list[str]] = {}
    described = list(document.texts("documentDescribes"))
    for one in document.tables("relationships"):
        kind, source, target = one.text("relationshipType"), one.text("spdxElementId"), one.text("relatedSpdxElement")
        if kind == "DESCRIBES":
            described.append(target)
        elif kind in ("DEPENDS_ON", "CONTAINS", "STATIC_LINK", "DYNAMIC_LINK"):
            depends_on.setdefault(source, []).append(target)
        elif kind in ("DEPENDENCY_OF", "CONTAINED_BY"):
            depends_on.setdefault(target, []).append(source)
    return EmbeddedSbom(
        name=name,
        subject=described[0] if len(set(described)) == 1 and described[0] in components else None,
        components=components,
        depends_on={reference: tuple(others) for reference, others in depends_on.items()},
    )


def _spdx_package(one: Fields) -> Component:
    name = clean(one.text("name"))
    if name is None:
        raise one.error("name", "a name")
    links = {each.text("referenceType"): each.text("referenceLocator") for each in one.tables("externalRefs")}
    origin = web_url(one.optional_text("downloadLocation"))
    checksums = (
        (_SPDX_HASHES.get(each.text("algorithm"), ""), each.text("checksumValue")) for each in one.tables("checksums")
    )
    return Component(
        key=one.text("SPDXID"),
        type=ComponentType.LIBRARY,
        name=name,
        version=clean(one.optional_text("versionInfo")),
        description=clean(one.optional_text("summary")),
        purl=package_url(links.get("purl")),
        hashes=_hashes(checksums),
        licences=licences([clean(one.optional_text("licenseDeclared"))]),
        download=Download(origin) if origin else None,
        website=web_url(one.optional_text("homepage")),
    )


def _hashes(stated: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Return the valid ones of digests by algorithm."""
    lower = ((algorithm, text.lower()) for algorithm, text in stated)
    return {
        algorithm: text
        for algorithm, text in lower
        if len(text) == HASH_LENGTHS.get(algorithm) and _DIGITS.issuperset(text)
    }
