"""Everything that a cache holds, read in one go: for `cache ls`, `gc` and `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_channel, decode_object, decode_realisation
from vstore.remote.records.model import Channel, ObjectRecord, Realisation
from vstore.remote.transport.protocol import Stat, TransportError
from vstore.values import frozen

R = TypeVar("R", Realisation, ObjectRecord, Channel)


@frozen
class Item:
    """One object with all that belongs to it; `keys` are in the order in which they may be deleted."""

    record: ObjectRecord
    keys: tuple[str, ...]
    size_bytes: int
    touched_at: datetime
    recipes: int

    @property
    def path(self) -> StorePath:
        return self.record.path


@frozen
class Inventory:
    """`channels` are all records of all channels, by key.

    Of pushes that were killed: `stray`, which is whole but belongs to no object; `unfinished`, which no reader sees.
    """

    items: Mapping[StorePath, Item]
    realisations: Mapping[str, Realisation]
    channels: Mapping[str, Channel]
    pins: tuple[StorePath, ...]
    stray: tuple[Stat, ...]
    unfinished: tuple[Stat, ...]

    @property
    def current(self) -> dict[str, Channel]:
        """The records that clients read first, by key."""
        return {key: channel for key, channel in self.channels.items() if key == layout.channel_key(channel.name)}

    def closure(self, tops: Iterable[StorePath]) -> set[StorePath]:
        """These and all they refer to, as far as the cache has them."""
        seen: set[StorePath] = set()
        queue = list(tops)
        while queue:
            path = queue.pop()
            if path not in seen and path in self.items:
                seen.add(path)
                queue += self.items[path].record.references
        return seen


def read_inventory(cache: Cache, bad: dict[str, str] | None = None) -> Inventory:
    """Read all records. CacheError if one is malformed, as what is not understood is not to be taken for absent;
    with `bad` it is left out, and its key and what is wrong are put there.
    """
    cache.check()
    listed = (stat for folder in layout.FOLDERS for stat in cache.transport.scan(folder))
    stats = {stat.key: stat for stat in sorted(listed, key=lambda stat: stat.key)}
    records = _read(cache, stats, "objects/", decode_object, bad)
    realisations = _read(cache, stats, "realisations/", decode_realisation, bad)
    belongs: dict[StorePath, list[str]] = {record.path: [] for record in records.values()}
    for key, realisation in realisations.items():
        belongs.setdefault(realisation.path, []).append(key)
    for key, record in records.items():
        belongs[record.path].append(key)
    for key in stats:
        if key.startswith(("deltas/", "archives/")) and (owner := _owner(key, bad)):
            belongs.setdefault(owner, []).append(key)
    items = {record.path: _item(record, belongs[record.path], stats) for record in records.values()}
    owned = {key for item in items.values() for key in item.keys}
    loose = [stat for key, stat in stats.items() if key not in owned and not key.startswith(("channels/", "pins/"))]
    return Inventory(
        items=items,
        realisations=realisations,
        channels=_read(cache, stats, "channels/", decode_channel, bad),
        pins=tuple(owner for key in stats if key.startswith("pins/") and (owner := _owner(key, bad))),
        stray=tuple(loose),
        unfinished=tuple(cache.transport.unfinished()),
    )


def _read(
    cache: Cache, stats: Mapping[str, Stat], start: str, decode: Callable[[bytes, str], R], bad: dict[str, str] | None
) -> dict[str, R]:
    def read(key: str) -> R | None:
        try:
            return cache.read(key, decode)
        except CacheError as error:
            if bad is None or isinstance(error, TransportError):
                raise
            bad[key] = error.message
            return None

    keys = sorted(key for key in stats if key.startswith(start))
    with cache.threads() as pool:
        found = pool.map(read, keys)
        return {key: record for key, record in zip(keys, found, strict=True) if record is not None}


def _owner(key: str, bad: dict[str, str] | None) -> StorePath | None:
    """The object that a file belongs to, by its name. CacheError for none; with `bad` it is noted there."""
    name = key.rpartition("/")[2].partition(".from.")[0].removesuffix(".json").removesuffix(".tar.zst")
    try:
        return StorePath.parse(name)
    except ValueError as error:
        if bad is None:
            raise CacheError(f"unexpected file in a cache: {key}", hint="remove it, if nobody needs it") from error
        bad[key] = "belongs to no cache"
        return None


def _item(record: ObjectRecord, keys: list[str], stats: Mapping[str, Stat]) -> Item:
    order = ("realisations/", "objects/", "deltas/", "archives/")
    keys = sorted(keys, key=lambda key: next(n for n, start in enumerate(order) if key.startswith(start)))
    own = [stats[key] for key in keys]
    return Item(
        record=record,
        keys=tuple(keys),
        size_bytes=sum(stat.size_bytes for stat in own),
        touched_at=stats[layout.object_key(record.path)].modified,
        recipes=sum(key.startswith("realisations/") for key in keys),
    )
