"""Read everything that a cache contains: for `cache ls`, `gc` and `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_channel, decode_object, decode_realisation
from vstore.remote.records.model import Channel, ObjectRecord, R, Realisation
from vstore.remote.transport.protocol import Stat
from vstore.values import frozen

_DELETION_ORDER = ("realisations", "objects", "deltas", "archives")


@frozen
class Item:
    """One object with all its files. `keys` are in the order of deletion."""

    record: ObjectRecord
    keys: tuple[str, ...]
    size_bytes: int
    touched_at: datetime
    recipes: int

    @property
    def path(self) -> StorePath:
        """The object's store path."""
        return self.record.path


@frozen
class Inventory:
    """The content of a cache. `channels` are all records of all channels, by key.

    `orphans` are complete files without an object, `unfinished` partial ones: both come from killed pushes.
    """

    items: Mapping[StorePath, Item]
    realisations: Mapping[str, Realisation]
    channels: Mapping[str, Channel]
    pins: tuple[StorePath, ...]
    orphans: tuple[Stat, ...]
    unfinished: tuple[Stat, ...]

    @property
    def current(self) -> dict[str, Channel]:
        """The current record of each channel, by key."""
        return {key: channel for key, channel in self.channels.items() if key == layout.channel_key(channel.name)}

    def closure(self, tops: Iterable[StorePath]) -> set[StorePath]:
        """Return these objects and all that they refer to, as far as the cache has them."""
        seen: set[StorePath] = set()
        queue = list(tops)
        while queue:
            path = queue.pop()
            if path not in seen and path in self.items:
                seen.add(path)
                queue += self.items[path].record.references
        return seen


def read_inventory(cache: Cache, problems: dict[str, str] | None = None) -> Inventory:
    """Read all records of a cache.

    Raises CacheError for a malformed record, because it must not count as absent. With `problems`, such a record is
    left out, and its key and the reason are added there.
    """
    cache.check()
    listed = (stat for folder in layout.FOLDERS for stat in cache.lister.scan(folder))
    stats = {stat.key: stat for stat in sorted(listed, key=lambda stat: stat.key)}
    records = _read_all(cache, stats, "objects", decode_object, problems)
    realisations = _read_all(cache, stats, "realisations", decode_realisation, problems)
    files: dict[StorePath, list[str]] = {record.path: [key] for key, record in records.items()}
    for key, realisation in realisations.items():
        files.setdefault(realisation.path, []).append(key)
    for key in stats:
        if key.startswith(("deltas/", "archives/")) and (owner := _owner(key, problems)):
            files.setdefault(owner, []).append(key)
    items = {record.path: _item(record, files[record.path], stats) for record in records.values()}
    owned = {key for item in items.values() for key in item.keys}
    return Inventory(
        items=items,
        realisations=realisations,
        channels=_read_all(cache, stats, "channels", decode_channel, problems),
        pins=tuple(owner for key in stats if key.startswith("pins/") and (owner := _owner(key, problems))),
        orphans=tuple(
            stat for key, stat in stats.items() if key not in owned and not key.startswith(("channels/", "pins/"))
        ),
        unfinished=tuple(cache.lister.unfinished()),
    )


def _read_all(
    cache: Cache,
    stats: Mapping[str, Stat],
    folder: str,
    decode: Callable[[bytes, str], R],
    problems: dict[str, str] | None,
) -> dict[str, R]:
    def read(key: str) -> R | None:
        if problems is None:
            return cache.read(key, decode)
        record, problem = cache.try_read(key, decode)
        if problem is not None:
            problems[key] = problem
        return record

    keys = sorted(key for key in stats if key.startswith(f"{folder}/"))
    with cache.threads() as pool:
        found = pool.map(read, keys)
        return {key: record for key, record in zip(keys, found, strict=True) if record is not None}


def _owner(key: str, problems: dict[str, str] | None) -> StorePath | None:
    """Return the object in the name of a file. Raises CacheError if there is none, or adds it to `problems`."""
    name = key.rpartition("/")[2].partition(".from.")[0].removesuffix(".json").removesuffix(".tar.zst")
    try:
        return StorePath.parse(name)
    except ValueError as error:
        if problems is None:
            raise CacheError(f"unexpected file in the cache: {key}", hint="remove it if nobody needs it") from error
        problems[key] = "unexpected file"
        return None


def _item(record: ObjectRecord, keys: list[str], stats: Mapping[str, Stat]) -> Item:
    keys = sorted(keys, key=lambda key: (_DELETION_ORDER.index(key.partition("/")[0]), key))
    return Item(
        record=record,
        keys=tuple(keys),
        size_bytes=sum(stats[key].size_bytes for key in keys),
        touched_at=stats[layout.object_key(record.path)].modified,
        recipes=sum(key.startswith("realisations/") for key in keys),
    )
