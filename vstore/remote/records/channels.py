"""Channels: a name such as ``stable`` that points to a stack, signed, numbered and expiring.

A digest says what a stack is, not that it is today's. So a client remembers, for each cache and channel, the
highest number it has seen, and refuses a lower one: a cache cannot hide a fix by serving yesterday's record.

Where more than one builder must sign, the first one gives the number and the others add their signatures to it. Until
enough have, the number before counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from vstore.digest import hash_fields, parse_json
from vstore.errors import CacheError, UsageError
from vstore.fs.atomic import write_file
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.fs.reading import read_regular
from vstore.objects import ObjectInfo
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_channel
from vstore.remote.records.model import Channel
from vstore.remote.records.trust import SecretKey, Trust, sign
from vstore.remote.transport.protocol import NoListing, TransportError
from vstore.store import Store

_TRIES = 20
_MOST_UNSIGNED = 10  # numbers that wait for signatures at once
_MOST_BYTES = 1 << 20


def check_channel_name(name: str) -> None:
    """Raise UsageError for what cannot be the name of a channel, such as one that ends as records do."""
    if not layout.CHANNEL_NAME.fullmatch(name):
        raise UsageError(f"not a name for a channel: {name!r}", hint="letters, digits, . _ - +, not .json at its end")


def read_channel(store: Store, cache: Cache, name: str, *, trust: Trust, now: datetime) -> Channel:
    """Return the record of the channel as it is now.

    Raises CacheError when it is not there, expired, older than seen before, or not signed by enough trusted keys.
    """
    check_channel_name(name)
    found = cache.channel(name)
    if found is None:
        raise CacheError(f"{cache.name} has no channel {name}", hint=f"`vstore cache ls {cache.url}`")
    found = _agreed(cache, found, trust)
    reason = trust.refusal(found.line, found.signatures)
    if reason is not None:
        raise CacheError(f"channel {name} of {cache.name} is refused: {reason}", hint="see `trusted_keys`")
    if found.expires_at <= now:
        raise CacheError(
            f"channel {name} of {cache.name} is refused: it expired at {found.expires_at.isoformat()}",
            hint="whoever publishes it must push it again",
        )
    _remember(store, cache, found)
    return found


def _agreed(cache: Cache, newest: Channel, trust: Trust) -> Channel:
    """The newest number that enough trusted keys have signed; the newest of all if there is none."""
    if not trust.signers(newest.line, newest.signatures):
        return newest
    found: Channel | None = newest
    for number in range(newest.number - 1, max(newest.number - _MOST_UNSIGNED, 0), -1):
        if found is not None and trust.refusal(found.line, found.signatures) is None:
            return found
        found = _numbered(cache, newest.name, number)
    return found if found is not None and trust.refusal(found.line, found.signatures) is None else newest


def _remember(store: Store, cache: Cache, channel: Channel) -> None:
    """Refuse a number lower than the highest seen, and the same number for something else; else keep it in mind."""
    folder = store.layout.channels
    folder.mkdir(exist_ok=True)
    file = folder / f"{hash_fields('channel 1', cache.url.encode(), channel.name.encode()).short}.json"
    with lock_file(folder / "lock"):
        try:
            seen = parse_json(read_regular(file, limit=_MOST_BYTES, follow=False))
            number, path = int(seen["number"]), str(seen["path"])
        except FileNotFoundError:
            number, path = 0, ""
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CacheError(f"damaged: {file}", hint="remove it, if the channel is known to be good") from error
        if channel.number < number:
            raise CacheError(
                f"channel {channel.name} of {cache.name} is refused: number {channel.number} is older than {number}, "
                "which was seen before"
            )
        if channel.number == number and str(channel.path) != path:
            raise CacheError(
                f"channel {channel.name} of {cache.name} is refused: number {number} pointed to {path} before"
            )
        document = {"url": cache.url, "channel": channel.name, "number": channel.number, "path": str(channel.path)}
        write_file(file, json.dumps(document).encode() + b"\n")
    reached(Point.PULL_SEEN)


def publish_channel(
    cache: Cache,
    name: str,
    info: ObjectInfo,
    *,
    keys: tuple[SecretKey, ...],
    lifetime: timedelta,
    now: datetime,
    trust: Trust | None = None,
) -> Channel:
    """Let the channel point to a stack that is in the cache, and return its record.

    Where a key that `trust` names has let it point there already, for half of this lifetime at least, the record gets
    these signatures too. Else the channel gets a new number; each is given out once, even to two at once.
    """
    check_channel_name(name)
    if not keys:
        raise UsageError("a channel must be signed, and there is no key here", hint="`vstore key generate NAME`")
    own = Trust(keys=tuple(key.public for key in keys), require=len({key.public.raw for key in keys}))
    known = Trust(keys=(*own.keys, *(trust.keys if trust else ())))
    before = _sound(lambda: cache.channel(name), known)
    stands = before is not None and before.path == info.path and before.expires_at - now >= lifetime / 2
    if before is not None and stands and own.refusal(before.line, before.signatures) is not None:
        return _join(cache, before, keys, known)
    last = [before.number] if before is not None else _last_numbers(cache, name, known)
    for number in (number + more for number in last for more in range(1, _TRIES + 1)):
        bare = Channel(
            name=name,
            number=number,
            path=info.path,
            digest=info.digest,
            created_at=now.replace(microsecond=0),
            expires_at=(now + lifetime).replace(microsecond=0),
        )
        made = sign(bare, keys)
        if cache.write(layout.channel_number_key(name, number), made, create_only=True):
            break
    else:
        raise CacheError(f"channel {name} of {cache.name} is being published by others", hint="try again")
    reached(Point.PUSH_NUMBERED)
    _point(cache, made, known)
    return made


def _join(cache: Cache, record: Channel, keys: tuple[SecretKey, ...], known: Trust) -> Channel:
    """Add signatures to a number that is there. Two who sign at once may lose one: read again, and signed again."""
    key = layout.channel_number_key(record.name, record.number)
    for _ in range(_TRIES):
        there = _numbered(cache, record.name, record.number)
        others = there.signatures if there is not None and there.line == record.line else ()
        joined = sign(record.signed(*known.standing(record.line, others)), keys)
        if there == joined:
            break
        cache.write(key, joined)
    else:
        raise CacheError(f"channel {record.name} of {cache.name} is being published by others", hint="try again")
    reached(Point.PUSH_NUMBERED)
    _point(cache, joined, known)
    return joined


def _point(cache: Cache, made: Channel, known: Trust) -> None:
    """Make this the record that clients read, or that of a higher number which has come meanwhile."""
    written: Channel | None = None
    while written != made:
        cache.write(layout.channel_key(made.name), made)
        written = made
        while (later := _sound(partial(_numbered, cache, made.name, made.number + 1), known)) is not None:
            made = later
    reached(Point.PUSH_PUBLISHED)


def _sound(read: Callable[[], Channel | None], known: Trust) -> Channel | None:
    """The record without the signatures that are wrong; None for one that no known key has signed, or none."""
    try:
        found = read()
    except TransportError:
        raise
    except CacheError:
        return None
    if found is None or not known.signers(found.line, found.signatures):
        return None
    return replace(found, signatures=known.standing(found.line, found.signatures))


def _last_numbers(cache: Cache, name: str, known: Trust) -> list[int]:
    """The highest number that a known key has given out, if there is one, and the highest of all."""
    try:
        keys = [stat.key for stat in cache.transport.scan(f"channels/{name}")]
    except NoListing:
        return [0]
    texts = [key.rpartition("/")[2].removesuffix(".json") for key in keys]
    numbers = sorted(
        (int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 16), reverse=True
    )
    highest = numbers[:1] or [0]
    for number in numbers[:_TRIES]:
        if _sound(partial(_numbered, cache, name, number), known) is not None:
            return [number, *highest]
    return highest


def _numbered(cache: Cache, name: str, number: int) -> Channel | None:
    """The record of a number; None if there is none, or it is malformed."""
    try:
        return cache.read(layout.channel_number_key(name, number), decode_channel)
    except TransportError:
        raise
    except CacheError:
        return None
