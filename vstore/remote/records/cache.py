"""One cache: read and write its records. A `Transport` knows where they lie, a `Trust` whom to believe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from vstore.cancel import CancelToken
from vstore.digest import Digest, parse_json
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.records import layout
from vstore.remote.records.encoding import (
    MAX_RECORD_BYTES,
    Fields,
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    encode,
    encode_cache_file,
)
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, R, Realisation, Record
from vstore.remote.transport.protocol import (
    ListingTransport,
    Transport,
    TransportError,
    WritableTransport,
    creating,
    listing,
    writable,
)

MAX_REQUESTS = 64  # at the same time
_NOUNS = {Realisation: "recipe", ObjectRecord: "object", Channel: "channel", DeltaRecord: "object"}


class Cache:
    """A remote collection of objects and realisations. `name` is its name in config.toml, by default its URL.

    Setting `cancel` ends all its requests.
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
    def writer(self) -> WritableTransport:
        """The transport for writing. Raises TransportError if it only reads."""
        return writable(self.transport)

    @property
    def lister(self) -> ListingTransport:
        """The transport for listing. Raises ListingUnsupportedError if it cannot list."""
        return listing(self.transport)

    @contextmanager
    def threads(self, count: int = MAX_REQUESTS) -> Iterator[Executor]:
        """Yield threads for requests. An interruption of the block, such as Ctrl-C, ends their requests."""
        with ThreadPoolExecutor(count) as pool, self.cancel.set_after(errors=False):
            yield pool

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

    def check(self) -> None:
        """Raise CacheError unless the cache exists."""
        if not self.exists():
            raise CacheError(f"there is no cache at {self.url}", hint="`vstore push` makes one")

    def create(self) -> None:
        """Create the cache if it does not exist, and repair a ``vstore-cache.json`` without a format.

        Raises CacheError if the cache has a newer format.
        """
        damaged = False
        try:
            if self.exists():
                return
        except TransportError:
            raise
        except CacheError:
            if self.has_format():
                raise
            damaged = True
        if damaged:
            self.writer.put(layout.CACHE_FILE, encode_cache_file())
        else:
            creating(self.transport).create(layout.CACHE_FILE, encode_cache_file())
        self.check()

    def has_format(self) -> bool:
        """Return whether ``vstore-cache.json`` states a format, known here or not."""
        data = self.transport.get(layout.CACHE_FILE, limit=MAX_RECORD_BYTES)
        try:
            document = parse_json(data or b"")
        except ValueError:
            return False
        return isinstance(document, dict) and type(document.get("format")) is int

    def realisation(self, recipe: Digest) -> Realisation | None:
        """Return the record of a recipe's object."""
        return self.read(layout.realisation_key(recipe), decode_realisation)

    def object(self, path: StorePath) -> ObjectRecord | None:
        """Return the record of an object."""
        return self.read(layout.object_key(path), decode_object)

    def channel(self, name: str) -> Channel | None:
        """Return the current record of a channel."""
        return self.read(layout.channel_key(name), decode_channel)

    def delta(self, new: StorePath, old: StorePath) -> DeltaRecord | None:
        """Return the record of the delta between two objects."""
        found = self.read(layout.delta_record_key(new, old), decode_delta)
        if found is not None and found.old != old:  # the key has the digest of `old` only
            raise CacheError(f"{self.name}: the delta of {new} is for other objects")
        return found

    def read(self, key: str, decode: Callable[[bytes, str], R]) -> R | None:
        """Return the record at a key. Raises CacheError if it is malformed or belongs at another key."""
        data = self.transport.get(key, limit=MAX_RECORD_BYTES)
        if data is None:
            return None
        record = decode(data, f"{self.url}/{key}")
        if key not in layout.keys_of(record):
            raise CacheError(f"{self.name}: {key} contains the record of another {_NOUNS[type(record)]}")
        if not isinstance(record, DeltaRecord) and record.digest.short != record.path.short:
            raise CacheError(f"{self.name}: the path and the digest in {key} differ")
        return record

    def try_read(self, key: str, decode: Callable[[bytes, str], R]) -> tuple[R | None, str | None]:
        """Return the record at a key, or the reason why it is malformed. Raises TransportError."""
        try:
            return self.read(key, decode), None
        except TransportError:
            raise
        except CacheError as error:
            return None, error.message

    def write(self, key: str, record: Record, *, create_only: bool = False) -> bool:
        """Write a record. With `create_only`, return False if the key exists."""
        if create_only:
            return creating(self.transport).create(key, encode(record))
        self.writer.put(key, encode(record))
        return True
