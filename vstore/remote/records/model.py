"""The records of a cache as values, and the fingerprint of each: the line that is signed.

Contents prove themselves, because an object's name is its digest. Signatures are for statements that no digest proves:
which object a recipe gives, an object's kind, parts and metadata, where a channel points, and the bytes of a delta or
an SBOM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Self, TypeVar

from vstore.archive import ArchiveInfo
from vstore.digest import Digest, hash_bytes, hash_json
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.sbom_format import Sbom, SbomFormat
from vstore.store.manifests import OWN_KEYS
from vstore.values import frozen


@frozen(kw_only=False, order=True)
class Signature:
    """An Ed25519 signature of a record, and the name of the key that made it.

    With a `statement` of how the object was built, it signs that too (`signed_line`).
    """

    key: str
    value: bytes
    statement: str = ""


def signed_line(fingerprint: bytes, statement: str) -> bytes:
    """Return the line that a key signs: the fingerprint of a record, and the digest of a statement."""
    if not statement:
        return fingerprint
    return fingerprint + f";{hash_bytes('build statement 1', statement.encode())}".encode()


@frozen
class Realisation:
    """The object that a recipe gives."""

    recipe: Digest
    path: StorePath
    digest: Digest
    size_bytes: int
    signatures: tuple[Signature, ...] = ()

    @classmethod
    def of(cls, info: ObjectInfo, recipe: Digest) -> Self:
        """Return the unsigned record of a recipe's object."""
        return cls(recipe=recipe, path=info.path, digest=info.digest, size_bytes=info.size_bytes)

    @property
    def fingerprint(self) -> bytes:
        """The signed line."""
        return f"vstore-realisation-1;{self.recipe};{self.path};{self.digest};{self.size_bytes}".encode()


@frozen
class Archive:
    """An object's archive: its size, the SHA-256 of it and of its tar stream, and the digest of its index."""

    size_bytes: int
    sha256: str
    diff_id: str
    index_digest: Digest

    @classmethod
    def of(cls, made: ArchiveInfo) -> Self:
        """Return the record of an archive with an index."""
        assert made.index_digest is not None
        return cls(size_bytes=made.size_bytes, sha256=made.sha256, diff_id=made.diff_id, index_digest=made.index_digest)


@frozen
class ObjectRecord:
    """An object and its archive. The signature covers all of it."""

    path: StorePath
    digest: Digest
    kind: Kind
    size_bytes: int
    references: tuple[StorePath, ...]
    archive: Archive
    parts: tuple[bytes, ...] = ()
    metadata: Mapping[str, object] = {}
    signatures: tuple[Signature, ...] = ()

    @classmethod
    def of(cls, info: ObjectInfo, metadata: Mapping[str, object], archive: Archive) -> Self:
        """Return the unsigned record of an object, from its metadata in the store."""
        keys = metadata.get("wheel_keys")
        return cls(
            path=info.path,
            digest=info.digest,
            kind=info.kind,
            size_bytes=info.size_bytes,
            references=info.references,
            archive=archive,
            parts=tuple(sorted(bytes.fromhex(str(key)) for key in keys)) if isinstance(keys, list) else (),
            metadata={key: value for key, value in metadata.items() if key not in OWN_KEYS},
        )

    def as_json(self) -> dict[str, object]:
        """Return all fields but the signatures."""
        return {
            "path": str(self.path),
            "digest": str(self.digest),
            "kind": str(self.kind),
            "size_bytes": self.size_bytes,
            "references": [str(path) for path in self.references],
            "archive": {
                "size_bytes": self.archive.size_bytes,
                "sha256": self.archive.sha256,
                "diff_id": self.archive.diff_id,
                "index_digest": str(self.archive.index_digest),
            },
            "parts": [part.hex() for part in self.parts],
            "metadata": dict(self.metadata),
        }

    @property
    def fingerprint(self) -> bytes:
        """The signed line."""
        return f"vstore-object-1;{self.path};{hash_json('object record 1', self.as_json())}".encode()


@frozen
class Channel:
    """A name such as ``stable`` that points to a stack. `number` only rises."""

    name: str
    number: int
    path: StorePath
    digest: Digest
    created_at: datetime
    expires_at: datetime
    signatures: tuple[Signature, ...] = ()

    @property
    def fingerprint(self) -> bytes:
        """The signed line."""
        created, expires = self.created_at.isoformat(), self.expires_at.isoformat()
        return f"vstore-channel-1;{self.name};{self.number};{self.path};{self.digest};{created};{expires}".encode()


@frozen
class DeltaRecord:
    """A delta that makes the object `new` from the object `old`."""

    new: StorePath
    old: StorePath
    size_bytes: int
    sha256: str
    signatures: tuple[Signature, ...] = ()

    @property
    def fingerprint(self) -> bytes:
        """The signed line."""
        return f"vstore-delta-2;{self.new};{self.old};{self.size_bytes};{self.sha256}".encode()


@frozen
class SbomRecord:
    """The SBOM of an object and of everything that it refers to, in one format."""

    path: StorePath
    format: SbomFormat
    size_bytes: int
    sha256: str
    signatures: tuple[Signature, ...] = ()

    @classmethod
    def of(cls, sbom: Sbom) -> Self:
        """Return the unsigned record of an SBOM."""
        digest = sha256(sbom.data).hexdigest()
        return cls(path=sbom.path, format=sbom.format, size_bytes=len(sbom.data), sha256=digest)

    @property
    def fingerprint(self) -> bytes:
        """The signed line."""
        return f"vstore-sbom-1;{self.path};{self.format};{self.size_bytes};{self.sha256}".encode()


Record = Realisation | ObjectRecord | Channel | DeltaRecord | SbomRecord
FileRecord = ObjectRecord | DeltaRecord | SbomRecord  # describes a file of the cache
R = TypeVar("R", Realisation, ObjectRecord, Channel, DeltaRecord, SbomRecord)


def add_signatures(record: R, *signatures: Signature) -> R:
    """Return the record with these signatures too: one per key, sorted; a new one replaces an old one."""
    merged = {signature.key: signature for signature in (*record.signatures, *signatures)}
    return replace(record, signatures=tuple(sorted(merged.values())))
