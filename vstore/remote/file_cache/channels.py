"""Publish channels in a cache of files: each number is a file that is created once, and one file is the current record.

Where several keys must sign, the first publisher creates the number and the others add their signatures to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vstore.errors import CacheError
from vstore.fs.faults import Point, reached
from vstore.remote.file_cache import layout
from vstore.remote.file_cache.reading import read_record
from vstore.remote.records.cache import attempt
from vstore.remote.records.encoding import decode_channel, encode
from vstore.remote.records.model import Channel, add_signatures
from vstore.remote.records.trust import Signer
from vstore.remote.transport.protocol import ListingUnsupportedError, WritableTransport, creating, listing

_MAX_TRIES = 20


class ChannelFiles:
    """Writes the channels of one cache, with the signatures of one signer."""

    def __init__(self, transport: WritableTransport, cache_name: str, signer: Signer) -> None:
        self._transport = transport
        self._cache_name = cache_name
        self._signer = signer

    def add(self, name: str, make: Callable[[int], Channel], before: Channel | None) -> Channel:
        """Write a record under a new number, and make it the current one. Raises CacheError if others keep publishing.

        A number counts from `before`; without one, from the numbers in the cache.
        """
        highest = [before.number] if before is not None else self._highest_numbers(name)
        for number in (start + step for start in highest for step in range(1, _MAX_TRIES + 1)):
            made = self._signer.sign(make(number))
            if creating(self._transport).create(layout.channel_number_key(name, number), encode(made)):
                break
        else:
            raise self._contended(name)
        reached(Point.PUSH_NUMBERED)
        self._make_current(made)
        return made

    def sign(self, record: Channel) -> Channel:
        """Sign a number that exists. Two who sign at once may lose a signature, so read again and repeat."""
        for _ in range(_MAX_TRIES):
            there = self._numbered(record.name, record.number)
            joined = record
            if there is not None and there.fingerprint == record.fingerprint:
                joined = add_signatures(record, *self._signer.known.without_wrong(there).signatures)
            joined = self._signer.sign(joined)
            if there == joined:
                break
            self._transport.put(layout.channel_number_key(record.name, record.number), encode(joined))
        else:
            raise self._contended(record.name)
        reached(Point.PUSH_NUMBERED)
        self._make_current(joined)
        return joined

    def _contended(self, name: str) -> CacheError:
        return CacheError(f"channel {name} of {self._cache_name} is being published by others", hint="try again")

    def _make_current(self, made: Channel) -> None:
        """Make this the current record of the channel, or the record of a higher number that has appeared."""
        written: Channel | None = None
        while written != made:
            self._transport.put(layout.channel_key(made.name), encode(made))
            written = made
            while (later := self._signer.sound(self._numbered(made.name, made.number + 1))) is not None:
                made = later
        reached(Point.PUSH_PUBLISHED)

    def _highest_numbers(self, name: str) -> list[int]:
        """Return the highest number that a known key has signed, if there is one, and the highest of all."""
        try:
            keys = [stat.key for stat in listing(self._transport).scan(f"channels/{name}")]
        except ListingUnsupportedError:
            return [0]
        texts = [key.rpartition("/")[2].removesuffix(".json") for key in keys]
        numbers = sorted(
            (int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 16), reverse=True
        )
        highest = numbers[:1] or [0]
        for number in numbers[:_MAX_TRIES]:
            if self._signer.sound(self._numbered(name, number)) is not None:
                return [number, *highest]
        return highest

    def _numbered(self, name: str, number: int) -> Channel | None:
        """Return the record of a number; None if it is missing or malformed."""
        key = layout.channel_number_key(name, number)
        return attempt(partial(read_record, self._transport, self._cache_name, key, decode_channel))[0]
