"""The keys of a cache of files: the same in a folder, on a web server and in a bucket (docs/internals/cache.md).

A listed record is always complete, because a push writes archive, object, realisation in this order, and references
before referrers. A collection deletes in the reverse order.
"""

from __future__ import annotations

from vstore.digest import Digest
from vstore.objects import StorePath
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, Realisation, Record

CACHE_FILE = "vstore-cache.json"
FOLDERS = ("channels", "pins", "realisations", "objects", "deltas", "archives")


def realisation_key(recipe: Digest) -> str:
    """Return the key of the record of a recipe's object."""
    return f"realisations/{str(recipe)[:2]}/{recipe}.json"


def object_key(path: StorePath) -> str:
    """Return the key of the record of an object."""
    return f"objects/{path.short[:2]}/{path}.json"


def archive_key(path: StorePath) -> str:
    """Return the key of the archive of an object."""
    return f"archives/{path.short[:2]}/{path}.tar.zst"


def delta_record_key(new: StorePath, old: StorePath) -> str:
    """Return the key of the record of a delta. Only the digest of `old` is in it: a file name has at most 255 bytes."""
    return f"deltas/{new.short[:2]}/{new}.from.{old.short}.json"


def delta_key(new: StorePath, old: StorePath) -> str:
    """Return the key of a delta."""
    return f"deltas/{new.short[:2]}/{new}.from.{old.short}.delta"


def channel_key(name: str) -> str:
    """Return the key of the current record of a channel."""
    return f"channels/{name}.json"


def channel_number_key(name: str, number: int) -> str:
    """Return the key of a numbered record of a channel. It is created once, so each number has one publisher."""
    return f"channels/{name}/{number}.json"


def pin_key(path: StorePath) -> str:
    """Return the key of the pin that keeps an object regardless of channels."""
    return f"pins/{path}.json"


def keys_of(record: Record) -> tuple[str, ...]:
    """Return the keys where this record may lie."""
    match record:
        case Realisation():
            return (realisation_key(record.recipe),)
        case ObjectRecord():
            return (object_key(record.path),)
        case DeltaRecord():
            return (delta_record_key(record.new, record.old),)
        case Channel():
            return channel_key(record.name), channel_number_key(record.name, record.number)
