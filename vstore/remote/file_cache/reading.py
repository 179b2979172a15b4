"""Read one record of a cache of files, and verify that it belongs where it lies."""

from __future__ import annotations

from collections.abc import Callable

from vstore.errors import CacheError
from vstore.remote.file_cache import layout
from vstore.remote.records.encoding import MAX_RECORD_BYTES
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, R, Realisation, SbomRecord
from vstore.remote.transport.protocol import Transport

_NOUNS = {
    Realisation: "recipe",
    ObjectRecord: "object",
    Channel: "channel",
    DeltaRecord: "object",
    SbomRecord: "object",
}


def read_record(transport: Transport, cache_name: str, key: str, decode: Callable[[bytes, str], R]) -> R | None:
    """Return the record at a key. Raises CacheError if it is malformed or belongs at another key."""
    data = transport.get(key, limit=MAX_RECORD_BYTES)
    if data is None:
        return None
    record = decode(data, f"{transport.url}/{key}")
    if key not in layout.keys_of(record):
        raise CacheError(f"{cache_name}: {key} contains the record of another {_NOUNS[type(record)]}")
    if not isinstance(record, DeltaRecord | SbomRecord) and record.digest.short != record.path.short:
        raise CacheError(f"{cache_name}: the path and the digest in {key} differ")
    return record
