"""Channels: a name such as ``stable`` that points to a stack, with signatures, a number and an expiry time.

A digest does not prove that a stack is the current one. So a client remembers the highest number that it has seen of
each channel of each cache, and refuses a lower one: a cache cannot hide a fix by serving an old record.

Where several keys must sign, the first publisher creates the number and the others add their signatures to it. Until
enough have signed, the number before is the current one.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from vstore.digest import hash_fields, parse_json
from vstore.errors import CacheError, UsageError, suggestion
from vstore.fs.atomic import write_file
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.fs.reading import read_regular
from vstore.objects import ObjectInfo
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_channel
from vstore.remote.records.model import Channel, add_signatures
from vstore.remote.records.trust import Signer, Trust
from vstore.remote.transport.protocol import ListingUnsupportedError
from vstore.store import Store, StoreLayout

_MAX_TRIES = 20
_MAX_UNSIGNED = 10  # newest numbers that lack signatures
_MAX_SEEN_BYTES = 1 << 20


def check_channel_name(name: str) -> None:
    """Raise UsageError unless this can be a channel's name. It must not end as record files do."""
    if not layout.CHANNEL_NAME.fullmatch(name):
        raise UsageError(f"not a channel name: {name!r}", hint="letters, digits, . _ - +, not .json at its end")


def trust_hint(layout: StoreLayout) -> str:
    """Return the hint that tells how to trust a key: one of this store, or another's."""
    own = ""
    if any(layout.keys.glob("*.secret")):
        own = "to trust the keys of this store, run `vstore config set trusted_keys --append $(vstore key list)`; else "
    return (
        f"{own}ask the owner of the cache for the public key, and add it to `trusted_keys` in {layout.config_file};"
        " or pass it by --trust where the command has that option"
    )


def read_channel(store: Store, cache: Cache, name: str, *, trust: Trust, now: datetime) -> Channel:
    """Return the current record of a channel, and remember its number in the store.

    Raises CacheError if it is missing, expired, older than one seen before, or not signed by enough trusted keys.
    """
    check_channel_name(name)
    found = cache.channel(name)
    if found is None:
        hint = f"{suggestion(name, _channel_names(cache))}`vstore cache ls {cache.name}` lists its channels"
        raise CacheError(f"{cache.name} has no channel {name}", hint=hint)
    found = _newest_trusted(cache, found, trust)
    reason = trust.rejection(found)
    if reason is not None:
        raise CacheError(f"channel {name} of {cache.name} is refused: {reason}", hint=trust_hint(store.layout))
    if found.expires_at <= now:
        raise CacheError(
            f"channel {name} of {cache.name} is refused: it expired at {found.expires_at.isoformat()}",
            hint="its publisher must push it again",
        )
    _remember(store, cache, found)
    return found


def _channel_names(cache: Cache) -> set[str]:
    """Return the names of the channels of a cache, none if it cannot list its files."""
    try:
        return {stat.key.split("/")[1].removesuffix(".json") for stat in cache.lister.scan("channels")}
    except CacheError:
        return set()


def _newest_trusted(cache: Cache, newest: Channel, trust: Trust) -> Channel:
    """Return the newest number that enough trusted keys have signed, `newest` if there is none."""
    if not trust.signers(newest):
        return newest
    found: Channel | None = newest
    for number in range(newest.number - 1, max(newest.number - _MAX_UNSIGNED, 0), -1):
        if found is not None and trust.trusts(found):
            return found
        found = _numbered(cache, newest.name, number)
    return found if found is not None and trust.trusts(found) else newest


def _remember(store: Store, cache: Cache, channel: Channel) -> None:
    """Record the number as seen. Raises CacheError if it is lower than one seen, or pointed elsewhere before."""
    folder = store.layout.channels
    folder.mkdir(exist_ok=True)
    file = folder / f"{hash_fields('channel 1', cache.url.encode(), channel.name.encode()).short}.json"
    with lock_file(folder / "lock"):
        try:
            seen = parse_json(read_regular(file, limit=_MAX_SEEN_BYTES, follow=False))
            number, path = int(seen["number"]), str(seen["path"])
        except FileNotFoundError:
            number, path = 0, ""
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CacheError(f"damaged: {file}", hint="remove it if you know that the channel is good") from error
        refused = f"channel {channel.name} of {cache.name} is refused"
        if channel.number < number:
            raise CacheError(
                f"{refused}: number {channel.number} is older than {number}, which was seen before",
                hint="the cache serves an old state; its publisher must push the channel again",
            )
        if channel.number == number and str(channel.path) != path:
            raise CacheError(
                f"{refused}: number {number} now points to {channel.path}, but pointed to {path} when it was last read",
                hint="ask its publisher; a correct change has a higher number",
            )
        document = {"url": cache.url, "channel": channel.name, "number": channel.number, "path": str(channel.path)}
        write_file(file, json.dumps(document).encode() + b"\n")
    reached(Point.PULL_SEEN)


def publish_channel(
    cache: Cache, name: str, info: ObjectInfo, *, signer: Signer, lifetime: timedelta, now: datetime
) -> Channel:
    """Point the channel to a stack in the cache, and return its record.

    If another known key has pointed it there already, for at least half of `lifetime`, the record gets these
    signatures too. Otherwise the channel gets a new number; each number is given out once, even to two publishers at
    the same time. Raises UsageError without a key, CacheError if others keep publishing.
    """
    check_channel_name(name)
    if not signer.keys:
        raise UsageError("a channel must be signed, and there is no key", hint="`vstore key generate NAME`")
    before = _sound(cache.try_read(layout.channel_key(name), decode_channel)[0], signer.known)
    if (
        before is not None
        and before.path == info.path
        and before.expires_at - now >= lifetime / 2
        and not signer.has_signed(before)
    ):
        return _add_signatures(cache, before, signer)
    highest = [before.number] if before is not None else _highest_numbers(cache, name, signer.known)
    for number in (start + step for start in highest for step in range(1, _MAX_TRIES + 1)):
        unsigned = Channel(
            name=name,
            number=number,
            path=info.path,
            digest=info.digest,
            created_at=now.replace(microsecond=0),
            expires_at=(now + lifetime).replace(microsecond=0),
        )
        made = signer.sign(unsigned)
        if cache.write(layout.channel_number_key(name, number), made, create_only=True):
            break
    else:
        raise _contended(cache, name)
    reached(Point.PUSH_NUMBERED)
    _make_current(cache, made, signer.known)
    return made


def _add_signatures(cache: Cache, record: Channel, signer: Signer) -> Channel:
    """Sign a number that exists. Two who sign at once may lose a signature, so read again and repeat."""
    key = layout.channel_number_key(record.name, record.number)
    for _ in range(_MAX_TRIES):
        there = _numbered(cache, record.name, record.number)
        joined = record
        if there is not None and there.fingerprint == record.fingerprint:
            joined = add_signatures(record, *signer.known.without_wrong(there).signatures)
        joined = signer.sign(joined)
        if there == joined:
            break
        cache.write(key, joined)
    else:
        raise _contended(cache, record.name)
    reached(Point.PUSH_NUMBERED)
    _make_current(cache, joined, signer.known)
    return joined


def _contended(cache: Cache, name: str) -> CacheError:
    return CacheError(f"channel {name} of {cache.name} is being published by others", hint="try again")


def _make_current(cache: Cache, made: Channel, known: Trust) -> None:
    """Make this the current record of the channel, or the record of a higher number that has appeared."""
    written: Channel | None = None
    while written != made:
        cache.write(layout.channel_key(made.name), made)
        written = made
        while (later := _sound(_numbered(cache, made.name, made.number + 1), known)) is not None:
            made = later
    reached(Point.PUSH_PUBLISHED)


def _sound(found: Channel | None, known: Trust) -> Channel | None:
    """Return the record without wrong signatures; None if no known key has signed it."""
    return known.without_wrong(found) if found is not None and known.signers(found) else None


def _highest_numbers(cache: Cache, name: str, known: Trust) -> list[int]:
    """Return the highest number that a known key has signed, if there is one, and the highest of all."""
    try:
        keys = [stat.key for stat in cache.lister.scan(f"channels/{name}")]
    except ListingUnsupportedError:
        return [0]
    texts = [key.rpartition("/")[2].removesuffix(".json") for key in keys]
    numbers = sorted(
        (int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 16), reverse=True
    )
    highest = numbers[:1] or [0]
    for number in numbers[:_MAX_TRIES]:
        if _sound(_numbered(cache, name, number), known) is not None:
            return [number, *highest]
    return highest


def _numbered(cache: Cache, name: str, number: int) -> Channel | None:
    """Return the record of a number; None if it is missing or malformed."""
    return cache.try_read(layout.channel_number_key(name, number), decode_channel)[0]
