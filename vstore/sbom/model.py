"""The parts of an object as values: components, their licences, files and relations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from vstore.fs.trees.manifest import FIXED_TIME
from vstore.sbom_format import SbomFormat
from vstore.values import frozen

HASH_LENGTHS = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-384": 96, "SHA-512": 128}  # in hexadecimal digits


@frozen
class SbomOptions:
    """The options of an SBOM.

    It states the shared libraries, or with `all_files` each file; these are all read. `created_at` is stated as the
    time of its creation; by default that is the time of the files of a store, so equal objects have equal SBOMs.
    """

    format: SbomFormat = SbomFormat.CYCLONEDX
    all_files: bool = False
    created_at: datetime = datetime.fromtimestamp(FIXED_TIME, UTC)


class ComponentType(StrEnum):
    """The type of a component, as CycloneDX names it."""

    APPLICATION = "application"
    FRAMEWORK = "framework"
    LIBRARY = "library"
    PLATFORM = "platform"


class Licence(NamedTuple):
    """A licence: an SPDX expression (PEP 639), or the name of a licence as its author wrote it."""

    text: str
    is_expression: bool


class HashedFile(NamedTuple):
    """A file: its path in its object, and its digests in hexadecimal digits. Only a file that was read has `sha1`."""

    path: str
    sha256: str
    sha1: str | None = None


class Download(NamedTuple):
    """The origin of a component: a URL without login, and the SHA-256 digest of what is there."""

    url: str
    sha256: str | None = None


@frozen(slots=False)
class Component:
    """A part of an object. `key` is its identifier in the document.

    `hashes` are in lower-case hexadecimal digits, by a name in `HASH_LENGTHS`. `parts` and `files` are contained in it,
    `depends_on` are the keys of other components. A component that is `excluded` was needed only to build another one.
    `properties` are facts that the formats have no field for.
    """

    key: str
    type: ComponentType
    name: str
    version: str | None = None
    description: str | None = None
    purl: str | None = None
    cpe: str | None = None
    hashes: Mapping[str, str] = {}
    licences: tuple[Licence, ...] = ()
    download: Download | None = None
    website: str | None = None
    excluded: bool = False
    properties: Mapping[str, str] = {}
    parts: tuple[Component, ...] = ()
    files: tuple[HashedFile, ...] = ()
    depends_on: tuple[str, ...] = ()


@frozen
class PartsList:
    """A component, and the components beside it that it needs.

    With `all_files` each file of them is there, with its SHA-1 digest, otherwise only shared libraries.
    """

    subject: Component
    others: tuple[Component, ...]
    created_at: datetime
    all_files: bool = False

    def components(self) -> Iterator[Component]:
        """Yield all components, each before its parts."""
        return _flat((self.subject, *self.others))


def _flat(components: Iterable[Component]) -> Iterator[Component]:
    for one in components:
        yield one
        yield from _flat(one.parts)
