"""One cache: its records, read and written. Where it lies is a Transport's business, whom to believe is Trust's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from vstore.digest import Digest, canonical_json
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote import layout
from vstore.remote.model import Channel, DeltaRecord, ObjectRecord, Realisation, Record
from vstore.remote.records import (
    MOST_BYTES,
    Fields,
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    encode,
)
from vstore.remote.transport import Transport
from vstore.stop import Stop

QUESTIONS_AT_ONCE = 64
T = TypeVar("T")


class Cache:
    """A remote collection of objects and of what recipes give. `name` is how its owner calls it.

    Setting `stop` ends what waits for it.
    """

    def __init__(self, transport: Transport, *, name: str | None = None, stop: Stop | None = None) -> None:
        self.transport = transport
        self.name = name or transport.url
        self.stop = stop or Stop()
        self._checked = False
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self.transport.url

    @contextmanager
    def threads(self, count: int = QUESTIONS_AT_ONCE) -> Iterator[Executor]:
        """Threads to ask it; what ends the block without being an error, such as Ctrl-C, ends their questions."""
        with ThreadPoolExecutor(count) as pool, self.stop.set_after(errors=False):
            yield pool

    def exists(self) -> bool:
        """Whether a cache is there. CacheError if it is of a newer release. Asked once, when it answers yes."""
        with self._lock:
            if not self._checked:
                data = self.transport.get(layout.CACHE_FILE, limit=MOST_BYTES)
                if data is None:
                    return False
                Fields.read(data, f"{self.url}/{layout.CACHE_FILE}")
                self._checked = True
        return True

    def check(self) -> None:
        """CacheError unless a cache is there."""
        if not self.exists():
            raise CacheError(f"there is no cache at {self.url}", hint="`vstore push` makes one")

    def create(self) -> None:
        """Make the cache unless it is there."""
        if not self.exists():
            document = {"format": layout.FORMAT, "compression": "zst"}
            self.transport.put(layout.CACHE_FILE, canonical_json(document) + b"\n", create_only=True)
            self.check()

    # reading

    def realisation(self, recipe: Digest) -> Realisation | None:
        found = self.read(layout.realisation_key(recipe), decode_realisation)
        if found is not None and found.recipe != recipe:
            raise CacheError(f"{self.name}: the realisation of {recipe} is one of another recipe")
        return found

    def object(self, path: StorePath) -> ObjectRecord | None:
        found = self.read(layout.object_key(path), decode_object)
        if found is not None and (found.path != path or StorePath.make(found.digest, path.name) != path):
            raise CacheError(f"{self.name}: the record of {path} is one of another object")
        return found

    def channel(self, name: str) -> Channel | None:
        found = self.read(layout.channel_key(name), decode_channel)
        if found is not None and found.name != name:
            raise CacheError(f"{self.name}: channel {name} holds the record of another channel")
        return found

    def delta(self, new: StorePath, old: StorePath) -> DeltaRecord | None:
        found = self.read(layout.delta_record_key(new, old), decode_delta)
        if found is not None and (found.new, found.old) != (new, old):
            raise CacheError(f"{self.name}: the delta of {new} is one of other objects")
        return found

    def channels(self) -> Iterator[Channel]:
        """The current record of every channel. NoListing where that cannot be known."""
        for stat in self.transport.scan("channels"):
            if stat.key.count("/") == 1:
                found = self.read(stat.key, decode_channel)
                if found is not None:
                    yield found

    def read(self, key: str, decode: Callable[[bytes, str], T]) -> T | None:
        data = self.transport.get(key, limit=MOST_BYTES)
        return None if data is None else decode(data, f"{self.url}/{key}")

    # writing

    def write(self, key: str, record: Record, *, create_only: bool = False) -> bool:
        return self.transport.put(key, encode(record), create_only=create_only)

    def add_object(self, record: ObjectRecord) -> None:
        """Its archive must be there, and the records of all that it refers to."""
        self.write(layout.object_key(record.path), record)

    def add_realisation(self, mine: Realisation) -> Realisation:
        """Add it, or its signatures to what is there; returns what is there then.

        What is there is never replaced: when it gives another object, the builders disagree, and the caller is told
        by the answer. Two who sign at once may lose one signature: read again, and signed again.
        """
        key = layout.realisation_key(mine.recipe)
        for _ in range(5):
            found = self.realisation(mine.recipe)
            if found is None:
                if self.write(key, mine, create_only=True):
                    return mine
                continue
            if (found.path, found.digest) != (mine.path, mine.digest):
                return found
            joined = found.signed(*mine.signatures)
            if joined == found:
                return found
            self.write(key, joined)
        raise CacheError(f"{self.name}: others keep writing the realisation of {mine.recipe}", hint="try again")
