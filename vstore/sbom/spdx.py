"""SPDX 2.3 as JSON (ISO/IEC 5962).

Components are packages, and a package contains the components that are parts of it. A shared library is a package of
the purpose FILE. If all files were read, each is a file of the document, with the SHA-1 digest that SPDX demands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from vstore import __version__
from vstore.sbom.model import Component, ComponentType, HashedFile, Licence, PartsList
from vstore.sbom.texts import printable, rfc3339

_DOCUMENT = "SPDXRef-DOCUMENT"
_NOTHING_SAID = "NOASSERTION"
_PURPOSES = {
    ComponentType.APPLICATION: "APPLICATION",
    ComponentType.FRAMEWORK: "FRAMEWORK",
    ComponentType.LIBRARY: "LIBRARY",
    ComponentType.PLATFORM: "FRAMEWORK",
}
_LICENCE_REFERENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_NOT_IN_IDENTIFIERS = re.compile(r"[^A-Za-z0-9.-]+")


def spdx_document(parts: PartsList) -> dict[str, object]:
    """Return the document without its namespace."""
    return _Document(parts).encode()


class _Document:
    def __init__(self, parts: PartsList) -> None:
        self._parts = parts
        self._identifiers: dict[str, str] = {}
        self._taken = {_DOCUMENT}
        self._excluded = {one.key for one in parts.components() if one.excluded}
        self._licences: dict[str, str] = {}

    def encode(self) -> dict[str, object]:
        subject = self._parts.subject
        for one in self._parts.components():
            self._identify(one.key)
        packages: list[dict[str, object]] = []
        files: list[dict[str, object]] = []
        relations = [_relation(_DOCUMENT, "DESCRIBES", self._identifiers[subject.key])]
        for one in self._parts.components():
            packages.append(self._package(one))
            relations += self._relations(one)
            for file in one.files:
                name = f"{one.key.partition('#')[0]}/{printable(file.path)}"
                identifier = self._identify(name)
                if self._parts.all_files:
                    files.append(_file(identifier, name, file))
                else:
                    packages.append(_library(identifier, file))
                relations.append(_relation(self._identifiers[one.key], "CONTAINS", identifier))
        document: dict[str, object] = {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": _DOCUMENT,
            "name": subject.name,
            "creationInfo": {"created": rfc3339(self._parts.created_at), "creators": [f"Tool: vstore-{__version__}"]},
            "packages": packages,
            "files": files,
            "relationships": relations,
            "hasExtractedLicensingInfos": [
                {"licenseId": identifier, "name": text, "extractedText": text}
                for identifier, text in sorted(self._licences.items())
            ],
        }
        return {key: value for key, value in document.items() if value != []}

    def _identify(self, key: str) -> str:
        """Make the identifier of a key: its letters, digits, dots and hyphens, and a number if that is taken."""
        base = "SPDXRef-" + _NOT_IN_IDENTIFIERS.sub("-", key)
        number, found = 1, base
        while found in self._taken:
            number, found = number + 1, f"{base}-{number + 1}"
        self._taken.add(found)
        self._identifiers.setdefault(key, found)
        return found

    def _relations(self, one: Component) -> Iterator[dict[str, object]]:
        own = self._identifiers[one.key]
        for part in one.parts:
            if part.excluded:
                yield _relation(self._identifiers[part.key], "BUILD_DEPENDENCY_OF", own)
            else:
                yield _relation(own, "CONTAINS", self._identifiers[part.key])
        for key in one.depends_on:
            if key in self._identifiers and key not in self._excluded:
                yield _relation(own, "DEPENDS_ON", self._identifiers[key])

    def _package(self, one: Component) -> dict[str, object]:
        analyzed = self._parts.all_files and bool(one.files)
        facts = {
            "SPDXID": self._identifiers[one.key],
            "name": one.name,
            "versionInfo": one.version,
            "packageFileName": one.properties.get("wheel"),
            "downloadLocation": one.download.url if one.download else _NOTHING_SAID,
            "filesAnalyzed": analyzed,
            "packageVerificationCode": {"packageVerificationCodeValue": _verification_code(one.files)}
            if analyzed
            else None,
            "checksums": [
                {"algorithm": algorithm.replace("-", ""), "checksumValue": text}
                for algorithm, text in sorted(one.hashes.items())
            ],
            "homepage": one.website,
            "sourceInfo": "; ".join(f"{name}: {value}" for name, value in sorted(one.properties.items())) or None,
            "licenseConcluded": _NOTHING_SAID,
            "licenseDeclared": self._declared(one.licences),
            "copyrightText": _NOTHING_SAID,
            "summary": one.description,
            "externalRefs": list(_references(one)),
            "primaryPackagePurpose": _PURPOSES[one.type],
        }
        return {key: value for key, value in facts.items() if value is not None and value != []}

    def _declared(self, licences: Iterable[Licence]) -> str:
        """Return licences as an expression. A licence that is only a name gets an identifier in the document."""
        found = []
        for licence in licences:
            if licence.is_expression:
                for reference in _LICENCE_REFERENCE.findall(licence.text):
                    self._licences.setdefault(reference, reference.removeprefix("LicenseRef-"))
                found.append(licence.text)
            else:
                reference = "LicenseRef-" + (_NOT_IN_IDENTIFIERS.sub("-", licence.text).strip("-") or "unnamed")
                self._licences.setdefault(reference, licence.text)
                found.append(reference)
        return " AND ".join(dict.fromkeys(found)) or _NOTHING_SAID


def _relation(source: str, kind: str, target: str) -> dict[str, object]:
    return {"spdxElementId": source, "relationshipType": kind, "relatedSpdxElement": target}


def _references(one: Component) -> Iterator[dict[str, object]]:
    if one.purl:
        yield {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": one.purl}
    if one.cpe:
        yield {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": one.cpe}


def _library(identifier: str, file: HashedFile) -> dict[str, object]:
    return {
        "SPDXID": identifier,
        "name": printable(file.path),
        "packageFileName": printable(file.path),
        "downloadLocation": _NOTHING_SAID,
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": file.sha256}],
        "primaryPackagePurpose": "FILE",
    }


def _file(identifier: str, name: str, file: HashedFile) -> dict[str, object]:
    return {
        "SPDXID": identifier,
        "fileName": f"./{name}",
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": file.sha1},
            {"algorithm": "SHA256", "checksumValue": file.sha256},
        ],
        "licenseConcluded": _NOTHING_SAID,
        "copyrightText": _NOTHING_SAID,
    }


def _verification_code(files: Iterable[HashedFile]) -> str:
    """Return the package verification code: the SHA-1 digest of the sorted SHA-1 digests of the files (clause 7.9)."""
    digests = sorted(file.sha1 or "" for file in files)
    return hashlib.sha1("".join(digests).encode(), usedforsecurity=False).hexdigest()
