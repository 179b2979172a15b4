"""Where things lie in a cache: the same for a folder, a web server and a bucket (docs/cache.md).

What is listed is always complete, because it is written in the order archive, object, realisation, and
references before referrers; and deleted the other way round.
"""

from __future__ import annotations

import re

from vstore.digest import Digest
from vstore.objects import StorePath
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, Realisation, Record

FORMAT = 1  # of every record; a reader refuses a higher one
CACHE_FILE = "vstore-cache.json"
FOLDERS = ("channels", "pins", "realisations", "objects", "deltas", "archives")
CHANNEL_NAME = re.compile(r"(?!.*\.(?i:json)$)[A-Za-z0-9_][A-Za-z0-9+._-]{0,100}")


def realisation_key(recipe: Digest) -> str:
    return f"realisations/{str(recipe)[:2]}/{recipe}.json"


def object_key(path: StorePath) -> str:
    return f"objects/{path.short[:2]}/{path}.json"


def archive_key(path: StorePath) -> str:
    return f"archives/{path.short[:2]}/{path}.tar.zst"


def delta_record_key(new: StorePath, old: StorePath) -> str:
    """Of the old object only the digest: a file name has at most 255 bytes."""
    return f"deltas/{new.short[:2]}/{new}.from.{old.short}.json"


def keys_of(record: Record) -> tuple[str, ...]:
    """Return the keys at which this record may lie."""
    match record:
        case Realisation():
            return (realisation_key(record.recipe),)
        case ObjectRecord():
            return (object_key(record.path),)
        case DeltaRecord():
            return (delta_record_key(record.new, record.old),)
        case Channel():
            return channel_key(record.name), channel_number_key(record.name, record.number)


def delta_key(new: StorePath, old: StorePath) -> str:
    return f"deltas/{new.short[:2]}/{new}.from.{old.short}.delta"


def channel_key(name: str) -> str:
    """The pointer that clients read."""
    return f"channels/{name}.json"


def channel_number_key(name: str, number: int) -> str:
    """The same record once more, created and never changed: it gives each number to one publisher only."""
    return f"channels/{name}/{number}.json"


def pin_key(path: StorePath) -> str:
    """Says that a stack is kept whatever the channels say."""
    return f"pins/{path}.json"
