"""Everything that a cache contains, as values: for `cache ls`, `gc` and `verify`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from vstore.objects import StorePath
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, Realisation, SbomRecord
from vstore.remote.transport.protocol import Stat
from vstore.values import frozen


@frozen
class Item:
    """One object with all its entries. `key` is that of its record; `keys` are in the order of deletion.

    `others` are records of the same object that state another archive or other metadata.
    """

    record: ObjectRecord
    key: str
    keys: tuple[str, ...]
    size_bytes: int
    touched_at: datetime
    recipes: int
    others: tuple[ObjectRecord, ...] = ()

    @property
    def path(self) -> StorePath:
        """The object's store path."""
        return self.record.path


@frozen
class Inventory:
    """The content of a cache. Records are listed by their keys, which only name them.

    `channels` are all numbers of all channels, `current` the current record of each. `orphans` are complete entries
    without an object, `unfinished` partial ones: both come from killed pushes.
    """

    items: Mapping[StorePath, Item]
    realisations: Mapping[str, Realisation]
    deltas: Mapping[str, DeltaRecord]
    sboms: Mapping[str, SbomRecord]
    channels: Mapping[str, Channel]
    current: Mapping[str, Channel]
    pins: tuple[StorePath, ...]
    orphans: tuple[Stat, ...]
    unfinished: tuple[Stat, ...]

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
