"""Write to a cache in a registry. Each key of the signer writes a record under a tag of its own; nothing is merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vstore.digest import canonical_json
from vstore.errors import CacheError
from vstore.fs.faults import Point, reached
from vstore.objects import StorePath
from vstore.remote.records.cache import REFRESH_AGE, FaultHandler, attempt
from vstore.remote.records.encoding import FORMAT, decode_object, decode_realisation, encode, encode_cache_file
from vstore.remote.records.inventory import Item
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, R, Realisation, Record, SbomRecord
from vstore.remote.records.trust import Key, SecretKey, Signer, Trust
from vstore.remote.registry_cache.channels import ChannelClaims
from vstore.remote.registry_cache.repository import RecordRepository, layer_of
from vstore.remote.registry_cache.tags import CACHE_TAG, RecordTag, pin_tag, signer_of, subject_of
from vstore.values import replace


class RegistryCacheWriter:
    """Writes the manifests of one cache. `exists` returns whether the cache exists, as `Cache.exists` does."""

    def __init__(self, repository: RecordRepository, name: str, exists: Callable[[], bool]) -> None:
        self._repository = repository
        self._name = name
        self._exists = exists

    def create(self, store: Path) -> None:
        """Create the cache if it does not exist, and repair a malformed one. Every creator writes the same manifest.

        Raises CacheError if the cache has a newer format.
        """
        if attempt(partial(self._repository.read, CACHE_TAG))[0] is None or not self._exists():
            self._repository.write(CACHE_TAG, encode_cache_file())
            if not self._exists():
                raise CacheError(f"there is no cache at {self._name}", hint="another program has removed it")

    def has_archive(self, record: ObjectRecord) -> bool:
        """Return whether the repository has this blob, as that of an image or of a record."""
        return self._repository.transport.head(f"blobs/{layer_of(record).digest}") is not None

    def put_archive(self, record: ObjectRecord, archive: Path) -> None:
        """Upload the archive of an object, unless the repository has this blob."""
        self._repository.transport.put(f"blobs/{layer_of(record).digest}", archive)

    def put_object(self, record: ObjectRecord, signer: Signer) -> None:
        """Write the record of an object."""
        self._put(record, signer)

    def keep_object(self, found: ObjectRecord, own: ObjectRecord, signer: Signer) -> bool:
        """Write the signer's own record if it is missing, damaged or old.

        Return False if `found` states other facts than `own`: the signer vouches for no archive that it did not read,
        so the object is pushed beside it.
        """
        if own.fingerprint != found.fingerprint:
            return False
        for key, tag in _tags(own, signer):
            stored, _ = attempt(partial(self._repository.read, str(tag)))
            sound = attempt(partial(self._repository.decode, tag, stored, decode_object))[0] if stored else None
            is_old = stored is None or datetime.now(UTC) - stored.written_at > REFRESH_AGE
            is_sound = sound is not None and sound.fingerprint == own.fingerprint
            if is_old or not is_sound or (key and sound and not _signed_by(key.public, sound)):
                self._write(tag, signer.sign_with(key, own))
        return True

    def put_delta(self, record: DeltaRecord, delta: bytes, signer: Signer) -> None:
        """Upload a delta, then write its record."""
        self._repository.transport.put(f"blobs/{layer_of(record).digest}", delta)
        reached(Point.PUSH_DELTA_UPLOADED)
        self._put(record, signer)

    def put_sbom(self, record: SbomRecord, document: bytes, signer: Signer) -> tuple[()]:
        """Upload an SBOM, then write its record. It replaces another one of the signer's keys, and none of others."""
        self._repository.transport.put(f"blobs/{layer_of(record).digest}", document)
        reached(Point.PUSH_SBOM_UPLOADED)
        self._put(record, signer)
        return ()

    def add_realisation(self, own: Realisation, signer: Signer, on_fault: FaultHandler) -> StorePath:
        """Write the object of a recipe for each key, also for known keys whose signatures `own` has.

        Return another object that a known key states for it, if any. A record with another object that the same key
        signed stays, unless its signature is wrong.
        """
        stated = own.path
        records = _by_key(own, signer)
        for key, record in records.items():
            tag = RecordTag(subject_of(own), signer_of(key))
            found, fault = attempt(partial(self._repository.read_record, tag, decode_realisation))
            if found is not None and key is not None and not _signed_by(key, found):
                fault = "its signature is wrong"
            if fault is not None:
                on_fault(str(tag), fault)
            elif found is not None and found.path != own.path:
                stated = found.path
                continue
            if fault is not None or found is None or found.fingerprint != own.fingerprint:
                self._write(tag, record)
        names = {signer_of(key) for key in records}
        for other in signer.known.keys:
            tag = RecordTag(subject_of(own), signer_of(other))
            if tag.signer not in names:
                found, _ = attempt(partial(self._repository.read_record, tag, decode_realisation))
                if found is not None and found.path != own.path and _signed_by(other, found):
                    stated = found.path
        return stated

    def add_channel(self, name: str, make: Callable[[int], Channel], before: Channel | None, signer: Signer) -> Channel:
        """Write a record of a channel under a new number, and return it."""
        claim = ChannelClaims(self._repository, self._name, name).claim(before.number if before else 0)
        reached(Point.PUSH_NUMBERED)
        made = make(claim.number)
        self._put(made, signer)
        reached(Point.PUSH_PUBLISHED)
        claim.withdraw()
        return signer.sign(made)

    def sign_channel(self, record: Channel, signer: Signer) -> Channel:
        """Write the signer's records of a number of a channel that exists, and return it with all signatures."""
        self._put(record, signer)
        reached(Point.PUSH_PUBLISHED)
        return signer.sign(record)

    def pin(self, path: StorePath) -> None:
        """Keep an object regardless of channels."""
        self._repository.write(pin_tag(path), canonical_json({"format": FORMAT, "path": str(path)}))

    def unpin(self, path: StorePath) -> None:
        """Delete the pin of an object, if there is one."""
        if (stored := self._repository.read(pin_tag(path))) is not None:
            self._repository.delete(stored.key)

    def touched_at(self, item: Item) -> datetime | None:
        """Return the time when a record of an object was written last; None if all of them have gone."""
        tags = {key.partition("@")[0] for key in item.keys if key.startswith("object-")}
        found = [attempt(partial(self._repository.read, tag))[0] for tag in sorted(tags)]
        return max((stored.written_at for stored in found if stored is not None), default=None)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete manifests. One that was written again since the inventory was read stays."""
        for key in keys:
            self._repository.delete(key)

    def _put(self, record: R, signer: Signer) -> None:
        for key, tag in _tags(record, signer):
            self._write(tag, signer.sign_with(key, record))

    def _write(self, tag: RecordTag, record: Record) -> None:
        self._repository.write(str(tag), encode(record), layer_of(record), at=datetime.now(UTC))


def _tags(record: Record, signer: Signer) -> list[tuple[SecretKey | None, RecordTag]]:
    """Return the keys of a signer and the tags of their records: without a key, the tag of unsigned records."""
    keys: tuple[SecretKey | None, ...] = signer.keys or (None,)
    return [(key, RecordTag(subject_of(record), signer_of(key.public if key else None))) for key in keys]


def _by_key(own: Realisation, signer: Signer) -> dict[Key | None, Realisation]:
    """Return the record of each key that signs `own` or has signed it: with that signature alone."""
    signed = signer.sign(own)
    by_name = {one.key: one for one in signed.signatures}
    keys = [key for key in signer.known.keys if key.name in by_name and _signed_by(key, signed)]
    found: dict[Key | None, Realisation] = {key: replace(own, signatures=(by_name[key.name],)) for key in keys}
    return found or {None: replace(own, signatures=())}


def _signed_by(key: Key, record: Record) -> bool:
    return bool(Trust(keys=(key,)).signers(record))
