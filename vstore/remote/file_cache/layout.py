"""The keys of a cache of files: the same in a folder, on a web server and in a bucket (docs/internals/cache.md).

A listed record is always complete, because a push writes archive, object, realisation in this order, and references
before referrers. A collection deletes in the reverse order.
"""

from __future__ import annotations

import re

from vstore.digest import Digest
from vstore.objects import StorePath
from vstore.remote.records.model import Channel, DeltaRecord, FileRecord, ObjectRecord, Realisation, Record, SbomRecord
from vstore.sbom_format import SbomFormat

CACHE_FILE = "vstore-cache.json"
FOLDERS = ("channels", "pins", "realisations", "objects", "sboms", "deltas", "archives")
_SBOM_RECORD = ".record.json"
_ENDS = {
    "archives": r"\.tar\.zst",
    "deltas": r"\.from\.[^.]+\.(json|delta)",
    "sboms": r"\.(cdx|spdx)(\.record)?\.json",
    "pins": r"\.json",
}


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


def sbom_record_key(path: StorePath, form: SbomFormat) -> str:
    """Return the key of the record of an SBOM."""
    return f"sboms/{path.short[:2]}/{path}{sbom_record_suffix(form)}"


def sbom_record_suffix(form: SbomFormat) -> str:
    """Return the end of the keys of the records of SBOMs."""
    return form.suffix.removesuffix(".json") + _SBOM_RECORD


def sbom_key(path: StorePath, form: SbomFormat) -> str:
    """Return the key of an SBOM. Scanners know the format by the end of the key."""
    return f"sboms/{path.short[:2]}/{path}{form.suffix}"


def channel_key(name: str) -> str:
    """Return the key of the current record of a channel."""
    return f"channels/{name}.json"


def channel_number_key(name: str, number: int) -> str:
    """Return the key of a numbered record of a channel. It is created once, so each number has one publisher."""
    return f"channels/{name}/{number}.json"


def pin_key(path: StorePath) -> str:
    """Return the key of the pin that keeps an object regardless of channels."""
    return f"pins/{path}.json"


def owner(key: str) -> StorePath:
    """Return the object in the name of an archive, a pin, or a file of a delta or an SBOM. Raises ValueError."""
    folder, _, name = key.partition("/")
    return StorePath.parse(re.sub(f"{_ENDS[folder]}$", "", name.rpartition("/")[2]))


def is_record(key: str) -> bool:
    """Return whether a key is that of a record. Deltas and SBOMs lie beside their records."""
    return not key.endswith(".delta") and (not key.startswith("sboms/") or key.endswith(_SBOM_RECORD))


def file_key(record: FileRecord) -> str:
    """Return the key of the archive, delta or SBOM that a record describes."""
    match record:
        case ObjectRecord():
            return archive_key(record.path)
        case DeltaRecord():
            return delta_key(record.new, record.old)
        case SbomRecord():
            return sbom_key(record.path, record.format)


def keys_of(record: Record) -> tuple[str, ...]:
    """Return the keys where this record may lie."""
    match record:
        case Realisation():
            return (realisation_key(record.recipe),)
        case ObjectRecord():
            return (object_key(record.path),)
        case DeltaRecord():
            return (delta_record_key(record.new, record.old),)
        case SbomRecord():
            return (sbom_record_key(record.path, record.format),)
        case Channel():
            return channel_key(record.name), channel_number_key(record.name, record.number)
