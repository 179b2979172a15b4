"""The records of a cache as values: what each says, and the one line of each that is signed.

Contents prove themselves, as an object's name is its digest. What needs a signature is what no digest
tells: which object a recipe gives, what kind an object is and which parts it lends, where a channel
points, what a delta is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Self

from vstore.digest import Digest, hash_json
from vstore.objects import Kind, StorePath
from vstore.values import frozen


@frozen(kw_only=False, order=True)
class Signature:
    """An Ed25519 signature of a record's line, and the name of the key that made it."""

    key: str
    value: bytes


@frozen
class Realisation:
    """This recipe gives this object."""

    recipe: Digest
    path: StorePath
    digest: Digest
    size_bytes: int
    signatures: tuple[Signature, ...] = ()

    @property
    def line(self) -> bytes:
        return f"vstore-realisation-1;{self.recipe};{self.path};{self.digest};{self.size_bytes}".encode()

    def signed(self, *signatures: Signature) -> Self:
        return replace(self, signatures=merged(self.signatures, signatures))


@frozen
class Archive:
    """The archive of an object: its bytes, and the digest of the index at its end."""

    size_bytes: int
    sha256: str
    index_digest: Digest


@frozen
class ObjectRecord:
    """What a cache says of an object. The signature covers everything, the archive's bytes too."""

    path: StorePath
    digest: Digest
    kind: Kind
    size_bytes: int
    references: tuple[StorePath, ...]
    archive: Archive
    parts: tuple[bytes, ...] = ()
    metadata: Mapping[str, object] = {}
    signatures: tuple[Signature, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Everything but the signatures."""
        return {
            "path": str(self.path),
            "digest": str(self.digest),
            "kind": str(self.kind),
            "size_bytes": self.size_bytes,
            "references": [str(path) for path in self.references],
            "archive": {
                "size_bytes": self.archive.size_bytes,
                "sha256": self.archive.sha256,
                "index_digest": str(self.archive.index_digest),
            },
            "parts": [part.hex() for part in self.parts],
            "metadata": dict(self.metadata),
        }

    @property
    def line(self) -> bytes:
        return f"vstore-object-1;{self.path};{hash_json('object record 1', self.as_json())}".encode()

    def signed(self, *signatures: Signature) -> Self:
        return replace(self, signatures=merged(self.signatures, signatures))


@frozen
class Channel:
    """A name such as ``stable`` points to a stack; `number` only ever rises, and it expires."""

    name: str
    number: int
    path: StorePath
    digest: Digest
    created_at: datetime
    expires_at: datetime
    signatures: tuple[Signature, ...] = ()

    @property
    def line(self) -> bytes:
        created, expires = self.created_at.isoformat(), self.expires_at.isoformat()
        return f"vstore-channel-1;{self.name};{self.number};{self.path};{self.digest};{created};{expires}".encode()

    def signed(self, *signatures: Signature) -> Self:
        return replace(self, signatures=merged(self.signatures, signatures))


@frozen
class DeltaRecord:
    """A delta that makes `new` of `old`."""

    new: StorePath
    old: StorePath
    size_bytes: int
    sha256: str
    signatures: tuple[Signature, ...] = ()

    @property
    def line(self) -> bytes:
        return f"vstore-delta-2;{self.new};{self.old};{self.size_bytes};{self.sha256}".encode()

    def signed(self, *signatures: Signature) -> Self:
        return replace(self, signatures=merged(self.signatures, signatures))


Record = Realisation | ObjectRecord | Channel | DeltaRecord


def merged(old: tuple[Signature, ...], new: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """One signature per key, sorted; a new one replaces an old one."""
    return tuple(sorted({signature.key: signature for signature in (*old, *new)}.values()))
