"""Channels: a name such as ``stable`` that points to a stack, with signatures, a number and an expiry time.

A digest does not prove that a stack is the current one. So a client remembers the highest number that it has seen of
each channel of each cache, and refuses a lower one: a cache cannot hide a fix by serving an old record.

Where several keys must sign, the first publisher creates the number and the others add their signatures to it. Until
enough have signed, the number before is the current one.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from functools import partial

from vstore.digest import hash_fields, parse_json
from vstore.errors import CacheError, UsageError, suggestion
from vstore.fs.atomic import write_file
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.fs.reading import read_regular
from vstore.objects import ObjectInfo
from vstore.remote.records.cache import Cache, attempt
from vstore.remote.records.model import Channel, ObjectRecord, Record
from vstore.remote.records.trust import Signer, Trust
from vstore.store import Store, StoreLayout
from vstore.values import frozen

_CHANNEL_NAME = re.compile(r"(?!.*\.(?i:json)$)[A-Za-z0-9_][A-Za-z0-9+._-]{0,100}")
_MAX_UNSIGNED = 10  # newest numbers that lack signatures
_MAX_SEEN_BYTES = 1 << 20


def check_channel_name(name: str) -> None:
    """Raise UsageError unless this can be a channel's name. It must not end as record files do."""
    if not _CHANNEL_NAME.fullmatch(name):
        raise UsageError(f"not a channel name: {name!r}", hint="letters, digits, . _ - +, not .json at its end")


def check_new_channel(name: str, signer: Signer) -> None:
    """Raise UsageError unless a channel of this name can be published, which takes a key."""
    check_channel_name(name)
    if not signer.keys:
        raise UsageError("a channel must be signed, and there is no key", hint="`vstore key generate NAME`")


def trust_hint(layout: StoreLayout) -> str:
    """Return the hint that tells how to trust a key: one of this store, or another's."""
    own = ""
    if any(layout.keys.glob("*.secret")):
        own = "to trust the keys of this store, run `vstore config set trusted_keys --append $(vstore key list)`; else "
    return (
        f"{own}ask the owner of the cache for the public key, and add it to `trusted_keys` in {layout.config_file};"
        " or pass it by --trust where the command has that option"
    )


def rejection_hint(record: Record, trust: Trust, layout: StoreLayout) -> str:
    """Return the hint for a record that is not trusted: what its owner, or this store, must do."""
    if not record.signatures:
        return "no trust setting helps: its owner must push it again with a key (`vstore key generate NAME`)"
    if 0 < len(trust.signers(record)) == len(record.signatures):
        return f"{trust.require} builders must sign it: the other ones must push it too"
    return trust_hint(layout)


def read_channel(store: Store, cache: Cache, name: str, *, trust: Trust, now: datetime) -> Channel:
    """Return the current record of a channel, and remember its number in the store.

    Raises CacheError if it is missing, expired, older than one seen before, or not signed by enough trusted keys.
    """
    check_channel_name(name)
    found = cache.channel(name, trust)
    if found is None:
        names = _channel_names(cache)
        listed = "give another channel" if names is None else f"`vstore cache ls {cache.name}` lists its channels"
        hint = f"{suggestion(name, names or ())}{listed}; or give a full store path, HASH-NAME"
        raise CacheError(f"{cache.name} has no channel {name}", hint=hint)
    found = _newest_trusted(cache, found, trust)
    reason = trust.rejection(found)
    if reason is not None:
        raise CacheError(
            f"channel {name} of {cache.name} is refused: {reason}", hint=rejection_hint(found, trust, store.layout)
        )
    if found.expires_at <= now:
        raise CacheError(
            f"channel {name} of {cache.name} is refused: it expired at {found.expires_at.isoformat()}",
            hint="its publisher must push it again",
        )
    _remember(store, cache, found)
    return found


def _channel_names(cache: Cache) -> set[str] | None:
    """Return the names of the channels of a cache, None if it cannot list its files."""
    try:
        return cache.channel_names()
    except CacheError:
        return None


def _newest_trusted(cache: Cache, newest: Channel, trust: Trust) -> Channel:
    """Return the newest number that enough trusted keys have signed, `newest` if there is none."""
    if not trust.signers(newest):
        return newest
    found: Channel | None = newest
    for number in range(newest.number - 1, max(newest.number - _MAX_UNSIGNED, 0), -1):
        if found is not None and trust.trusts(found):
            return found
        found, _ = attempt(partial(cache.channel, newest.name, trust, number=number))
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


@frozen
class PublishedChannel:
    """The record of a channel. `changed` is false if it was there already, with the signatures of the publisher."""

    record: Channel
    changed: bool = True


def publish_channel(
    cache: Cache, name: str, stack: ObjectInfo | ObjectRecord, *, signer: Signer, lifetime: timedelta, now: datetime
) -> PublishedChannel:
    """Point the channel to a stack in the cache.

    A record that a known key has signed stays if it points there and expires after half to twice of `lifetime`; it gets
    the missing signatures. Otherwise the channel gets a new number. Each number is given out once, even to two
    publishers at the same time. Raises UsageError without a key, CacheError if others keep publishing.
    """
    check_new_channel(name, signer)

    def make(number: int) -> Channel:
        return Channel(
            name=name,
            number=number,
            path=stack.path,
            digest=stack.digest,
            created_at=now.replace(microsecond=0),
            expires_at=(now + lifetime).replace(microsecond=0),
        )

    before = signer.sound(attempt(lambda: cache.channel(name, signer.known))[0])
    if before is None or before.path != stack.path or not lifetime / 2 <= before.expires_at - now <= lifetime * 2:
        return PublishedChannel(record=cache.writer.add_channel(name, make, before, signer))
    if signer.has_signed(before):
        return PublishedChannel(record=before, changed=False)
    return PublishedChannel(record=cache.writer.sign_channel(before, signer))
