"""One cache: its records, read and written. Where it lies is a Transport's business, whom to believe is Trust's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from vstore.cancel import CancelToken
from vstore.digest import Digest, canonical_json, parse_json
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.records import layout
from vstore.remote.records.encoding import (
    MOST_BYTES,
    Fields,
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    encode,
)
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, Realisation, Record
from vstore.remote.records.trust import Trust
from vstore.remote.transport.protocol import Transport, TransportError

QUESTIONS_AT_ONCE = 64
R = TypeVar("R", Realisation, ObjectRecord, Channel, DeltaRecord)
_NOUNS = {Realisation: "recipe", ObjectRecord: "object", Channel: "channel", DeltaRecord: "object"}


class Cache:
    """A remote collection of objects and of what recipes give. `name` is how its owner calls it.

    Setting `cancel` ends what waits for it.
    """

    def __init__(self, transport: Transport, *, name: str | None = None, cancel: CancelToken | None = None) -> None:
        self.transport = transport
        self.name = name or transport.url
        self.cancel = cancel or CancelToken()
        self._checked = False
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self.transport.url

    @contextmanager
    def threads(self, count: int = QUESTIONS_AT_ONCE) -> Iterator[Executor]:
        """Threads to ask it; what ends the block without being an error, such as Ctrl-C, ends their questions."""
        with ThreadPoolExecutor(count) as pool, self.cancel.set_after(errors=False):
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
        """Make the cache unless it is there. CacheError if it is of a newer release.

        A file that says nothing of a format is damaged, and written again.
        """
        try:
            there, damaged = self.exists(), False
        except TransportError:
            raise
        except CacheError:
            there, damaged = False, not self.has_format()
            if not damaged:
                raise
        if not there:
            document = {"format": layout.FORMAT, "compression": "zst"}
            self.transport.put(layout.CACHE_FILE, canonical_json(document) + b"\n", create_only=not damaged)
            self.check()

    def has_format(self) -> bool:
        """Whether the file that makes it a cache says of which format it is, known here or not."""
        data = self.transport.get(layout.CACHE_FILE, limit=MOST_BYTES)
        try:
            document = parse_json(data or b"")
        except ValueError:
            return False
        return isinstance(document, dict) and type(document.get("format")) is int

    # reading

    def realisation(self, recipe: Digest) -> Realisation | None:
        return self.read(layout.realisation_key(recipe), decode_realisation)

    def object(self, path: StorePath) -> ObjectRecord | None:
        return self.read(layout.object_key(path), decode_object)

    def channel(self, name: str) -> Channel | None:
        return self.read(layout.channel_key(name), decode_channel)

    def delta(self, new: StorePath, old: StorePath) -> DeltaRecord | None:
        found = self.read(layout.delta_record_key(new, old), decode_delta)
        if found is not None and found.old != old:  # the key holds its digest only
            raise CacheError(f"{self.name}: the delta of {new} is one of other objects")
        return found

    def channels(self) -> Iterator[Channel]:
        """The current record of every channel. NoListing where that cannot be known."""
        for stat in self.transport.scan("channels"):
            if stat.key.count("/") == 1:
                found = self.read(stat.key, decode_channel)
                if found is not None:
                    yield found

    def read(self, key: str, decode: Callable[[bytes, str], R]) -> R | None:
        """Return the record at a key; CacheError if it is malformed, or belongs at another key."""
        data = self.transport.get(key, limit=MOST_BYTES)
        if data is None:
            return None
        record = decode(data, f"{self.url}/{key}")
        if key not in layout.keys_of(record):
            raise CacheError(f"{self.name}: {key} holds the record of another {_NOUNS[type(record)]}")
        if not isinstance(record, DeltaRecord) and record.digest.short != record.path.short:
            raise CacheError(f"{self.name}: {key} gives one object's path and another's digest")
        return record

    # writing

    def write(self, key: str, record: Record, *, create_only: bool = False) -> bool:
        return self.transport.put(key, encode(record), create_only=create_only)

    def add_object(self, record: ObjectRecord) -> None:
        """Its archive must be there, and the records of all that it refers to."""
        self.write(layout.object_key(record.path), record)

    def add_realisation(
        self, mine: Realisation, trust: Trust, tell: Callable[[str, str], None] | None = None
    ) -> Realisation:
        """Add it, or its signatures to what is there; returns what is there then.

        When what is there gives another object, the builders disagree: it stays, and the caller is told by the answer;
        unless it is malformed, or every signature on it is wrong by the keys of `trust`. Two who sign at once may
        lose one signature: read again, and signed again. Calls `tell` with the key of what is replaced, and why.
        """
        key = layout.realisation_key(mine.recipe)
        for _ in range(5):
            try:
                found = self.realisation(mine.recipe)
            except TransportError:
                raise
            except CacheError as error:
                if tell:
                    tell(key, error.message)
                self.write(key, mine)
                continue
            if found is None:
                if self.write(key, mine, create_only=True):
                    return mine
                continue
            standing = trust.standing(found.line, found.signatures)
            if found.path != mine.path and (standing or not mine.signatures):
                return found
            joined = replace(found, signatures=standing).signed(*mine.signatures) if found.line == mine.line else mine
            if joined == found:
                return found
            if tell and (found.path != mine.path or len(standing) < len(found.signatures)):
                tell(key, "it is signed wrongly")
            self.write(key, joined)
        raise CacheError(f"{self.name}: others keep writing the realisation of {mine.recipe}", hint="try again")
