"""Descriptors, manifests and indexes of the OCI image specification 1.1, as values.

Encoding is canonical: one value has the same bytes on every machine. Decoding is strict, bounded, and also reads
Docker's manifests and manifest lists of format 2.2. Fields that this module does not know are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Self

from vstore.digest import canonical_json, parse_json
from vstore.documents import FieldError, Fields
from vstore.oci import media_types
from vstore.values import frozen

MAX_DOCUMENT_BYTES = 4 << 20  # as registries accept: OCI distribution specification 1.1, "Pushing Manifests"
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")  # RFC 6838


@frozen(kw_only=False, order=True)
class Sha256:
    """The SHA-256 digest of a blob; prints as ``sha256:<64 hexadecimal digits>``."""

    hexadecimal: str

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(str(self)):
            raise ValueError(f"not a SHA-256 digest: {self.hexadecimal}")

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the digest of these bytes."""
        return cls(sha256(data).hexdigest())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``sha256:<64 hexadecimal digits>``. Raises ValueError, also for other algorithms."""
        if not (found := _SHA256.fullmatch(text)):
            raise ValueError(f"not a SHA-256 digest: {text}")
        return cls(found[1])

    def __str__(self) -> str:
        return f"sha256:{self.hexadecimal}"


@frozen
class ImagePlatform:
    """The platform of an image, in the words of Go: ``linux``, ``amd64``."""

    os: str
    architecture: str
    variant: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the fields that are set."""
        return _without_none({"os": self.os, "architecture": self.architecture, "variant": self.variant})

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a platform. Raises FieldError."""
        return cls(
            os=fields.text("os"), architecture=fields.text("architecture"), variant=fields.optional_text("variant")
        )

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@frozen
class Descriptor:
    """A blob that a document refers to: its media type, digest and size. `artifact_type` is that of its manifest."""

    media_type: str
    digest: Sha256
    size_bytes: int
    annotations: Mapping[str, str] = {}
    platform: ImagePlatform | None = None
    artifact_type: str | None = None

    @classmethod
    def of(cls, media_type: str, data: bytes, annotations: Mapping[str, str] | None = None) -> Self:
        """Return the descriptor of a small blob."""
        return cls(
            media_type=media_type, digest=Sha256.of(data), size_bytes=len(data), annotations=dict(annotations or {})
        )

    def as_json(self) -> dict[str, object]:
        """Return the fields that are set."""
        return _without_none(
            {
                "mediaType": self.media_type,
                "digest": str(self.digest),
                "size": self.size_bytes,
                "artifactType": self.artifact_type,
                "annotations": dict(self.annotations) or None,
                "platform": self.platform.as_json() if self.platform else None,
            }
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a descriptor. Raises FieldError."""
        media_type, size = fields.text("mediaType"), fields.integer("size")
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise fields.error("mediaType", "a media type")
        if size < 0:
            raise fields.error("size", "a number of bytes")
        try:
            digest = Sha256.parse(fields.text("digest"))
        except FieldError:
            raise
        except ValueError:
            raise fields.error("digest", "a SHA-256 digest") from None
        return cls(
            media_type=media_type,
            digest=digest,
            size_bytes=size,
            annotations=_annotations(fields),
            platform=ImagePlatform.from_fields(fields.table("platform")) if _is_set(fields, "platform") else None,
            artifact_type=fields.optional_text("artifactType"),
        )


EMPTY_BLOB = b"{}"
EMPTY_DESCRIPTOR = Descriptor.of(media_types.EMPTY, EMPTY_BLOB)


@frozen
class ImageManifest:
    """The config of an image and its layers, lowest first.

    `artifact_type` is set where it is not a container image, and `subject` where it belongs to another manifest.
    """

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = {}
    artifact_type: str | None = None
    subject: Descriptor | None = None
    media_type: str = media_types.MANIFEST

    def encode(self) -> bytes:
        """Return the manifest as canonical JSON."""
        document = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "artifactType": self.artifact_type,
            "config": self.config.as_json(),
            "layers": [layer.as_json() for layer in self.layers],
            "subject": self.subject.as_json() if self.subject else None,
            "annotations": dict(self.annotations) or None,
        }
        return canonical_json(_without_none(document))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a manifest. Raises ValueError for one that is malformed, too large, or of another format."""
        fields, media_type = _document(data, media_types.MANIFESTS)
        if "config" not in fields or not isinstance(fields.values.get("layers"), list):
            raise ValueError("an image manifest has config and layers")
        return cls(
            config=Descriptor.from_fields(fields.table("config")),
            layers=tuple(map(Descriptor.from_fields, fields.tables("layers"))),
            annotations=_annotations(fields),
            artifact_type=fields.optional_text("artifactType"),
            subject=Descriptor.from_fields(fields.table("subject")) if _is_set(fields, "subject") else None,
            media_type=media_type,
        )


@frozen
class ImageIndex:
    """A list of manifests, one for each platform. A manifest in it may also be an index."""

    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = {}
    media_type: str = media_types.INDEX

    def encode(self) -> bytes:
        """Return the index as canonical JSON."""
        document = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "manifests": [manifest.as_json() for manifest in self.manifests],
            "annotations": dict(self.annotations) or None,
        }
        return canonical_json(_without_none(document))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an index. Raises ValueError for one that is malformed, too large, or of another format."""
        fields, media_type = _document(data, media_types.INDEXES)
        if not isinstance(fields.values.get("manifests"), list):
            raise ValueError("an image index has manifests")
        return cls(
            manifests=tuple(map(Descriptor.from_fields, fields.tables("manifests"))),
            annotations=_annotations(fields),
            media_type=media_type,
        )


def decode_document(data: bytes) -> ImageManifest | ImageIndex:
    """Read a manifest or an index, by its media type. Raises ValueError."""
    _, media_type = _document(data, media_types.MANIFESTS + media_types.INDEXES)
    return ImageIndex.decode(data) if media_type in media_types.INDEXES else ImageManifest.decode(data)


def _document(data: bytes, expected: tuple[str, ...]) -> tuple[Fields, str]:
    """Return the fields of a document and its media type.

    A document that could be read as a manifest and as an index is refused (CVE-2021-41190).
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"larger than {MAX_DOCUMENT_BYTES} bytes")
    fields = Fields(parse_json(data))
    if fields.integer("schemaVersion") != 2:
        raise fields.error("schemaVersion", "2")
    is_index = "manifests" in fields
    if is_index and ("layers" in fields or "config" in fields):
        raise ValueError("both an image manifest and an image index")
    media_type = fields.optional_text("mediaType") or (media_types.INDEX if is_index else media_types.MANIFEST)
    if media_type not in expected or is_index != (media_type in media_types.INDEXES):
        raise ValueError(f"mediaType: expected {' or '.join(expected)}, found {media_type!r}")
    return fields, media_type


def _annotations(fields: Fields) -> dict[str, str]:
    return fields.texts_by_key("annotations") if _is_set(fields, "annotations") else {}


def _is_set(fields: Fields, key: str) -> bool:
    return fields.values.get(key) is not None  # Go writes null for an empty list or map


def _without_none(document: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in document.items() if value is not None}
