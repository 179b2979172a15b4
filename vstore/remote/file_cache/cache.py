"""A cache of files: reads its records and archives. A `Transport` knows where they lie."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from vstore.cancel import CancelToken
from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.file_cache import layout
from vstore.remote.file_cache.inventory import read_inventory
from vstore.remote.file_cache.reading import read_record
from vstore.remote.file_cache.writer import FileCacheWriter
from vstore.remote.records.blob import Blob
from vstore.remote.records.encoding import (
    MAX_RECORD_BYTES,
    Fields,
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    decode_sbom,
)
from vstore.remote.records.inventory import Inventory
from vstore.remote.records.model import Channel, DeltaRecord, FileRecord, ObjectRecord, R, Realisation, SbomRecord
from vstore.remote.records.trust import NO_TRUST, Trust
from vstore.remote.transport.protocol import Transport, listing, writable
from vstore.sbom_format import SbomFormat


class FileCache:
    """The cache at a transport. Each record is one file with the signatures of all who signed it.

    `name` is its name in config.toml, by default its URL.
    """

    def __init__(self, transport: Transport, *, name: str | None = None, cancel: CancelToken | None = None) -> None:
        self.transport = transport
        self.name = name or transport.url
        self.cancel = cancel or CancelToken()
        self._checked = False
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The URL without secrets."""
        return self.transport.url

    @property
    def writer(self) -> FileCacheWriter:
        """The methods for writing. Raises TransportError if the transport only reads."""
        return FileCacheWriter(writable(self.transport), self.name, self.exists)

    @property
    def reclaim_hint(self) -> None:
        """Nothing: a deleted file takes no space."""
        return None

    def exists(self) -> bool:
        """Return whether the cache exists. Raises CacheError if its format is newer. True is remembered."""
        with self._lock:
            if not self._checked:
                data = self.transport.get(layout.CACHE_FILE, limit=MAX_RECORD_BYTES)
                if data is None:
                    return False
                Fields.read(data, f"{self.url}/{layout.CACHE_FILE}")
                self._checked = True
        return True

    def realisation(self, recipe: Digest, known: Trust = NO_TRUST) -> Realisation | None:
        """Return the record of a recipe's object."""
        return self.read(layout.realisation_key(recipe), decode_realisation)

    def object(self, path: StorePath, known: Trust = NO_TRUST) -> ObjectRecord | None:
        """Return the record of an object."""
        return self.read(layout.object_key(path), decode_object)

    def delta(self, new: StorePath, old: StorePath, known: Trust = NO_TRUST) -> DeltaRecord | None:
        """Return the record of the delta between two objects."""
        found = self.read(layout.delta_record_key(new, old), decode_delta)
        if found is not None and found.old != old:  # the key has the digest of `old` only
            raise CacheError(f"{self.name}: the delta of {new} is for other objects")
        return found

    def sbom(self, path: StorePath, form: SbomFormat, known: Trust = NO_TRUST) -> SbomRecord | None:
        """Return the record of the SBOM of an object, in one format."""
        return self.read(layout.sbom_record_key(path, form), decode_sbom)

    def channel(self, name: str, known: Trust = NO_TRUST, *, number: int | None = None) -> Channel | None:
        """Return the record of one number of a channel, by default of the current one."""
        key = layout.channel_key(name) if number is None else layout.channel_number_key(name, number)
        return self.read(key, decode_channel)

    def channel_names(self) -> set[str]:
        """Return the names of all channels. Raises ListingUnsupportedError where files cannot be listed."""
        return {stat.key.split("/")[1].removesuffix(".json") for stat in listing(self.transport).scan("channels")}

    def realisations(self) -> Iterator[Realisation]:
        """Yield the records of all recipes."""
        for stat in listing(self.transport).scan("realisations"):
            if (found := self.read(stat.key, decode_realisation)) is not None:
                yield found

    def file(self, record: FileRecord) -> Blob:
        """Return the archive, delta or SBOM that a record describes."""
        return Blob(self.transport, layout.file_key(record))

    def inventory(self, problems: dict[str, str] | None = None) -> Inventory:
        """Read all records. With `problems`, malformed ones are left out and added there, by key."""
        return read_inventory(self, self.transport, problems)

    def read(self, key: str, decode: Callable[[bytes, str], R]) -> R | None:
        """Return the record at a key. Raises CacheError if it is malformed or belongs at another key."""
        return read_record(self.transport, self.name, key, decode)
