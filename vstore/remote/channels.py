"""Channels: a name such as ``stable`` that points to a stack, signed, numbered and expiring.

A digest says what a stack is, not that it is today's. So a client remembers, for each cache and channel, the
highest number it has seen, and refuses a lower one: a cache cannot hide a fix by serving yesterday's record.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from vstore.digest import hash_fields, parse_json
from vstore.errors import CacheError, UsageError
from vstore.fs.atomic import write_file
from vstore.fs.faults import Point, reached
from vstore.fs.filelock import lock_file
from vstore.fs.reading import read_regular
from vstore.objects import ObjectInfo
from vstore.remote import layout
from vstore.remote.cache import Cache
from vstore.remote.model import Channel
from vstore.remote.trust import SecretKey, Trust, sign
from vstore.store import Store

_TRIES = 20
_MOST_BYTES = 1 << 20


def check_name(name: str) -> None:
    if not layout.CHANNEL_NAME.fullmatch(name):
        raise UsageError(f"not a name for a channel: {name!r}", hint="letters, digits, . _ - +")


def read_channel(store: Store, cache: Cache, name: str, *, trust: Trust, now: datetime) -> Channel:
    """Where the channel points now. CacheError when it is not there, not signed, expired, or older than seen before."""
    check_name(name)
    found = cache.channel(name)
    if found is None:
        raise CacheError(f"{cache.name} has no channel {name}", hint=f"`vstore cache ls {cache.url}`")
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


def _remember(store: Store, cache: Cache, channel: Channel) -> None:
    """Refuse a number lower than the highest seen, and the same number for something else; else keep it in mind."""
    folder = store.layout.root / "channels"
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
    cache: Cache, name: str, info: ObjectInfo, *, keys: tuple[SecretKey, ...], lifetime: timedelta, now: datetime
) -> Channel:
    """Let the channel point to a stack that is in the cache. Each number is given out once, even to two at once."""
    check_name(name)
    if not keys:
        raise UsageError("a channel must be signed, and there is no key here", hint="`vstore key generate NAME`")
    before = cache.channel(name)
    number = before.number if before else 0
    for _ in range(_TRIES):
        number += 1
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
    current = cache.channel(name)
    if current is None or current.number < number:
        cache.write(layout.channel_key(name), made)
    reached(Point.PUSH_PUBLISHED)
    return made
