"""Write to a cache of files. Each record is one file, so signatures are merged: read, add, write, and look again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vstore.digest import parse_json
from vstore.errors import CacheError
from vstore.fs.faults import Point, reached
from vstore.objects import StorePath
from vstore.remote.file_cache import layout
from vstore.remote.file_cache.channels import ChannelFiles
from vstore.remote.file_cache.destination import check_destination
from vstore.remote.file_cache.reading import read_record
from vstore.remote.records.cache import REFRESH_AGE, FaultHandler, attempt
from vstore.remote.records.encoding import (
    MAX_RECORD_BYTES,
    decode_delta,
    decode_object,
    decode_realisation,
    decode_sbom,
    encode,
    encode_cache_file,
)
from vstore.remote.records.inventory import Item
from vstore.remote.records.model import (
    Channel,
    DeltaRecord,
    ObjectRecord,
    R,
    Realisation,
    Record,
    SbomRecord,
    add_signatures,
)
from vstore.remote.records.trust import Signer
from vstore.remote.transport.protocol import TransportError, WritableTransport, creating

_MAX_TRIES = 5


class FileCacheWriter:
    """Writes the files of one cache. `exists` returns whether the cache exists, as `Cache.exists` does."""

    def __init__(self, transport: WritableTransport, name: str, exists: Callable[[], bool]) -> None:
        self._transport = transport
        self._name = name
        self._exists = exists

    def create(self, store: Path) -> None:
        """Create the cache if it does not exist, and repair a ``vstore-cache.json`` without a format.

        Raises CacheError if the cache has a newer format, UsageError for a folder with other files or in the store.
        """
        damaged = False
        try:
            if self._exists():
                return
        except TransportError:
            raise
        except CacheError:
            if self._has_format():
                raise
            damaged = True
        check_destination(self._transport, store)
        if damaged:
            self._transport.put(layout.CACHE_FILE, encode_cache_file())
        else:
            creating(self._transport).create(layout.CACHE_FILE, encode_cache_file())
        if not self._exists():
            raise CacheError(f"there is no cache at {self._transport.url}", hint="another program has removed it")

    def _has_format(self) -> bool:
        """Return whether ``vstore-cache.json`` states a format, known here or not."""
        data = self._transport.get(layout.CACHE_FILE, limit=MAX_RECORD_BYTES)
        try:
            document = parse_json(data or b"")
        except ValueError:
            return False
        return isinstance(document, dict) and type(document.get("format")) is int

    def has_archive(self, record: ObjectRecord) -> bool:
        """Return False: a file is at a key, whatever its content is."""
        return False

    def put_archive(self, record: ObjectRecord, archive: Path) -> None:
        """Write the archive of an object."""
        self._transport.put(layout.archive_key(record.path), archive)

    def put_object(self, record: ObjectRecord, signer: Signer) -> None:
        """Write the record of an object, with the signatures that the same record has."""
        self._put(layout.object_key(record.path), record, decode_object, signer)

    def keep_object(self, found: ObjectRecord, own: ObjectRecord, signer: Signer) -> bool:
        """Add signatures to the record of an object, and write it again if it is old; return whether it is there."""
        key = layout.object_key(found.path)
        sound = signer.known.without_wrong(found)
        signs = own.fingerprint == found.fingerprint and not signer.has_signed(sound)
        joined = signer.sign(sound) if signs else sound
        stat = self._transport.head(key)
        if joined != found or (stat is not None and datetime.now(UTC) - stat.modified > REFRESH_AGE):
            self._write(key, joined)
        return joined != found or stat is not None

    def put_delta(self, record: DeltaRecord, delta: bytes, signer: Signer) -> None:
        """Write a delta, then its record with the signatures that it has."""
        self._transport.put(layout.delta_key(record.new, record.old), delta)
        reached(Point.PUSH_DELTA_UPLOADED)
        self._put(layout.delta_record_key(record.new, record.old), record, decode_delta, signer)

    def put_sbom(self, record: SbomRecord, document: bytes, signer: Signer) -> tuple[str, ...]:
        """Write an SBOM, then its record with the signatures that it has. It replaces another one.

        Return the names of other keys that had signed another SBOM.
        """
        self._transport.put(layout.sbom_key(record.path, record.format), document)
        reached(Point.PUSH_SBOM_UPLOADED)
        replaced = self._put(layout.sbom_record_key(record.path, record.format), record, decode_sbom, signer)
        own = {key.name for key in signer.keys}
        signatures = signer.known.without_wrong(replaced).signatures if replaced else ()
        return tuple(one.key for one in signatures if one.key not in own)

    def add_realisation(self, own: Realisation, signer: Signer, on_fault: FaultHandler) -> StorePath:
        """Write a realisation, or add its signatures to the one in the cache; return the object in the cache then.

        A realisation with another object stays, unless it is malformed or all its signatures are wrong. Two who sign
        at once may lose a signature, so read again and repeat.
        """
        key, own = layout.realisation_key(own.recipe), signer.sign(own)
        for _ in range(_MAX_TRIES):
            found, fault = self._read(key, decode_realisation)
            if fault is not None:
                on_fault(key, fault)
                self._write(key, own)
                continue
            if found is None:
                if creating(self._transport).create(key, encode(own)):
                    return own.path
                continue
            sound = signer.known.without_wrong(found)
            if found.path != own.path and (sound.signatures or not own.signatures):
                return found.path
            joined = add_signatures(sound, *own.signatures) if found.fingerprint == own.fingerprint else own
            if joined == found:
                return found.path
            if found.path != own.path or len(sound.signatures) < len(found.signatures):
                on_fault(key, "its signature is wrong")
            self._write(key, joined)
        raise CacheError(f"{self._name}: others keep writing the realisation of {own.recipe}", hint="try again")

    def add_channel(self, name: str, make: Callable[[int], Channel], before: Channel | None, signer: Signer) -> Channel:
        """Write a record of a channel under a new number, and return it."""
        return self._channels(signer).add(name, make, before)

    def sign_channel(self, record: Channel, signer: Signer) -> Channel:
        """Add signatures to a number of a channel that exists, and return its record."""
        return self._channels(signer).sign(record)

    def pin(self, path: StorePath) -> None:
        """Keep an object regardless of channels."""
        self._transport.put(layout.pin_key(path), b"{}\n")

    def unpin(self, path: StorePath) -> None:
        """Delete the pin of an object, if there is one."""
        self._transport.delete([layout.pin_key(path)])

    def touched_at(self, item: Item) -> datetime | None:
        """Return the time when the record of an object was written last; None if it has gone."""
        found = self._transport.head(item.key)
        return None if found is None else found.modified

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files."""
        self._transport.delete(keys)

    def _channels(self, signer: Signer) -> ChannelFiles:
        return ChannelFiles(self._transport, self._name, signer)

    def _read(self, key: str, decode: Callable[[bytes, str], R]) -> tuple[R | None, str | None]:
        return attempt(partial(read_record, self._transport, self._name, key, decode))

    def _put(self, key: str, record: R, decode: Callable[[bytes, str], R], signer: Signer) -> R | None:
        """Sign a record and write it, with the signatures that the same record has. Return the one that it replaced.

        Two who sign at once may lose a signature, so read again and repeat.
        """
        own = signer.sign(signer.known.without_wrong(record))
        if creating(self._transport).create(key, encode(own)):
            return None
        for number in range(_MAX_TRIES):
            found, _ = self._read(key, decode)
            if found is None or found.fingerprint != own.fingerprint:
                self._write(key, own)
                return found
            joined = add_signatures(signer.known.without_wrong(found), *own.signatures)
            if number and joined == found:
                return None
            self._write(key, joined)  # first also an equal one: no collection deletes what was written lately
        raise CacheError(f"{self._name}: others keep writing {key}", hint="try again")

    def _write(self, key: str, record: Record) -> None:
        self._transport.put(key, encode(record))
