"""One repository of a registry: reads and writes records as image manifests under tags.

A record's manifest names its tag, because a deletion goes by digest and takes every tag of the manifest, and lists the
archive, delta or SBOM of the record as its layer, because the collection of a registry deletes blobs that no manifest
names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from vstore.errors import CacheError
from vstore.oci import (
    EMPTY_BLOB,
    EMPTY_DESCRIPTOR,
    MAX_DOCUMENT_BYTES,
    Descriptor,
    ImageManifest,
    Sha256,
    media_types,
)
from vstore.remote.records.encoding import MAX_RECORD_BYTES
from vstore.remote.records.model import DeltaRecord, ObjectRecord, R, Record, SbomRecord
from vstore.remote.registry_cache.tags import RecordTag, subject_of
from vstore.remote.transport.protocol import RepositoryTransport, TransportError
from vstore.values import frozen

RECORD, TAG = "dev.vstore.record", "dev.vstore.tag"
CREATED = "org.opencontainers.image.created"
ARTIFACT = "application/vnd.vstore.record.v1+json"
DELTA = "application/vnd.vstore.delta.v2"
_TAGS_SECONDS = 2.0  # how long a list of tags may be used again
_EPOCH = datetime.fromtimestamp(0, UTC)


@frozen
class StoredManifest:
    """The manifest at a tag: its digest, the text that it carries, its layer, and the time when it was written."""

    tag: str
    digest: Sha256
    text: bytes
    layer: Descriptor
    written_at: datetime
    manifest_bytes: int

    @property
    def key(self) -> str:
        """The name that deletes this manifest, and none that replaced it since."""
        return f"{self.tag}@{self.digest}"

    @property
    def size_bytes(self) -> int:
        """The size of the manifest and its layer."""
        return self.manifest_bytes + self.layer.size_bytes


class RecordRepository:
    """The manifests of one repository. Safe for several threads."""

    def __init__(self, transport: RepositoryTransport, cache_name: str) -> None:
        self.transport = transport
        self._cache_name = cache_name
        self._lock = threading.Lock()
        self._tags: tuple[float, frozenset[str]] | None = None
        self._changed_at = 0.0
        self._has_empty_blob = False

    def tags(self, *, fresh: bool = True) -> frozenset[str]:
        """Return all tags. Unless `fresh`, the list may be some seconds old."""
        with self._lock:
            known = self._tags
        if not fresh and known is not None and time.monotonic() - known[0] < _TAGS_SECONDS:
            return known[1]
        at, found = time.monotonic(), frozenset(self.transport.tags())
        with self._lock:
            if at > self._changed_at:
                self._tags = at, found
        return found

    def read(self, tag: str) -> StoredManifest | None:
        """Return the manifest at a tag; None if there is none. Raises CacheError for one that is no record of it."""
        data = self.transport.get(f"manifests/{tag}", limit=MAX_DOCUMENT_BYTES)
        if data is None:
            return None
        try:
            manifest = ImageManifest.decode(data)
        except ValueError as error:
            raise CacheError(f"malformed manifest {self._place(tag)}: {error}") from error
        if manifest.annotations.get(TAG) != tag or len(manifest.layers) != 1:
            raise CacheError(f"{self._cache_name}: {tag} contains the manifest of something else")
        text = manifest.annotations.get(RECORD, "").encode()
        if len(text) > MAX_RECORD_BYTES:
            raise CacheError(f"malformed manifest {self._place(tag)}: its record is larger than {MAX_RECORD_BYTES}")
        return StoredManifest(
            tag=tag,
            digest=Sha256.of(data),
            text=text,
            layer=manifest.layers[0],
            written_at=parse_time(manifest.annotations.get(CREATED)),
            manifest_bytes=len(data),
        )

    def read_record(self, tag: RecordTag, decode: Callable[[bytes, str], R]) -> R | None:
        """Return the record at a tag. Raises CacheError if it is malformed or belongs elsewhere."""
        stored = self.read(str(tag))
        return None if stored is None else self.decode(tag, stored, decode)

    def decode(self, tag: RecordTag, stored: StoredManifest, decode: Callable[[bytes, str], R]) -> R:
        """Return the record that a manifest carries. Raises CacheError if it is malformed or belongs elsewhere."""
        record = decode(stored.text, self._place(str(tag)))
        if subject_of(record) != tag.subject:
            raise CacheError(f"{self._cache_name}: {tag} contains the record of something else")
        if not isinstance(record, DeltaRecord | SbomRecord) and record.digest.short != record.path.short:
            raise CacheError(f"{self._cache_name}: the path and the digest in {tag} differ")
        wanted = layer_of(record)
        if (stored.layer.digest, stored.layer.size_bytes) != (wanted.digest, wanted.size_bytes):
            raise CacheError(f"{self._cache_name}: the manifest {tag} does not list the file of its record")
        return record

    def write(self, tag: str, text: bytes, layer: Descriptor = EMPTY_DESCRIPTOR, *, at: datetime | None = None) -> None:
        """Write a manifest whose layer is in the repository. The manifest that it replaces is deleted.

        `at` is its time, None for a manifest whose time does not matter.
        """
        if not self._has_empty_blob:
            self.transport.put(f"blobs/{EMPTY_DESCRIPTOR.digest}", EMPTY_BLOB)
            self._has_empty_blob = True
        time_of = {} if at is None else {CREATED: at.isoformat()}
        manifest = ImageManifest(
            config=EMPTY_DESCRIPTOR,
            layers=(layer,),
            annotations={RECORD: text.decode(), TAG: tag, **time_of},
            artifact_type=ARTIFACT,
        )
        data, before = manifest.encode(), self.transport.get(f"manifests/{tag}", limit=MAX_DOCUMENT_BYTES)
        if data == before:
            return
        self.transport.put(f"manifests/{tag}", data)
        self._forget_tags()
        if before is not None and _names(before, tag):
            self._delete_replaced(Sha256.of(before))

    def delete(self, key: str) -> bool:
        """Delete a manifest by its key, ``TAG@DIGEST``. One that has replaced it since stays.

        Return False if the registry has failed after it deleted the manifest, and may have kept the tag. So does
        docker-registry if another tag is deleted at the same time.
        """
        place = f"manifests/{key.partition('@')[2]}"
        try:
            self.transport.delete([place])
        except TransportError:
            if self.transport.head(place) is not None:
                raise
            return False
        finally:
            self._forget_tags()
        return True

    def _forget_tags(self) -> None:
        with self._lock:
            self._tags, self._changed_at = None, time.monotonic()

    def _delete_replaced(self, digest: Sha256) -> None:
        """Delete a manifest that has lost its tag. Where a registry refuses, it only takes space."""
        try:
            self.transport.delete([f"manifests/{digest}"])
        except TransportError:
            return

    def _place(self, tag: str) -> str:
        return f"{self.transport.url}:{tag}"


def _names(data: bytes, tag: str) -> bool:
    """Return whether a manifest names this tag: the manifest of another tag may have been put here."""
    try:
        return ImageManifest.decode(data).annotations.get(TAG) == tag
    except ValueError:
        return False


def layer_of(record: Record) -> Descriptor:
    """Return the layer of a record's manifest: its archive, delta or SBOM, or an empty one."""
    match record:
        case ObjectRecord():
            archive = record.archive
            return Descriptor(
                media_type=media_types.ZSTD_LAYER, digest=Sha256(archive.sha256), size_bytes=archive.size_bytes
            )
        case DeltaRecord():
            return Descriptor(media_type=DELTA, digest=Sha256(record.sha256), size_bytes=record.size_bytes)
        case SbomRecord():
            media_type = record.format.media_type
            return Descriptor(media_type=media_type, digest=Sha256(record.sha256), size_bytes=record.size_bytes)
        case _:
            return EMPTY_DESCRIPTOR


def parse_time(text: str | None) -> datetime:
    """Return the time in an annotation (RFC 3339); the epoch for a missing or malformed one."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return _EPOCH
    return found if found.tzinfo is not None else _EPOCH
