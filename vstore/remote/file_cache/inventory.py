"""Read everything that a cache of files contains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.file_cache import layout
from vstore.remote.file_cache.reading import read_record
from vstore.remote.records.cache import Cache, attempt, check_exists, request_threads
from vstore.remote.records.encoding import (
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    decode_sbom,
)
from vstore.remote.records.inventory import Inventory, Item
from vstore.remote.records.model import ObjectRecord, R
from vstore.remote.transport.protocol import Stat, Transport, listing

_DELETION_ORDER = ("realisations", "objects", "sboms", "deltas", "archives")


def read_inventory(cache: Cache, transport: Transport, problems: dict[str, str] | None = None) -> Inventory:
    """Read all records of a cache. Raises CacheError for a malformed record, unless `problems` takes it.

    A malformed record of a delta or an SBOM is none for a collection, which deletes it with its object by its name.
    """
    check_exists(cache)
    listed = (stat for folder in layout.FOLDERS for stat in listing(transport).scan(folder))
    stats = {stat.key: stat for stat in sorted(listed, key=lambda stat: stat.key)}
    records = _Records(cache, transport, tuple(stats), problems)
    objects = records.read("objects/", decode_object)
    realisations = records.read("realisations/", decode_realisation)
    files: dict[StorePath, list[str]] = {record.path: [key] for key, record in objects.items()}
    for key, realisation in realisations.items():
        files.setdefault(realisation.path, []).append(key)
    for key in stats:
        if key.startswith(("sboms/", "deltas/", "archives/")) and (owner := _owner(key, problems)):
            files.setdefault(owner, []).append(key)
    items = {record.path: _item(record, key, files[record.path], stats) for key, record in objects.items()}
    owned = {key for item in items.values() for key in item.keys}
    channels = records.read("channels/", decode_channel)
    current = {key: channel for key, channel in channels.items() if key == layout.channel_key(channel.name)}
    for key, channel in current.items():
        numbered = channels.get(layout.channel_number_key(channel.name, channel.number))
        if problems is not None and (numbered is None or numbered.fingerprint != channel.fingerprint):
            problems[key] = f"differs from number {channel.number} of the channel"
    return Inventory(
        items=items,
        realisations=realisations,
        deltas=records.read("deltas/", decode_delta, lenient=True),
        sboms=records.read("sboms/", decode_sbom, lenient=True),
        channels=channels,
        current=current,
        pins=tuple(owner for key in stats if key.startswith("pins/") and (owner := _owner(key, problems))),
        orphans=tuple(
            stat for key, stat in stats.items() if key not in owned and not key.startswith(("channels/", "pins/"))
        ),
        unfinished=tuple(listing(transport).unfinished()),
    )


class _Records:
    """Reads records by the start of their keys."""

    def __init__(
        self, cache: Cache, transport: Transport, keys: tuple[str, ...], problems: dict[str, str] | None
    ) -> None:
        self._cache = cache
        self._transport = transport
        self._keys = keys
        self._problems = problems

    def read(self, start: str, decode: Callable[[bytes, str], R], *, lenient: bool = False) -> dict[str, R]:
        """Return the records whose keys start so. A malformed one is an error, a problem, or with `lenient` neither."""

        def read_one(key: str) -> R | None:
            read = partial(read_record, self._transport, self._cache.name, key, decode)
            if self._problems is None and not lenient:
                return read()
            record, problem = attempt(read)
            if problem is not None and self._problems is not None:
                self._problems[key] = problem
            return record

        keys = [key for key in self._keys if key.startswith(start) and layout.is_record(key)]
        with request_threads(self._cache) as pool:
            found = pool.map(read_one, keys)
            return {key: record for key, record in zip(keys, found, strict=True) if record is not None}


def _owner(key: str, problems: dict[str, str] | None) -> StorePath | None:
    """Return the object in the name of a file. Raises CacheError if there is none, or adds it to `problems`."""
    try:
        return layout.owner(key)
    except ValueError as error:
        if problems is None:
            raise CacheError(f"unexpected file in the cache: {key}", hint="remove it if nobody needs it") from error
        problems[key] = "unexpected file"
        return None


def _item(record: ObjectRecord, record_key: str, keys: list[str], stats: Mapping[str, Stat]) -> Item:
    keys = sorted(keys, key=lambda key: (_DELETION_ORDER.index(key.partition("/")[0]), key))
    return Item(
        record=record,
        key=record_key,
        keys=tuple(keys),
        size_bytes=sum(stats[key].size_bytes for key in keys),
        touched_at=stats[record_key].modified,
        recipes=sum(key.startswith("realisations/") for key in keys),
    )
